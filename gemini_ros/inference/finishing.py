"""From logits at 1/4 resolution to labels and confidence at the camera's: exactly, and without the full-size logits.

Labels are the argmax of the bilinearly upsampled logits (half-pixel centres, edges repeated). Confidence is the largest
softmax probability at the logits' resolution, upsampled bilinearly, as round(255 p).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel

# Smaller logits than the largest by this add less than 1e-5 each to the sum of the softmax.
_NEGLIGIBLE = np.float32(-12)


def finish(logits: npt.NDArray[np.float32], rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 (classes, h, w) -> labels and confidence, uint8 (rows, columns) each."""
    fill = _compiled_fill()
    if fill is None:
        labels, probability = labels_by_class(logits, rows, columns), _probability(logits)
    else:
        labels, probability = _labels_by_cells(logits, rows, columns, fill)
    confidence = cv2.resize(probability, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return labels, cv2.convertScaleAbs(confidence, alpha=255)


def labels_by_class(logits: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """The path without numba: upsample class by class and keep the running maximum."""
    best = cv2.resize(logits[0], (columns, rows), interpolation=cv2.INTER_LINEAR)
    labels = np.zeros((rows, columns), np.uint8)
    for index in range(1, len(logits)):
        candidate = cv2.resize(logits[index], (columns, rows), interpolation=cv2.INTER_LINEAR)
        labels[candidate > best] = index
        np.maximum(best, candidate, out=best)
    return labels


def _probability(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Largest softmax probability, (h, w)."""
    return 1 / np.exp(logits - logits.max(0)).sum(0)


def _labels_by_cells(
    logits: npt.NDArray[np.float32], rows: int, columns: int, fill: Callable[..., None]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Labels (rows, columns) and probability (h, w), by the cells between four neighbouring logits.

    Bilinear interpolation is a convex combination: where the four corners of a cell agree the label is theirs, and
    elsewhere a class whose largest corner is below another's smallest can't win.
    """
    height, width = logits.shape[1:]
    labels, probability = np.empty((rows, columns), np.uint8), np.empty((height, width), np.float32)
    fill(np.ascontiguousarray(logits), *_source(rows, height), *_source(columns, width), labels, probability)
    return labels, probability


@lru_cache(maxsize=8)
def _source(size: int, source_size: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Weight of each output index' upper source index, and per cell the first output index in it (cells + 1,).

    Cell i lies between source indices i and i + 1; half-pixel centres, edges repeated.
    """
    position = np.clip((np.arange(size) + 0.5) * (source_size / size) - 0.5, 0, source_size - 1)
    cells = max(source_size - 1, 1)
    lower = np.minimum(position.astype(np.int64), cells - 1)
    return (position - lower).astype(np.float32), np.searchsorted(lower, np.arange(cells + 1))


def _fill(logits, row_weight, row_start, column_weight, column_start, labels, probability) -> None:
    classes, height, width = logits.shape
    best = np.empty((height, width), np.uint8)
    top, total = np.empty(width, np.float32), np.empty(width, np.float32)
    for i in range(height):
        for j in range(width):
            top[j] = logits[0, i, j]
            best[i, j] = 0
            total[j] = 0
        for c in range(1, classes):
            for j in range(width):
                value = logits[c, i, j]
                if value > top[j]:
                    top[j] = value
                    best[i, j] = c
        for c in range(classes):
            for j in range(width):
                below = logits[c, i, j] - top[j]
                if below > _NEGLIGIBLE:
                    total[j] += np.exp(below)
        for j in range(width):
            probability[i, j] = np.float32(1) / total[j]
    candidates = np.empty(classes, np.int64)
    for i in range(row_start.size - 1):
        i_next = min(i + 1, height - 1)
        for j in range(column_start.size - 1):
            j_next = min(j + 1, width - 1)
            label = best[i, j]
            if label == best[i, j_next] and label == best[i_next, j] and label == best[i_next, j_next]:
                for y in range(row_start[i], row_start[i + 1]):
                    for x in range(column_start[j], column_start[j + 1]):
                        labels[y, x] = label
                continue
            bound = np.float32(-np.inf)
            for c in range(classes):
                low = min(logits[c, i, j], logits[c, i, j_next], logits[c, i_next, j], logits[c, i_next, j_next])
                bound = max(bound, low)
            count = 0
            for c in range(classes):
                if max(logits[c, i, j], logits[c, i, j_next], logits[c, i_next, j], logits[c, i_next, j_next]) >= bound:
                    candidates[count] = c
                    count += 1
            for y in range(row_start[i], row_start[i + 1]):
                fy = row_weight[y]
                for x in range(column_start[j], column_start[j + 1]):
                    fx = column_weight[x]
                    winner, highest = candidates[0], np.float32(-np.inf)
                    for n in range(count):
                        c = candidates[n]
                        upper = logits[c, i, j] + fx * (logits[c, i, j_next] - logits[c, i, j])
                        lower = logits[c, i_next, j] + fx * (logits[c, i_next, j_next] - logits[c, i_next, j])
                        value = upper + fy * (lower - upper)
                        if value > highest:
                            winner, highest = c, value
                    labels[y, x] = winner


def _fill_signature(types: Any) -> Any:
    logits = types.Array(types.float32, 3, "C", readonly=True)
    weight, start = types.float32[::1], types.int64[::1]
    return types.void(logits, weight, start, weight, start, types.uint8[:, ::1], types.float32[:, ::1])


@lru_cache(maxsize=1)
def _compiled_fill() -> Callable[..., None] | None:
    return compile_kernel(_fill, _fill_signature)
