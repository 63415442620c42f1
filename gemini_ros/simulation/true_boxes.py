"""The boxes of the things of a scene that its label set tells apart, from their geometry."""

from __future__ import annotations

import math
from typing import Any

import cv2
import mujoco
import numpy as np
import numpy.typing as npt

from gemini_ros.core.labels import LabelSet
from gemini_ros.simulation.cameras.mujoco_model import SHAPE_NAMES, SceneModel, pose_people
from gemini_ros.simulation.scenes.people import Stand
from gemini_ros.simulation.scenes.scene import STUFF
from gemini_ros.simulation.vertical_lines import half_extents


class TrueBoxMaker:
    """Boxes of a scene at any time. Persons look where their box does; other things lie as tightly as they can."""

    def __init__(self, scene_model: SceneModel, label_set: LabelSet) -> None:
        self._model, self._label_set = scene_model, label_set
        self._data = mujoco.MjData(scene_model.model)
        marked = np.array([bool(c.instances) for c in label_set.classes])
        instances = scene_model.instances[:-1]
        counted = marked[scene_model.labels[:-1]] & (instances != STUFF)
        self._geoms = {int(i): np.flatnonzero(counted & (instances == i)) for i in np.unique(instances[counted])}
        self._static: dict[int, dict[str, Any]] = {}

    def at(self, stands: list[Stand | None], instances: npt.NDArray[np.uint16]) -> list[dict[str, Any]]:
        """The boxes of what ``instances`` (H, W) shows: id, class, center, size, yaw and pixels, metres and radians."""
        pose_people(self._model, self._data, stands)
        mujoco.mj_kinematics(self._model.model, self._data)
        pixels = np.bincount(instances.ravel(), minlength=max(self._geoms, default=0) + 1)
        return [
            {"id": number, **self._box(number, geoms, stands), "pixels": int(pixels[number])}
            for number, geoms in self._geoms.items()
            if pixels[number]
        ]

    def _box(self, number: int, geoms: npt.NDArray[np.intp], stands: list[Stand | None]) -> dict[str, Any]:
        figure = int(self._model.figures[geoms[0]])
        if figure < 0 and number in self._static:
            return self._static[number]
        stand = stands[figure] if figure >= 0 else None
        yaw = stand.yaw if stand is not None else self._tightest_yaw(geoms)
        turn = np.array([[math.cos(yaw), math.sin(yaw), 0], [-math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
        places, reaches = self._extents(geoms, turn)
        low, high = (places - reaches).min(0), (places + reaches).max(0)
        box = {
            "class": self._label_set.names[self._model.labels[geoms[0]]],
            "center": [round(float(v), 4) for v in (low + high) / 2 @ turn],
            "size": [round(float(v), 4) for v in high - low],
            "yaw": round(math.remainder(yaw, 2 * math.pi), 4),
        }
        if figure < 0:
            self._static[number] = box
        return box

    def _extents(
        self, geoms: npt.NDArray[np.intp], turn: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Centres and half sizes (n, 3) of geoms along turned axes."""
        model, data = self._model.model, self._data
        places = data.geom_xpos[geoms] @ turn.T
        reaches = [
            half_extents(SHAPE_NAMES[model.geom_type[g]], model.geom_size[g], turn @ data.geom_xmat[g].reshape(3, 3))
            for g in geoms
        ]
        return places, np.array(reaches)

    def _tightest_yaw(self, geoms: npt.NDArray[np.intp]) -> float:
        places, reaches = self._extents(geoms, np.eye(3))
        signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
        corners = (places[:, None, :2] + signs * reaches[:, None, :2]).reshape(-1, 2)
        return math.radians(cv2.minAreaRect(corners.astype(np.float32))[2])
