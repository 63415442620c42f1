"""What moves is where it is now, not where it was seen: a margin of 1.6 m/s times the age of the map."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

WALKING_MPS = 1.6
LEAST_MARGIN_M = 0.2


def margin_m(age_s: float, speed_mps: float = 0.0) -> float:
    """How far a walking person, or what is faster, is from where a map of this age has them."""
    return max(LEAST_MARGIN_M, WALKING_MPS * age_s, speed_mps * max(age_s, LEAST_MARGIN_M / WALKING_MPS))


@dataclass(frozen=True)
class Faster:
    """A thing that is faster than a walking person: where it is and how far its cells reach, in metres of the grid."""

    x: float
    y: float
    reach_m: float
    margin_m: float

    def covers(self, corner: tuple[int, int], shape: tuple[int, ...], resolution_m: float) -> npt.NDArray[np.bool_]:
        """Which cells of the window at ``corner`` (x, y in cells) are the thing's."""
        rows, columns = shape
        x = (np.arange(columns) + corner[0] + 0.5) * resolution_m - self.x
        y = (np.arange(rows) + corner[1] + 0.5) * resolution_m - self.y
        return np.hypot(x, y[:, None]) <= self.reach_m


def widen(cells: npt.NDArray[np.bool_], radius_m: float, resolution_m: float) -> npt.NDArray[np.bool_]:
    """``cells`` (rows, cols) with all whose centre is within ``radius_m`` of that of one of them."""
    if not cells.any():
        return cells.copy()
    away = cv2.distanceTransform((~cells).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= radius_m / resolution_m + 1e-4
