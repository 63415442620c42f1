"""What the map says of the robot's way, against the true map of a simulated bag: false free and false lethal.

The corridor of a frame is what the robot's body sweeps from where its front is to where it could stop: the way that it
did take, ``HALF_WIDTH_M`` to both sides, from ``FRONT_M`` before its origin on, as long as reaction and braking take
at its speed. Cells count by the true map's. A cell is falsely free where the map calls something else than lethal or
unknown what is occupied or a drop, falsely lethal where the map calls floor lethal that has nothing else around it.

An event is a blob of at least ``LEAST_CELLS`` such cells that lasts for ``LASTING_NS``; one that moves by a cell a
frame is the same. What the robot would do about it differs: the first is a collision, the second a needless stop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.transform_tree import TransformTree
from gemini_ros.bags.true_maps import FREE, OCCUPIED, UNKNOWN, TrueMaps
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.pipeline.pose import OdometryPoses, PoseUnknown
from gemini_ros.pipeline.settings import Settings

HALF_WIDTH_M, FRONT_M = 0.3, 0.3
REACTION_S, BRAKING_M_S2 = 0.5, 0.5
LEAST_CELLS, LASTING_NS = 2, 200_000_000
_STEP_M = 0.025  # between the points of a way
_SPEED_OVER_NS = 200_000_000
_LETHAL = 100
_AROUND = np.ones((3, 3), np.uint8)
Cells = npt.NDArray[np.bool_]
Coordinates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CorridorRow:
    """A frame's row in the store: ``metres`` driven since the frame before, and the corridor's cells and new events.

    Of ``blocked`` cells (occupied or a drop) ``missed`` are falsely free; of the ``clear`` ones ``found`` are called
    free, and ``false_lethal`` lethal.
    """

    metres: float
    blocked: int
    missed: int
    clear: int
    found: int
    false_lethal: int
    false_free_events: int
    false_lethal_events: int


@dataclass(frozen=True)
class Way:
    """Where the base is at each of ``stamps_ns`` (n,): ``poses`` (n, 3), x, y in metres and yaw."""

    stamps_ns: npt.NDArray[np.int64]
    poses: npt.NDArray[np.float64]

    @cached_property
    def travelled(self) -> npt.NDArray[np.float64]:
        """Metres from the first pose on, (n,)."""
        steps = np.hypot(*np.diff(self.poses[:, :2], axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def ahead(self, stamp: int) -> npt.NDArray[np.float64]:
        """Points (m, 2) of the middle of the corridor at a stamp."""
        s, now = self.travelled, float(np.interp(stamp, self.stamps_ns, self.travelled))
        around = np.interp([stamp - _SPEED_OVER_NS, stamp + _SPEED_OVER_NS], self.stamps_ns, s)
        speed = (around[1] - around[0]) / (2e-9 * _SPEED_OVER_NS)
        stop = REACTION_S * speed + speed**2 / (2 * BRAKING_M_S2)
        wanted = now + FRONT_M + np.arange(0, stop + _STEP_M / 2, _STEP_M)
        moving = np.concatenate([[True], np.diff(s) > 0])
        middle = np.stack([np.interp(wanted, s[moving], self.poses[moving, axis]) for axis in (0, 1)], -1)
        beyond = np.maximum(wanted - s[-1], 0)[:, None]  # past the last pose, straight on
        yaw = self.poses[-1, 2]
        return np.asarray(middle + beyond * (np.cos(yaw), np.sin(yaw)))


class Corridor:
    """Counts frame by frame; ``truth`` and ``way`` are in the frame ``truth.frame``."""

    def __init__(self, truth: TrueMaps, way: Way) -> None:
        self._truth, self._way = truth, way
        self._free, self._lethal = _Events(), _Events()
        self._driven = 0.0

    def add(self, stamp: int, occupancy: Occupancy, frame: str) -> CorridorRow | None:
        """Count the map of a frame; ``None`` where there is no truth for it: no true map yet, or in another frame."""
        truth = self._truth.at(stamp)
        if truth is None or frame != self._truth.frame:
            return None
        x, y, cells = corridor_cells(self._way.ahead(stamp), truth)
        true, said = _at(truth, x, y), _at(occupancy, x, y)
        clear = cells & (cv2.erode((true == FREE).astype(np.uint8), _AROUND, borderValue=0) > 0)
        blocked = cells & (true >= OCCUPIED)
        missed, false_lethal = blocked & (said >= 0) & (said < _LETHAL), clear & (said == _LETHAL)
        driven = float(np.interp(stamp, self._way.stamps_ns, self._way.travelled))
        metres, self._driven = max(0.0, driven - self._driven), max(driven, self._driven)
        corner = round(y[0] / truth.resolution_m), round(x[0] / truth.resolution_m)
        return CorridorRow(
            metres,
            *(int(part.sum()) for part in (blocked, missed, clear, clear & (said == 0), false_lethal)),
            false_free_events=self._free.add(stamp, corner, missed),
            false_lethal_events=self._lethal.add(stamp, corner, false_lethal),
        )


def open_corridor(reader: BagReader, odometry: str | None, settings: Settings) -> tuple[Corridor | None, list[str]]:
    """The corridor of a bag and what is wrong with its true maps; ``None`` where it has none, or no odometry."""
    truth = TrueMaps(reader)
    notes = [*truth.damaged]
    if not len(truth) or odometry is None:
        return None, notes
    if truth.frame != settings.costmap_frame:
        notes.append(f"true maps are in frame {truth.frame!r:.80}, the map in {settings.costmap_frame!r}: not compared")
        return None, notes
    poses = OdometryPoses(
        settings.costmap_frame,
        np.eye(4),
        reader.duration_ns + 10_000_000_000,
        settings.max_speed_mps,
        base_frame=settings.base_frame,
        transforms=TransformTree(reader).at,
    )
    stamps, places = [], []
    for stored in reader.messages([odometry]):
        try:
            message = reader.deserialize(stored)
            stamp = stamp_ns(message)
            if (stamps and stamp <= stamps[-1]) or poses.take(message):
                continue
            robot = poses.at(stamp, "").robot
        except (ValueError, PoseUnknown):
            continue  # the walk says so
        stamps.append(stamp)
        places.append(robot)
    if len(stamps) < 2:
        return None, notes
    return Corridor(truth, Way(np.array(stamps), np.array(places))), notes


def corridor_cells(middle: npt.NDArray[np.float64], grid: Occupancy) -> tuple[Coordinates, Coordinates, Cells]:
    """The cells of a grid around points (m, 2): x (columns,) and y (rows,) of their centres, and which are in reach.

    In reach is what lies within ``HALF_WIDTH_M`` of a point; two more cells lie around all of it.
    """
    origin, resolution = np.array(grid.origin_xy), grid.resolution_m
    first = np.floor((middle.min(0) - HALF_WIDTH_M - origin) / resolution).astype(int) - 2
    last = np.ceil((middle.max(0) + HALF_WIDTH_M - origin) / resolution).astype(int) + 2
    x, y = (origin[axis] + (np.arange(first[axis], last[axis]) + 0.5) * resolution for axis in (0, 1))
    near = np.zeros((y.size, x.size), bool)
    for px, py in middle:
        near |= (x - px) ** 2 + (y - py)[:, None] ** 2 <= HALF_WIDTH_M**2
    return x, y, near


@dataclass
class _Events:
    """Blobs that last, followed from frame to frame: each with its cells (row, column), since when, and if counted."""

    blobs: list[tuple[set[tuple[int, int]], int, bool]] = field(default_factory=list)

    def add(self, stamp: int, corner: tuple[int, int], cells: Cells) -> int:
        """How many blobs have lasted long enough by this frame, and had not by the last."""
        number, labels = cv2.connectedComponents(cells.astype(np.uint8), connectivity=8)
        blobs, events = [], 0
        for index in range(1, number):
            rows, columns = np.nonzero(labels == index)
            if rows.size < LEAST_CELLS:
                continue
            places = _places(rows + corner[0], columns + corner[1])
            reach = {(r + i, c + j) for r, c in places for i in (-1, 0, 1) for j in (-1, 0, 1)}
            before = [(since, counted) for others, since, counted in self.blobs if reach & others]
            since = min((since for since, _ in before), default=stamp)
            counted = any(counted for _, counted in before)
            if not counted and stamp - since >= LASTING_NS:
                counted, events = True, events + 1
            blobs.append((places, since, counted))
        self.blobs = blobs
        return events


def _places(rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> set[tuple[int, int]]:
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


def _at(grid: Occupancy, x: Coordinates, y: Coordinates) -> npt.NDArray[np.int8]:
    """The values (rows, columns) of a grid at x (columns,) and y (rows,), in metres; unknown outside of it."""
    (rows, above), (columns, beside) = (
        _indices(values, origin, grid.resolution_m, size)
        for values, origin, size in zip((y, x), grid.origin_xy[::-1], grid.data.shape, strict=True)
    )
    return np.where(above[:, None] & beside, grid.data[np.ix_(rows, columns)], np.int8(UNKNOWN))


def _indices(
    values: Coordinates, origin: float, resolution: float, size: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """The cells (n,) along an axis, and whether each is on the grid."""
    found = np.floor((values - origin) / resolution).astype(np.intp)
    return found.clip(0, size - 1), (found >= 0) & (found < size)
