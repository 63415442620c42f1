"""The map as a laser scan: how far the first lethal cell is in each direction, as seen from the base.

    range = middle of the ray's way through the first lethal cell
    NaN   = an unknown cell comes first
    inf   = every cell up to ``range_max`` is known, and none is lethal

Unknown cells nearer than the nearest ground that the camera sees in this direction are passed over, since no frame can
ever show them. A direction at the border of the view may enter it far away, or never. Therefore cells are passed over
up to half a metre behind the nearest ground of all directions, and no further: a robot that turns sees those behind.

Beams are so close that no cell within ``range_max`` lies between two of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel
from gemini_ros.core.costmap.grid import LETHAL, CostmapConfig, Occupancy
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.rays import rays_at
from gemini_ros.core.transforms import Matrix

_BORDER_POINTS = 33
_MOST_BEHIND_NEAREST_M = 0.5


@dataclass(frozen=True)
class Scan:
    """Ranges float32 (n,) in metres from ``-pi`` on, anticlockwise about z of the base (REP 103)."""

    ranges: npt.NDArray[np.float32]
    range_max: float

    @property
    def angle_min(self) -> float:
        return -math.pi

    @property
    def angle_increment(self) -> float:
        return 2 * math.pi / len(self.ranges)


class Scanner:
    """Makes scans of maps of one ``config``."""

    def __init__(self, config: CostmapConfig) -> None:
        self.config = config
        # The window is aligned to whole cells: on one side of the robot it may end half a cell earlier.
        self.range_max = min(config.range_m, max(config.cells // 2 - 1, 1) * config.resolution_m)
        count = 4 * math.ceil(0.5 * math.pi * self.range_max / config.resolution_m)
        self._angles = -math.pi + 2 * math.pi / count * np.arange(count, dtype=np.float64)
        self._cast: Callable[..., None] = _cast_in_numpy
        self._nearest: tuple[Any, npt.NDArray[np.float64]] | None = None

    def warm_up(self) -> None:
        """Compile the numba kernel, where numba is installed; both paths give equal scans."""
        self._cast = _compiled_cast() or _cast_in_numpy

    def scan(
        self,
        occupancy: Occupancy,
        robot: tuple[float, float, float],
        intrinsics: Intrinsics,
        base_from_camera: Matrix,
    ) -> Scan:
        """The scan from ``robot`` (x, y, yaw of the base in the frame of the map); the camera is ``base_from_camera``
        (4, 4), over the plane that the robot stands on.
        """
        resolution = occupancy.resolution_m
        nearest = self._nearest_ground_m(intrinsics, base_from_camera)
        start = [(robot[axis] - occupancy.origin_xy[axis]) / resolution for axis in (0, 1)]
        angles = self._angles + robot[2]
        ranges = np.empty(len(angles), np.float32)
        # A cell at the border of what the camera sees is seen in part.
        near, far = nearest / resolution + (nearest > 0), self.range_max / resolution
        self._cast(ranges, occupancy.data, *start, np.cos(angles), np.sin(angles), near, far, resolution)
        return Scan(ranges, self.range_max)

    def _nearest_ground_m(self, intrinsics: Intrinsics, base_from_camera: Matrix) -> npt.NDArray[np.float64]:
        """That of the last scan where the camera has not moved on the robot."""
        mounting = np.round(base_from_camera, 6)
        key = intrinsics, mounting.tobytes()
        if self._nearest is None or self._nearest[0] != key:
            self._nearest = key, nearest_ground_m(intrinsics, mounting, self._angles)
        return self._nearest[1]


def nearest_ground_m(
    intrinsics: Intrinsics, base_from_camera: Matrix, angles: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """How far from the base, in the directions ``angles`` (n,), the camera sees the nearest ground; metres.

    Where it sees none in a direction: the least of all directions, since the robot may have turned; and nowhere more
    than half a metre beyond that. 0 where it sees none at all, or where the base stands in view.
    """
    unseen, base = np.full(len(angles), np.inf), np.linalg.inv(base_from_camera)[:3, 3]
    last_u, last_v = intrinsics.width - 1, intrinsics.height - 1
    if base[2] > 0:
        u, v = intrinsics.fx * base[0] / base[2] + intrinsics.cx, intrinsics.fy * base[1] / base[2] + intrinsics.cy
        if 0 <= u <= last_u and 0 <= v <= last_v:
            return np.zeros(len(angles))
    part = np.linspace(0, 1, _BORDER_POINTS)
    for side_v, side_u in ((part, 0 * part), (part, 0 * part + 1), (0 * part, part), (0 * part + 1, part)):
        rays = rays_at(intrinsics, np.rint(side_v * last_v).astype(int), np.rint(side_u * last_u).astype(int))
        x, y, fall = base_from_camera[:3, :3] @ rays
        down = fall < -1e-6  # a ray that a lens does not have is NaN, and not down
        reach = base_from_camera[2, 3] / -fall[down]
        x, y = x[down] * reach + base_from_camera[0, 3], y[down] * reach + base_from_camera[1, 3]
        if base_from_camera[2, 3] <= 0 or len(x) < 2:
            continue
        # A side is a straight line on the ground, on which the direction only grows or only falls.
        direction = np.unwrap(np.arctan2(y, x))
        order = np.argsort(direction)
        low = direction[order[0]]
        turned = low + np.mod(angles - low, 2 * math.pi)
        ranges = np.interp(turned, direction[order], np.hypot(x, y)[order], right=np.inf)
        unseen = np.minimum(unseen, ranges)
    seen = np.isfinite(unseen)
    least = unseen[seen].min() if seen.any() else 0.0
    return np.where(seen, np.minimum(unseen, least + _MOST_BEHIND_NEAREST_M), least)


def _cast_in_numpy(ranges, data, x, y, cosines, sines, near, far, resolution) -> None:
    """Follow all beams from cell to cell, one border at a time. Lengths are in cells."""
    beams = np.arange(len(ranges))
    column, row = np.full(len(beams), math.floor(x)), np.full(len(beams), math.floor(y))
    step_x, step_y = np.where(cosines > 0, 1, -1), np.where(sines > 0, 1, -1)
    way = np.zeros(len(beams))
    side_y, side_x = data.shape
    ranges[:] = np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        while len(beams):
            dx, dy = cosines[beams], sines[beams]
            to_x = np.where(dx != 0, (column + (step_x > 0) - x) / dx, np.inf)
            to_y = np.where(dy != 0, (row + (step_y > 0) - y) / dy, np.inf)
            end = np.minimum(np.minimum(to_x, to_y), far)
            inside = (column >= 0) & (column < side_x) & (row >= 0) & (row < side_y)
            said = np.where(inside, data[np.clip(row, 0, side_y - 1), np.clip(column, 0, side_x - 1)], -1)
            crossed = end > way
            hit = crossed & (said == LETHAL)
            unknown = crossed & (said < 0) & (way >= near[beams])
            ranges[beams[hit]] = (0.5 * (way + end) * resolution)[hit]
            ranges[beams[unknown]] = np.nan
            over_x = to_x <= to_y
            column, row = column + step_x * over_x, row + step_y * ~over_x
            on = ~(hit | unknown) & (end < far)
            beams, column, row, step_x, step_y = beams[on], column[on], row[on], step_x[on], step_y[on]
            way = np.maximum(way, end)[on]


def _cast_in_loops(ranges, data, x, y, cosines, sines, near, far, resolution) -> None:
    """The same for numba."""
    side_y, side_x = data.shape
    for beam in range(len(ranges)):
        dx, dy = cosines[beam], sines[beam]
        column, row = math.floor(x), math.floor(y)
        step_x, step_y = 1 if dx > 0 else -1, 1 if dy > 0 else -1
        way, found = 0.0, math.inf
        while True:
            to_x = (column + (step_x > 0) - x) / dx if dx != 0 else math.inf
            to_y = (row + (step_y > 0) - y) / dy if dy != 0 else math.inf
            end = min(min(to_x, to_y), far)
            inside = 0 <= column < side_x and 0 <= row < side_y
            said = data[row, column] if inside else -1
            if end > way:
                if said == LETHAL:
                    found = 0.5 * (way + end) * resolution
                    break
                if said < 0 and way >= near[beam]:
                    found = math.nan
                    break
                way = end
            if end >= far:
                break
            if to_x <= to_y:
                column += step_x
            else:
                row += step_y
        ranges[beam] = found


@lru_cache(maxsize=1)
def _compiled_cast() -> Callable[..., None] | None:
    return compile_kernel(_cast_in_loops, _cast_signature)


def _cast_signature(types: Any) -> Any:
    data, floats, number = types.Array(types.int8, 2, "C", readonly=True), types.float64[::1], types.float64
    return types.void(types.float32[::1], data, number, number, floats, floats, floats, number, number)
