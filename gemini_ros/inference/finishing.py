"""From logits at 1/4 resolution to labels and confidence at the camera's: exactly, and without the full-size logits.

Labels are the argmax of the bilinearly upsampled logits (half-pixel centres, edges repeated). Confidence is the largest
probability of softmax(logits / temperature) at the logits' resolution, upsampled bilinearly, as round(255 p). A pixel
is unlabelled, with confidence 0, where a logit that is not finite takes part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel
from gemini_ros.core.frames import UNLABELLED

# Logits over temperature smaller than the largest by this add less than 1e-5 each to the sum of the softmax.
_NEGLIGIBLE = np.float32(-12)
# Classes this far below the largest of each of a cell's corners are looked at only where the corners differ much.
_FAR = np.float32(-6)
_MASK_BITS = 64


def finish(
    logits: npt.NDArray[np.float32], rows: int, columns: int, temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """float32 (classes, h, w) -> labels and confidence, uint8 (rows, columns) each."""
    if not np.isfinite(logits).all():
        return _finish_where_finite(logits, rows, columns, temperature)
    kernels = _compiled()
    if kernels is None:
        labels, probability = labels_by_class(logits, rows, columns), _probability(logits, temperature)
    else:
        labels, probability = _labels_by_cells(logits, rows, columns, temperature, kernels)
    confidence = cv2.resize(probability, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return labels, cv2.convertScaleAbs(confidence, alpha=255)


def _finish_where_finite(
    logits: npt.NDArray[np.float32], rows: int, columns: int, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """As ``finish``, for logits of which some are NaN or infinite: comparisons with these have no meaning."""
    finite = np.isfinite(logits).all(0)
    labels, confidence = finish(np.where(finite, logits, np.float32(0)), rows, columns, temperature)
    spoilt = cv2.resize(np.float32(~finite), (columns, rows), interpolation=cv2.INTER_LINEAR) > 0
    labels[spoilt], confidence[spoilt] = UNLABELLED, 0
    return labels, confidence


def labels_by_class(logits: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """The path without numba: upsample class by class and keep the running maximum."""
    best = cv2.resize(logits[0], (columns, rows), interpolation=cv2.INTER_LINEAR)
    labels = np.zeros((rows, columns), np.uint8)
    for index in range(1, len(logits)):
        candidate = cv2.resize(logits[index], (columns, rows), interpolation=cv2.INTER_LINEAR)
        labels[candidate > best] = index
        np.maximum(best, candidate, out=best)
    return labels


def _probability(logits: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """Largest softmax probability, (h, w)."""
    return 1 / np.exp((logits - logits.max(0)) * np.float32(1 / temperature)).sum(0)


def _labels_by_cells(
    logits: npt.NDArray[np.float32],
    rows: int,
    columns: int,
    temperature: float,
    kernels: tuple[Callable[..., None], Callable[..., None]],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Labels (rows, columns) and probability (h, w), by the cells between four neighbouring logits.

    Bilinear interpolation is a convex combination: where the four corners of a cell agree the label is theirs, and
    elsewhere a class whose largest corner is below another's smallest can't win.
    """
    rank, fill = kernels
    logits = np.ascontiguousarray(logits)
    size = logits.shape[1:]
    best, near, top = np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size, np.float32)
    labels, probability = np.empty((rows, columns), np.uint8), np.empty(size, np.float32)
    rank(logits, np.float32(1 / temperature), best, near, top, probability)
    fill(logits, best, near, top, *_source(rows, size[0]), *_source(columns, size[1]), labels)
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


def _rank(logits, inverse_temperature, best, near, top, probability) -> None:
    """Per place the best class, its logit and probability, and a bit for each class whose logit is near it.

    Row by row and class by class without branches, so that it compiles to vector instructions. exp(x) is
    (1 + y + y^2 / 2)^256 with y = x / 256, good to 2e-4 of the sum.
    """
    classes, height, width = logits.shape
    for i in range(height):
        for j in range(width):
            best[i, j], top[i, j] = 0, logits[0, i, j]
            near[i, j], probability[i, j] = 0, 0
        for c in range(1, classes):
            for j in range(width):
                better = logits[c, i, j] > top[i, j]
                top[i, j] = logits[c, i, j] if better else top[i, j]
                best[i, j] = c if better else best[i, j]
        for c in range(classes):
            bit = np.int64(1) << (c % _MASK_BITS)
            for j in range(width):
                below = logits[c, i, j] - top[i, j]
                near[i, j] |= bit if below > _FAR else 0
                scaled = below * inverse_temperature
                y = (scaled if scaled > _NEGLIGIBLE else _NEGLIGIBLE) * np.float32(1 / 256)
                power = np.float32(1) + y * (np.float32(1) + y * np.float32(0.5))
                for _ in range(8):
                    power *= power
                probability[i, j] += power
        for j in range(width):
            probability[i, j] = np.float32(1) / probability[i, j]


def _fill(logits, best, near, top, row_weight, row_start, column_weight, column_start, labels) -> None:
    classes, height, width = logits.shape
    names, corners = np.empty(classes, np.int64), np.empty((classes, 4), np.float32)
    line, open_cells = np.empty(column_weight.size, np.uint8), np.empty(width, np.int64)
    for i in range(row_start.size - 1):
        below, count = min(i + 1, height - 1), 0
        for j in range(column_start.size - 1):
            right = min(j + 1, width - 1)
            label = best[i, j]
            for x in range(column_start[j], column_start[j + 1]):
                line[x] = label
            if label != best[i, right] or label != best[below, j] or label != best[below, right]:
                open_cells[count] = j
                count += 1
        for y in range(row_start[i], row_start[i + 1]):
            labels[y] = line
        for j in open_cells[:count]:
            right = min(j + 1, width - 1)
            bound = np.float32(-np.inf)
            for c in (best[i, j], best[i, right], best[below, j], best[below, right]):
                lowest = min(logits[c, i, j], logits[c, i, right], logits[c, below, j], logits[c, below, right])
                bound = max(bound, lowest)
            # Whoever is far below all corners' best is below this bound too, unless the corners differ much.
            mask = near[i, j] | near[i, right] | near[below, j] | near[below, right]
            if bound < max(top[i, j], top[i, right], top[below, j], top[below, right]) + _FAR:
                mask = np.int64(-1)
            candidates = 0
            for c in range(classes):
                if (mask >> (c % _MASK_BITS)) & 1:
                    a, b = logits[c, i, j], logits[c, i, right]
                    d, e = logits[c, below, j], logits[c, below, right]
                    if max(a, b, d, e) >= bound:
                        corner = corners[candidates]
                        corner[0], corner[1], corner[2], corner[3] = a, b, d, e
                        names[candidates] = c
                        candidates += 1
            for y in range(row_start[i], row_start[i + 1]):
                fy = row_weight[y]
                for x in range(column_start[j], column_start[j + 1]):
                    fx = column_weight[x]
                    winner, highest = names[0], np.float32(-np.inf)
                    for n in range(candidates):
                        corner = corners[n]
                        upper = corner[0] + fx * (corner[1] - corner[0])
                        lower = corner[2] + fx * (corner[3] - corner[2])
                        value = upper + fy * (lower - upper)
                        if value > highest:
                            winner, highest = names[n], value
                    labels[y, x] = winner


def _rank_signature(types: Any) -> Any:
    floats = types.float32[:, ::1]
    logits = types.Array(types.float32, 3, "C", readonly=True)
    return types.void(logits, types.float32, types.int32[:, ::1], types.int64[:, ::1], floats, floats)


def _fill_signature(types: Any) -> Any:
    logits = types.Array(types.float32, 3, "C", readonly=True)
    weight, start = types.float32[::1], types.int64[::1]
    places = types.int32[:, ::1], types.int64[:, ::1], types.float32[:, ::1]
    return types.void(logits, *places, weight, start, weight, start, types.uint8[:, ::1])


@lru_cache(maxsize=1)
def _compiled() -> tuple[Callable[..., None], Callable[..., None]] | None:
    rank, fill = compile_kernel(_rank, _rank_signature), compile_kernel(_fill, _fill_signature)
    return None if rank is None or fill is None else (rank, fill)
