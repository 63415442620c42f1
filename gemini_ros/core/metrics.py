"""How well labels agree with the truth: what is counted over as many images as one likes, and the scores read off it.

Everything counted adds up: ``+`` merges what several processes, or several parts of a data set, have counted.
"""

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


class BoundaryF1:
    """Agreement of the classes' outlines: the BF score of Csurka, Larlus and Perronnin (BMVC 2013).

    A pixel lies on the boundary of its class where one of its four neighbours has another label; a neighbour without
    truth makes no boundary, nor does the border of the image. Of a class in one image, precision is the share of its
    predicted boundary that lies within ``tolerance`` of its true one, recall the reverse, F1 their harmonic mean.
    ``tolerance`` is a Euclidean distance as a share of the image's diagonal, by default the paper's 0.75 %: 6 pixels
    at 640x480. A class is averaged over the images that have a boundary of it in truth or prediction, so that one that
    is only predicted, or only true, counts 0 there; the mean over the classes is the score.
    """

    def __init__(self, n_classes: int, tolerance: float = 0.0075, ignore_index: int = UNLABELLED) -> None:
        if not 1 <= n_classes <= 255 or not 0 < tolerance < 1:
            raise ValueError(
                f"boundary F1: {n_classes} classes, tolerance {tolerance}; expected 1 to 255 classes and a share of "
                "the diagonal between 0 and 1"
            )
        self.n_classes, self.tolerance, self.ignore_index = n_classes, tolerance, ignore_index
        self.sums = np.zeros(n_classes)
        self.images: npt.NDArray[np.int64] = np.zeros(n_classes, np.int64)

    def update(self, truth: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8]) -> None:
        """Count one image: uint8 (H, W) with classes, in the truth also ``ignore_index``, in the prediction 255."""
        if truth.shape != prediction.shape or truth.ndim != 2:
            raise ValueError(f"truth {truth.shape}, prediction {prediction.shape}; expected one shape (H, W)")
        known = truth != self.ignore_index
        reach = self.tolerance * float(np.hypot(*truth.shape))
        true, predicted = (_boundary(labels, known, self.n_classes) for labels in (truth, prediction))
        recall = _found(truth, true, prediction, predicted, reach, self.n_classes)
        precision = _found(prediction, predicted, truth, true, reach, self.n_classes)
        # Without a boundary on one side its share is NaN, and nothing of the other side is found.
        has_boundary = ~(np.isnan(recall) & np.isnan(precision))
        recall, precision = np.nan_to_num(recall), np.nan_to_num(precision)
        self.sums += np.nan_to_num(_ratio(2 * precision * recall, precision + recall))
        self.images += has_boundary

    def f1(self) -> npt.NDArray[np.float64]:
        """F1 per class, (n,); NaN where no image has a boundary of the class."""
        return _ratio(self.sums, self.images)

    def mean(self) -> float:
        """Mean over the classes that have a boundary in some image; NaN without any."""
        return _mean(self.f1())

    def __add__(self, other: BoundaryF1) -> BoundaryF1:
        if not isinstance(other, BoundaryF1):
            return NotImplemented
        own, others = ((b.n_classes, b.tolerance, b.ignore_index) for b in (self, other))
        if own != others:
            raise ValueError(f"boundary F1 of (classes, tolerance, ignore_index) {own} and {others} do not add up")
        result = BoundaryF1(*own)
        result.sums, result.images = self.sums + other.sums, self.images + other.images
        return result


class Calibration:
    """How far confidence is from the share of right labels (Guo et al., ICML 2017, arXiv:1706.04599).

    ``counts`` is int64 (2, 256): wrong and right pixels by confidence, which is uint8: round(255 p).
    """

    def __init__(self, ignore_index: int = UNLABELLED) -> None:
        self.ignore_index = ignore_index
        self.counts: npt.NDArray[np.int64] = np.zeros((2, 256), np.int64)

    def update(
        self, truth: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8], confidence: npt.NDArray[np.uint8]
    ) -> None:
        """Count the pixels of known truth; uint8 arrays of one shape."""
        arrays = {"truth": truth, "prediction": prediction, "confidence": confidence}
        if len({array.shape for array in arrays.values()}) > 1 or any(a.dtype != np.uint8 for a in arrays.values()):
            found = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items())
            raise ValueError(f"{found}; expected uint8 arrays of one shape")
        known = truth != self.ignore_index
        keys = confidence[known] + np.uint16(256) * (truth == prediction)[known]
        self.counts += np.bincount(keys, minlength=512).reshape(2, 256)

    def error(self, bins: int = 15) -> float:
        """Expected calibration error: equal bins of confidence, the paper's equation 3; NaN without any pixel."""
        pixels, right, confidence = self.binned(bins)
        return float(_ratio(np.abs(right - confidence / 255).sum(), pixels.sum()))

    def binned(self, bins: int = 15) -> npt.NDArray[np.int64]:
        """int64 (3, ``bins``), by equal bins of confidence: pixels, right ones, and the sum of their confidences."""
        confidence = np.arange(256)
        index = np.maximum(np.ceil(confidence / 255 * bins).astype(int) - 1, 0)
        found, pixels = np.zeros((3, bins), np.int64), self.counts.sum(axis=0)
        for row, values in zip(found, (pixels, self.counts[1], pixels * confidence), strict=True):
            np.add.at(row, index, values)
        return found

    def __add__(self, other: Calibration) -> Calibration:
        if not isinstance(other, Calibration):
            return NotImplemented
        if self.ignore_index != other.ignore_index:
            raise ValueError(f"calibration of ignore_index {self.ignore_index} and {other.ignore_index} do not add up")
        result = Calibration(self.ignore_index)
        result.counts = self.counts + other.counts
        return result


class Scores:
    """All measures over one set of images: ``confusion``, ``boundary`` and ``calibration``."""

    def __init__(self, n_classes: int) -> None:
        self.confusion = ConfusionMatrix(n_classes)
        self.boundary = BoundaryF1(n_classes)
        self.calibration = Calibration()

    def update(
        self,
        truth: npt.NDArray[np.uint8],
        prediction: npt.NDArray[np.uint8],
        confidence: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """Count one image, uint8 (H, W); without ``confidence`` it says nothing about calibration.

        Raises ``ValueError``, and counts nothing, where ``ConfusionMatrix.update`` does.
        """
        self.confusion.update(truth, prediction)
        self.boundary.update(truth, prediction)
        if confidence is not None:
            self.calibration.update(truth, prediction, confidence)

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """``ConfusionMatrix.to_dict`` with ``boundary_f1`` and ``calibration_error``; ``None`` for NaN."""
        return {
            **self.confusion.to_dict(names),
            "boundary_f1": _or_none(self.boundary.mean()),
            "calibration_error": _or_none(self.calibration.error()),
        }

    def __add__(self, other: Scores) -> Scores:
        if not isinstance(other, Scores):
            return NotImplemented
        result = Scores(self.confusion.n_classes)
        result.confusion = self.confusion + other.confusion
        result.boundary = self.boundary + other.boundary
        result.calibration = self.calibration + other.calibration
        return result


def _boundary(labels: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_], n_classes: int) -> npt.NDArray[np.bool_]:
    """Which pixels (H, W) lie on the boundary of their class."""
    boundary = np.zeros(labels.shape, bool)
    for one, other in (((slice(1, None),), (slice(-1),)), ((slice(None), slice(1, None)), (slice(None), slice(-1)))):
        differ = (labels[one] != labels[other]) & known[one] & known[other]
        boundary[one] |= differ
        boundary[other] |= differ
    return boundary & (labels < n_classes)


def _found(
    labels: npt.NDArray[np.uint8],
    boundary: npt.NDArray[np.bool_],
    other_labels: npt.NDArray[np.uint8],
    other_boundary: npt.NDArray[np.bool_],
    reach: float,
    n_classes: int,
) -> npt.NDArray[np.float64]:
    """Share of each class's ``boundary`` within ``reach`` pixels of its ``other_boundary``, (n,); NaN without any."""
    classes = labels[boundary]
    hits = np.zeros(n_classes)
    for first in range(0, n_classes, 64):
        # One bit per class: one dilation serves 64 of them, in the narrowest type that holds those there are.
        count = min(64, n_classes - first)
        word = np.dtype(f"uint{max(8, 1 << (count - 1).bit_length())}")
        bits = np.zeros(256, word)
        bits[first : first + count] = np.left_shift(1, np.arange(count, dtype=np.uint64), dtype=np.uint64)
        near = _dilated(np.where(other_boundary, bits[other_labels], word.type(0)), reach)
        hits += np.bincount(classes, (near[boundary] & bits[classes]) != 0, n_classes)
    return _ratio(hits, np.bincount(classes, minlength=n_classes))


def _dilated(words: npt.NDArray[Any], reach: float) -> npt.NDArray[Any]:
    """Bitwise or over the disc of radius ``reach`` around every pixel: row by row of the disc, from runs of columns."""
    result, run, width = words.copy(), words.copy(), 0
    for row in range(min(int(reach), len(words) - 1), -1, -1):
        while (width + 1) ** 2 + row**2 <= reach**2:
            width += 1
            run[:, width:] |= words[:, :-width]
            run[:, :-width] |= words[:, width:]
        result[row:] |= run[: len(run) - row]
        result[: len(run) - row] |= run[row:]
    return result


def _ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> npt.NDArray[np.float64]:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean(values: npt.NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
