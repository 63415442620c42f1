"""What the points of one frame say about the cells of a grid: the rule, and two equal ways to apply it fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix

_UNKNOWN, _LETHAL = -1, 100
_DROP, _GROUND, _STANDING, _OVERHEAD = range(4)
_MAX_REACH_CELLS = 1e9
# No depth camera measures nearer: what claims to be there is an artefact, not an obstacle on the lens.
MIN_RANGE_M = np.float32(0.05)
# What the numpy path works on at a time, so that its intermediate arrays stay in the cache: a quarter less time.
_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class EvidenceTable:
    """What a point says by its height, its confidence and its label, as ranks; the highest rank in a cell wins.

    ``ranks`` uint8 (4, 2, 256): level (drop, ground, standing, overhead), confident or not, label. Rank 0 says nothing,
    1 is free, then come caution by cost, unknown, lethal. ``occupancy`` int8 (256,) is the map value of each rank.
    """

    ranks: npt.NDArray[np.uint8]
    occupancy: npt.NDArray[np.int8]

    @classmethod
    def of(cls, label_set: LabelSet) -> EvidenceTable:
        """The rule for a label set.

        - **Ground**: a confident label means what the label set says. One without confidence never makes a cell
          passable: free says nothing, caution says unknown, lethal still marks. No label, or a class of unknown
          meaning, says unknown.
        - **Standing** (between ``min_height_m`` and ``max_height_m``): lethal whatever the label, for depth measured
          that something is in the way and a network that calls it floor, or nothing, is wrong about that. Unknown would
          not do: a controller may drive over unknown cells. Only a confident caution class keeps its cost: tall
          grass stands, and the label set says that it gives way.
        - **Drop** (further below the ground than ``min_height_m``): unknown, for the ground is missing there.
        - **Overhead**: nothing, the robot passes below.

        Unknown beats caution: where one point of a cell is not known to be passable, neither is the cell.
        """
        costs = sorted({c.cost for c in label_set.classes if c.nav == "caution"} - {0})
        values = [_UNKNOWN, 0, *costs, _UNKNOWN, _LETHAL]
        nothing, free, unknown, lethal = 0, 1, len(values) - 2, len(values) - 1
        ranks = np.full((4, 2, 256), nothing, np.uint8)
        ranks[_DROP] = unknown
        ranks[_GROUND] = unknown
        ranks[_STANDING] = lethal
        for c in label_set.classes:
            if c.nav == "caution":
                ranks[_GROUND, 1, c.id] = ranks[_STANDING, 1, c.id] = values.index(c.cost, 1)
            elif c.nav == "free":
                ranks[_GROUND, :, c.id] = nothing, free
            elif c.nav == "lethal":
                ranks[_GROUND, :, c.id] = lethal
        occupancy = np.full(256, _UNKNOWN, np.int8)
        occupancy[: len(values)] = values
        return cls(ranks, occupancy)


class Projector:
    """Projects labelled depth into a window of the grid. Keeps its grid: one thread at a time.

    ``heights_m`` are the bounds between drop, ground, standing and overhead; ``min_confidence`` is in units of
    ``Segmentation.confidence``.
    """

    def __init__(
        self,
        table: EvidenceTable,
        *,
        cells: int,
        resolution_m: float,
        heights_m: tuple[float, float, float],
        max_range_m: float,
        min_confidence: int,
    ) -> None:
        self._ranks = table.ranks.reshape(-1)
        self._resolution_m = resolution_m
        self._heights_m = heights_m
        self._max_range_m = np.float32(max_range_m)
        self._min_confidence = np.uint8(min_confidence)
        # A ring of cells around the window takes the points outside it: clipping needs no masks.
        self._grid = np.zeros((cells + 2, cells + 2), np.uint8)
        self._scatter: Callable[..., None] = _scatter_in_numpy
        self._turned = np.empty((3, 0, 0), np.float32)

    def warm_up(self) -> str:
        """Compile the numba kernel where numba is installed and use it from now on; returns ``numba`` or ``numpy``."""
        compiled = _compiled_scatter()
        if compiled is None:
            return "numpy"
        self._scatter = compiled
        return "numba"

    def project(
        self,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32],
        intrinsics: Intrinsics,
        grid_from_camera: Matrix,
        corner: tuple[int, int],
    ) -> npt.NDArray[np.uint8]:
        """Highest rank per cell, uint8 (cells, cells), of the window whose first cell has the index ``corner``.

        The result is valid until the next call. Raises ``ValueError`` where the intrinsics give absurd rays.
        """
        columns, rows = self._rays(intrinsics, grid_from_camera)
        # Relative to the window, in float64: float32 would lose centimetres far from the origin of the odometry.
        start = grid_from_camera[:2, 3] / self._resolution_m - corner + 1
        heights = np.array(self._heights_m) - grid_from_camera[2, 3]
        images = segmentation.labels, segmentation.confidence, depth
        self._grid.fill(0)
        self._scatter(
            self._grid,
            # Images decoded in place may lie anywhere in a message.
            *(np.require(image, requirements=["C", "A"]) for image in images),
            columns,
            rows,
            start.astype(np.float32),
            heights.astype(np.float32),
            self._max_range_m,
            self._min_confidence,
            self._ranks,
        )
        return self._grid[1:-1, 1:-1]

    def _rays(self, intrinsics: Intrinsics, grid_from_camera: Matrix) -> tuple[np.ndarray, np.ndarray]:
        """Rays of depth 1 in the axes of the grid as the sum of a part by column, (3, 1, W), and one by row, (3, H).

        Through a lens the first is by pixel, (3, H, W), and the second zero. x and y are in cells: all that is left to
        do per pixel is a sum, the product with depth, and a sum.
        """
        rotation = grid_from_camera[:3, :3] / np.array([[self._resolution_m], [self._resolution_m], [1.0]])
        if intrinsics.lens is not None:
            return self._turn(pixel_rays(intrinsics), rotation), np.zeros((3, intrinsics.height), np.float32)
        u = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
        v = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
        columns = np.outer(rotation[:, 0], u)
        rows = np.outer(rotation[:, 1], v) + rotation[:, 2:]
        reach = (np.abs(columns).max() + np.abs(rows).max()) * self._max_range_m
        if not reach < _MAX_REACH_CELLS:
            raise ValueError(
                f"{intrinsics}: a pixel looks {reach:.3g} cells far, expected the focal lengths of a camera"
            )
        return columns.astype(np.float32)[:, None], rows.astype(np.float32)

    def _turn(self, rays: npt.NDArray[np.float32], rotation: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """``rotation`` @ ``rays`` in memory that is kept."""
        if self._turned.shape != rays.shape:
            self._turned = np.empty_like(rays)
        np.matmul(rotation.astype(np.float32), rays.reshape(3, -1), out=self._turned.reshape(3, -1))
        return self._turned


def _scatter_in_numpy(
    grid, labels, confidence, depth, columns, rows, start, heights, max_range, min_confidence, table
) -> None:
    """Write the highest rank of the points of each cell into ``grid``, zeros (cells + 2, cells + 2) with a ring."""
    side = len(grid)
    last = np.float32(side - 1)
    # One plane of hits per rank and one assignment: numpy has no fast maximum at indices.
    hits = np.zeros((int(table.max()) + 1, side, side), bool)
    plane = table.astype(np.int32) * (side * side)
    for top in range(0, len(depth), _ROWS_AT_ONCE):
        part = slice(top, top + _ROWS_AT_ONCE)
        d, (row_x, row_y, row_z) = depth[part], rows[:, part, None]
        column_x, column_y, column_z = columns[:, part] if columns.shape[1] > 1 else columns
        # What depth does not measure ends in rank 0, whatever its cell; fmin and fmax make a cell even of NaN.
        with np.errstate(invalid="ignore", over="ignore"):
            height = (column_z + row_z) * d
            x = np.fmin(np.fmax((column_x + row_x) * d + start[0], 0), last)
            y = np.fmin(np.fmax((column_y + row_y) * d + start[1], 0), last)
            level = sum((height >= heights[0], height > heights[1], height > heights[2]), np.uint8(0))
            level |= ~((d >= MIN_RANGE_M) & (d <= max_range)) * np.uint8(_OVERHEAD)
        key = (level << 1 | (confidence[part] >= min_confidence)).astype(np.uint16) << 8 | labels[part]
        hits.reshape(-1)[y.astype(np.int32) * np.int32(side) + x.astype(np.int32) + plane.take(key)] = True
    for rank, hit in enumerate(hits):
        grid[hit] = rank


def _scatter_in_loops(
    grid, labels, confidence, depth, columns, rows, start, heights, max_range, min_confidence, table
) -> None:
    """The same for numba. The first loop over a row has no branch, so that it becomes vector instructions."""
    zero, side = np.float32(0), np.int32(grid.shape[0])
    last = np.float32(side - 1)
    flat = grid.reshape(-1)
    width = depth.shape[1]
    cells, keys = np.empty(width, np.uint32), np.empty(width, np.uint16)
    for v in range(depth.shape[0]):
        row_x, row_y, row_z = rows[0, v], rows[1, v], rows[2, v]
        w = v if columns.shape[1] > 1 else 0
        for u in range(width):
            d = depth[v, u]
            measured = (d >= MIN_RANGE_M) & (d <= max_range)
            x = (columns[0, w, u] + row_x) * d + start[0]
            y = (columns[1, w, u] + row_y) * d + start[1]
            # Comparisons in this order make a cell even of NaN.
            x = last if x > last else (x if x > zero else zero)
            y = last if y > last else (y if y > zero else zero)
            cells[u] = np.int32(y) * side + np.int32(x)
            height = (columns[2, w, u] + row_z) * d
            level = np.uint16(height >= heights[0]) + np.uint16(height > heights[1]) + np.uint16(height > heights[2])
            level = level if measured else np.uint16(_OVERHEAD)
            confident = np.uint16(confidence[v, u] >= min_confidence)
            keys[u] = np.uint16(level << 9) | np.uint16(confident << 8) | labels[v, u]
        for u in range(width):
            rank = table[keys[u]]
            if rank > flat[cells[u]]:
                flat[cells[u]] = rank


@lru_cache(maxsize=1)
def _compiled_scatter() -> Callable[..., None] | None:
    """``_scatter_in_loops`` compiled; images that can't be written to are taken too."""
    return compile_kernel(_scatter_in_loops, _scatter_signature)


def _scatter_signature(types: Any) -> Any:
    image, depth = (types.Array(t, 2, "C", readonly=True) for t in (types.uint8, types.float32))
    vector, rows, columns = types.float32[::1], types.float32[:, ::1], types.float32[:, :, ::1]
    return types.void(
        types.uint8[:, ::1],
        image,
        image,
        depth,
        columns,
        rows,
        vector,
        vector,
        types.float32,
        types.uint8,
        types.uint8[::1],
    )
