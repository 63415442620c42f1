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
from gemini_ros.training.weights import load_weights


class SegmentationTask(lightning.LightningModule):
    """Train a ``FusionSegmenter`` with a loss on every output (arXiv:2406.01210), AdamW, warm-up and cosine.

    The loss of an output is cross entropy plus ``dice_weight`` times the Dice loss (arXiv:1606.04797) of the batch's
    classes, which gives rare classes a say; it is taken at 1/4 resolution. A stream whose modality was taken away from
    a sample is not asked for that sample: its loss is left out. ``weights`` is a checkpoint to start from, of the same
    configuration or of one modality alone (``training.weights``), ``imagenet`` a published file of ImageNet weights for
    the encoder (``network.imagenet``); its name goes with every checkpoint that comes of it, because its licence does.
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
        dice_weight: float = 0.0,
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
        loss = self._loss(prediction.ensemble, truth, present.amax(1))
        for stream, logits in enumerate(prediction.streams):
            loss = loss + self._loss(logits, truth, present[:, stream])
        for auxiliary in prediction.auxiliary:
            loss = loss + auxiliary
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def _loss(self, logits: Tensor, truth: Tensor, asked: Tensor) -> Tensor:
        """Loss of the samples where ``asked`` (B,) is 1, at pixels with a label."""
        weight = asked[:, None, None] * (truth != UNLABELLED)
        per_pixel = F.cross_entropy(logits, truth, ignore_index=UNLABELLED, reduction="none")
        loss = (per_pixel * weight).sum() / weight.sum().clamp_min(1)
        if self.hparams.dice_weight:
            loss = loss + self.hparams.dice_weight * dice_loss(logits, truth, weight)
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


def dice_loss(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """1 - Dice coefficient (arXiv:1606.04797), mean over the classes that the batch holds.

    ``logits`` (B, classes, H, W); ``truth`` int64 and ``weight`` (B, H, W), where weight 0 leaves a pixel out.
    """
    classes = logits.shape[1]
    predicted = logits.softmax(1) * weight[:, None]
    true = F.one_hot(truth.clamp(max=classes - 1), classes).permute(0, 3, 1, 2) * weight[:, None]
    area = true.sum((0, 2, 3))
    overlap = (predicted * true).sum((0, 2, 3))
    dice = 2 * overlap / (predicted.sum((0, 2, 3)) + area).clamp_min(1)
    held = (area > 0).to(dice.dtype)
    return ((1 - dice) * held).sum() / held.sum().clamp_min(1)
