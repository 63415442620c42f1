"""Where a robot can stand and face a thing: a free place of the map, near it and with nothing between."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.grid import Occupancy

LEAST_CLEARANCE_M = 0.3
"""Around a robot whose radius is not set."""
_FAR_M = 1.5  # from the thing, beside the clearance
_THING_M = 0.5  # around its middle, where the map has the thing itself
_COST_M = 0.02  # metres that one of cost is worth
_AT_ONCE = 256  # places that are tried together
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
    best = np.argsort(np.hypot(x - robot_xy[0], y - robot_xy[1]) + _COST_M * cost, kind="stable")
    for some in np.split(best, range(_AT_ONCE, len(best), _AT_ONCE)):
        seeing = some[_see(passable, occupancy, x[some], y[some], thing_xy)]
        if seeing.size:
            at = float(x[seeing[0]]), float(y[seeing[0]])
            return *at, math.atan2(thing_xy[1] - at[1], thing_xy[0] - at[0])
    return None


def _see(
    passable: npt.NDArray[np.bool_],
    occupancy: Occupancy,
    x: npt.NDArray[np.floating],
    y: npt.NDArray[np.floating],
    thing_xy: tuple[float, float],
) -> npt.NDArray[np.bool_]:
    """bool (n,): whether all cells of the straight way from each place are passable, up to the thing itself."""
    away = np.hypot(thing_xy[0] - x, thing_xy[1] - y)[:, None]
    along = np.arange(0.0, away.max(initial=0.0), occupancy.resolution_m / 2)[None]
    counts = along < away - _THING_M
    share = along / np.maximum(away, 1e-9)
    columns, rows = (
        np.floor((a[:, None] + share * (b - a[:, None]) - first) / occupancy.resolution_m).astype(np.int64)
        for a, b, first in zip((x, y), thing_xy, occupancy.origin_xy, strict=True)
    )
    height, width = passable.shape
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    clear = passable[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)] & inside
    return (clear | ~counts).all(1)
