"""The options of a training of the head that tells single things apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class InstanceTraining:
    """``model`` is a shipped model's name or a weights file, which stays as it is.

    ``folders`` are of the layout `simulated` with ``instances/`` beside ``labels/``; on ``validation`` it is told how
    many things are found. ``label_set`` marks the classes whose things are told apart. ``network_size`` (width, height)
    is by default the model's. ``checkpoint_minutes`` is the most that a stop can cost.
    """

    model: str
    folders: tuple[Path, ...]
    validation: Path | None = None
    label_set: str = "warehouse"
    network_size: tuple[int, int] | None = None
    seed: int = 0
    steps: int = 2000
    frames: int = 8
    learning_rate: float = 3e-3
    checkpoint_minutes: float = 3.0

    def __post_init__(self) -> None:
        size = self.network_size
        for name, good, expected in (
            ("folders", self.folders, "at least one"),
            ("network_size", size is None or all(side % 32 == 0 and side >= 64 for side in size), "multiples of 32"),
            ("steps", self.steps >= 0, "a number of steps"),
            ("frames", self.frames >= 1, "at least one frame a step"),
            ("learning_rate", 0 < self.learning_rate < 1, "a rate between 0 and 1"),
            ("checkpoint_minutes", 0 < self.checkpoint_minutes <= 1440, "minutes above 0"),
        ):
            if not good:
                raise ValueError(f"{name} {getattr(self, name)!s:.80}, expected {expected}")
