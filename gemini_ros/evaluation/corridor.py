"""What the map says of the robot's way, against the true map of a simulated bag: false free and false lethal.

The corridor of a frame is what the robot's body sweeps if it drives straight on and brakes: ``HALF_WIDTH_M`` to both
sides, from ``FRONT_M`` before its origin for ``STOPPING_M`` on. Cells count by the true map's. A cell that is occupied
or a drop is falsely free where the map calls it and its eight neighbours neither lethal nor unknown, and one of floor
that has nothing else around it is falsely lethal where the map calls it so: an edge may lie one cell beside itself.

An event is a blob of at least ``LEAST_CELLS`` such cells that lasts for ``LASTING_NS``; one that moves by a cell a
frame is the same. What the robot would do about it differs: the first is a collision, the second a needless stop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.bags.true_maps import FREE, OCCUPIED, UNKNOWN
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.costmap.grid import LETHAL

HALF_WIDTH_M, FRONT_M = 0.3, 0.3
STOPPING_M = 2.7
"""At 1.4 m/s: half a second to react, then 0.5 m/s² of braking."""
LEAST_CELLS, LASTING_NS = 2, 200_000_000
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


class Corridor:
    """Counts frame by frame."""

    def __init__(self) -> None:
        self._free, self._lethal = _Events(), _Events()
        self._before: tuple[float, float] | None = None

    def add(self, stamp: int, occupancy: Occupancy, truth: Occupancy, robot: tuple[float, float, float]) -> CorridorRow:
        """Count the map of a frame against the true one, both in the frame of the ``robot``'s x, y (metres) and yaw."""
        x, y, cells = corridor_cells(robot, truth)
        true, said = _at(truth, x, y), _at(occupancy, x, y)
        clear, blocked = cells & _inside(true == FREE), cells & (true >= OCCUPIED)
        missed, false_lethal = blocked & _inside((said >= 0) & (said < LETHAL)), clear & (said == LETHAL)
        before, self._before = self._before or robot[:2], robot[:2]
        corner = round(y[0] / truth.resolution_m), round(x[0] / truth.resolution_m)
        return CorridorRow(
            math.dist(before, robot[:2]),
            *(int(part.sum()) for part in (blocked, missed, clear, clear & (said == 0), false_lethal)),
            false_free_events=self._free.add(stamp, corner, missed),
            false_lethal_events=self._lethal.add(stamp, corner, false_lethal),
        )


def corridor_cells(robot: tuple[float, float, float], grid: Occupancy) -> tuple[Coordinates, Coordinates, Cells]:
    """The corridor on the cells of a grid: x (columns,) and y (rows,) of their centres, and which are in it.

    Two more cells lie around all of it.
    """
    c, s = math.cos(robot[2]), math.sin(robot[2])
    corners = np.array(
        [
            (robot[0] + c * ahead - s * left, robot[1] + s * ahead + c * left)
            for ahead in (FRONT_M, FRONT_M + STOPPING_M)
            for left in (-HALF_WIDTH_M, HALF_WIDTH_M)
        ]
    )
    origin, resolution = np.array(grid.origin_xy), grid.resolution_m
    first = np.floor((corners.min(0) - origin) / resolution).astype(int) - 2
    last = np.ceil((corners.max(0) - origin) / resolution).astype(int) + 2
    x, y = (origin[axis] + (np.arange(first[axis], last[axis]) + 0.5) * resolution for axis in (0, 1))
    right, up = x - robot[0], (y - robot[1])[:, None]
    ahead, left = c * right + s * up, c * up - s * right
    return x, y, (np.abs(left) <= HALF_WIDTH_M) & (ahead >= FRONT_M) & (ahead <= FRONT_M + STOPPING_M)


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


def _inside(cells: Cells) -> Cells:
    """The cells whose eight neighbours are all of them too."""
    return cv2.erode(cells.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0


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
