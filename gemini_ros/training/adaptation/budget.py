"""A training that ends when its processor time is used up, and goes on from where it was killed."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.utilities.rank_zero import rank_zero_info

WARM_UP = 0.03  # of the budget


class Budget(lightning.Callback):
    """Ends a training after ``core_hours`` of processor time, over all its starts.

    The learning rate follows the share of the budget that is used, whatever a step costs on this machine: up in the
    first part, then down a cosine. Every ``every_s`` seconds the progress is said and the state written to
    ``checkpoint``, and once more at the end.
    """

    def __init__(self, core_hours: float, checkpoint: str, every_s: float = 30.0) -> None:
        self._budget_s, self._checkpoint, self._every_s = 3600 * core_hours, Path(checkpoint), every_s
        self._before_s, self._began_s = 0.0, time.process_time()
        self._first_s = self._saved_s = time.monotonic()
        self._first_share = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"used_s": self.used_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before_s, self._began_s = float(state_dict["used_s"]), time.process_time()

    @property
    def used_s(self) -> float:
        """Processor time in seconds, of this start and those before."""
        return self._before_s + time.process_time() - self._began_s

    @property
    def share(self) -> float:
        """How much of the budget is used, 0 to 1."""
        return min(1.0, self.used_s / self._budget_s)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._first_s = self._saved_s = time.monotonic()
        self._first_share = self.share
        for config in trainer.lr_scheduler_configs:
            config.scheduler.lr_lambdas = [self._rate] * len(config.scheduler.lr_lambdas)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if self.share >= 1:
            trainer.should_stop = True
        elif time.monotonic() - self._saved_s >= self._every_s:
            trainer.save_checkpoint(self._checkpoint, weights_only=False)
            self._saved_s = time.monotonic()
            rank_zero_info(self._line(trainer))

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        trainer.save_checkpoint(self._checkpoint, weights_only=False)
        rank_zero_info(f"trained {trainer.global_step} steps, {self.used_s / 3600:.3f} core-hours")

    def _line(self, trainer: lightning.Trainer) -> str:
        since_s = time.monotonic() - self._first_s
        left_s = since_s * (1 - self.share) / max(self.share - self._first_share, 1e-9)
        loss = float(trainer.callback_metrics.get("train_loss", math.nan))
        return (
            f"{100 * self.share:3.0f} % of the budget, step {trainer.global_step}, loss {loss:.3f}, about "
            f"{left_s / 60:.0f} min left"
        )

    def _rate(self, _step: int) -> float:
        share = self.share
        if share < WARM_UP:
            return max(share / WARM_UP, 0.01)
        return 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))
