"""What is where on the floor of a scene, from its geometry: free, low, occupied or a drop, for each cell of a grid."""

from __future__ import annotations

import math

import mujoco
import numpy as np
import numpy.typing as npt

from gemini_ros.bags.true_maps import DROP, FREE, LOW, OCCUPIED, UNKNOWN
from gemini_ros.core.costmap import CostmapConfig, Occupancy
from gemini_ros.simulation.cameras.mujoco_model import SHAPE_NAMES, SceneModel, pose_people
from gemini_ros.simulation.scenes.people import Stand
from gemini_ros.simulation.vertical_lines import half_extents, intersect

RESOLUTION_M = 0.05
LINES_M = 0.01  # between the vertical lines that decide on a cell
BUMP_M, LOW_M, DROP_M = 0.01, 0.05, 0.05
ROBOT_HEIGHT_M = CostmapConfig().max_height_m
_VALUES = np.array([UNKNOWN, FREE, LOW, DROP, OCCUPIED], np.int8)  # by rank, the worst last
_DEEPEST_M = 20.0


class GroundTruth:
    """The grid of one scene, as exact as vertical lines ``LINES_M`` apart: the worst of a cell's lines decides.

    Along a line, matter counts by its height over the floor (``Scene.level``): occupied where it takes part of the
    space from 5 cm to ``ROBOT_HEIGHT_M``, low from 1 to 5 cm, drop where the highest surface lies 5 cm or more below
    the floor. A wall counts on the cells it stands on. Panes of glass are matter.
    """

    def __init__(self, scene_model: SceneModel) -> None:
        self._model = scene_model
        self._data = mujoco.MjData(scene_model.model)
        scene = scene_model.scene
        self._corner = (-1, math.floor(-scene.width / 2 / RESOLUTION_M) - 1)
        columns = math.ceil(scene.length / RESOLUTION_M) + 1 - self._corner[0]
        rows = math.ceil(scene.width / 2 / RESOLUTION_M) + 1 - self._corner[1]
        self._fine = round(RESOLUTION_M / LINES_M)
        self._x = (np.arange(columns * self._fine) + 0.5) * LINES_M + self._corner[0] * RESOLUTION_M
        self._y = (np.arange(rows * self._fine) + 0.5) * LINES_M + self._corner[1] * RESOLUTION_M
        self._level = scene.level(self._x)
        self._pose([None] * len(scene.figures))
        self._static = self._ranks(np.flatnonzero(scene_model.figures[:-1] < 0))

    def at(self, stands: list[Stand | None], stamp_ns: int) -> Occupancy:
        """The grid with the persons where they are: ``UNKNOWN``, ``FREE``, ``LOW``, ``OCCUPIED`` or ``DROP``."""
        ranks = self._static
        if any(stands):
            self._pose(stands)
            ranks = np.maximum(ranks, self._ranks(np.flatnonzero(self._model.figures[:-1] >= 0)))
        origin = (self._corner[0] * RESOLUTION_M, self._corner[1] * RESOLUTION_M)
        return Occupancy(_VALUES[ranks], RESOLUTION_M, origin, stamp_ns)

    def _pose(self, stands: list[Stand | None]) -> None:
        pose_people(self._model, self._data, stands)
        mujoco.mj_kinematics(self._model.model, self._data)

    def _ranks(self, geoms: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
        """uint8 (rows, columns): the rank of the worst that these geoms make of each cell."""
        surface = np.full((self._y.size, self._x.size), -np.inf, np.float32)
        worst = np.zeros(surface.shape, np.uint8)
        for geom in geoms:
            self._add(int(geom), surface, worst)
        worst = np.maximum(worst, np.where(surface >= -DROP_M, 1, np.where(np.isfinite(surface), 3, 0)))
        cells = worst.reshape(self._y.size // self._fine, self._fine, self._x.size // self._fine, self._fine)
        return cells.max((1, 3)).astype(np.uint8)

    def _add(self, geom: int, surface: npt.NDArray[np.float32], worst: npt.NDArray[np.uint8]) -> None:
        """Enter one geom: the highest surface up to the floor, and the rank of what stands on it or hangs over it."""
        model, data = self._model.model, self._data
        shape, size = SHAPE_NAMES[model.geom_type[geom]], model.geom_size[geom]
        rotation, position = data.geom_xmat[geom].reshape(3, 3), data.geom_xpos[geom]
        reach = half_extents(shape, size, rotation)
        low, high = position - reach, position + reach
        if low[2] > self._level.max() + ROBOT_HEIGHT_M or high[2] < self._level.min() - _DEEPEST_M:
            return
        rows = slice(*np.searchsorted(self._y, (low[1], high[1])))
        columns = slice(*np.searchsorted(self._x, (low[0], high[0])))
        x, y = np.meshgrid(self._x[columns], self._y[rows])
        bottom, top = (z - self._level[columns] for z in intersect(shape, size, rotation, position, x, y))
        here = surface[rows, columns]
        np.maximum(here, np.where(top <= BUMP_M, top, -np.inf), out=here)
        met = (bottom <= top) & (bottom < ROBOT_HEIGHT_M)
        rank = np.where(met & (top > LOW_M), 4, np.where(met & (top > BUMP_M), 2, 0)).astype(np.uint8)
        np.maximum(worst[rows, columns], rank, out=worst[rows, columns])
