"""``gemini-ros train phrases``: cache, decoder alone, all of it, model file. A run that was stopped goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import safetensors.torch
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from gemini_ros.core.documents import read_json
from gemini_ros.core.files import atomic_path
from gemini_ros.core.model_info import Language, ModelInfo
from gemini_ros.core.phrase_maps import MOST_PHRASES, MOST_PIECES, PhraseInputs
from gemini_ros.core.resources import find_weights
from gemini_ros.inference.gate import PHRASE_SETS
from gemini_ros.language.encoder import SHA256, TextEncoder
from gemini_ros.language.views import open_simulated
from gemini_ros.language.words import load_words
from gemini_ros.network.checkpoint import read_checkpoint
from gemini_ros.network.language.branch import LanguageBranch
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.weights_file import WeightsFile, read_weights
from gemini_ros.training.callbacks import StopAtNan, WholeCheckpoints
from gemini_ros.training.export import GOLDEN_FRAMES, write_checked
from gemini_ros.training.fit import quieten
from gemini_ros.training.language.cache import CachedTexts, FrozenNetwork, cache_frames, cache_texts
from gemini_ros.training.language.data import PhraseBatches, describe, read_questions
from gemini_ros.training.language.options import CLASS_NAMES, PhraseStage, PhraseTraining
from gemini_ros.training.language.scoring import latent_hits
from gemini_ros.training.language.task import PhraseTask
from gemini_ros.training.memory import keep_memory

MODEL, OPTIONS = "model.onnx", "options.json"
_SAY_EVERY = 25
Say = Callable[[str], None]


def train_phrases(options: PhraseTraining, out: Path, *, encoder: TextEncoder | None = None, say: Say = print) -> Path:
    """Train by ``options`` and write ``OUT/model.onnx`` with its golden file; returns its path.

    What ``out`` holds of the same options is not done again. Raises ``ValueError`` for one of other options, and for
    data that do not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    _require_same(options, out / OPTIONS)
    stored, words = read_weights(find_weights(Path(options.model))), load_words(options.words)
    if list(words.classes) != stored.info.label_set.names:
        raise ValueError(f"{options.model}: its classes are not those of the words {options.words}")
    network = plain_network(stored)
    frozen = FrozenNetwork(network, stored.info, options.network_size)
    class_names = options.texts == CLASS_NAMES
    folders = (*options.folders, *((options.validation,) if options.validation else ()))
    frames = [cache_frames(folder, frozen, out / "cache", say) for folder in folders]
    asked = [
        read_questions(folder, cached, words, class_names=class_names)
        for folder, cached in zip(folders, frames, strict=True)
    ]
    texts = cache_texts([q.text for each in asked for q in each], encoder, out / "cache")
    known = len(options.folders)
    say(f"train on {describe([q for each in asked[:known] for q in each])}")
    quieten()
    keep_memory()
    torch.manual_seed(options.seed)
    branch = LanguageBranch(network, options.branch).train()
    sets = list(zip(frames[:known], asked[:known], strict=True))
    for number, (name, stage) in enumerate((("latents", options.latents), ("all", options.all))):

        def batches(first: int, stage: PhraseStage = stage, number: int = number) -> PhraseBatches:
            seed = 1000 * options.seed + number
            return PhraseBatches(sets, texts, stage.frames, stage.phrases, seed, first)

        _run_stage(name, PhraseTask(branch, stage, options.loss, masks=number == 1), stage, batches, options, out, say)
        for frames_held, questions in list(zip(frames, asked, strict=True))[known:]:
            for kind, (share, count) in latent_hits(branch, frames_held, questions, texts).items():
                say(f"{name:8s} windows hit, {kind}: {share:.3f} of {count}")
    info = replace(
        stored.info,
        network_size=options.network_size,
        language=Language(SHA256, MOST_PHRASES, MOST_PIECES),
        architecture=stored.info.architecture | {"language": asdict(options.branch)},
    )
    _write(network, branch.eval(), info, options, [q.text for q in asked[0]], texts, out / MODEL)
    say(f"wrote    {out / MODEL}")
    return out / MODEL


def plain_network(stored: WeightsFile) -> FusionSegmenter:
    """The network of a weights file, in evaluation mode. Raises ``ValueError`` for one that it does not describe."""
    info = stored.info
    chosen = info.architecture
    network = FusionSegmenter(
        chosen.get("encoder", ""), info.modality_names, len(info.label_set), chosen.get("fusion", "gemini")
    )
    try:
        network.load_state_dict(stored.state)
    except RuntimeError as error:
        raise ValueError(f"weights of {chosen!s:.200}: they are not of this network") from error
    return network.eval()


def _run_stage(
    name: str,
    task: PhraseTask,
    stage: PhraseStage,
    batches: Callable[[int], PhraseBatches],
    options: PhraseTraining,
    out: Path,
    say: Say,
) -> None:
    """Train, from the last checkpoint where there is one; nothing where the stage's weights are there already."""
    done, folder = out / f"{name}.safetensors", out / name
    if done.exists():
        task.branch.load_state_dict(safetensors.torch.load_file(done))
        say(f"{name:8s} is trained already")
        return
    last = folder / "last.ckpt"
    first = int(read_checkpoint(last)["global_step"]) if last.exists() else 0
    if first:
        say(f"{name:8s} goes on at step {first}")
    if first < stage.steps:
        checkpoints = ModelCheckpoint(
            folder,
            "last",
            train_time_interval=timedelta(minutes=options.checkpoint_minutes),
            enable_version_counter=False,
        )
        trainer = lightning.Trainer(
            accelerator="auto",
            devices=1,
            max_steps=stage.steps,
            gradient_clip_val=1.0,
            callbacks=[checkpoints, StopAtNan(), _Told(name, say)],
            plugins=[WholeCheckpoints()],
            logger=CSVLogger(out, f"log_{name}"),
            log_every_n_steps=_SAY_EVERY,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader = DataLoader(batches(first), batch_size=None)
        trainer.fit(task, loader, ckpt_path=str(last) if first else None)
    with atomic_path(done) as part:
        state = {key: value.cpu().contiguous() for key, value in task.branch.state_dict().items()}
        part.write_bytes(safetensors.torch.save(state))


class _Told(lightning.Callback):
    """The mean loss, every so many steps."""

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say, self._since = name, say, []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._since.append(float(outputs["loss"]))
        if trainer.global_step % _SAY_EVERY == 0:
            self._say(f"{self._name:8s} step {trainer.global_step}: loss {sum(self._since) / len(self._since):.3f}")
            self._since = []


def _require_same(options: PhraseTraining, path: Path) -> None:
    asked = json.loads(json.dumps(asdict(options), default=str))
    if not path.exists():
        with atomic_path(path) as part:
            part.write_text(json.dumps(asked, indent=2))
    elif (found := read_json(path)) != asked:
        differing = sorted(key for key in asked if not isinstance(found, dict) or found.get(key) != asked[key])
        raise ValueError(f"{path.parent}: holds a training with another {', '.join(differing)}: choose another folder")


def _write(
    network: FusionSegmenter,
    branch: LanguageBranch,
    info: ModelInfo,
    options: PhraseTraining,
    questions: Sequence[str],
    texts: CachedTexts,
    out: Path,
) -> None:
    """The model file; its golden file has frames of the first folder, and two sets of its questions."""
    data = open_simulated(options.folders[0])
    stems = [data.rows[i * len(data.rows) // GOLDEN_FRAMES]["stem"] for i in range(GOLDEN_FRAMES)]
    known = list(dict.fromkeys(questions))
    sets = []
    for number in range(PHRASE_SETS):
        some = [known[(number * MOST_PHRASES + i) % len(known)] for i in range(MOST_PHRASES)]
        phrases, mask = (tensor.numpy() for tensor in texts.tensors(some))
        sets.append(PhraseInputs(tuple(some), SHA256, phrases, mask))
    frames = [data.images(stem)[0] for stem in stems]
    frames = [frame.without(*(set(frame.images()) - set(info.modality_names))) for frame in frames]
    write_checked(network, info, out, frames, language=branch, phrases=sets)
