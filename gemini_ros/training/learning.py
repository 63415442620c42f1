"""What all tasks share: whose data they have learnt from, and the optimiser with its rate."""

from __future__ import annotations

from typing import Any

import lightning
import torch

from gemini_ros.network.model import FusionSegmenter
from gemini_ros.training.optimizer import adamw, parameter_groups
from gemini_ros.training.options import OptimizerOptions, ScheduleOptions
from gemini_ros.training.schedule import rate_factor


class LearningTask(lightning.LightningModule):
    """A task with a ``network``, ``optimizer_options`` and a ``schedule``.

    ``sources`` are those of all data that was learnt from; they go with every checkpoint, because their licences do.
    """

    network: FusionSegmenter
    optimizer_options: OptimizerOptions
    schedule: ScheduleOptions

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sources"] = self.sources

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.sources = list(checkpoint.get("sources", []))

    def on_fit_start(self) -> None:
        data = getattr(self.trainer, "datamodule", None)
        self.sources += [s for s in (data.sources() if data else ["unknown"]) if s not in self.sources]

    def require_one_process(self) -> None:
        """Raise ``ValueError`` where the frames of a test would be spread: each is scored once, in one process."""
        if self.trainer.world_size > 1:
            raise ValueError(f"train test in {self.trainer.world_size} processes, expected one: --trainer.devices 1")

    def configure_optimizers(self) -> dict:
        groups = parameter_groups(self.network.named_parameters(), self.optimizer_options)
        optimizer = adamw(groups, self.device, mixed=self.trainer.precision.endswith("mixed"))
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, total, self.schedule))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
