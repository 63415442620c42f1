"""What ``train test`` counts: answers against the truth, by which modality was missing and by light level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gemini_ros.core.conditions import COMPLETE
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.metrics import Scores
from gemini_ros.datasets.layout import load_layout


@dataclass(frozen=True)
class Merging:
    """A coarser ``label_set``, and the class in it of each class of a finer one, int64 (n,)."""

    label_set: LabelSet
    classes: npt.NDArray[np.int64]

    def truth(self, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Labels of the finer set as those of the coarser; unlabelled stays unlabelled."""
        table = np.full(256, UNLABELLED, np.uint8)
        table[: len(self.classes)] = self.classes
        return table[labels]

    def probabilities(self, fine: Tensor) -> Tensor:
        """Probabilities (B, n, H, W) of the finer set, summed class by class."""
        shape = (fine.shape[0], len(self.label_set), *fine.shape[2:])
        return torch.zeros(shape, dtype=fine.dtype, device=fine.device).index_add_(
            1, torch.from_numpy(self.classes).to(fine.device), fine
        )


def load_merging(name_or_path: str | Path, fine: LabelSet) -> Merging:
    """The coarser set that the labels of a layout (``nyudv2_13``) make of the classes of ``fine``.

    Raises ``ValueError`` for a layout that has no such table, or one of other numbers than the classes of ``fine``.
    """
    layout = load_layout(name_or_path)
    mapping = layout.images["labels"].mapping
    if mapping is None or layout.label_set is None:
        raise ValueError(f"layout {layout.name} makes no coarser classes: it has no label_set, or no map of its labels")
    if sorted(mapping) != list(range(len(fine))):
        raise ValueError(
            f"layout {layout.name} maps {len(mapping)} numbers, expected classes 0 to {len(fine) - 1} of {fine.name}"
        )
    coarse = load_label_set(layout.label_set)
    classes = np.array([mapping[number] for number in range(len(fine))])
    if classes.max() >= len(coarse):
        raise ValueError(f"layout {layout.name} makes class {classes.max()}, expected those of {coarse.name}")
    return Merging(coarse, classes)


class Tally:
    """Scores by condition (``complete``, ``without rgb``) and light level, of a label set."""

    def __init__(self, label_set: LabelSet) -> None:
        self.label_set = label_set
        self._scores: dict[str, dict[str, Scores]] = {}
        self._frames: list[npt.NDArray[np.int64]] = []

    def add(
        self,
        condition: str,
        light: str,
        truth: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.uint8],
        confidence: npt.NDArray[np.uint8],
    ) -> None:
        """Count one frame, all (H, W)."""
        frame = Scores(len(self.label_set))
        frame.update(truth, labels, confidence)
        by_light = self._scores.setdefault(condition, {})
        by_light[light] = by_light[light] + frame if light in by_light else frame
        if condition == COMPLETE:
            self._frames.append(frame.confusion.counts)

    def counts(self) -> npt.NDArray[np.int64]:
        """The confusion matrix (n, n + 1) of all frames with every modality there."""
        return self._all(COMPLETE).confusion.counts

    def frame_counts(self) -> npt.NDArray[np.int64]:
        """The confusion matrix of each frame with every modality there, (frames, n, n + 1)."""
        return np.stack(self._frames)

    def to_dict(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What ``scores.json`` holds: by condition, all frames and then each light level."""
        names = self.label_set.names
        return {
            condition: {
                light: part.to_dict(names)
                for light, part in {"all": self._all(condition), **dict(sorted(by_light.items()))}.items()
            }
            for condition, by_light in self._scores.items()
        }

    def _all(self, condition: str) -> Scores:
        return sum(self._scores[condition].values(), Scores(len(self.label_set)))
