"""Free comes only from ground: measured in the cell, or between two ground pixels one above the other in the image.

Far away the rows of an image are further apart than the cells of the grid. Between two ground pixels of neighbouring
rows there is ground, if they are no more than 1.5 times as far apart as on ground that falls as it was followed to
there, at most ``MOST_GAP_M``, and differ in height by no more than that slope and 3 cm. Ground may begin to fall or to
rise by ``max_slope_deg``. From afar the far wall of a hole looks like ground that begins to fall, but the row after it
is higher: what begins to fall has to go on falling. A ray that passes above says nothing.
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
from gemini_ros.core.costmap.meaning import GROUND
from gemini_ros.core.costmap.points import Evidence, PixelReader, Surface, View, places
from gemini_ros.core.frames import Segmentation

MOST_OF_EXPECTED = np.float32(1.5)
MOST_GAP_M = np.float32(0.35)
"""No hole that is longer is filled in."""
_MOST_STEP_M = np.float32(0.03)
_EVERY = 2  # columns: a cell is wider than that wherever rows are further apart than cells


class GroundFiller:
    """Adds the cells between ground pixels of neighbouring rows, as the worse of the two says."""

    def __init__(self, reader: PixelReader, config: CostmapConfig) -> None:
        self._reader = reader
        self._rank_of = reader.table.ranks[reader.table.outcome[GROUND]]
        self._slope = math.tan(math.radians(config.max_slope_deg))
        self._fill: Callable[..., None] = _fill_in_numpy

    def warm_up(self) -> None:
        """Compile the numba kernel, where numba is installed."""
        self._fill = _compiled_fill() or _fill_in_numpy

    def fill(
        self,
        evidence: Evidence,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32],
        view: View,
        surface: Surface,
    ) -> None:
        """Add to the ranks of ``evidence``; ``surface`` is the ground as it was followed."""
        table = self._reader.table
        images = segmentation.labels, segmentation.confidence, depth
        self._fill(
            evidence.ringed[0],
            evidence.levels,
            *(np.require(image, requirements=["C", "A"]) for image in images),
            view.columns,
            view.rows,
            surface.slopes,
            surface.step,
            # Slopes in metres a cell, since what lies along the ground is in cells and heights are in metres.
            np.array([*view.start, view.heights_m[0], self._slope * view.resolution_m, view.resolution_m], np.float32),
            self._reader.thresholds,
            self._rank_of,
            table.unknown,
            _first_far_row(view),
        )


def _first_far_row(view: View) -> int:
    """The lowest row of the image, in its middle, above which rows lie further apart than cells on the plane."""
    middle = view.intrinsics.width // 2
    x, y, fall, _ = view.columns[:, :, middle] + view.rows
    with np.errstate(divide="ignore", invalid="ignore"):
        ranges = np.where(fall < 0, np.float32(view.heights_m[0]) / -fall * np.sqrt(x * x + y * y), np.float32(0))
    near = np.flatnonzero((ranges[1:] > 0) & (ranges[:-1] > 0) & (ranges[:-1] - ranges[1:] <= 0.8))
    return int(near[0]) if len(near) else len(ranges) - 1


def _fill_in_numpy(
    grid, levels, labels, confidence, depth, columns, rows, slopes, step, numbers, sure, rank_of, unknown, last_row
) -> None:
    is_ground = levels[: last_row + 1, ::_EVERY] == GROUND
    v, u = places(is_ground[:-1] & is_ground[1:])
    if not len(v):
        return
    u = u * _EVERY

    def said(row):
        certain = (confidence[row, u] >= sure[0]).astype(np.intp)
        return rank_of[certain + (certain & (confidence[row, u] >= sure[1])), labels[row, u]]

    worse = np.maximum(above := said(v), below := said(v + 1))
    on = (above > 0) & (below > 0) & (worse < unknown)
    v, u, worse = v[on], u[on], worse[on]
    x, y, z, away, falls = [], [], [], [], []
    for row in (v, v + 1):
        d = depth[row, u]
        ray_x, ray_y, fall = (columns[i, row % columns.shape[1], u] + rows[i, row] for i in range(3))
        falls.append(fall)
        x.append(ray_x * d + numbers[0])
        y.append(ray_y * d + numbers[1])
        z.append(fall * d + numbers[2])
        away.append(np.sqrt(ray_x * ray_x + ray_y * ray_y))
    along, across = x[0] - x[1], y[0] - y[1]
    gap = np.sqrt(along * along + across * across)
    after = np.maximum(v - 1, 0)
    z_after = (columns[2, after % columns.shape[1], u] + rows[2, after]) * depth[after, u] + numbers[2]
    falls_on = (v > 0) & (levels[after, u] == GROUND) & (z_after <= z[0])
    followed = np.maximum(-slopes[(v + 1) // step, u // step], 0) * numbers[4]
    falling, reached = np.where(falls_on, numbers[3], followed), away[1] * depth[v + 1, u]
    # Where ground that goes on falling from the nearer pixel on meets the ray of the further one.
    with np.errstate(divide="ignore", invalid="ignore"):
        sight = -falls[0] / away[0] - falling
        expected = (numbers[2] - z[1] - falling * reached) / sight - reached
        fits = (gap > 1) & (gap * numbers[4] <= MOST_GAP_M) & ((sight <= 0) | (gap <= MOST_OF_EXPECTED * expected))
    rise = z[0] - z[1]
    fits &= (rise <= _MOST_STEP_M + numbers[3] * gap) & (-rise <= _MOST_STEP_M + falling * gap)
    cells, of = line_cells((x[1][fits], y[1][fits]), (x[0][fits], y[0][fits]), len(grid))
    flat, worse = grid.reshape(-1), worse[fits][of]
    for rank in np.unique(worse):
        at = cells[worse == rank]
        flat[at] = np.maximum(flat[at], rank)


def _fill_in_loops(
    grid, levels, labels, confidence, depth, columns, rows, slopes, step, numbers, sure, rank_of, unknown, last_row
) -> None:
    """The same for numba."""
    zero, one, last, cell_m = np.float32(0), np.float32(1), np.float32(grid.shape[0] - 1), numbers[4]
    lens = columns.shape[1] > 1
    for v in range(last_row):
        w, w_near = (v, v + 1) if lens else (0, 0)
        for u in range(0, depth.shape[1], _EVERY):
            if levels[v, u] != GROUND or levels[v + 1, u] != GROUND:
                continue
            certain = np.intp(confidence[v, u] >= sure[0])
            above = rank_of[certain + (certain & np.intp(confidence[v, u] >= sure[1])), labels[v, u]]
            certain = np.intp(confidence[v + 1, u] >= sure[0])
            below = rank_of[certain + (certain & np.intp(confidence[v + 1, u] >= sure[1])), labels[v + 1, u]]
            worse = max(above, below)
            if above == 0 or below == 0 or worse >= unknown:
                continue
            d, d_near = depth[v, u], depth[v + 1, u]
            ray_x, ray_y, fall = (
                columns[0, w, u] + rows[0, v], columns[1, w, u] + rows[1, v], columns[2, w, u] + rows[2, v],
            )  # fmt: skip
            x, y = ray_x * d + numbers[0], ray_y * d + numbers[1]
            near_x, near_y = columns[0, w_near, u] + rows[0, v + 1], columns[1, w_near, u] + rows[1, v + 1]
            x_near, y_near = near_x * d_near + numbers[0], near_y * d_near + numbers[1]
            gap = np.sqrt((x - x_near) * (x - x_near) + (y - y_near) * (y - y_near))
            if not (gap > one and gap * cell_m <= MOST_GAP_M):
                continue
            falling, z = max(-slopes[(v + 1) // step, u // step], zero) * cell_m, fall * d + numbers[2]
            if v > 0 and levels[v - 1, u] == GROUND:
                after = columns[2, w - 1 if lens else 0, u] + rows[2, v - 1]
                falling = numbers[3] if after * depth[v - 1, u] + numbers[2] <= z else falling
            z_near = (columns[2, w_near, u] + rows[2, v + 1]) * d_near + numbers[2]
            reached = np.sqrt(near_x * near_x + near_y * near_y) * d_near
            sight = -fall / np.sqrt(ray_x * ray_x + ray_y * ray_y) - falling
            if sight > zero and gap > MOST_OF_EXPECTED * ((numbers[2] - z_near - falling * reached) / sight - reached):
                continue
            rise = z - z_near
            if rise > _MOST_STEP_M + numbers[3] * gap or -rise > _MOST_STEP_M + falling * gap:
                continue
            count = np.ceil(gap)
            for number in range(1, int(count)):
                part = np.float32(number) / count
                cell_x = min(max(x_near + (x - x_near) * part, zero), last)
                cell_y = min(max(y_near + (y - y_near) * part, zero), last)
                row, column = int(cell_y), int(cell_x)
                grid[row, column] = max(grid[row, column], worse)


@lru_cache(maxsize=1)
def _compiled_fill() -> Callable[..., None] | None:
    return compile_kernel(_fill_in_loops, _fill_signature)


def _fill_signature(types: Any) -> Any:
    image, depth = (types.Array(t, 2, "C", readonly=True) for t in (types.uint8, types.float32))
    grid, rows, columns = types.uint8[:, ::1], types.float32[:, ::1], types.float32[:, :, ::1]
    numbers, thresholds = types.float32[::1], types.uint8[::1]
    whole = types.int64
    return types.void(
        grid, grid, image, image, depth, columns, rows, rows, whole, numbers, thresholds, grid, whole, whole
    )


def line_cells(
    start: tuple[np.ndarray, np.ndarray], end: tuple[np.ndarray, np.ndarray], side: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Flat indices of the cells between places (n,), one a cell's length and without the ends, and the line of each.

    Places are in cells of the ringed window, which has ``side`` of them.
    """
    along, across = end[0] - start[0], end[1] - start[1]
    count = np.ceil(np.sqrt(along * along + across * across))
    inner = np.maximum(count - 1, 0).astype(np.intp)
    of = np.repeat(np.arange(len(count)), inner)
    number = np.arange(len(of)) - np.repeat(np.cumsum(inner) - inner, inner) + 1
    part = number.astype(np.float32) / count[of]
    x, y = (np.clip(a[of] + by[of] * part, 0, side - 1) for a, by in ((start[0], along), (start[1], across)))
    return y.astype(np.intp) * side + x.astype(np.intp), of
