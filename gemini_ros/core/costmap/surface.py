"""Heights are over the ground in front of the robot: its own plane, followed where the ground rises or falls gently.

The plane is that of the robot's base at the image's stamp, since the z of odometry drifts. A ramp ahead leaves it. So
the ground is followed along each image column, away from the robot, no steeper than ``max_slope_deg`` (beside 1 cm and
noise) and over no gap of more than half a metre, and only over pixels whose label says that they are passable.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel
from gemini_ros.core.costmap.grid import CostmapConfig
from gemini_ros.core.costmap.heights import least_height
from gemini_ros.core.costmap.points import MIN_RANGE_M, PixelReader, Surface, View
from gemini_ros.core.frames import Segmentation

_ROWS = 80
_GAP_M = np.float32(0.5)
_ROUGH_M = 0.01


class GroundFollower:
    """Follows the ground of a frame away from the robot."""

    def __init__(self, reader: PixelReader, passable: npt.NDArray[np.bool_], config: CostmapConfig) -> None:
        """``passable`` bool (256,) are the labels to follow."""
        self._reader, self._passable, self._config = reader, passable, config
        self._follow: Callable[..., None] = _follow_in_numpy

    def warm_up(self) -> None:
        """Compile the numba kernel, where numba is installed."""
        self._follow = _compiled_follow() or _follow_in_numpy

    def follow(self, segmentation: Segmentation, depth: npt.NDArray[np.float32], view: View) -> Surface:
        """The height of the ground over the plane of ``view``."""
        config = self._config
        step = max(1, depth.shape[0] // _ROWS)
        shape = -(-depth.shape[0] // step), -(-depth.shape[1] // step)
        heights = np.zeros(shape, np.float32)
        if not config.max_slope_deg:
            return Surface(heights, step)
        v, u = (
            np.minimum(np.arange(n) * step + step // 2, size - 1) for n, size in zip(shape, depth.shape, strict=True)
        )
        v = v[:, None]
        d = depth[v, u]
        x, y, z = view.points(v, u, d)
        with np.errstate(invalid="ignore", over="ignore"):
            along, across = x - view.start[0], y - view.start[1]
            ranges = np.sqrt(along * along + across * across) * np.float32(config.resolution_m)
            steepness = view.rays(v, u)[2].astype(np.float64)
            tolerance = (least_height(d, steepness, 0.0, config) - config.min_height_m + _ROUGH_M).astype(np.float32)
            counts = (d >= MIN_RANGE_M) & (d <= config.range_m) & self._passable[segmentation.labels[v, u]]
        counts &= self._reader.certainty(segmentation.confidence[v, u]) > 0
        slope = np.float32(math.tan(math.radians(config.max_slope_deg)))
        self._follow(heights, z, ranges, tolerance, counts, slope)
        return Surface(heights, step)


def _follow_in_numpy(heights, z, ranges, tolerance, counts, slope) -> None:
    """Write the height of the ground of each sample (rows, columns), from the last row to the first."""
    ground, reached = np.zeros(z.shape[1], np.float32), np.zeros(z.shape[1], np.float32)
    for row in range(len(z) - 1, -1, -1):
        if counts[row].any():
            limit = slope * np.clip(np.where(counts[row], ranges[row], 0) - reached, 0, _GAP_M)
            rise = np.where(counts[row], z[row], 0) - ground
            fits = counts[row] & (np.abs(rise) <= tolerance[row] + limit)
            np.add(ground, np.clip(rise, -limit, limit), out=ground, where=fits)
            np.copyto(reached, ranges[row], where=fits)
        heights[row] = ground


def _follow_in_loops(heights, z, ranges, tolerance, counts, slope) -> None:
    """The same for numba."""
    for column in range(z.shape[1]):
        ground, reached = np.float32(0), np.float32(0)
        for row in range(z.shape[0] - 1, -1, -1):
            if counts[row, column]:
                limit = slope * min(max(ranges[row, column] - reached, np.float32(0)), _GAP_M)
                rise = z[row, column] - ground
                if abs(rise) <= tolerance[row, column] + limit:
                    ground += min(max(rise, -limit), limit)
                    reached = ranges[row, column]
            heights[row, column] = ground


@lru_cache(maxsize=1)
def _compiled_follow() -> Callable[..., None] | None:
    return compile_kernel(_follow_in_loops, _follow_signature)


def _follow_signature(types: Any) -> Any:
    samples = types.float32[:, ::1]
    return types.void(samples, samples, samples, samples, types.boolean[:, ::1], types.float32)
