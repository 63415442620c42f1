"""What contradicts an obstacle: every pixel that looks at it measures beyond it.

A part of a cell's height is a box. It is projected into the depth image, and is seen through where every pixel of the
rectangle around its corners measures one cell and three sigma beyond its middle. A pixel that measures nothing clears
nothing, nor does a part that reaches out of the image. This keeps thin obstacles.

The lowest part stands on the ground, which no ray passes below. There the rays count that pass just above the ground,
and ground has to be measured in the cell itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel
from gemini_ros.core.costmap.grid import CostmapConfig
from gemini_ros.core.costmap.heights import least_height
from gemini_ros.core.costmap.meaning import FIRST_STANDING_BIN, STANDING_BINS
from gemini_ros.core.costmap.points import MIN_RANGE_M, Surface, View

_FINEST = 160
"""Blocks across the image: what is pooled is finer the fewer pixels there are."""
_HIGHEST_START = 0.8  # of the lowest part, from where its rays count at the latest
_OVER = 1.1
_BEND = 1.25  # of how far the middle of an edge is off the straight line: the short edges bend, too


def block_of(width: int) -> int:
    """Pixels along each side of the blocks of an image so wide."""
    return max(1, width // _FINEST)


def _pool_in_numpy(depth, hidden, nearest) -> None:
    """Write the smallest depth of each block, 0 where a pixel of it measured nothing or is hidden."""
    block = depth.shape[1] // nearest.shape[1]
    rows, columns = (size * block for size in nearest.shape)
    with np.errstate(invalid="ignore"):
        measured = (depth >= MIN_RANGE_M) & (depth < np.inf)
    if hidden.size:
        measured &= ~hidden
    known = np.where(measured, depth, np.float32(0))[:rows, :columns]
    known = np.minimum.reduce([known[first::block] for first in range(block)])
    np.minimum.reduce([known[:, first::block] for first in range(block)], out=nearest)


def _pool_in_loops(depth, hidden, nearest) -> None:
    """The same for numba."""
    block, width = depth.shape[1] // nearest.shape[1], nearest.shape[1]
    infinite, nothing = np.float32(np.inf), np.float32(0)
    row = np.empty(width * block, np.float32)
    for v in range(nearest.shape[0]):
        row[:] = infinite
        for y in range(v * block, (v + 1) * block):
            for x in range(width * block):
                d = depth[y, x]
                d = d if (d >= MIN_RANGE_M) & (d < infinite) else nothing
                row[x] = d if d < row[x] else row[x]
            if hidden.size:
                for x in range(width * block):
                    row[x] = nothing if hidden[y, x] else row[x]
        for u in range(width):
            least = row[u * block]
            for x in range(u * block + 1, (u + 1) * block):
                least = min(least, row[x])
            nearest[v, u] = least


@lru_cache(maxsize=1)
def _compiled_pool() -> Callable[..., None] | None:
    return compile_kernel(_pool_in_loops, _pool_signature)


def _pool_signature(types: Any) -> Any:
    return types.void(types.Array(types.float32, 2, "C", readonly=True), types.boolean[:, ::1], types.float32[:, ::1])


class Clearing:
    """Finds the parts of obstacles that a frame sees through."""

    def __init__(self, config: CostmapConfig) -> None:
        self._config = config
        self._nearest: Callable[..., npt.NDArray[np.float32]] = _nearest_in_numpy
        self._pool: Callable[..., None] = _pool_in_numpy
        self._boxes: Callable[..., Box] = _boxes_in_numpy

    def warm_up(self) -> None:
        """Compile the numba kernels, where numba is installed."""
        self._nearest = _compiled_nearest() or _nearest_in_numpy
        self._pool = _compiled_pool() or _pool_in_numpy
        self._boxes = _compiled_boxes() or _boxes_in_numpy

    def pool(
        self, depth: npt.NDArray[np.float32], hidden: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        """The smallest depth of each square block of pixels, float32, 0 where one measured nothing or is ``hidden``.

        Pixels beyond the last whole block are left out.
        """
        block = block_of(depth.shape[1])
        nearest = np.empty((depth.shape[0] // block, depth.shape[1] // block), np.float32)
        depth = np.require(depth, requirements=["C", "A"])
        self._pool(depth, np.zeros((0, 0), bool) if hidden is None else hidden, nearest)
        return nearest

    def seen_through(
        self,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
        bits: npt.NDArray[np.uint16],
        on_ground: npt.NDArray[np.bool_],
        nearest: npt.NDArray[np.float32],
        view: View,
        surface: Surface,
        most_m: float,
    ) -> npt.NDArray[np.uint16]:
        """Which of the parts ``bits`` uint16 (n,) of cells the frame sees through, as bits.

        ``rows`` and ``columns`` (n,) are those of the window, ``on_ground`` says where ground was measured in the cell,
        ``nearest`` is what ``pool`` gives, and nothing further than ``most_m`` is cleared.
        """
        ground_m, in_view = _ground_below(rows, columns, view, surface, most_m)
        cell, part = np.nonzero(((bits[:, None] >> (FIRST_STANDING_BIN + np.arange(STANDING_BINS))) & 1) != 0)
        usable = in_view[cell] & ((part > 0) | on_ground[cell])
        cell, part = cell[usable], part[usable]
        if not len(cell):
            return np.zeros(len(bits), np.uint16)
        low, high = self._edges(part, rows[cell], columns[cell], view)
        low, high = low + ground_m[cell], high + ground_m[cell]
        project = self._boxes if view.intrinsics.lens is None else _bent_boxes
        middle, first_v, last_v, first_u, last_u = _project(project, rows[cell], columns[cell], low, high, view)
        beyond = middle + self._config.resolution_m + 3 * self._config.depth_noise_per_m * middle * middle
        block = block_of(view.intrinsics.width)
        height, width = (size * block for size in nearest.shape)
        inside = (middle > 0) & (first_v >= 0) & (last_v < height) & (first_u >= 0) & (last_u < width)
        edges = [np.where(inside, edge, 0).astype(np.int32) // block for edge in (first_v, last_v, first_u, last_u)]
        through = inside & (self._nearest(nearest, *edges) > beyond)
        result = np.zeros(len(bits), np.uint16)
        for index in range(STANDING_BINS):
            result[cell[through & (part == index)]] |= np.uint16(1 << (FIRST_STANDING_BIN + index))
        return result

    def _edges(
        self, part: npt.NDArray[np.intp], rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], view: View
    ) -> tuple[np.ndarray, np.ndarray]:
        """The lower and upper edge of each part over the ground, metres."""
        config = self._config
        each = config.max_height_m / STANDING_BINS
        low, high = part * each, (part + 1) * each
        x, y = _offset_m(columns + 0.5, rows + 0.5, view)
        across = np.maximum(np.hypot(x, y), 1e-6)
        slope = view.heights_m[0] / across
        budget = least_height(across, np.minimum(slope, 1.0), view.tilt_deg, config)
        reach = _OVER * slope * (1.5 * config.resolution_m + 3 * config.depth_noise_per_m * across * across)
        start = np.minimum(np.maximum(budget, reach), _HIGHEST_START * each)
        return np.where(part == 0, start, low), high


def _offset_m(columns: np.ndarray, rows: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
    """x and y in metres from the camera's foot of places in cells of the window."""
    return (columns + 1 - float(view.start[0])) * view.resolution_m, (
        rows + 1 - float(view.start[1])
    ) * view.resolution_m


def _ground_below(
    rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], view: View, surface: Surface, most_m: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The height of the ground where each cell is seen, and whether it lies in front of the camera, near enough."""
    x, y = _offset_m(columns + 0.5, rows + 0.5, view)
    u, v, z = _pixels(x, y, np.zeros(len(x)), view)
    camera = view.intrinsics
    in_view = (z > 0) & (z <= most_m) & (u >= 0) & (u <= camera.width - 1)
    v, u = (
        np.where(in_view, np.clip(a, 0, size - 1), 0).astype(np.intp)
        for a, size in ((v, camera.height), (u, camera.width))
    )
    return surface.at(v, u), in_view


def _pixels(x: np.ndarray, y: np.ndarray, z: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image column, row and depth of points in metres from the camera's foot."""
    camera, axes = view.intrinsics, view.pose[:3, :3]
    z = z - view.heights_m[0]
    right, down, ahead = (axes[0, i] * x + axes[1, i] * y + axes[2, i] * z for i in range(3))
    if camera.lens is not None:
        u, v, ahead = camera.lens.project(np.stack([right, down, ahead]))
        return camera.fx * u + camera.cx, camera.fy * v + camera.cy, ahead
    with np.errstate(divide="ignore", invalid="ignore"):
        return camera.fx * right / ahead + camera.cx, camera.fy * down / ahead + camera.cy, ahead


Box = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _project(
    project: Callable[..., Box],
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    low: np.ndarray,
    high: np.ndarray,
    view: View,
) -> Box:
    """Depth of the middle of boxes (n,), and the rectangle around their corners: rows and columns, first and last.

    A box that reaches behind the camera has depth 0, and one that reaches beyond the lens has NaN for its edges.
    """
    x, y = _offset_m(columns[:, None] + np.array([0.0, 1, 0, 1]), rows[:, None] + np.array([0.0, 0, 1, 1]), view)
    heights = np.stack([low, high], axis=1).astype(np.float64)
    if project is _bent_boxes:
        return _bent_boxes(x, y, heights, view)
    camera = view.intrinsics
    axes = np.ascontiguousarray(view.pose[:3, :3], np.float64)
    numbers = np.array([camera.fx, camera.fy, camera.cx, camera.cy, view.heights_m[0]], np.float64)
    return project(x, y, heights, axes, numbers)


def _bent_boxes(x: np.ndarray, y: np.ndarray, heights: np.ndarray, view: View) -> Box:
    """Through a lens, which bends the edges of a box: the rectangle grows by as much."""
    corners = [_pixels(x, y, heights[:, edge, None], view) for edge in (0, 1)]
    u, v, z = (np.hstack(pair) for pair in zip(*corners, strict=True))
    middle = np.where((z > MIN_RANGE_M).all(1), z.mean(1), 0.0)
    u, v = (np.where(middle[:, None] > 0, a, 0) for a in (u, v))
    half_u, half_v, _ = _pixels(x, y, heights.sum(axis=1)[:, None] / 2, view)
    bend_u, bend_v = (_BEND * np.abs(a - (b[:, :4] + b[:, 4:]) / 2).max(1) for a, b in ((half_u, u), (half_v, v)))
    return (
        middle,
        np.floor(v.min(1) - bend_v),
        np.ceil(v.max(1) + bend_v),
        np.floor(u.min(1) - bend_u),
        np.ceil(u.max(1) + bend_u),
    )


def _boxes_in_numpy(x, y, heights, axes, numbers) -> Box:
    """Of a pinhole camera: ``axes`` (3, 3), and ``numbers`` fx, fy, cx, cy and the camera's height."""
    fx, fy, cx, cy, above = numbers
    corners = []
    for edge in (0, 1):
        z = heights[:, edge, None] - above
        corners.append([axes[0, i] * x + axes[1, i] * y + axes[2, i] * z for i in range(3)])
    right, down, ahead = (np.hstack(pair) for pair in zip(*corners, strict=True))
    halves = (ahead[:, 0::4] + ahead[:, 1::4]) + (ahead[:, 2::4] + ahead[:, 3::4])
    middle = np.where((ahead > MIN_RANGE_M).all(1), (halves[:, 0] + halves[:, 1]) / 8, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = fx * right / ahead + cx, fy * down / ahead + cy
    u, v = (np.where(middle[:, None] > 0, a, 0) for a in (u, v))
    return middle, np.floor(v.min(1)), np.ceil(v.max(1)), np.floor(u.min(1)), np.ceil(u.max(1))


def _boxes_in_loops(x, y, heights, axes, numbers):
    """The same for numba."""
    fx, fy, cx, cy, above = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    count = len(x)
    middle, first_v, last_v = np.zeros(count), np.zeros(count), np.zeros(count)
    first_u, last_u = np.zeros(count), np.zeros(count)
    sums = np.empty(2)
    for n in range(count):
        in_front = True
        least_u, most_u, least_v, most_v = np.inf, -np.inf, np.inf, -np.inf
        for edge in range(2):
            z = heights[n, edge] - above
            ahead = np.empty(4)
            for k in range(4):
                ahead[k] = axes[0, 2] * x[n, k] + axes[1, 2] * y[n, k] + axes[2, 2] * z
                in_front &= ahead[k] > MIN_RANGE_M
                right = axes[0, 0] * x[n, k] + axes[1, 0] * y[n, k] + axes[2, 0] * z
                down = axes[0, 1] * x[n, k] + axes[1, 1] * y[n, k] + axes[2, 1] * z
                u, v = fx * right / ahead[k] + cx, fy * down / ahead[k] + cy
                least_u, most_u = min(least_u, u), max(most_u, u)
                least_v, most_v = min(least_v, v), max(most_v, v)
            sums[edge] = (ahead[0] + ahead[1]) + (ahead[2] + ahead[3])
        if in_front:
            middle[n] = (sums[0] + sums[1]) / 8
            first_v[n], last_v[n] = np.floor(least_v), np.ceil(most_v)
            first_u[n], last_u[n] = np.floor(least_u), np.ceil(most_u)
    return middle, first_v, last_v, first_u, last_u


@lru_cache(maxsize=1)
def _compiled_boxes() -> Callable[..., Box] | None:
    return compile_kernel(_boxes_in_loops, _boxes_signature)


def _boxes_signature(types: Any) -> Any:
    plane, line = types.float64[:, ::1], types.float64[::1]
    return types.UniTuple(line, 5)(plane, plane, plane, plane, line)


def _nearest_in_numpy(nearest, first_row, last_row, first_column, last_column) -> npt.NDArray[np.float32]:
    """The smallest value in each rectangle, edges included, by minima over powers of two."""
    tables: dict[tuple[int, int], np.ndarray] = {(0, 0): nearest}
    levels = [
        np.log2(last - first + 1).astype(np.intp)
        for first, last in ((first_row, last_row), (first_column, last_column))
    ]
    result = np.empty(len(first_row), np.float32)
    for down, across in {*zip(*(level.tolist() for level in levels), strict=True)}:
        table = _minima(tables, down, across)
        at = (levels[0] == down) & (levels[1] == across)
        rows = first_row[at], last_row[at] - (1 << down) + 1
        columns = first_column[at], last_column[at] - (1 << across) + 1
        result[at] = np.minimum.reduce([table[row, column] for row in rows for column in columns])
    return result


def _minima(tables: dict[tuple[int, int], np.ndarray], down: int, across: int) -> np.ndarray:
    """The smallest value in the rectangle of 2^down x 2^across that begins at each place."""
    if (down, across) not in tables:
        if down:
            half = _minima(tables, down - 1, across)
            tables[down, across] = np.minimum(half[: -(1 << (down - 1))], half[1 << (down - 1) :])
        else:
            half = _minima(tables, 0, across - 1)
            tables[down, across] = np.minimum(half[:, : -(1 << (across - 1))], half[:, 1 << (across - 1) :])
    return tables[down, across]


def _nearest_in_loops(nearest, first_row, last_row, first_column, last_column):
    """The same for numba."""
    result = np.empty(len(first_row), np.float32)
    for i in range(len(first_row)):
        least = nearest[first_row[i], first_column[i]]
        for row in range(first_row[i], last_row[i] + 1):
            for column in range(first_column[i], last_column[i] + 1):
                least = min(least, nearest[row, column])
        result[i] = least
    return result


@lru_cache(maxsize=1)
def _compiled_nearest() -> Callable[..., Any] | None:
    return compile_kernel(_nearest_in_loops, _nearest_signature)


def _nearest_signature(types: Any) -> Any:
    edge = types.int32[::1]
    return types.float32[::1](types.float32[:, ::1], edge, edge, edge, edge)
