"""``gemini-ros train fit|test``: LightningCLI over the task and its data."""

from __future__ import annotations

import resource
from collections.abc import Sequence

import lightning
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from gemini_ros.training.data import SegmentationData
from gemini_ros.training.task import SegmentationTask


class CoreTime(lightning.Callback):
    """Logs the processor time used so far, in core-hours: what a budget on shared cores is counted in."""

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        pl_module.log("core_hours", (usage.ru_utime + usage.ru_stime) / 3600)


class _Cli(LightningCLI):
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("model.modalities", "data.modalities")
        parser.link_arguments("model.label_set", "data.label_set")


def train(arguments: Sequence[str]) -> None:
    """Run LightningCLI on ``arguments`` (``fit --config ...``)."""
    _Cli(
        SegmentationTask,
        SegmentationData,
        args=list(arguments),
        trainer_defaults={"callbacks": [CoreTime()], "enable_model_summary": False},
        save_config_kwargs={"overwrite": True},
    )
