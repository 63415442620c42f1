"""What goes with every training: core time in the log, a stop at the first NaN, a checkpoint of the end, all whole."""

from __future__ import annotations

import io
import resource
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from gemini_ros.core.files import atomic_path


class CoreTime(lightning.Callback):
    """Logs the processor time used so far, in core-hours: what a budget on shared cores is counted in."""

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._log(pl_module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._log(pl_module)

    def _log(self, pl_module: lightning.LightningModule) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        pl_module.log("core_hours", (usage.ru_utime + usage.ru_stime) / 3600)


class StopAtNan(lightning.Callback):
    """Ends a training whose loss is no longer a number, with ``ValueError``; the last checkpoint stays.

    Looks where the loss is logged (``log_every_n_steps``), so that a GPU is not waited for at every step.
    """

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % trainer.log_every_n_steps == 0 and not torch.isfinite(outputs["loss"]):
            raise ValueError(
                f"step {trainer.global_step}: the loss is {float(outputs['loss'])}, expected a finite number. The last "
                "checkpoint is kept; go on from it with a lower learning rate, or look for labels or images that are "
                "broken with `gemini-ros dataset check`"
            )


class EndCheckpoint(lightning.Callback):
    """Writes the last state of a training that ends between two validations; Lightning writes after a validation."""

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.monitor is None:
                callback.on_validation_end(trainer, pl_module)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all: a full disk leaves the last good one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        # Through memory: torch's own writer hides what the file system says.
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with atomic_path(Path(path)) as part:
            part.write_bytes(buffer.getbuffer())
