"""``gemini-ros train phrases``: cache, decoder alone, all of it, model file. A run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from gemini_ros.core.model_info import Language, ModelInfo
from gemini_ros.core.phrase_maps import MOST_PHRASES, MOST_PIECES, PhraseInputs
from gemini_ros.core.resources import find_weights
from gemini_ros.inference.gate import PHRASE_SETS
from gemini_ros.language.encoder import SHA256, TextEncoder
from gemini_ros.language.views import open_simulated
from gemini_ros.language.words import load_words
from gemini_ros.network.language.branch import LanguageBranch
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.weights_file import read_weights
from gemini_ros.training.export import GOLDEN_FRAMES, write_checked
from gemini_ros.training.fit import quieten
from gemini_ros.training.frozen import Say, Stage, plain_network, require_same, run_stage
from gemini_ros.training.language.cache import CachedTexts, FrozenMaps, cache_frames, cache_texts
from gemini_ros.training.language.data import PhraseBatches, Question, describe, read_questions
from gemini_ros.training.language.options import CLASS_NAMES, PhraseStage, PhraseTraining
from gemini_ros.training.language.scoring import latent_hits
from gemini_ros.training.language.task import PhraseTask

MODEL, OPTIONS = "model.onnx", "options.json"


def train_phrases(options: PhraseTraining, out: Path, *, encoder: TextEncoder | None = None, say: Say = print) -> Path:
    """Train by ``options`` and write ``OUT/model.onnx`` with its golden file; returns its path.

    What ``out`` holds of the same options is not done again. Raises ``ValueError`` for one of other options, and for
    data that do not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    require_same(options, out / OPTIONS)
    stored, words = read_weights(find_weights(Path(options.model))), load_words(options.words)
    if list(words.classes) != stored.info.label_set.names:
        raise ValueError(f"{options.model}: its classes are not those of the words {options.words}")
    network = plain_network(stored)
    frozen = FrozenMaps(network, stored.info, options.network_size)
    class_names = options.texts == CLASS_NAMES
    folders = (*options.folders, *((options.validation,) if options.validation else ()))
    frames = [cache_frames(folder, frozen, out / "cache", say) for folder in folders]
    asked = [
        read_questions(folder, cached, words, class_names=class_names)
        for folder, cached in zip(folders, frames, strict=True)
    ]
    texts = cache_texts([q.text for each in asked for q in each], encoder, out / "cache", say)
    asked = [_short_enough(folder, each, texts, say) for folder, each in zip(folders, asked, strict=True)]
    known = len(options.folders)
    say(f"train on {describe([q for each in asked[:known] for q in each])}")
    quieten()
    torch.manual_seed(options.seed)
    branch = LanguageBranch(network, options.branch).train()
    sets = list(zip(frames[:known], asked[:known], strict=True))
    for number, (name, stage) in enumerate((("latents", options.latents), ("all", options.all))):

        def batches(first: int, stage: PhraseStage = stage, number: int = number) -> PhraseBatches:
            seed = 1000 * options.seed + number
            return PhraseBatches(sets, texts, stage.frames, stage.phrases, seed, first)

        task = PhraseTask(branch, stage, options.loss, masks=number == 1)
        run_stage(Stage(name, task, branch, stage.steps, batches, options.checkpoint_minutes), out, say)
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


def _short_enough(folder: Path, asked: Sequence[Question], texts: CachedTexts, say: Say) -> list[Question]:
    """The questions that the encoder takes. Raises ``ValueError`` where it takes none."""
    short = [question for question in asked if question.text in texts.rows]
    if not short:
        raise ValueError(f"{folder}: no question of at most {MOST_PIECES} word pieces, expected some")
    if left_out := len(asked) - len(short):
        say(f"{folder}: {left_out} of {len(asked)} questions have more than {MOST_PIECES} word pieces and are left out")
    return short


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
