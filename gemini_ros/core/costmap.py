"""Where a robot can drive: labels and depth gathered into a rolling grid, unknown wherever it was not seen lately."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from gemini_ros.core.evidence import EvidenceTable, Projector
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.transforms import Matrix, require_rigid

_MAX_CELLS_PER_SIDE = 2000
AHEAD_NS = 100_000_000
"""A stamp further than this ahead of the clock is not of this time line, and no evidence."""


@dataclass(frozen=True)
class CostmapConfig:
    """The grid and how evidence is read.

    A point within ``min_height_m`` above or below the ground plane (z = 0 of the grid frame) is ground; choose it
    above what a wrong pitch lifts the floor by (1 degree: 9 cm at 5 m), for floor above it is an obstacle. Depth counts
    from 5 cm to ``max_range_m`` along the optical axis; ``min_confidence`` is a probability (0-1). A cell is unknown
    ``decay_s`` after it was last seen, the whole map ``timeout_s`` after the last evidence. Raises ``ValueError``.
    """

    size_m: float = 10.0
    resolution_m: float = 0.05
    min_height_m: float = 0.08
    max_height_m: float = 2.0
    decay_s: float = 3.0
    timeout_s: float = 1.0
    max_range_m: float = 8.0
    min_confidence: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < math.inf and not (field.name == "min_confidence" and value == 0):
                raise ValueError(f"costmap.{field.name}: {value}, expected a positive, finite number")
        if self.min_confidence > 1:
            raise ValueError(f"costmap.min_confidence: {self.min_confidence}, expected a probability, 0 to 1")
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


class SemanticCostmap:
    """The last frame that saw a cell says what it is, until that gets too old. Safe to use from several threads.

    Within a frame the worst of a cell's points decides (``EvidenceTable``); a newer frame replaces what it saw.
    Evidence has two ages, and counts while both are short enough: by its stamp on the node's clock, and by its receipt
    on a steady clock, which nobody sets. Where no steady clock counts (in a bag, under simulated time) both times are
    those of the node's clock.

    The grid is a window of fixed size around the camera, aligned to whole cells of the grid frame; what leaves it is
    forgotten. Nothing here repairs a wrong pose: without one do not call ``update``, and the map turns unknown.
    """

    def __init__(self, config: CostmapConfig, label_set: LabelSet) -> None:
        self.config = config
        self._table = EvidenceTable.of(label_set)
        self._projector = Projector(
            self._table,
            cells=config.cells,
            resolution_m=config.resolution_m,
            heights_m=(-config.min_height_m, config.min_height_m, config.max_height_m),
            max_range_m=config.max_range_m,
            min_confidence=math.ceil(255 * config.min_confidence),
        )
        self._lock = threading.Lock()
        self._ranks = np.zeros((config.cells, config.cells), np.uint8)
        # When each cell was seen last, (2, cells, cells): by stamp, and by receipt.
        self._seen_ns = np.zeros((2, config.cells, config.cells), np.int64)
        self._corner = (0, 0)
        self._newest_stamp_ns: int | None = None
        self._evidence_ns: tuple[int, int] | None = None

    def warm_up(self) -> str:
        """Compile (or load) the fast kernel, which takes seconds the first time; until then numpy does the work.

        Returns what will do it: ``numba``, or ``numpy`` where numba is not installed. Both give equal maps.
        """
        return self._projector.warm_up()

    def update(
        self,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32] | None,
        intrinsics: Intrinsics,
        grid_from_camera: Matrix,
        stamp_ns: int,
        received_ns: int | None = None,
    ) -> bool:
        """Take in one frame: labels and ``depth`` (H, W) in metres, seen from ``grid_from_camera`` (optical frame).

        ``stamp_ns`` is when it was taken, on the node's clock; ``received_ns`` when it came, on the steady clock.
        Returns whether it makes any cell known, free or not.

        No depth, or none that measures anything in the window, is no evidence: the map goes on ageing. A stamp before
        the last one is a new time line: the map is cleared first. Raises ``ValueError`` for sizes that differ or a pose
        that is none; the map is then as before.
        """
        pose = require_rigid(grid_from_camera, "grid_from_camera")
        _require_one_size(segmentation, depth, intrinsics)
        corner = self._corner_around(pose[0, 3], pose[1, 3])
        with self._lock:
            frame = None if depth is None else self._projector.project(segmentation, depth, intrinsics, pose, corner)
            if self._newest_stamp_ns is not None and stamp_ns < self._newest_stamp_ns:
                self._forget()
            self._newest_stamp_ns = stamp_ns
            if frame is None or not frame.any():
                return False
            self._move_to(corner)
            seen = frame != 0
            np.copyto(self._ranks, frame, where=seen)
            self._evidence_ns = (stamp_ns, stamp_ns if received_ns is None else received_ns)
            for times, at_ns in zip(self._seen_ns, self._evidence_ns, strict=True):
                np.copyto(times, at_ns, where=seen)
            return bool((self._table.occupancy >= 0)[frame].any())

    def clear(self) -> None:
        """Forget everything: the map is unknown until the next evidence."""
        with self._lock:
            self._forget()
            self._newest_stamp_ns = None

    def render(self, now_ns: int, center_xy: tuple[float, float], steady_ns: int | None = None) -> Occupancy:
        """The map at ``now_ns`` in the window around ``center_xy``, metres in the grid frame.

        ``steady_ns`` is the same instant on the steady clock. All unknown where the last evidence is older than
        ``timeout_s``, or ahead by more than ``AHEAD_NS``.
        """
        if not np.isfinite(center_xy).all():
            raise ValueError(f"center_xy: {center_xy}, expected finite metres")
        n, resolution = self.config.cells, self.config.resolution_m
        corner = self._corner_around(*center_xy)
        data = np.full((n, n), -1, np.int8)
        now = (now_ns, now_ns if steady_ns is None else steady_ns)
        with self._lock:
            if self._evidence_ns is not None and _all_fresh(self._evidence_ns, now, self.config.timeout_s):
                target, source = _overlap(corner, self._corner, n)
                fresh = _fresh(self._seen_ns[0][source], now[0], self.config.decay_s)
                fresh &= _fresh(self._seen_ns[1][source], now[1], self.config.decay_s)
                np.copyto(data[target], self._table.occupancy[self._ranks[source]], where=fresh)
        return Occupancy(data, resolution, (corner[0] * resolution, corner[1] * resolution), now_ns)

    def _corner_around(self, x_m: float, y_m: float) -> tuple[int, int]:
        """Index (column, row) in the grid frame of the first cell of the window around a place."""
        half, resolution = self.config.cells // 2, self.config.resolution_m
        return math.floor(x_m / resolution) - half, math.floor(y_m / resolution) - half

    def _move_to(self, corner: tuple[int, int]) -> None:
        if corner == self._corner:
            return
        target, source = _overlap(corner, self._corner, self.config.cells)
        ranks, seen_ns = np.zeros_like(self._ranks), np.zeros_like(self._seen_ns)
        ranks[target] = self._ranks[source]
        seen_ns[(slice(None), *target)] = self._seen_ns[(slice(None), *source)]
        self._ranks, self._seen_ns, self._corner = ranks, seen_ns, corner

    def _forget(self) -> None:
        self._ranks.fill(0)
        self._evidence_ns = None


def _fresh(seen_ns: npt.NDArray[np.int64], now_ns: int, for_s: float) -> npt.NDArray[np.bool_]:
    age_ns = now_ns - seen_ns
    return (age_ns <= for_s * 1e9) & (age_ns >= -AHEAD_NS)


def _all_fresh(seen_ns: tuple[int, int], now_ns: tuple[int, int], for_s: float) -> bool:
    ages_ns = (now - seen for now, seen in zip(now_ns, seen_ns, strict=True))
    return all(-AHEAD_NS <= age_ns <= for_s * 1e9 for age_ns in ages_ns)


def _overlap(to: tuple[int, int], of: tuple[int, int], n: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns that two n x n windows with these corners share, as indices into the first and the second."""
    pairs = [_overlap_1d(a - b, n) for a, b in zip(to, of, strict=True)]
    return (pairs[1][0], pairs[0][0]), (pairs[1][1], pairs[0][1])


def _overlap_1d(shift: int, n: int) -> tuple[slice, slice]:
    shift = max(-n, min(n, shift))
    return slice(max(0, -shift), n - max(0, shift)), slice(max(0, shift), n - max(0, -shift))


def _require_one_size(segmentation: Segmentation, depth: np.ndarray | None, intrinsics: Intrinsics) -> None:
    labels = segmentation.labels
    others = {
        "confidence": segmentation.confidence.shape,
        "intrinsics": (intrinsics.height, intrinsics.width),
        **({} if depth is None else {"depth": depth.shape}),
    }
    for name, shape in others.items():
        if shape != labels.shape:
            raise ValueError(
                f"labels {_size(labels.shape)}, {name} {_size(shape)}: expected one size; enable align_depth, or scale "
                "the intrinsics to the images"
            )
    types = [labels.dtype, segmentation.confidence.dtype] + ([] if depth is None else [depth.dtype])
    if types != [np.uint8, np.uint8, np.float32][: len(types)]:
        raise ValueError(f"labels, confidence, depth of types {types}, expected uint8, uint8, float32")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(v) for v in shape[::-1])
