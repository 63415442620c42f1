"""Every pixel of a frame as a point over the ground and in a cell: the same in numba and in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel
from gemini_ros.core.costmap.grid import Corner, CostmapConfig
from gemini_ros.core.costmap.meaning import (
    DOUBT,
    DROP,
    FIRST_STANDING_BIN,
    GROUND,
    NOTHING,
    OVERHEAD,
    STANDING,
    STANDING_BINS,
    SUREST_CONFIDENCE,
    MeaningTable,
)
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix

_MAX_REACH_CELLS = 1e9
MIN_RANGE_M = np.float32(0.05)
"""No depth camera measures nearer: what claims to be there is an artefact, not an obstacle on the lens."""
LEAST_DROP_M = np.float32(0.08)
"""Ground that is lower than this beside ground is a drop, however wrong the tilt may be."""
NEAR_M = 1.5
"""Up to here a point stands where it does so over the plane of the mounting, or over the corrected one."""
# What the numpy path works on at a time, so that its intermediate arrays stay in the cache: a quarter less time.
_ROWS_AT_ONCE = 64


def places(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """``np.nonzero`` of an image or a grid, several times faster."""
    flat = np.flatnonzero(mask)
    rows = flat // mask.shape[1]
    return rows, flat - rows * mask.shape[1]


@dataclass(frozen=True)
class View:
    """How one frame sees the grid. Rays are those of depth 1, the sum of a part by column and one by row, float32.

    ``columns`` (4, 1, W) and ``rows`` (4, H): x and y in cells, z in metres, and z over the plane of the mounting.
    Through a lens the first is by pixel, (4, H, W), and the second zero.
    ``start`` float32 (2,) is the camera in cells of the window with its ring, ``heights_m`` the camera over the
    corrected plane and over that of the mounting. ``pose`` is the corrected pose of the camera (4, 4), and ``tilt_deg``
    the tilt that may be left.
    """

    intrinsics: Intrinsics
    pose: Matrix
    columns: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float32]
    start: npt.NDArray[np.float32]
    heights_m: tuple[float, float]
    tilt_deg: float
    resolution_m: float

    @classmethod
    def of(
        cls,
        intrinsics: Intrinsics,
        poses: tuple[Matrix, Matrix],
        corner: Corner,
        config: CostmapConfig,
        tilt_deg: float,
    ) -> View:
        """``poses`` are the corrected one and that of the mounting; the rays must be those of a camera."""
        pose, mounted = poses
        scale = np.array([[config.resolution_m], [config.resolution_m], [1.0]])
        rotation = np.vstack([pose[:3, :3] / scale, mounted[2:3, :3]])
        # Relative to the window, in float64: float32 would lose centimetres far from the origin of the odometry.
        start = pose[:2, 3] / config.resolution_m - corner + 1
        return cls(
            intrinsics,
            pose,
            *_turned_rays(intrinsics, rotation),
            start.astype(np.float32),
            (float(pose[2, 3]), float(mounted[2, 3])),
            tilt_deg,
            config.resolution_m,
        )

    def rays(self, v: Any, u: Any) -> tuple[Any, Any, Any]:
        """x and y in cells and z in metres of the rays of pixels (n,)."""
        x, y, z = (self.columns[i, v % self.columns.shape[1], u] + self.rows[i, v] for i in range(3))
        return x, y, z

    def points(self, v: Any, u: Any, depth: Any) -> tuple[Any, Any, Any]:
        """x and y in cells of the window with its ring, and height in metres over the plane, of pixels (n,)."""
        x, y, z = self.rays(v, u)
        with np.errstate(invalid="ignore", over="ignore"):
            return x * depth + self.start[0], y * depth + self.start[1], z * depth + np.float32(self.heights_m[0])


def _turned_rays(
    camera: Intrinsics, rotation: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """``rotation`` (4, 3) of the rays of all pixels, as the columns and rows of ``View``."""
    if camera.lens is not None:
        rays = rotation.astype(np.float32) @ pixel_rays(camera).reshape(3, -1)
        return rays.reshape(4, camera.height, camera.width), np.zeros((4, camera.height), np.float32)
    u = (np.arange(camera.width) - camera.cx) / camera.fx
    v = (np.arange(camera.height) - camera.cy) / camera.fy
    columns, rows = np.outer(rotation[:, 0], u), np.outer(rotation[:, 1], v) + rotation[:, 2:]
    return columns.astype(np.float32)[:, None], rows.astype(np.float32)


def require_rays(intrinsics: Intrinsics, config: CostmapConfig) -> None:
    """Raises ``ValueError`` for intrinsics whose pixels look absurdly far aside; a lens has limits of its own."""
    camera = intrinsics
    if camera.lens is not None:
        return
    aside = max(
        *(abs(edge - camera.cx) / camera.fx for edge in (0, camera.width)),
        *(abs(edge - camera.cy) / camera.fy for edge in (0, camera.height)),
    )
    reach = (1 + aside) * config.range_m / config.resolution_m
    if not reach < _MAX_REACH_CELLS:
        raise ValueError(f"{intrinsics}: a pixel looks {reach:.3g} cells far, expected the focal lengths of a camera")


@dataclass(frozen=True)
class Surface:
    """The height of the ground over the plane, and by how much it rises with the range, both float32 (rows, columns).

    One for each square of ``step`` pixels; NaN where it is not known, which makes a pixel unknown.
    """

    heights_m: npt.NDArray[np.float32]
    slopes: npt.NDArray[np.float32]
    step: int

    def at(self, v: Any, u: Any) -> Any:
        """The height at pixels (n,), in metres."""
        return self.heights_m[v // self.step, u // self.step]


@dataclass(frozen=True)
class Evidence:
    """What one frame says. ``ranks`` uint8 and ``bits`` uint16 (cells, cells), see ``MeaningTable``; ``levels`` uint8
    (H, W) of the pixels. Valid until the next frame. Both grids lie in ``ringed``, (cells + 2, cells + 2).
    """

    ringed: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]
    levels: npt.NDArray[np.uint8]

    @property
    def ranks(self) -> npt.NDArray[np.uint8]:
        return self.ringed[0][1:-1, 1:-1]

    @property
    def bits(self) -> npt.NDArray[np.uint16]:
        return self.ringed[1][1:-1, 1:-1]

    def add(self, cells: npt.NDArray[np.intp], rank: int, bits: int | np.uint16) -> None:
        """The higher rank, and more bits, at flat indices (n,) of the ringed grids; a cell may come several times."""
        ranks_flat, bits_flat = (grid.reshape(-1) for grid in self.ringed)
        ranks_flat[cells] = np.maximum(ranks_flat[cells], np.uint8(rank))
        bits_flat[cells] |= np.uint16(bits)


@dataclass(frozen=True)
class PixelReader:
    """What single pixels say: the same table and thresholds as for whole images."""

    table: MeaningTable
    thresholds: npt.NDArray[np.uint8]

    def certainty(self, confidence: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """UNSURE, SURE or SUREST of confidences of any shape."""
        sure = confidence >= self.thresholds[0]
        return sure.view(np.uint8) + (sure & (confidence >= self.thresholds[1]))

    def ranks(self, segmentation: Segmentation, level: int, v: np.ndarray, u: np.ndarray) -> npt.NDArray[np.uint8]:
        """The ranks of pixels (n,) at this level."""
        certain = self.certainty(segmentation.confidence[v, u])
        return self.table.ranks[self.table.outcome[level, certain, segmentation.labels[v, u]]]


class PointProjector:
    """Projects labelled depth into a window of the grid. Keeps its grids: one thread at a time.

    ``reader`` says what single pixels mean.
    """

    def __init__(self, table: MeaningTable, config: CostmapConfig) -> None:
        self._table, self._config = table, config
        # A ring of cells around the window takes the points outside it: clipping needs no masks.
        side = config.cells + 2
        self._ringed = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint16)
        self._levels = np.zeros((0, 0), np.uint8)
        self.reader = PixelReader(
            table, np.array([math.ceil(255 * config.min_confidence), SUREST_CONFIDENCE], np.uint8)
        )
        self._scatter: Callable[..., None] = _scatter_in_numpy

    def warm_up(self) -> str:
        """Compile the numba kernel where numba is installed and use it from now on; returns ``numba`` or ``numpy``."""
        compiled = _compiled_scatter()
        if compiled is None:
            return "numpy"
        self._scatter = compiled
        return "numba"

    def project(
        self, segmentation: Segmentation, depth: npt.NDArray[np.float32], view: View, surface: Surface
    ) -> Evidence:
        """What the pixels say, each alone."""
        if self._levels.shape != depth.shape:
            self._levels = np.empty(depth.shape, np.uint8)
        for grid in self._ringed:
            grid.fill(0)
        images = segmentation.labels, segmentation.confidence, depth
        self._scatter(
            *self._ringed,
            self._levels,
            # Images decoded in place may lie anywhere in a message.
            *(np.require(image, requirements=["C", "A"]) for image in images),
            view.columns,
            view.rows,
            np.repeat(surface.heights_m, surface.step, axis=1)[:, : depth.shape[1]].copy(),
            surface.step,
            self._numbers(view),
            self.reader.thresholds,
            self._table.outcome.reshape(-1),
            self._table.ranks,
            self._table.bits,
            self._table.spread,
            self._table.words,
        )
        return Evidence(self._ringed, self._levels)

    def _numbers(self, view: View) -> npt.NDArray[np.float32]:
        config = self._config
        budgets = [math.tan(math.radians(tilt)) for tilt in (view.tilt_deg, max(config.tilt_error_deg, view.tilt_deg))]
        numbers = (
            *view.start,
            *view.heights_m,
            config.min_height_m,
            *budgets,
            3 * config.depth_noise_per_m,
            NEAR_M,
            config.max_height_m,
            config.range_m,
            STANDING_BINS / config.max_height_m,
            LEAST_DROP_M,
        )
        return np.array(numbers, np.float32)


def _scatter_in_numpy(
    ranks, bits, levels, labels, confidence, depth, columns, rows, surface, step, numbers, sure, outcome, of_rank,
    of_bits, spread, words,
) -> None:  # fmt: skip
    """Write the highest rank and all bits of the points of each cell, and the level of each pixel."""
    x0, y0, height, mounted, least, tilt, tilt_near, noise, near, highest, range_m, per_bin, deep = numbers
    side = len(ranks)
    last = np.float32(side - 1)
    # One plane of hits per outcome and one assignment: numpy has no fast maximum at indices.
    hits = np.zeros((len(of_rank), side * side), bool)
    for top in range(0, len(depth), _ROWS_AT_ONCE):
        part = slice(top, top + _ROWS_AT_ONCE)
        d, (row_x, row_y, row_z, row_m) = depth[part], rows[:, part, None]
        column_x, column_y, column_z, column_m = columns[:, part] if columns.shape[1] > 1 else columns
        ground = surface[np.arange(top, top + len(d)) // step]
        # What depth does not measure ends in level NOTHING, whatever its cell; fmin and fmax make a cell even of NaN.
        with np.errstate(invalid="ignore", over="ignore"):
            x = np.fmin(np.fmax((column_x + row_x) * d + x0, 0), last)
            y = np.fmin(np.fmax((column_y + row_y) * d + y0, 0), last)
            ray = column_z + row_z
            h = ray * d + height - ground
            blur = noise * d * d * np.abs(ray) + least
            budget = tilt * d + blur
            below = np.fmin(budget, np.fmax(blur, deep))
            level = (h >= -below).view(np.uint8) + (h > budget) + (h > budget + budget)
            h_near = (column_m + row_m) * d + mounted - ground
            budget = tilt_near * d + blur
            is_near = d <= near
            level[is_near & (h_near < -budget) & (level == GROUND)] = DROP
            level[is_near & (h_near > budget) & (level < DOUBT)] = DOUBT
            level[is_near & (h_near > budget + budget)] = STANDING
            level[h > highest] = OVERHEAD
            level[~((d >= MIN_RANGE_M) & (d <= range_m))] = NOTHING
            bin_ = np.fmin(np.fmax(h * per_bin, 0), STANDING_BINS - 1).astype(np.uint8)
        levels[part] = level
        conf = confidence[part]
        certain = (conf >= sure[0]).view(np.uint8) + ((conf >= sure[0]) & (conf >= sure[1]))
        said = outcome.take((level.astype(np.uint16) << 10) | (certain.astype(np.uint16) << 8) | labels[part])
        said = said + spread.take(said) * bin_
        hits.reshape(-1)[y.astype(np.int32) * np.int32(side) + x.astype(np.int32) + said.astype(np.int32) * side**2] = 1
    flat_ranks, flat_bits = ranks.reshape(-1), bits.reshape(-1)
    for hit, rank, bit in zip(hits, of_rank, of_bits, strict=True):
        if rank and hit.any():
            np.maximum(flat_ranks, rank, out=flat_ranks, where=hit)
            if bit:
                np.bitwise_or(flat_bits, bit, out=flat_bits, where=hit)


def _scatter_in_loops(
    ranks, bits, levels, labels, confidence, depth, columns, rows, surface, step, numbers, sure, outcome, of_rank,
    of_bits, spread, words,
) -> None:  # fmt: skip
    """The same for numba. The first loops over a row have no branch and few arrays, so that they become vectors."""
    x0, y0, height, mounted, least, tilt, tilt_near, noise, near, highest, range_m, per_bin, deep = (
        numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6], numbers[7], numbers[8],
        numbers[9], numbers[10], numbers[11], numbers[12],
    )  # fmt: skip
    drop, flat, doubt, standing, overhead, nothing = (
        np.int32(DROP), np.int32(GROUND), np.int32(DOUBT), np.int32(STANDING), np.int32(OVERHEAD), np.int32(NOTHING),
    )  # fmt: skip
    zero, side, top_bin = np.float32(0), np.int32(ranks.shape[0]), np.float32(STANDING_BINS - 1)
    last, (sure_0, sure_1) = np.float32(side - 1), (sure[0], sure[1])
    flat_ranks, flat_bits = ranks.reshape(-1), bits.reshape(-1)
    width = depth.shape[1]
    cells, keys, bins, at_level = (
        np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width, np.int32),
    )  # fmt: skip
    heights = np.empty(width, np.float32)
    for v in range(depth.shape[0]):
        d_row, ground = depth[v], surface[v // step]
        row_x, row_y, row_z, row_m = rows[0, v], rows[1, v], rows[2, v], rows[3, v]
        w = v if columns.shape[1] > 1 else 0
        column_x, column_y, column_z, column_m = columns[0, w], columns[1, w], columns[2, w], columns[3, w]
        for u in range(width):
            x = (column_x[u] + row_x) * d_row[u] + x0
            y = (column_y[u] + row_y) * d_row[u] + y0
            # Comparisons in this order make a cell even of NaN.
            x = last if x > last else (x if x > zero else zero)
            y = last if y > last else (y if y > zero else zero)
            cells[u] = np.int32(y) * side + np.int32(x)
        for u in range(width):
            d = d_row[u]
            ray = column_z[u] + row_z
            h = ray * d + height - ground[u]
            heights[u] = h
            blur = noise * d * d * abs(ray) + least
            budget = tilt * d + blur
            below = blur if blur > deep else deep
            below = below if below < budget else budget
            level = flat if h >= -below else drop
            level = doubt if h > budget else level
            level = standing if h > budget + budget else level
            h_near = (column_m[u] + row_m) * d + mounted - ground[u]
            h_near = h_near if d <= near else zero
            budget = tilt_near * d + blur
            sunk = drop if level == flat else level
            level = sunk if h_near < -budget else level
            raised = doubt if level < doubt else level
            level = raised if h_near > budget else level
            level = standing if h_near > budget + budget else level
            level = overhead if h > highest else level
            level = nothing if d > range_m else level
            at_level[u] = level if d >= MIN_RANGE_M else nothing
        label_row, confidence_row, level_row = labels[v], confidence[v], levels[v]
        for u in range(width):
            b = heights[u] * per_bin
            b = top_bin if b > top_bin else (b if b > zero else zero)
            bins[u] = np.int32(b)
            level_row[u] = at_level[u]
        for u in range(width):
            c = confidence_row[u]
            certain = np.int32(c >= sure_0) + np.int32((c >= sure_0) & (c >= sure_1))
            keys[u] = (at_level[u] << 10) | (certain << 8) | np.int32(label_row[u])
        for u in range(width):
            word, cell = words[keys[u]], cells[u]
            # A word of bit 24 leaves open which part of the height was hit.
            bit = np.uint16(((word >> 8) & 65535) | (((word >> 24) << FIRST_STANDING_BIN) << bins[u]))
            rank, before = np.uint8(word & 255), flat_bits[cell]
            # Most pixels add nothing: a store would have the next pixel wait.
            if rank > flat_ranks[cell]:
                flat_ranks[cell] = rank
            if (before | bit) != before:
                flat_bits[cell] = before | bit


@lru_cache(maxsize=1)
def _compiled_scatter() -> Callable[..., None] | None:
    """``_scatter_in_loops`` compiled; images that can't be written to are taken too."""
    return compile_kernel(_scatter_in_loops, _scatter_signature)


def _scatter_signature(types: Any) -> Any:
    image, depth = (types.Array(t, 2, "C", readonly=True) for t in (types.uint8, types.float32))
    grid, words, floats, rows = types.uint8[:, ::1], types.uint16[:, ::1], types.float32[::1], types.float32[:, ::1]
    bytes_, bits, columns = types.uint8[::1], types.uint16[::1], types.float32[:, :, ::1]
    return types.void(
        grid, words, grid, image, image, depth, columns, rows, rows, types.int64, floats, bytes_, bytes_, bytes_, bits,
        bytes_, types.uint32[::1],
    )  # fmt: skip
