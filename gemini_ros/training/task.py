"""The Lightning task: what is optimised and what is measured."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gemini_ros.core.labels import load_label_set
from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.network.encoders.scored_maximum import stream_presence
from gemini_ros.network.fusion.channel_exchange import shrink_exchanged
from gemini_ros.network.imagenet import load_imagenet
from gemini_ros.network.model import FusionSegmenter, Prediction, ensemble
from gemini_ros.training.degraded import complete_frames, single_modality
from gemini_ros.training.learning import LearningTask
from gemini_ros.training.loss import SegmentationLoss, distillation_loss
from gemini_ros.training.modalities import described
from gemini_ros.training.options import (
    LossOptions,
    NetworkOptions,
    OptimizerOptions,
    RobustOptions,
    ScheduleOptions,
    ScoringOptions,
    plain,
)
from gemini_ros.training.samples import Normaliser, Sample
from gemini_ros.training.start import Start, load_weights
from gemini_ros.training.testing import Scorer, label_images

RETAINED_AT = 2.0
"""The temperature at which answers are compared with those of the weights at the start, as in arXiv:1606.09282."""


class SegmentationTask(LearningTask):
    """Train a ``FusionSegmenter`` with a loss on every output (arXiv:2406.01210), AdamW and a rate that decays.

    The loss is taken at 1/4 resolution. A stream whose modalities were taken away from a sample is not asked for that
    sample: its loss is left out. ``scoring`` is of ``train test`` alone. ``weights`` to start from are a checkpoint, a
    weights file, or the name of a shipped model (``training.start``), ``imagenet`` a published file of ImageNet weights
    for the encoder (``network.imagenet``); its name goes with every checkpoint that comes of it, because its licence
    does.
    """

    def __init__(
        self,
        network: NetworkOptions,
        loss: LossOptions = LossOptions(),
        optimizer: OptimizerOptions = OptimizerOptions(),
        schedule: ScheduleOptions = ScheduleOptions(),
        scoring: ScoringOptions = ScoringOptions(),
        robust: RobustOptions = RobustOptions(),
        weights: Path | None = None,
        imagenet: Path | None = None,
    ) -> None:
        super().__init__()
        if weights is not None and imagenet is not None:
            raise ValueError("weights and imagenet: give one of them, a checkpoint replaces the whole encoder")
        groups: dict[str, Any] = {"network": network, "loss": loss, "optimizer": optimizer, "schedule": schedule}
        groups |= {"scoring": scoring, "robust": robust}
        self.save_hyperparameters({name: plain(options) for name, options in groups.items()})
        self.labels = load_label_set(network.label_set)
        self.network = FusionSegmenter(
            network.encoder, network.modalities, len(self.labels), network.fusion, network.drop_path
        )
        self.modalities = described(network.modalities, network.thermal_kind)
        self.normalise = Normaliser(self.modalities)
        self.loss, self.retention = SegmentationLoss(len(self.labels), loss), loss.retention
        self.single_output, self.robust = loss.single_output, robust
        self.optimizer_options, self.schedule, self.scoring = optimizer, schedule, scoring
        self.imagenet: str | None = None
        self.start: Start | None = None if weights is None else load_weights(self, weights)
        self._weights = weights
        if imagenet is not None:
            load_imagenet(self.network, imagenet)
            self.imagenet = imagenet.name

    def forward(self, sample: Sample) -> Prediction:
        """Predict a batch of samples (see ``training.data.ImageFolder``)."""
        return self.network(self.normalise(sample), sample["present"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["imagenet"] = self.imagenet
        checkpoint["classes"] = self.labels.names

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.imagenet = checkpoint.get("imagenet")

    def setup(self, stage: str) -> None:
        """Several GPUs share the statistics of the batch norm. Not yet run on hardware."""
        if stage == "fit" and self.trainer.world_size > 1 and self.trainer.strategy.root_device.type == "cuda":
            self.network = nn.SyncBatchNorm.convert_sync_batchnorm(self.network)

    def training_step(self, sample: Sample, _index: int) -> Tensor:
        sample = single_modality(sample, self.global_step, self.robust.single_every)
        prediction = self(sample)
        truth = sample["labels"][:, 2::4, 2::4].long()
        sure = sample["confidence"][:, 2::4, 2::4] / 255 if "confidence" in sample else None
        present = stream_presence(sample["present"])
        if self.single_output:
            together = ensemble(prediction.streams, self.network.alpha, present, detach=False)
            loss = self.loss(together, truth, present.amax(1), sure)
        else:
            loss = self.loss(prediction.ensemble, truth, present.amax(1), sure)
            for stream, logits in enumerate(prediction.streams):
                loss = loss + self.loss(logits, truth, present[:, stream], sure)
        for auxiliary in prediction.auxiliary:
            loss = loss + auxiliary
        if self.robust.distillation:
            loss = loss + self.robust.distillation * self._distillation(sample, prediction)
        if self.retention and "retain" in sample and sample["retain"].any():
            loss = loss + self.retention * self._forgotten(sample, prediction)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def _distillation(self, sample: Sample, prediction: Prediction) -> Tensor:
        """How far the answers to degraded frames are from those to the same frames before; 0 if there is none."""
        complete, degraded = complete_frames(sample)
        if not degraded.any():
            return torch.zeros((), device=self.device)
        self.network.eval()  # without dropout, and no statistics are taken
        with torch.no_grad():
            teacher = self(complete).ensemble
        self.network.train()
        present = stream_presence(sample["present"][degraded])
        own = [logits[degraded] for logits in prediction.streams]
        together = ensemble(own, self.network.alpha, present, detach=False)
        return distillation_loss(together, teacher, self.robust.distillation_temperature)

    def _forgotten(self, sample: Sample, prediction: Prediction) -> Tensor:
        """How far all outputs for the frames to ``retain`` are from those of the weights at the start."""
        kept = sample["retain"]
        frames = {name: value[kept] for name, value in sample.items()}
        with torch.no_grad():
            first = self._first_network(self.normalise(frames), frames["present"])
        present = stream_presence(frames["present"]) > 0
        asked = [(prediction.ensemble[kept], first.ensemble, present.any(1))]
        for stream, (own, before) in enumerate(zip(prediction.streams, first.streams, strict=True)):
            asked.append((own[kept], before, present[:, stream]))
        losses = [
            distillation_loss(own[there], before[there], RETAINED_AT) for own, before, there in asked if there.any()
        ]
        return torch.stack(losses).sum()

    @cached_property
    def _first_network(self) -> FusionSegmenter:
        """The network as it was when the training began, whatever checkpoint it goes on from."""
        if self._weights is None:
            raise ValueError("data.sources: retain needs model.weights, the weights whose answers are kept")
        task = SegmentationTask(NetworkOptions(**self.hparams["network"]), weights=self._weights)
        return task.network.eval().requires_grad_(False).to(self.device)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if penalty := self.optimizer_options.channel_sparsity:
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            shrink_exchanged(self.network, rate * penalty)

    def on_validation_epoch_start(self) -> None:
        self.confusion = ConfusionMatrix(len(self.labels))

    def validation_step(self, sample: Sample, _index: int) -> None:
        truth = sample["labels"].cpu().numpy()
        self.confusion.update(truth, label_images(self(sample).ensemble, truth.shape[1:]))

    def on_validation_epoch_end(self) -> None:
        # Every process has counted its share of the frames.
        counts = self.all_gather(torch.from_numpy(self.confusion.counts).to(self.device))
        counts = counts.reshape(-1, *self.confusion.counts.shape).sum(0).cpu().numpy()
        self.log("val_miou", ConfusionMatrix.from_counts(counts).miou(), prog_bar=True)

    def on_test_epoch_start(self) -> None:
        self.require_one_process()
        records = self.trainer.datamodule.val.records
        self.scorer = Scorer(self.network, self.normalise, self.labels, self.scoring, records)

    def test_step(self, sample: Sample, _index: int) -> None:
        self.scorer.add(sample)

    def on_test_epoch_end(self) -> None:
        self.log_dict(self.scorer.write(Path(self.trainer.default_root_dir)))
