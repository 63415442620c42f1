"""Heights are over the ground in front of the robot: its own plane, followed where the ground rises or falls gently.

The plane is that of the robot's base at the image's stamp, since the z of odometry drifts. A ramp ahead leaves it. So
the ground is followed along each image column, away from the robot, over pixels whose label says that they are
passable. It bends by no more than ``max_slope_deg`` against the ground before it, beside 1 cm and noise, within half a
metre: a step behind a longer gap is none. A slope goes on over a gap of up to 1.5 m, once two stretches of 30 cm in a
row have shown it: the face of a box shows a slope in one. Beyond 4 m the rows of the image are so far apart that a ramp
may begin in such a gap: what a ramp could be there is neither ground nor an obstacle yet.
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
from gemini_ros.core.costmap.points import MIN_RANGE_M, PixelReader, Surface, View
from gemini_ros.core.frames import Segmentation

_ROWS = 80
_GAP_M, _LONG_GAP_M, _STRETCH_M = np.float32(0.5), np.float32(1.5), np.float32(0.3)
_FAR_M = np.float32(4.0)
_ROUGH_M = np.float32(0.01)


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
        heights, slopes = np.zeros((2, *shape), np.float32)
        if config.max_slope_deg:
            images = segmentation.labels, segmentation.confidence, depth
            slope = math.tan(math.radians(config.max_slope_deg))
            noise = 3 * config.depth_noise_per_m
            self._follow(
                heights,
                slopes,
                *(np.require(image, requirements=["C", "A"]) for image in images),
                view.columns,
                view.rows,
                *(
                    np.minimum(np.arange(n) * step + step // 2, size - 1)
                    for n, size in zip(shape, depth.shape, strict=True)
                ),
                self._passable,
                self._reader.thresholds[0],
                np.array([view.heights_m[0], view.resolution_m, noise, config.range_m, slope], np.float32),
            )
        return Surface(heights, slopes, step)


def _follow_in_numpy(heights, slopes, labels, confidence, depth, columns, rows, v, u, passable, sure, numbers) -> None:
    """Write the height and the slope of the ground at pixels ``v`` by ``u``, from the last row to the first."""
    above, cell_m, noise, range_m, slope = numbers
    d = depth[v][:, u]
    ray_x, ray_y, fall, _ = columns[:, v % columns.shape[1]][:, :, u] + rows[:, v, None]
    with np.errstate(invalid="ignore", over="ignore"):
        z = fall * d + above
        ranges = np.sqrt(ray_x * ray_x + ray_y * ray_y) * d * cell_m
        tolerance = noise * d * d * np.abs(fall) + _ROUGH_M
        counts = (d >= MIN_RANGE_M) & (d <= range_m) & passable[labels[v][:, u]] & (confidence[v][:, u] >= sure)
    z, ranges = np.where(counts, z, 0), np.where(counts, ranges, 0)
    ground, reached, steep, last, from_m, from_range = np.zeros((6, len(u)), np.float32)
    for row in range(len(v) - 1, -1, -1):
        heights[row], slopes[row] = ground, steep
        if not counts[row].any():
            continue
        way = np.maximum(ranges[row] - reached, 0)
        expected = steep * np.minimum(way, _LONG_GAP_M)
        limit = slope * np.minimum(way, _GAP_M)
        bend = z[row] - ground - expected
        fits = counts[row] & (np.abs(bend) <= tolerance[row] + limit)
        far = counts[row] & ~fits & (ranges[row] > _FAR_M) & (way > _GAP_M)
        np.add(ground, expected + np.minimum(np.maximum(bend, -limit), limit), out=ground, where=fits)
        np.copyto(reached, ranges[row], where=fits)
        near, length = way <= _GAP_M, reached - from_range
        ends = fits & near & (length >= _STRETCH_M)
        if ends.any():
            rise = (ground - from_m) / np.maximum(length, _STRETCH_M)
            least = np.minimum(np.minimum(np.abs(rise), np.abs(last)), slope)
            np.copyto(steep, np.where(rise * last > 0, np.copysign(least, rise), 0), where=ends)
            np.copyto(last, rise, where=ends)
        begins = ends | (fits & ~near)
        np.copyto(from_m, ground, where=begins)
        np.copyto(from_range, reached, where=begins)
        heights[row], slopes[row] = ground, steep
        if far.any():
            may_be = far & (np.abs(bend) <= tolerance[row] + slope * np.minimum(way, _LONG_GAP_M))
            heights[row][may_be] = np.nan


def _follow_in_loops(heights, slopes, labels, confidence, depth, columns, rows, v, u, passable, sure, numbers) -> None:
    """The same for numba."""
    above, cell_m, noise, range_m, slope = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    zero = np.float32(0)
    for column in range(len(u)):
        x = u[column]
        ground, reached, steep, last, from_m, from_range = zero, zero, zero, zero, zero, zero
        for row in range(len(v) - 1, -1, -1):
            y = v[row]
            w, d, may_be = y if columns.shape[1] > 1 else 0, depth[y, x], False
            if d >= MIN_RANGE_M and d <= range_m and passable[labels[y, x]] and confidence[y, x] >= sure:
                ray_x, ray_y = columns[0, w, x] + rows[0, y], columns[1, w, x] + rows[1, y]
                fall = columns[2, w, x] + rows[2, y]
                far = np.sqrt(ray_x * ray_x + ray_y * ray_y) * d * cell_m
                way = max(far - reached, zero)
                expected, limit = steep * min(way, _LONG_GAP_M), slope * min(way, _GAP_M)
                bend = fall * d + above - ground - expected
                tolerance = noise * d * d * abs(fall) + _ROUGH_M
                if abs(bend) <= tolerance + limit:
                    ground += expected + min(max(bend, -limit), limit)
                    reached, length = far, far - from_range
                    ends = way <= _GAP_M and length >= _STRETCH_M
                    if ends:
                        rise = (ground - from_m) / length
                        least = min(min(abs(rise), abs(last)), slope)
                        steep = (least if rise > zero else -least) if rise * last > zero else zero
                        last = rise
                    if ends or way > _GAP_M:
                        from_m, from_range = ground, far
                elif far > _FAR_M and way > _GAP_M:
                    may_be = abs(bend) <= tolerance + slope * min(way, _LONG_GAP_M)
            heights[row, column], slopes[row, column] = np.float32(np.nan) if may_be else ground, steep


@lru_cache(maxsize=1)
def _compiled_follow() -> Callable[..., None] | None:
    return compile_kernel(_follow_in_loops, _follow_signature)


def _follow_signature(types: Any) -> Any:
    image, depth = (types.Array(t, 2, "C", readonly=True) for t in (types.uint8, types.float32))
    plane, pixels = types.float32[:, ::1], types.int64[::1]
    return types.void(
        plane, plane, image, image, depth, types.float32[:, :, ::1], plane, pixels, pixels, types.boolean[::1],
        types.uint8, types.float32[::1],
    )  # fmt: skip
