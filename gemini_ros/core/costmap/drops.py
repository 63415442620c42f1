"""Drops are a gap, not a height: where the ground ends, the next point along an image column is too far and too low.

From the last ground pixel on, the ray passes below the ground until it meets something: there is no ground in
between. One frame is not enough, since shiny floors mirror what is above them: a drop is lethal after ``LEAST_FRAMES``
frames over ``LEAST_MOTION_M`` of motion, and unknown before. A label that is sure of a floor makes it unknown, too.
Where depth is missing there is no drop and no ground.

No light passes below solid ground. Where the line of sight behind an edge passes below ground that the same frame
measured, the floor mirrors, and the edge is unknown. In a frame with many such edges those of a wide gap are unknown,
too: mirror images lie metres below the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel
from gemini_ros.core.costmap.grid import CostmapConfig
from gemini_ros.core.costmap.ground import MOST_OF_EXPECTED, line_cells
from gemini_ros.core.costmap.meaning import (
    DROP,
    FIRST_STANDING_BIN,
    GROUND,
    IS_DROP,
    IS_DROP_OF_FLOOR,
    IS_STUBBORN,
    NOTHING,
    SURE,
    SUREST,
)
from gemini_ros.core.costmap.points import LEAST_DROP_M, Evidence, PixelReader, Surface, View, places
from gemini_ros.core.frames import Segmentation

LEAST_FRAMES = 3
LEAST_MOTION_M = 0.05
_HOLES = 3  # rows without a measurement between the last ground and the next point
# Steeper than 15 degrees down. Where the line of sight is flatter than that no edge can look so steep; there it is
# most of the line of sight, and never a ramp.
_STEEP, _RAMP = np.tan(np.radians((15.0, 7.0))).astype(np.float32)
_SHARE_OF_SIGHT = np.float32(0.8)
# A line of sight passes below ground at two places at least, a cell apart, and so far from either end, beside noise.
_MIRROR_PLACES, _MIRROR_MARGIN_CELLS = 2, np.float32(1.5)
_MIRROR_SHARE = 0.2  # of a frame's edges, from which on the floor mirrors
_MIRROR_GAP_M = 1.0


class DropFinder:
    """Finds the edges behind which there is no ground."""

    def __init__(self, reader: PixelReader, is_free: npt.NDArray[np.bool_], config: CostmapConfig) -> None:
        """``is_free`` bool (256,) are the labels of floor."""
        self._reader, self._is_free = reader, is_free
        self._noise = np.float32(3 * config.depth_noise_per_m / config.resolution_m)
        self._drops: Callable[..., tuple[np.ndarray, np.ndarray]] = _drops_in_numpy

    def warm_up(self) -> None:
        """Compile the numba kernel, where numba is installed."""
        self._drops = _compiled_drops() or _drops_in_numpy

    def mark(
        self,
        evidence: Evidence,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32],
        view: View,
        surface: Surface,
    ) -> None:
        """Add the cells behind each edge to ``evidence``."""
        flat, lines = self._drops(
            evidence.levels,
            np.require(depth, requirements=["C", "A"]),
            view.columns,
            view.rows,
            surface.heights_m,
            surface.slopes,
            surface.step,
            # Heights are in metres and gaps in cells: slopes are metres a cell.
            np.array([*view.start, view.heights_m[0], view.resolution_m], np.float32),
        )
        if not len(flat):
            return
        v, u = flat // depth.shape[1], flat % depth.shape[1]
        starts, ends = lines[:2], lines[2:]
        floor = self._is_free[segmentation.labels[v, u]]
        floor &= self._reader.certainty(segmentation.confidence[v, u]) == SUREST
        doubtful = floor | self._mirrored(evidence, starts, ends, depth[v, u], np.float32(view.resolution_m))
        cells, of = line_cells((starts[0], starts[1]), (ends[0], ends[1]), len(evidence.ringed[0]))
        for bit, cells_of in ((IS_DROP_OF_FLOOR, cells[doubtful[of]]), (IS_DROP, cells[~doubtful[of]])):
            evidence.add(cells_of, self._reader.table.unknown, bit)

    def _mirrored(
        self,
        evidence: Evidence,
        starts: npt.NDArray[np.float32],
        ends: npt.NDArray[np.float32],
        depth_m: npt.NDArray[np.float32],
        cell_m: np.float32,
    ) -> npt.NDArray[np.bool_]:
        """Which gaps (n,) a mirror makes; ``starts`` and ``ends`` (2, n) in cells, ``depth_m`` (n,) at the ends."""
        way = ends - starts
        gap = np.sqrt(way[0] * way[0] + way[1] * way[1])
        margin = _MIRROR_MARGIN_CELLS + self._noise * depth_m * depth_m
        inner = way * np.minimum(margin / np.maximum(gap, np.float32(1e-3)), np.float32(0.5))
        begin, end = starts + inner, ends - inner
        cells, of = line_cells((begin[0], begin[1]), (end[0], end[1]), len(evidence.ringed[0]))
        on_ground = self._reader.table.passable(evidence.ringed[0].reshape(-1)[cells])
        mirrored = np.bincount(of[on_ground], minlength=len(gap)) >= _MIRROR_PLACES
        if mirrored.mean() >= _MIRROR_SHARE:
            mirrored |= gap * cell_m > _MIRROR_GAP_M
        return mirrored


def _drops_in_numpy(
    levels, depth, columns, rows, heights, slopes, step, numbers
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The edges whose further point is too far behind the ground below it in the image, and too low.

    Both against the plane of the ground at the edge, which on a ramp is not that of the robot. Returns the flat index
    of the further points (n,), and x and y of the nearer and of the further point (4, n) in cells.
    """
    x0, y0, above, cell_m = numbers
    edges, below = _edges(levels)
    far, u = edges // levels.shape[1], edges % levels.shape[1]
    near = far + below
    rays = [columns[:3, v % columns.shape[1], u] + rows[:3, v] for v in (near, far)]
    (x, y, z), (x_far, y_far, z_far) = (
        (ray_x * depth[v, u] + x0, ray_y * depth[v, u] + y0, fall * depth[v, u] + above)
        for (ray_x, ray_y, fall), v in zip(rays, (near, far), strict=True)
    )
    gap = np.sqrt((x_far - x) * (x_far - x) + (y_far - y) * (y_far - y))
    ground = heights[near // step, u // step]
    slope = slopes[near // step, u // step] * cell_m
    level = ground - slope * np.sqrt((x - x0) * (x - x0) + (y - y0) * (y - y0))
    with np.errstate(divide="ignore", invalid="ignore"):
        sight_near, sight = (-fall / np.sqrt(ray_x * ray_x + ray_y * ray_y) for ray_x, ray_y, fall in rays)
        meets_near, meets = (
            np.where(s + slope > 0, (above - level) / (s + slope), np.float32(0)) for s in (sight_near, sight)
        )
    steep = np.fmin(np.fmax(_SHARE_OF_SIGHT * sight, _RAMP * cell_m), _STEEP * cell_m)
    is_drop = (z_far - ground - slope * gap <= -LEAST_DROP_M) & (z + slope * gap - z_far > steep * gap)
    is_drop &= gap > MOST_OF_EXPECTED * np.maximum(meets - meets_near, 0)
    return edges[is_drop], np.array([x, y, x_far, y_far])[:, is_drop]


def _drops_in_loops(levels, depth, columns, rows, heights, slopes, step, numbers):
    """The same for numba."""
    x0, y0, above, cell_m, zero = numbers[0], numbers[1], numbers[2], numbers[3], np.float32(0)
    height, width = levels.shape
    lens, most, found = columns.shape[1] > 1, 0, 0
    for v in range(height - 1):
        for u in range(width):
            most += np.int64(levels[v, u] == DROP)
    flat, lines = np.empty(most, np.int64), np.empty((4, most), np.float32)
    for v in range(height - 1):
        any_drop = False
        for u in range(width):
            any_drop |= levels[v, u] == DROP
        if not any_drop:
            continue
        for u in range(width):
            if levels[v, u] != DROP or levels[v + 1, u] == DROP:
                continue
            near = v + 1
            while near - v <= _HOLES and near + 1 < height and levels[near, u] == NOTHING:
                near += 1
            if levels[near, u] != GROUND:
                continue
            w, w_near, d, d_near = v if lens else 0, near if lens else 0, depth[v, u], depth[near, u]
            ray_x, ray_y = columns[0, w_near, u] + rows[0, near], columns[1, w_near, u] + rows[1, near]
            fall = columns[2, w_near, u] + rows[2, near]
            far_x, far_y, far_fall = (
                columns[0, w, u] + rows[0, v], columns[1, w, u] + rows[1, v], columns[2, w, u] + rows[2, v],
            )  # fmt: skip
            x, y, z = ray_x * d_near + x0, ray_y * d_near + y0, fall * d_near + above
            x_far, y_far, z_far = far_x * d + x0, far_y * d + y0, far_fall * d + above
            gap = np.sqrt((x_far - x) * (x_far - x) + (y_far - y) * (y_far - y))
            ground, slope = heights[near // step, u // step], slopes[near // step, u // step] * cell_m
            if not z_far - ground - slope * gap <= -LEAST_DROP_M:
                continue
            level = ground - slope * np.sqrt((x - x0) * (x - x0) + (y - y0) * (y - y0))
            sight_near = -fall / np.sqrt(ray_x * ray_x + ray_y * ray_y) + slope
            sight = -far_fall / np.sqrt(far_x * far_x + far_y * far_y)
            steep, ramp, steepest = _SHARE_OF_SIGHT * sight, _RAMP * cell_m, _STEEP * cell_m
            steep = steep if steep > ramp else ramp
            steep = steep if steep < steepest else steepest
            meets_near = (above - level) / sight_near if sight_near > zero else zero
            meets = (above - level) / (sight + slope) if sight + slope > zero else zero
            is_deep = z + slope * gap - z_far > steep * gap
            if is_deep and gap > MOST_OF_EXPECTED * max(meets - meets_near, zero):
                flat[found] = v * width + u
                lines[0, found], lines[1, found], lines[2, found], lines[3, found] = x, y, x_far, y_far
                found += 1
    return flat[:found], lines[:, :found].copy()


@lru_cache(maxsize=1)
def _compiled_drops() -> Callable[..., tuple[np.ndarray, np.ndarray]] | None:
    return compile_kernel(_drops_in_loops, _drops_signature)


def _drops_signature(types: Any) -> Any:
    plane, depth = types.float32[:, ::1], types.Array(types.float32, 2, "C", readonly=True)
    result = types.Tuple((types.int64[::1], plane))
    return result(
        types.uint8[:, ::1], depth, types.float32[:, :, ::1], plane, plane, plane, types.int64, types.float32[::1]
    )


def _edges(levels: npt.NDArray[np.uint8]) -> tuple[np.ndarray, np.ndarray]:
    """The drop pixels next above ground in the image, flat and in order, and how many rows below the ground is.

    Up to ``_HOLES`` rows in between may hold no measurement.
    """
    drop, ground, nothing = levels == DROP, levels == GROUND, levels == NOTHING
    found = []
    for below in range(1, _HOLES + 2):
        edge = drop[:-below] & ground[below:]
        for between in range(1, below):
            edge &= nothing[between : len(levels) - below + between]
        flat = np.flatnonzero(edge)
        found.append((flat, np.full(len(flat), below)))
    flat, below = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(flat)
    return flat[order], below[order]


def mark_glass(
    evidence: Evidence,
    segmentation: Segmentation,
    depth: npt.NDArray[np.float32],
    view: View,
    reader: PixelReader,
) -> None:
    """Glass stands on the last ground pixel below it in the image: depth measures what lies behind it.

    Known only where the label set calls a class ``transparent`` and the model sees it.
    """
    glass = is_glass(segmentation, reader)
    foot = glass[:-1] & ~glass[1:] & (evidence.levels[1:] == GROUND)
    v, u = places(foot)
    x, y, _ = view.points(v + 1, u, depth[v + 1, u])
    side = len(evidence.ringed[0])
    cells = np.clip(y, 0, side - 1).astype(np.intp) * side + np.clip(x, 0, side - 1).astype(np.intp)
    evidence.add(cells, reader.table.lethal, IS_STUBBORN | np.uint16(1 << FIRST_STANDING_BIN))


def is_glass(segmentation: Segmentation, reader: PixelReader) -> npt.NDArray[np.bool_]:
    """bool (H, W): pixels of a transparent class, with confidence."""
    return reader.table.transparent[segmentation.labels] & (reader.certainty(segmentation.confidence) >= SURE)
