"""What moves is where it is now, not where it was seen: a margin of 1.6 m/s times the age of the map."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

WALKING_MPS = 1.6
LEAST_MARGIN_M = 0.2


def margin_m(age_s: float) -> float:
    """How far a walking person is from where a map of this age has them."""
    return max(LEAST_MARGIN_M, WALKING_MPS * age_s)


def widen(cells: npt.NDArray[np.bool_], radius_m: float, resolution_m: float) -> npt.NDArray[np.bool_]:
    """``cells`` (rows, cols) with all whose centre is within ``radius_m`` of that of one of them."""
    if not cells.any():
        return cells.copy()
    away = cv2.distanceTransform((~cells).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= radius_m / resolution_m + 1e-4
