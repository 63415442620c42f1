"""From logits at 1/4 resolution to labels and confidence at the camera's: exactly, and without the full-size logits.

Labels are the argmax of the bilinearly upsampled logits (half-pixel centres, edges repeated). Confidence is the largest
softmax probability at the logits' resolution, upsampled bilinearly, as round(255 p).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

try:
    import numba
except ImportError:
    numba = None


def finish(logits: npt.NDArray[np.float32], rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 (classes, h, w) -> labels and confidence, uint8 (rows, columns) each."""
    top = logits.max(0)
    probability = 1 / np.exp(logits - top).sum(0)
    confidence = cv2.resize(probability, (columns, rows), interpolation=cv2.INTER_LINEAR)
    labels = _labels_by_cells(logits, rows, columns) if numba else labels_by_class(logits, rows, columns)
    return labels, (confidence * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def labels_by_class(logits: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """The path without numba: upsample class by class and keep the running maximum."""
    best = cv2.resize(logits[0], (columns, rows), interpolation=cv2.INTER_LINEAR)
    labels = np.zeros((rows, columns), np.uint8)
    for index in range(1, len(logits)):
        candidate = cv2.resize(logits[index], (columns, rows), interpolation=cv2.INTER_LINEAR)
        better = candidate > best
        labels[better] = index
        np.maximum(best, candidate, out=best)
    return labels


def _labels_by_cells(logits: np.ndarray, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Between four corners of equal label the label is theirs: bilinear interpolation is a convex combination."""
    labels = np.empty((rows, columns), np.uint8)
    row, row_weight = _source(rows, logits.shape[1])
    column, column_weight = _source(columns, logits.shape[2])
    channels_last = np.ascontiguousarray(logits.transpose(1, 2, 0))
    _fill(channels_last, logits.argmax(0).astype(np.uint8), row, row_weight, column, column_weight, labels)
    return labels


def _source(size: int, source_size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Lower source index and weight of the upper one for each output index, half-pixel centres, edges repeated."""
    position = np.clip((np.arange(size) + 0.5) * (source_size / size) - 0.5, 0, source_size - 1)
    lower = np.minimum(position.astype(np.int64), max(source_size - 2, 0))
    return lower, (position - lower).astype(np.float32)


if numba:

    @numba.njit(cache=True, nogil=True)
    def _fill(logits, argmax, row, row_weight, column, column_weight, labels):  # noqa: ANN001, ANN202
        last_row, last_column, classes = logits.shape[0] - 1, logits.shape[1] - 1, logits.shape[2]
        for y in range(labels.shape[0]):
            top, fy = row[y], row_weight[y]
            bottom = min(top + 1, last_row)
            for x in range(labels.shape[1]):
                left, fx = column[x], column_weight[x]
                right = min(left + 1, last_column)
                label = argmax[top, left]
                if label == argmax[top, right] and label == argmax[bottom, left] and label == argmax[bottom, right]:
                    labels[y, x] = label
                    continue
                w11 = fy * fx
                w10 = fy - w11
                w01 = fx - w11
                w00 = 1 - fy - w01
                best, best_class = -np.inf, 0
                for c in range(classes):
                    value = (
                        w00 * logits[top, left, c]
                        + w01 * logits[top, right, c]
                        + w10 * logits[bottom, left, c]
                        + w11 * logits[bottom, right, c]
                    )
                    if value > best:
                        best, best_class = value, c
                labels[y, x] = best_class
