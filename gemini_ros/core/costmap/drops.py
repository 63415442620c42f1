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
from gemini_ros.core.costmap.ground import MOST_OF_EXPECTED, expected_range, line_cells
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
        self._edges: Callable[..., tuple[np.ndarray, np.ndarray]] = _edges_in_numpy

    def warm_up(self) -> None:
        """Compile the numba kernel, where numba is installed."""
        self._edges = _compiled_edges() or _edges_in_numpy

    def mark(
        self,
        evidence: Evidence,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32],
        view: View,
        surface: Surface,
    ) -> None:
        """Add the cells behind each edge to ``evidence``."""
        edges, below = self._edges(evidence.levels)
        if not len(edges):
            return
        v, u = edges // depth.shape[1], edges % depth.shape[1]
        at = v, v + below
        points = [view.points(row, u, depth[row, u]) for row in at]
        deep = _is_drop(points, at, u, view, surface)
        v, u = v[deep], u[deep]
        if not len(v):
            return
        floor = self._is_free[segmentation.labels[v, u]]
        floor &= self._reader.certainty(segmentation.confidence[v, u]) == SUREST
        ends, starts = (np.array([x[deep], y[deep]]) for x, y, _ in points)
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


def _is_drop(
    points: list[tuple[np.ndarray, ...]],
    rows: tuple[np.ndarray, np.ndarray],
    u: np.ndarray,
    view: View,
    surface: Surface,
) -> npt.NDArray[np.bool_]:
    """Where the point, first of ``points``, is too far behind the ground below it in the image, and too low.

    Both against the plane of the ground at the edge, which on a ramp is not that of the robot.
    """
    (x, y, z), (x_edge, y_edge, z_edge) = points
    along, across = x - x_edge, y - y_edge
    gap = np.sqrt(along * along + across * across)
    # Heights are in metres and gaps in cells: slopes are metres a cell.
    cell_m = np.float32(view.resolution_m)
    ground_m, slope = surface.at(rows[1], u), surface.slope_at(rows[1], u) * cell_m
    edge_x, edge_y = x_edge - view.start[0], y_edge - view.start[1]
    level_m = ground_m - slope * np.sqrt(edge_x * edge_x + edge_y * edge_y)
    expected = expected_range(view, rows[0], u, level_m, slope) - expected_range(view, rows[1], u, level_m, slope)
    ray_x, ray_y, fall = view.rays(rows[0], u)
    with np.errstate(divide="ignore", invalid="ignore"):
        sight = -fall / np.sqrt(ray_x * ray_x + ray_y * ray_y)
    least_slope = np.fmin(np.fmax(_SHARE_OF_SIGHT * sight, _RAMP * cell_m), _STEEP * cell_m)
    fall_m = slope * gap
    deep = (z - ground_m - fall_m <= -LEAST_DROP_M) & (z_edge + fall_m - z > least_slope * gap)
    return deep & (gap > MOST_OF_EXPECTED * np.maximum(expected, 0))


def _edges_in_numpy(levels: npt.NDArray[np.uint8]) -> tuple[np.ndarray, np.ndarray]:
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


def _edges_in_loops(levels):
    """The same for numba."""
    height, width = levels.shape
    count = 0
    for v in range(height - 1):
        for u in range(width):
            count += (levels[v, u] == DROP) & (levels[v + 1, u] != DROP)
    flat, below = np.empty(count, np.int64), np.empty(count, np.int64)
    found = 0
    for v in range(height - 1):
        for u in range(width):
            if levels[v, u] == DROP and levels[v + 1, u] != DROP:
                down = 1
                while down <= _HOLES and v + down + 1 < height and levels[v + down, u] == NOTHING:
                    down += 1
                if levels[v + down, u] == GROUND:
                    flat[found], below[found] = v * width + u, down
                    found += 1
    return flat[:found], below[:found]


@lru_cache(maxsize=1)
def _compiled_edges() -> Callable[..., tuple[np.ndarray, np.ndarray]] | None:
    return compile_kernel(_edges_in_loops, _edges_signature)


def _edges_signature(types: Any) -> Any:
    return types.Tuple((types.int64[::1], types.int64[::1]))(types.uint8[:, ::1])


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
