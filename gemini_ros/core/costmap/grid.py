"""The grid: its settings, what it looks like from outside, and how a window moves over cells."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

_MAX_CELLS_PER_SIDE = 2000
AHEAD_NS = 100_000_000
"""A stamp further than this ahead of the clock is not of this time line, and no evidence."""
LETHAL = 100
"""The value of a cell that must not be entered; 0 is free, -1 unknown, what lies between a cost."""
PROJECT = "project"
WITHOUT_DEPTH = ("unknown", PROJECT)
Corner = tuple[int, int]
_MAY_BE_ZERO = {"min_confidence", "tilt_error_deg", "depth_noise_per_m", "max_slope_deg", "robot_radius_m"}


@dataclass(frozen=True)
class CostmapConfig:
    """The grid and how evidence is read.

    Depth counts from 5 cm to ``range_m`` along the optical axis; ``min_confidence`` is a probability (0-1). What is
    higher above the ground than the error budget of its distance (``heights.least_height``) stands, up to
    ``max_height_m``. Ground is unknown ``decay_s`` after it was last seen; an obstacle that cannot be seen is
    remembered for ``memory_s``; the whole map is unknown ``timeout_s`` after the last evidence. With
    ``completed_depth`` what a network guesses with ``completed_confidence`` or more marks cells (``completed.py``).
    Raises ``ValueError``.
    """

    size_m: float = 10.0
    resolution_m: float = 0.05
    min_height_m: float = 0.03
    max_height_m: float = 2.0
    decay_s: float = 3.0
    timeout_s: float = 1.0
    max_range_m: float = 8.0
    min_confidence: float = 0.5
    memory_s: float = 30.0
    tilt_error_deg: float = 1.5
    depth_noise_per_m: float = 0.002
    max_slope_deg: float = 7.0
    floor_fit: bool = True
    caution_stands: bool = False
    robot_radius_m: float = 0.0
    without_depth: str = "unknown"
    completed_depth: bool = False
    completed_confidence: float = 0.75

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (bool, str)):
                continue
            if not 0 < value < math.inf and not (field.name in _MAY_BE_ZERO and value == 0):
                raise ValueError(f"costmap.{field.name}: {value}, expected a positive, finite number")
        for name in ("min_confidence", "completed_confidence"):
            if (value := getattr(self, name)) > 1:
                raise ValueError(f"costmap.{name}: {value}, expected a probability, 0 to 1")
        if self.without_depth not in WITHOUT_DEPTH:
            expected = ", ".join(WITHOUT_DEPTH)
            raise ValueError(f"costmap.without_depth: {self.without_depth!r}, expected one of {expected}")
        if self.max_height_m <= self.min_height_m:
            raise ValueError(
                f"costmap.max_height_m: {self.max_height_m}, expected more than min_height_m {self.min_height_m}"
            )
        if not 1 <= self.cells <= _MAX_CELLS_PER_SIDE:
            raise ValueError(
                f"costmap: {self.size_m} m at {self.resolution_m} m are {self.cells} cells a side, expected 1 to "
                f"{_MAX_CELLS_PER_SIDE}"
            )

    @property
    def cells(self) -> int:
        """Cells along each side of the square grid."""
        return round(self.size_m / self.resolution_m)

    @property
    def range_m(self) -> float:
        """How far depth counts: up to ``max_range_m``, and not where its noise (one sigma) exceeds two cells."""
        if not self.depth_noise_per_m:
            return self.max_range_m
        return min(self.max_range_m, math.sqrt(2 * self.resolution_m / self.depth_noise_per_m))


@dataclass(frozen=True)
class Occupancy:
    """A map as nav_msgs/OccupancyGrid holds it.

    ``data`` int8 (rows, cols), row 0 at the smallest y, column 0 at the smallest x: -1 unknown, 0-98 graded from free,
    100 lethal. ``origin_xy`` is the outer corner of cell (0, 0) in metres, a whole multiple of the resolution.
    ``stamp_ns`` is the instant the map holds for.
    """

    data: npt.NDArray[np.int8]
    resolution_m: float
    origin_xy: tuple[float, float]
    stamp_ns: int


def corner_around(xy_m: tuple[float, float], config: CostmapConfig) -> Corner:
    """Index (column, row) in the grid frame of the first cell of the window around a place."""
    half, resolution = config.cells // 2, config.resolution_m
    return math.floor(xy_m[0] / resolution) - half, math.floor(xy_m[1] / resolution) - half


def overlap(to: Corner, of: Corner, cells: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The common cells of two windows of ``cells`` a side: their slices (rows, columns) in each."""
    pairs = []
    for a, b in zip(to[::-1], of[::-1], strict=True):
        first, last = max(a, b), min(a, b) + cells
        last = max(first, last)
        pairs.append((slice(first - a, last - a), slice(first - b, last - b)))
    (row_to, row_of), (column_to, column_of) = pairs
    return (row_to, column_to), (row_of, column_of)


def grown(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """``mask`` (rows, cols) with the eight neighbours of each of its cells."""
    rows = mask.copy()
    rows[1:] |= mask[:-1]
    rows[:-1] |= mask[1:]
    result = rows.copy()
    result[:, 1:] |= rows[:, :-1]
    result[:, :-1] |= rows[:, 1:]
    return result
