"""Train something small beside a network that stays as it is, in stages that go on where they were stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import safetensors.torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from gemini_ros.core.documents import read_json
from gemini_ros.core.files import atomic_path
from gemini_ros.network.checkpoint import read_checkpoint
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.weights_file import WeightsFile
from gemini_ros.training.callbacks import StopAtNan, WholeCheckpoints
from gemini_ros.training.memory import keep_memory

_SAY_EVERY = 25
Say = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """``steps`` of ``task``, which trains ``module``; ``batches`` gives what it learns from, after so many steps."""

    name: str
    task: lightning.LightningModule
    module: nn.Module
    steps: int
    batches: Callable[[int], IterableDataset]
    checkpoint_minutes: float


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


def require_same(options: Any, path: Path) -> None:
    """Keep ``options``, a dataclass, in ``path``. Raises ``ValueError`` where those of another training are there."""
    asked = json.loads(json.dumps(asdict(options), default=str))
    if not path.exists():
        with atomic_path(path) as part:
            part.write_text(json.dumps(asked, indent=2))
    elif (found := read_json(path)) != asked:
        differing = sorted(key for key in asked if not isinstance(found, dict) or found.get(key) != asked[key])
        raise ValueError(f"{path.parent}: holds a training with another {', '.join(differing)}: choose another folder")


def run_stage(stage: Stage, out: Path, say: Say) -> None:
    """Train, from the last checkpoint where there is one; nothing where the stage's weights are there already.

    From then on this process keeps memory it has freed.
    """
    name, done, folder = stage.name, out / f"{stage.name}.safetensors", out / stage.name
    if done.exists():
        stage.module.load_state_dict(safetensors.torch.load_file(done))
        say(f"{name:8s} is trained already")
        return
    last = folder / "last.ckpt"
    first = int(read_checkpoint(last)["global_step"]) if last.exists() else 0
    if first:
        say(f"{name:8s} goes on at step {first}")
    if first < stage.steps:
        keep_memory()
        checkpoints = ModelCheckpoint(
            folder,
            "last",
            train_time_interval=timedelta(minutes=stage.checkpoint_minutes),
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
        loader = DataLoader(stage.batches(first), batch_size=None)
        trainer.fit(stage.task, loader, ckpt_path=str(last) if first else None)
    with atomic_path(done) as part:
        state = {key: value.cpu().contiguous() for key, value in stage.module.state_dict().items()}
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
