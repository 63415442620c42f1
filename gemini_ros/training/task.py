"""The Lightning task: what is optimised and what is measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.network.imagenet import load_imagenet
from gemini_ros.network.model import FusionSegmenter, Prediction
from gemini_ros.network.normalise import normalise
from gemini_ros.training.data import Sample
from gemini_ros.training.modalities import MODALITY_DEFAULTS


class SegmentationTask(lightning.LightningModule):
    """Train a ``FusionSegmenter`` with cross entropy on every output (arXiv:2406.01210), AdamW, warm-up and cosine.

    A stream whose modality was taken away from a sample is not asked for that sample: its loss is left out. ``weights``
    is a checkpoint of the same configuration to start from, ``imagenet`` a published file of ImageNet weights for the
    encoder (``network.imagenet``); its name goes with every checkpoint that comes of it, because its licence does. The
    loss is taken at 1/4 resolution.
    """

    def __init__(
        self,
        encoder: str,
        modalities: list[str],
        label_set: str,
        fusion: str = "gemini",
        learning_rate: float = 1e-3,
        decoder_rate: float = 1.0,
        weight_decay: float = 0.01,
        warmup_steps: int = 200,
        drop_path: float = 0.0,
        weights: Path | None = None,
        imagenet: Path | None = None,
    ) -> None:
        super().__init__()
        if weights is not None and imagenet is not None:
            raise ValueError("weights and imagenet: give one of them, a checkpoint replaces the whole encoder")
        self.save_hyperparameters(ignore=["weights", "imagenet"])
        self.labels = load_label_set(label_set)
        self.network = FusionSegmenter(encoder, tuple(modalities), len(self.labels), fusion, drop_path)
        self.normalise = nn.ModuleList(normalise(MODALITY_DEFAULTS[name]) for name in modalities)
        self.imagenet: str | None = None
        if weights is not None:
            load_weights(self, weights)
        if imagenet is not None:
            load_imagenet(self.network, imagenet)
            self.imagenet = imagenet.name

    def forward(self, sample: Sample) -> Prediction:
        """Predict a batch of samples (see ``training.data.ImageFolder``)."""
        present = sample["present"]
        images = [
            step(sample[name], present[:, i])
            for i, (name, step) in enumerate(zip(self.network.modalities, self.normalise, strict=True))
        ]
        return self.network(images, present)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["imagenet"] = self.imagenet

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.imagenet = checkpoint.get("imagenet")

    def training_step(self, sample: Sample, _index: int) -> Tensor:
        prediction = self(sample)
        truth = sample["labels"][:, 2::4, 2::4].long()
        present = sample["present"]
        loss = F.cross_entropy(prediction.ensemble, truth, ignore_index=UNLABELLED)
        for stream, logits in enumerate(prediction.streams):
            per_pixel = F.cross_entropy(logits, truth, ignore_index=UNLABELLED, reduction="none")
            weight = present[:, stream, None, None] * (truth != UNLABELLED)
            loss = loss + (per_pixel * weight).sum() / weight.sum().clamp_min(1)
        for auxiliary in prediction.auxiliary:
            loss = loss + auxiliary
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.confusion = ConfusionMatrix(len(self.labels))

    def validation_step(self, sample: Sample, _index: int) -> None:
        self.confusion.update(sample["labels"].cpu().numpy(), self._labels(sample))

    def on_validation_epoch_end(self) -> None:
        self.log("val_miou", self.confusion.miou(), prog_bar=True)

    def on_test_epoch_start(self) -> None:
        self.scores: dict[str, dict[str, ConfusionMatrix]] = {}

    def test_step(self, sample: Sample, _index: int) -> None:
        """Score with everything there, and with each modality missing; all frames together and by light level."""
        truth = sample["labels"].cpu().numpy()
        records = self.trainer.datamodule.val.records
        lights = [records[index].get("light", "any") for index in sample["index"].tolist()]
        names = self.network.modalities
        for missing in (None, *(range(len(names)) if len(names) > 1 else ())):
            present = sample["present"].clone()
            if missing is not None:
                present[:, missing] = 0
            labels = self._labels(sample | {"present": present})
            by_light = self.scores.setdefault(f"without {names[missing]}" if missing is not None else "complete", {})
            for i, light in enumerate(lights):
                for key in ("all", light):
                    matrix = by_light.setdefault(key, ConfusionMatrix(len(self.labels)))
                    matrix.update(truth[i], labels[i])

    def on_test_epoch_end(self) -> None:
        """Write ``scores.json`` into the run's folder."""
        scores = {
            condition: {light: matrix.to_dict(self.labels.names) for light, matrix in sorted(by_light.items())}
            for condition, by_light in self.scores.items()
        }
        with atomic_path(Path(self.trainer.default_root_dir) / "scores.json") as part:
            part.write_text(json.dumps(scores, indent=1))
        for condition, by_light in scores.items():
            for light, score in by_light.items():
                self.log(f"{condition}/{light}", score["miou"])

    def _labels(self, sample: Sample) -> np.ndarray:
        """Predicted labels uint8 (B, H, W) at the labels' own resolution."""
        size = sample["labels"].shape[1:]
        upsampled = F.interpolate(self(sample).ensemble, size=size, mode="bilinear", align_corners=False)
        return upsampled.argmax(1).to(torch.uint8).cpu().numpy()

    def configure_optimizers(self) -> dict:
        h = self.hparams
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            rate = h.learning_rate * (h.decoder_rate if name.startswith(("decoder", "alpha")) else 1.0)
            decay = 0.0 if parameter.ndim < 2 else h.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [{"params": p, "lr": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]
        )
        total = int(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            if step < h.warmup_steps:
                return (step + 1) / h.warmup_steps
            progress = (step - h.warmup_steps) / max(1, total - h.warmup_steps)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def load_weights(task: SegmentationTask, path: Path) -> None:
    """Network weights of a Lightning checkpoint. Raises ``ValueError`` naming the first key that does not fit."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    state = checkpoint["state_dict"]
    own = task.state_dict()
    for name, value in own.items():
        found = tuple(state[name].shape) if name in state else None
        if found != tuple(value.shape):
            raise ValueError(f"{path}: {name} has shape {found}, expected {tuple(value.shape)}")
    task.load_state_dict(state)
    task.on_load_checkpoint(checkpoint)
