"""What a model file of lower precision loses against the one that it was made from, on real frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from gemini_ros.core.conditions import conditions
from gemini_ros.core.frames import Frame
from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.datasets.examples import Example
from gemini_ros.inference import Segmenter
from gemini_ros.inference.gate import CONFIDENT


@dataclass(frozen=True)
class Comparison:
    """Both models on the same frames: all modalities there (``complete``), or one of several missing.

    mIoU in percent, ``None`` without labels. ``agreement``: share of equal labels in percent, over all pixels and over
    those where the reference has a confidence of at least 128.
    """

    condition: str
    frames: int
    miou_reference: float | None
    miou: float | None
    agreement: float
    confident_agreement: float

    @property
    def miou_loss(self) -> float:
        """In points of a hundred; 0 without labels."""
        return 0.0 if self.miou is None or self.miou_reference is None else self.miou_reference - self.miou

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        equal = f"{self.agreement:.2f} % of labels equal, {self.confident_agreement:.2f} % where confident"
        if self.miou is None:
            return f"{self.condition}: {equal}, {self.frames} frames, no truth"
        lost = f"mIoU {self.miou_reference:.2f} -> {self.miou:.2f} (loses {self.miou_loss:.2f})"
        return f"{self.condition}: {lost}, {equal}, {self.frames} frames"


def compare(reference: Segmenter, other: Segmenter, examples: Iterable[Example]) -> list[Comparison]:
    """Both segmenters on the same frames, complete and with each of several modalities missing."""
    counts: dict[str, _Counts] = {}
    for example in examples:
        for condition, frame in under_conditions(example.frame, reference.info.modality_names):
            found = counts.setdefault(condition, _Counts(len(reference.info.label_set)))
            found.add(reference, other, replace(example, frame=frame))
    return [found.comparison(condition) for condition, found in counts.items()]


def under_conditions(frame: Frame, modalities: tuple[str, ...]) -> Iterator[tuple[str, Frame]]:
    """The frame as it is, and without each of its modalities if there are several."""
    for condition, missing in conditions(modalities).items():
        yield condition, frame if missing is None else frame.without(missing)


class _Counts:
    def __init__(self, n_classes: int) -> None:
        self._matrices = ConfusionMatrix(n_classes), ConfusionMatrix(n_classes)
        self._frames = self._truths = self._pixels = self._equal = self._confident = self._confident_equal = 0

    def add(self, reference: Segmenter, other: Segmenter, example: Example) -> None:
        first, second = reference.segment(example.frame), other.segment(example.frame)
        equal, confident = first.labels == second.labels, first.confidence >= CONFIDENT
        self._frames += 1
        self._pixels += equal.size
        self._equal += int(equal.sum())
        self._confident += int(confident.sum())
        self._confident_equal += int((equal & confident).sum())
        if example.labels is not None:
            self._truths += 1
            for matrix, result in zip(self._matrices, (first, second), strict=True):
                matrix.update(example.labels, result.labels)

    def comparison(self, condition: str) -> Comparison:
        reference, other = (100 * matrix.miou() if self._truths else None for matrix in self._matrices)
        confident = self._confident_equal / self._confident if self._confident else 1.0
        agreement = self._equal / self._pixels
        return Comparison(condition, self._frames, reference, other, 100 * agreement, 100 * confident)
