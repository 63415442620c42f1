"""Seamless noise for textures."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Canvas = npt.NDArray[np.floating]  # (size, size, 3), 0..255, or (size, size)


def value_noise(rng: np.random.Generator, size: int, octaves: int, base: int, persistence: float) -> Canvas:
    """float32 (size, size) in 0..1 that repeats seamlessly: smoothed random grids of ``base``, 2 ``base``, ... cells.

    ``size`` is a multiple of the number of cells of every octave.
    """
    total, amplitude, weight = np.zeros((size, size), np.float32), 1.0, 0.0
    for octave in range(octaves):
        cells = min(size, base << octave)
        step = size // cells
        # A cell more on every side, cut off again, joins the edges without a seam.
        grid = np.pad(rng.random((cells, cells), dtype=np.float32), 1, mode="wrap")
        smooth = cv2.resize(grid, (size + 2 * step, size + 2 * step), interpolation=cv2.INTER_LINEAR)
        total += amplitude * smooth[step : step + size, step : step + size]
        weight += amplitude
        amplitude *= persistence
    return total / weight
