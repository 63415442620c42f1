"""What moves is where it is now, not where it was seen: a margin of 1.6 m/s times the age of the map."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

WALKING_MPS = 1.6
LEAST_MARGIN_M = 0.2


def margin_m(age_s: float) -> float:
    """How far a walking person is from where a map of this age has them."""
    return max(LEAST_MARGIN_M, WALKING_MPS * age_s)


def widen(cells: npt.NDArray[np.bool_], radius_m: float, resolution_m: float) -> npt.NDArray[np.bool_]:
    """``cells`` (rows, cols) with all whose centre is within ``radius_m`` of that of one of them."""
    result = cells.copy()
    rows, columns = np.nonzero(cells)
    if not len(rows):
        return result
    reach = math.floor(radius_m / resolution_m + 1e-9)
    # Rows of a disc are runs: two additions a run, and one sum over the columns.
    runs = np.zeros((cells.shape[0], cells.shape[1] + 1), np.int32)
    for down in range(-reach, reach + 1):
        half = math.floor(math.sqrt(max((radius_m / resolution_m + 1e-9) ** 2 - down * down, 0)))
        row = rows + down
        on = (row >= 0) & (row < len(cells))
        np.add.at(runs, (row[on], np.maximum(columns[on] - half, 0)), 1)
        np.add.at(runs, (row[on], np.minimum(columns[on] + half + 1, cells.shape[1])), -1)
    return result | (np.cumsum(runs, axis=1)[:, :-1] > 0)
