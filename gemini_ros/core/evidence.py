"""What the points of one frame say about the cells of a grid: the rule, and two equal ways to apply it fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.transforms import Matrix

_UNKNOWN, _LETHAL = -1, 100
_DROP, _GROUND, _STANDING, _OVERHEAD = range(4)


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
          not do: Nav2's MPPI controller drives over unknown cells. Only a confident caution class keeps its cost: tall
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
    """Projects labelled depth into a window of the grid. Keeps its buffers: one thread at a time.

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
        self._cells = cells
        self._resolution_m = resolution_m
        self._heights_m = heights_m
        self._max_range_m = np.float32(max_range_m)
        self._min_confidence = min_confidence
        # A ring of cells around the window takes the points outside: clipping needs no masks.
        self._grid = np.zeros((cells + 2, cells + 2), np.uint8)
        self._scatter: Callable[..., None] = _NumpyScatter()

    def warm_up(self) -> str:
        """Compile the numba kernel where numba is installed and use it from now on; returns ``numba`` or ``numpy``."""
        kernel = _numba_kernel()
        if kernel is None:
            return "numpy"
        image = np.zeros((1, 1), np.uint8)
        rays = np.zeros((2, 3, 1), np.float32)
        kernel(
            np.zeros((3, 3), np.uint8), image, image, np.zeros((1, 1), np.float32), rays[0], rays[1],
            np.zeros(2, np.float32), np.zeros(3, np.float32), self._max_range_m, self._min_confidence, self._ranks,
        )  # fmt: skip
        self._scatter = kernel
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

        The result is valid until the next call. Raises ``ValueError`` for rays beyond float32.
        """
        # A ray is a part by column plus a part by row; x and y are in cells, so that no product is left per pixel but
        # the one with depth.
        rotation = grid_from_camera[:3, :3] / np.array([[self._resolution_m], [self._resolution_m], [1.0]])
        u = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
        v = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
        with np.errstate(over="ignore"):
            columns = np.outer(rotation[:, 0], u).astype(np.float32)
            rows = (np.outer(rotation[:, 1], v) + rotation[:, 2:]).astype(np.float32)
        reach = np.abs(columns).max() + np.abs(rows).max()
        if not reach * self._max_range_m < 1e9:
            raise ValueError(f"intrinsics: {intrinsics}, expected focal lengths a camera can have")
        # Relative to the window in float64: float32 would lose centimetres far from the odometry's origin.
        start = grid_from_camera[:2, 3] / self._resolution_m - corner + 1
        heights = np.array(self._heights_m) - grid_from_camera[2, 3]
        self._grid.fill(0)
        self._scatter(
            self._grid, np.ascontiguousarray(segmentation.labels), np.ascontiguousarray(segmentation.confidence),
            np.ascontiguousarray(depth), columns, rows, start.astype(np.float32), heights.astype(np.float32),
            self._max_range_m, self._min_confidence, self._ranks,
        )  # fmt: skip
        return self._grid[1:-1, 1:-1]


class _NumpyScatter:
    """The kernel in numpy: whole-image passes through buffers that are kept from frame to frame."""

    def __call__(
        self, grid, labels, confidence, depth, columns, rows, start, heights, max_range, min_confidence, table
    ) -> None:
        with np.errstate(invalid="ignore"):
            measured = np.where((depth > 0) & (depth <= max_range), depth, np.float32(0))
        height = (columns[2] + rows[2][:, None]) * measured
        key = (height >= heights[0]).view(np.uint8) + (height > heights[1]) + (height > heights[2])
        key = (key.astype(np.uint16) << 9) | ((confidence >= min_confidence).astype(np.uint16) << 8) | labels
        ranks = table.take(key)
        ranks[measured == 0] = 0
        side = np.float32(len(grid) - 1)
        cell_x = np.clip((columns[0] + rows[0][:, None]) * measured + start[0], 0, side).astype(np.int32)
        cell_y = np.clip((columns[1] + rows[1][:, None]) * measured + start[1], 0, side).astype(np.int32)
        cell = cell_y * len(grid) + cell_x
        flat = grid.reshape(-1)
        for rank in np.unique(ranks):
            flat[cell[ranks == rank]] = rank


def _kernel(grid, labels, confidence, depth, columns, rows, start, heights, max_range, min_confidence, table) -> None:
    last = np.float32(grid.shape[0] - 1)
    for v in range(depth.shape[0]):
        row_x, row_y, row_z = rows[0, v], rows[1, v], rows[2, v]
        for u in range(depth.shape[1]):
            d = depth[v, u]
            if not (d > 0 and d <= max_range):
                continue
            height = (columns[2, u] + row_z) * d
            if height > heights[2]:
                continue
            level = int(height >= heights[0]) + int(height > heights[1])
            rank = table[level << 9 | int(confidence[v, u] >= min_confidence) << 8 | labels[v, u]]
            x = min(max((columns[0, u] + row_x) * d + start[0], np.float32(0)), last)
            y = min(max((columns[1, u] + row_y) * d + start[1], np.float32(0)), last)
            row, column = int(y), int(x)
            if rank > grid[row, column]:
                grid[row, column] = rank


@lru_cache(maxsize=1)
def _numba_kernel() -> Callable[..., None] | None:
    """The compiled kernel, or ``None`` where numba is not installed. Imported here: it takes half a second."""
    try:
        import numba
    except ImportError:
        return None
    try:
        return numba.njit(_kernel, cache=True, nogil=True)
    except RuntimeError:  # neither __pycache__ nor the user's cache directory can be written
        return numba.njit(_kernel, nogil=True)
