"""What contradicts an obstacle: every pixel that looks at it measures beyond it.

A part of a cell's height is a box. It is projected into the depth image, and is seen through where every pixel of the
rectangle around its corners measures one cell and three sigma beyond its middle. A pixel that measures nothing clears
nothing, nor does a part that reaches out of the image. This keeps thin obstacles.

The lowest part stands on the ground, which no ray passes below. There the rays count that pass just above the ground,
and ground has to be measured in the cell itself.
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


class Clearing:
    """Finds the parts of obstacles that a frame sees through."""

    def __init__(self, config: CostmapConfig) -> None:
        self._config = config
        self._boxes: Callable[..., Boxes] | None = None
        self._through: Callable[..., npt.NDArray[np.bool_]] = _through_in_numpy

    def warm_up(self) -> None:
        """Compile the numba kernels, where numba is installed."""
        self._boxes = _compiled_boxes()
        self._through = _compiled_through() or _through_in_numpy

    def seen_through(
        self,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
        bits: npt.NDArray[np.uint16],
        on_ground: npt.NDArray[np.bool_],
        depth: npt.NDArray[np.float32],
        hidden: npt.NDArray[np.bool_] | None,
        view: View,
        surface: Surface,
        most_m: float,
    ) -> npt.NDArray[np.uint16]:
        """Which of the parts ``bits`` uint16 (n,) of cells the frame sees through, as bits.

        ``rows`` and ``columns`` (n,) are those of the window, ``on_ground`` says where ground was measured in the cell,
        ``hidden`` bool (H, W) which pixels of ``depth`` clear nothing, and nothing further than ``most_m`` is cleared.
        """
        if self._boxes is None or view.intrinsics.lens is not None:
            boxes = self._boxes_in_numpy(rows, columns, bits, on_ground, view, surface, most_m)
        else:
            axes = np.ascontiguousarray(view.pose[:3, :3], np.float64)
            boxes = self._boxes(
                rows, columns, bits, on_ground, surface.heights_m, surface.step, axes, self._numbers(view, most_m)
            )
        cell, part, limits, rectangles = boxes
        depth = np.require(depth, requirements=["C", "A"])
        hidden = np.zeros((0, 0), bool) if hidden is None else hidden
        through = self._through(depth, hidden, block_of(depth.shape[1]), rectangles, limits)
        seen = np.bincount(cell[through], 1 << (FIRST_STANDING_BIN + part[through]), len(bits))
        return seen.astype(np.uint16)

    def _boxes_in_numpy(
        self,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
        bits: npt.NDArray[np.uint16],
        on_ground: npt.NDArray[np.bool_],
        view: View,
        surface: Surface,
        most_m: float,
    ) -> Boxes:
        """The boxes that lie wholly in the image; through a lens, too."""
        ground_m, in_view = _ground_below(rows, columns, view, surface, most_m)
        usable = ((bits[:, None] >> (FIRST_STANDING_BIN + np.arange(STANDING_BINS))) & 1).astype(bool)
        usable &= in_view[:, None]
        usable[:, 0] &= on_ground
        cell, part = np.nonzero(usable)
        low, high = self._edges(part, rows[cell], columns[cell], view)
        low, high = low + ground_m[cell], high + ground_m[cell]
        middle, *edges = _project(rows[cell], columns[cell], low, high, view)
        camera, block = view.intrinsics, block_of(view.intrinsics.width)
        height, width = (size // block * block for size in (camera.height, camera.width))
        first_v, last_v, first_u, last_u = edges
        inside = (middle > 0) & (first_v >= 0) & (last_v < height) & (first_u >= 0) & (last_u < width)
        middle = middle[inside]
        limits = middle + self._config.resolution_m + 3 * self._config.depth_noise_per_m * middle * middle
        return cell[inside], part[inside], limits, np.stack([edge[inside] for edge in edges], 1).astype(np.int32)

    def _numbers(self, view: View, most_m: float) -> npt.NDArray[np.float64]:
        camera, config = view.intrinsics, self._config
        height, width = (
            size // block_of(camera.width) * block_of(camera.width) for size in (camera.height, camera.width)
        )
        return np.array(
            [
                camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height, width, height, most_m,
                view.heights_m[0], *view.start, config.resolution_m, math.tan(math.radians(view.tilt_deg)),
                config.min_height_m, 3 * config.depth_noise_per_m, config.max_height_m / STANDING_BINS,
            ],
            np.float64,
        )  # fmt: skip

    def _edges(
        self, part: npt.NDArray[np.intp], rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], view: View
    ) -> tuple[np.ndarray, np.ndarray]:
        """The lower and upper edge of each part over the ground, metres."""
        config = self._config
        each = config.max_height_m / STANDING_BINS
        low, high = part * each, (part + 1) * each
        x, y = _offset_m(columns + 0.5, rows + 0.5, view)
        across = np.maximum(np.sqrt(x * x + y * y), 1e-6)
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


def _project(
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
    low: np.ndarray,
    high: np.ndarray,
    view: View,
) -> tuple[np.ndarray, ...]:
    """Depth of the middle of boxes (n,), and the rectangle around their corners: rows and columns, first and last.

    A box that reaches behind the camera has depth 0, and one that reaches beyond the lens has NaN for its edges. A lens
    bends the edges of a box, so that the rectangle grows by as much.
    """
    x, y = _offset_m(columns[:, None] + np.array([0.0, 1, 0, 1]), rows[:, None] + np.array([0.0, 0, 1, 1]), view)
    corners = [_pixels(x, y, edge[:, None], view) for edge in (low, high)]
    u, v, z = (np.hstack(pair) for pair in zip(*corners, strict=True))
    halves = (z[:, 0::4] + z[:, 1::4]) + (z[:, 2::4] + z[:, 3::4])
    middle = np.where((z > MIN_RANGE_M).all(1), (halves[:, 0] + halves[:, 1]) / 8, 0.0)
    u, v = (np.where(middle[:, None] > 0, a, 0) for a in (u, v))
    bend_u = bend_v = np.float64(0)
    if view.intrinsics.lens is not None:
        half_u, half_v, _ = _pixels(x, y, (low + high)[:, None] / 2, view)
        bend_u, bend_v = (_BEND * np.abs(a - (b[:, :4] + b[:, 4:]) / 2).max(1) for a, b in ((half_u, u), (half_v, v)))
    return (
        middle,
        np.floor(v.min(1) - bend_v),
        np.ceil(v.max(1) + bend_v),
        np.floor(u.min(1) - bend_u),
        np.ceil(u.max(1) + bend_u),
    )


Boxes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""The cell and the part of each box (n,), what a pixel has to exceed (n,), and the rectangle (n, 4) int32 around the
box: rows and columns, first and last."""


def _boxes_in_loops(rows, columns, bits, on_ground, surface, step, axes, numbers):
    """``_boxes_in_numpy`` for numba, of a pinhole camera."""
    fx, fy, cx, cy, image_width, image_height, width, height, most_m = (
        numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6], numbers[7], numbers[8],
    )  # fmt: skip
    above, x0, y0, cell_m, tilt, least, noise, each = (
        numbers[9], numbers[10], numbers[11], numbers[12], numbers[13], numbers[14], numbers[15], numbers[16],
    )  # fmt: skip
    most = STANDING_BINS * len(rows)
    cells, parts, limits = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most)
    rectangles = np.empty((most, 4), np.int32)
    ahead, count = np.empty(4), 0
    for n in range(len(rows)):
        x, y = (columns[n] + 0.5 + 1 - x0) * cell_m, (rows[n] + 0.5 + 1 - y0) * cell_m
        depth = axes[0, 2] * x + axes[1, 2] * y + axes[2, 2] * -above
        if not (depth > 0 and depth <= most_m):
            continue
        u = fx * (axes[0, 0] * x + axes[1, 0] * y + axes[2, 0] * -above) / depth + cx
        v = fy * (axes[0, 1] * x + axes[1, 1] * y + axes[2, 1] * -above) / depth + cy
        if not (u >= 0 and u <= image_width - 1):
            continue
        ground = surface[int(min(max(v, 0.0), image_height - 1)) // step, int(u) // step]
        across = max(np.sqrt(x * x + y * y), 1e-6)
        slope = above / across
        budget = least + across * tilt + noise * across * across * abs(min(slope, 1.0))
        start = min(max(budget, _OVER * slope * (1.5 * cell_m + noise * across * across)), _HIGHEST_START * each)
        for part in range(STANDING_BINS):
            if not (bits[n] >> (FIRST_STANDING_BIN + part)) & 1 or (part == 0 and not on_ground[n]):
                continue
            least_u, most_u, least_v, most_v = np.inf, -np.inf, np.inf, -np.inf
            middle, in_front = 0.0, True
            for edge in range(2):
                z = ((part + 1) * each if edge else part * each if part else start) + ground - above
                for k in range(4):
                    x = (columns[n] + (k & 1) + 1 - x0) * cell_m
                    y = (rows[n] + (k >> 1) + 1 - y0) * cell_m
                    ahead[k] = axes[0, 2] * x + axes[1, 2] * y + axes[2, 2] * z
                    in_front &= ahead[k] > MIN_RANGE_M
                    u = fx * (axes[0, 0] * x + axes[1, 0] * y + axes[2, 0] * z) / ahead[k] + cx
                    v = fy * (axes[0, 1] * x + axes[1, 1] * y + axes[2, 1] * z) / ahead[k] + cy
                    least_u, most_u, least_v, most_v = min(least_u, u), max(most_u, u), min(least_v, v), max(most_v, v)
                middle += (ahead[0] + ahead[1]) + (ahead[2] + ahead[3])
            if not in_front:
                continue
            first_v, last_v, first_u, last_u = np.floor(least_v), np.ceil(most_v), np.floor(least_u), np.ceil(most_u)
            if first_v >= 0 and last_v < height and first_u >= 0 and last_u < width:
                middle /= 8
                cells[count], parts[count] = n, part
                limits[count] = middle + cell_m + noise * middle * middle
                rectangles[count, 0], rectangles[count, 1] = first_v, last_v
                rectangles[count, 2], rectangles[count, 3] = first_u, last_u
                count += 1
    return cells[:count], parts[:count], limits[:count], rectangles[:count]


@lru_cache(maxsize=1)
def _compiled_boxes() -> Callable[..., Boxes] | None:
    return compile_kernel(_boxes_in_loops, _boxes_signature)


def _boxes_signature(types: Any) -> Any:
    whole, bits, line, plane = types.int64[::1], types.uint16[::1], types.float64[::1], types.float64[:, ::1]
    result = types.Tuple((whole, whole, line, types.int32[:, ::1]))
    return result(whole, whole, bits, types.boolean[::1], types.float32[:, ::1], types.int64, plane, line)


def _through_in_numpy(depth, hidden, block, rectangles, limits) -> npt.NDArray[np.bool_]:
    """Whether every pixel of the blocks that each rectangle (n, 4) touches measures more than its limit (n,)."""
    if not len(limits):
        return np.zeros(0, bool)
    return _nearest(_pooled(depth, hidden, block), *(rectangles.T // block)) > limits


def _pooled(depth: np.ndarray, hidden: np.ndarray, block: int) -> npt.NDArray[np.float32]:
    """The smallest depth of each square block of pixels, float32, 0 where one measured nothing or is ``hidden``.

    Pixels beyond the last whole block are left out.
    """
    rows, columns = (size // block * block for size in depth.shape)
    with np.errstate(invalid="ignore"):
        measured = (depth >= MIN_RANGE_M) & (depth < np.inf)
    if hidden.size:
        measured &= ~hidden
    known = np.where(measured, depth, np.float32(0))[:rows, :columns]
    known = np.minimum.reduce([known[first::block] for first in range(block)])
    return np.minimum.reduce([known[:, first::block] for first in range(block)])


def _nearest(nearest, first_row, last_row, first_column, last_column) -> npt.NDArray[np.float32]:
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


def _through_in_loops(depth, hidden, block, rectangles, limits):
    """The same for numba; a block is pooled when it is first asked for."""
    nearest = np.full((depth.shape[0] // block, depth.shape[1] // block), -1, np.float32)
    through = np.empty(len(limits), np.bool_)
    for n in range(len(limits)):
        clear = True
        for row in range(rectangles[n, 0] // block, rectangles[n, 1] // block + 1):
            for column in range(rectangles[n, 2] // block, rectangles[n, 3] // block + 1):
                least = nearest[row, column]
                if least < 0:
                    least = np.float32(np.inf)
                    for v in range(row * block, (row + 1) * block):
                        for u in range(column * block, (column + 1) * block):
                            d = depth[v, u]
                            if not (d >= MIN_RANGE_M and d < np.inf) or (hidden.size and hidden[v, u]):
                                d = np.float32(0)
                            least = min(least, d)
                    nearest[row, column] = least
                clear = least > limits[n]
                if not clear:
                    break
            if not clear:
                break
        through[n] = clear
    return through


@lru_cache(maxsize=1)
def _compiled_through() -> Callable[..., npt.NDArray[np.bool_]] | None:
    return compile_kernel(_through_in_loops, _through_signature)


def _through_signature(types: Any) -> Any:
    depth, hidden = (types.Array(t, 2, "C", readonly=True) for t in (types.float32, types.boolean))
    return types.boolean[::1](depth, hidden, types.int64, types.int32[:, ::1], types.float64[::1])
