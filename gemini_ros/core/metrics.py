"""How well labels agree with the truth: one confusion matrix, and the scores read off it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED


class ConfusionMatrix:
    """Pixels counted by true and predicted class, over as many images as one likes.

    ``counts`` is int64 (n, n + 1): row = truth, column = prediction, the last column = predicted unlabelled. Pixels
    whose truth is ``ignore_index`` do not count at all; a pixel of known truth that was left unlabelled (255) counts as
    wrong. Matrices of several processes are merged by ``+``, or by summing ``counts`` and ``from_counts``.
    """

    def __init__(self, n_classes: int, ignore_index: int = UNLABELLED) -> None:
        if not 1 <= n_classes <= 255 or not n_classes <= ignore_index <= 255:
            raise ValueError(
                f"confusion matrix: {n_classes} classes, ignore_index {ignore_index}; expected 1 to 255 classes and an "
                "index after the last, up to 255"
            )
        self.ignore_index = ignore_index
        self.counts: npt.NDArray[np.int64] = np.zeros((n_classes, n_classes + 1), np.int64)

    @classmethod
    def from_counts(cls, counts: npt.ArrayLike, ignore_index: int = UNLABELLED) -> ConfusionMatrix:
        """A matrix with these ``counts`` (n, n + 1), as a reduction across processes returns them."""
        array = np.array(counts, np.int64)
        if array.ndim != 2 or array.shape[1] != array.shape[0] + 1 or (array < 0).any():
            raise ValueError(f"confusion matrix: counts {array.shape}, expected (n, n + 1), none negative")
        matrix = cls(len(array), ignore_index)
        matrix.counts = array
        return matrix

    @property
    def n_classes(self) -> int:
        return len(self.counts)

    def update(self, truth: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8]) -> None:
        """Count the pixels of uint8 arrays of one shape.

        Raises ``ValueError``, and counts nothing, where shapes or types differ from that or a value is no class.
        """
        if truth.shape != prediction.shape or truth.dtype != np.uint8 or prediction.dtype != np.uint8:
            raise ValueError(
                f"truth {truth.dtype} {truth.shape}, prediction {prediction.dtype} {prediction.shape}; expected uint8 "
                "arrays of one shape"
            )
        # Every pair of bytes is counted and what must not be there is found in the table: no masks over the pixels.
        keys = np.left_shift(truth, 8, dtype=np.uint16)
        keys |= prediction
        table = np.bincount(keys.ravel(), minlength=1 << 16).reshape(256, 256)
        self._require_classes("truth", table.sum(axis=1), {self.ignore_index})
        self._require_classes("prediction", table.sum(axis=0), {self.ignore_index, UNLABELLED})
        n = self.n_classes
        self.counts[:, :n] += table[:n, :n]
        self.counts[:, n] += table[:n, n:].sum(axis=1)

    def iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union per class, (n,); NaN where a class is in neither truth nor prediction."""
        hits = np.diagonal(self.counts)
        return _ratio(hits, self.counts.sum(axis=1) + self.counts[:, :-1].sum(axis=0) - hits)

    def miou(self) -> float:
        """Mean of the IoU over the classes that are in truth or prediction; NaN without any."""
        return _mean(self.iou())

    def pixel_accuracy(self) -> float:
        """Share of the counted pixels with the right class; NaN without any."""
        return float(_ratio(np.diagonal(self.counts).sum(), self.counts.sum()))

    def mean_accuracy(self) -> float:
        """Mean over the classes in the truth of the share of their pixels found; NaN without any."""
        return _mean(_ratio(np.diagonal(self.counts), self.counts.sum(axis=1)))

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """``miou``, ``iou`` by class name, ``pixel_accuracy``, ``mean_accuracy``, ``pixels``; ``None`` for NaN."""
        if len(names) != self.n_classes:
            raise ValueError(f"confusion matrix of {self.n_classes} classes, found {len(names)} names")
        return {
            "miou": _or_none(self.miou()),
            "iou": {name: _or_none(value) for name, value in zip(names, self.iou(), strict=True)},
            "pixel_accuracy": _or_none(self.pixel_accuracy()),
            "mean_accuracy": _or_none(self.mean_accuracy()),
            "pixels": int(self.counts.sum()),
        }

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        if not isinstance(other, ConfusionMatrix):
            return NotImplemented
        if (self.n_classes, self.ignore_index) != (other.n_classes, other.ignore_index):
            raise ValueError(
                f"confusion matrices of {self.n_classes} and {other.n_classes} classes, ignore_index "
                f"{self.ignore_index} and {other.ignore_index}: only equal ones add up"
            )
        return ConfusionMatrix.from_counts(self.counts + other.counts, self.ignore_index)

    def _require_classes(self, what: str, pixels: npt.NDArray[np.int64], allowed: set[int]) -> None:
        wrong = [int(v) for v in np.flatnonzero(pixels) if v >= self.n_classes and v not in allowed]
        if wrong:
            raise ValueError(
                f"{what}: values {wrong}, expected classes 0 to {self.n_classes - 1} or {sorted(allowed)}: is it of "
                "another label set?"
            )


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> npt.NDArray[np.float64]:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean(values: npt.NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
