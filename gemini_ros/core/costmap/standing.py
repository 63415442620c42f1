"""Where a robot can stand and face a thing: a free place of the map, near it and with nothing between."""

from __future__ import annotations

import math

import cv2
import numpy as np

from gemini_ros.core.costmap.grid import Occupancy

LEAST_CLEARANCE_M = 0.3
"""Around a robot whose radius is not set."""
_FAR_M = 1.5  # from the thing, beside the clearance
_THING_M = 0.5  # around its middle, where the map has the thing itself
_COST_M = 0.02  # metres that one of cost is worth
_MOST_TRIED = 200
_MOST_COST = 98


def place_before(
    occupancy: Occupancy, robot_xy: tuple[float, float], thing_xy: tuple[float, float], clearance_m: float
) -> tuple[float, float, float] | None:
    """x, y and yaw in the map's frame, facing ``thing_xy``; ``None`` where the map has no such place.

    Passable cells alone are within ``clearance_m`` of it, and on the straight way to the thing. Of all places the one
    that is nearest to the robot counts, cost for distance.
    """
    passable = (occupancy.data >= 0) & (occupancy.data <= _MOST_COST)
    away = cv2.distanceTransform(np.pad(passable, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    rows, columns = np.nonzero(away * occupancy.resolution_m >= clearance_m)
    x, y = (
        first + (cells + 0.5) * occupancy.resolution_m
        for first, cells in zip(occupancy.origin_xy, (columns, rows), strict=True)
    )
    near = np.hypot(x - thing_xy[0], y - thing_xy[1]) <= clearance_m + _FAR_M
    x, y, cost = x[near], y[near], occupancy.data[rows[near], columns[near]]
    score = np.hypot(x - robot_xy[0], y - robot_xy[1]) + _COST_M * cost
    best = np.argsort(score, kind="stable")
    for i in best[:: max(1, len(best) // _MOST_TRIED)]:
        at = float(x[i]), float(y[i])
        if _sees(passable, occupancy, at, thing_xy):
            return *at, math.atan2(thing_xy[1] - at[1], thing_xy[0] - at[0])
    return None


def _sees(passable: np.ndarray, occupancy: Occupancy, at: tuple[float, float], thing_xy: tuple[float, float]) -> bool:
    """Whether all cells of the straight way are passable, up to the thing itself."""
    length_m = math.dist(at, thing_xy) - _THING_M
    if length_m <= 0:
        return True
    steps = np.arange(0.0, length_m, occupancy.resolution_m / 2) / math.dist(at, thing_xy)
    cells = [
        np.floor((a + steps * (b - a) - first) / occupancy.resolution_m).astype(np.int64)
        for a, b, first in zip(at, thing_xy, occupancy.origin_xy, strict=True)
    ]
    inside = np.logical_and.reduce([(c >= 0) & (c < n) for c, n in zip(cells, passable.shape[::-1], strict=True)])
    return bool(inside.all() and passable[cells[1], cells[0]].all())
