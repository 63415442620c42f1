"""Where a robot fits on the floor of a scene, and the shortest ways between such places."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.simulation.scenes.scene import Scene

Array = npt.NDArray[np.float64]
Cell = tuple[int, int]
Disc = tuple[float, float, float]

CELL_M = 0.1
CLEARANCE_M = 0.3
"""From the robot's origin to the nearest thing or wall."""
AIRY_M = 0.6
"""Nearer to things than this a way counts as longer, by default up to ``TIGHT`` times."""
TIGHT = 3.0
_NEIGHBOURS = [(dy, dx, math.hypot(dy, dx)) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


class FloorPlan:
    """The cells of the largest region of a scene where the robot's origin may be.

    ``discs`` (x, y, radius) in metres are kept clear as things are: persons who stand.
    """

    def __init__(self, scene: Scene, discs: Sequence[Disc] = ()) -> None:
        self._scene, self._discs = scene, tuple(discs)
        self._rows, self._columns = (max(1, math.floor(side / CELL_M)) for side in (scene.width, scene.length))
        x = (np.arange(self._columns) + 0.5) * CELL_M
        y = (np.arange(self._rows) + 0.5) * CELL_M - scene.width / 2
        self._clear = self.clearance(*np.meshgrid(x, y))
        count, regions, sizes, _ = cv2.connectedComponentsWithStats(
            (self._clear >= CLEARANCE_M).astype(np.uint8), connectivity=4
        )
        largest = 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA])) if count > 1 else -1
        self.region = regions == largest

    def clearance(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
        """Metres from points on the floor, of any one shape, to the nearest wall, thing or disc, 0 inside one."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        least = np.minimum(np.minimum(x, self._scene.length - x), self._scene.width / 2 - np.abs(y))
        for thing in self._scene.footprints:
            c, s = math.cos(thing.yaw), math.sin(thing.yaw)
            dx, dy = x - thing.x, y - thing.y
            along = np.maximum(0.0, np.abs(c * dx + s * dy) - thing.half_x)
            across = np.maximum(0.0, np.abs(-s * dx + c * dy) - thing.half_y)
            least = np.minimum(least, np.hypot(along, across))
        for at_x, at_y, radius in self._discs:
            least = np.minimum(least, np.hypot(x - at_x, y - at_y) - radius)
        return np.maximum(0.0, least)

    @property
    def area_m2(self) -> float:
        """Of the region."""
        return float(self.region.sum()) * CELL_M**2

    @cached_property
    def reach_m(self) -> float:
        """The length of a long way through the region: to the place that is farthest from one at its end."""
        if not self.region.any():
            return 0.0
        first = self.cells()[0]
        end = self._farthest(self.field((int(first[0]), int(first[1])), tight=1))
        field = self.field(end, tight=1)
        return float(field[self._farthest(field)])

    def cells(self) -> npt.NDArray[np.intp]:
        """(N, 2) rows and columns of the region."""
        return np.argwhere(self.region)

    def place(self, cell: Cell) -> tuple[float, float]:
        """x and y of a cell's middle."""
        return (cell[1] + 0.5) * CELL_M, (cell[0] + 0.5) * CELL_M - self._scene.width / 2

    def field(self, target: Cell, tight: float = TIGHT) -> Array:
        """(rows, columns) lengths in metres of the shortest ways to a cell, infinite outside the region.

        Ways close to things count as longer, up to ``tight`` times (Dijkstra's algorithm, 1959).
        """
        weight = 1 + (tight - 1) * np.clip((AIRY_M - self._clear) / (AIRY_M - CLEARANCE_M), 0, 1)
        weights, region = weight.tolist(), self.region.tolist()
        lengths = np.full(self.region.shape, np.inf).tolist()
        lengths[target[0]][target[1]] = 0.0
        queue: list[tuple[float, int, int]] = [(0.0, *target)]
        while queue:
            length, row, column = heapq.heappop(queue)
            if length > lengths[row][column]:
                continue
            for dy, dx, step in _NEIGHBOURS:
                y, x = row + dy, column + dx
                if not (0 <= y < self._rows and 0 <= x < self._columns and region[y][x]):
                    continue
                longer = length + step * CELL_M * (weights[y][x] + weights[row][column]) / 2
                if longer < lengths[y][x]:
                    lengths[y][x] = longer
                    heapq.heappush(queue, (longer, y, x))
        return np.array(lengths)

    def way(self, start: Cell, field: Array) -> Array:
        """(N, 2) x and y of the cells from ``start`` down a ``field`` to its target."""
        cells, here = [start], start
        while field[here] > 0:
            row, column = here
            around = [
                (row + dy, column + dx)
                for dy, dx, _ in _NEIGHBOURS
                if 0 <= row + dy < self._rows and 0 <= column + dx < self._columns
            ]
            here = min(around, key=lambda cell: float(field[cell]))
            cells.append(here)
        return np.array([self.place(cell) for cell in cells])

    def _farthest(self, field: Array) -> Cell:
        row, column = np.unravel_index(np.argmax(np.where(self.region, field, -1)), field.shape)
        return int(row), int(column)
