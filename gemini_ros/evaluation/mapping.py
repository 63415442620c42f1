"""The costmap of a walk through a bag, and why it is unknown where it is."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import CostmapConfig, Occupancy, SemanticCostmap
from gemini_ros.core.frames import Frame, Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.transforms import PoseBuffer


class OfflineCostmap:
    """Evidence of each frame into the grid: in the odometry's frame, or in base_link, where nothing accumulates.

    ``base_from_camera`` (4, 4) is the camera's optical frame in base_link. ``faults`` counts the frames that gave no
    evidence, by reason. ``odometry`` and ``base_from_camera`` are ``None`` where they are not known.
    """

    def __init__(
        self,
        config: CostmapConfig,
        label_set: LabelSet,
        odometry: PoseBuffer | None,
        base_from_camera: npt.NDArray[np.float64] | None,
    ) -> None:
        self._map = SemanticCostmap(config, label_set)
        self._map.warm_up()
        self._odometry = odometry
        self._base_from_camera = base_from_camera
        self.faults: Counter[str] = Counter()
        self.robot = (0.0, 0.0, 0.0)

    def integrate(self, frame: Frame, segmentation: Segmentation) -> None:
        """Take in one frame, or count in ``faults`` why it is no evidence; the map then goes on ageing."""
        if frame.depth is None:
            self.faults["without depth"] += 1
        elif frame.intrinsics is None:
            self.faults["without a calibrated camera_info"] += 1
        elif self._base_from_camera is None:
            self.faults["without the mounting of the camera: no /tf_static in the bag; give --camera-in-base"] += 1
        else:
            self._update(frame, segmentation, frame.intrinsics, self._base_from_camera)

    def clear(self) -> None:
        """All unknown at once: what the policy ``stop`` asks for while a modality is missing."""
        self._map.clear()

    def render(self, now_ns: int) -> Occupancy:
        """The map around the robot at ``now_ns``."""
        return self._map.render(now_ns, self.robot[:2])

    def _update(
        self,
        frame: Frame,
        segmentation: Segmentation,
        intrinsics: Intrinsics,
        base_from_camera: npt.NDArray[np.float64],
    ) -> None:
        grid_from_base = np.eye(4) if self._odometry is None else self._odometry.at(frame.stamp_ns)
        if grid_from_base is None:
            self.faults["without odometry within 0.1 s of the image"] += 1
            return
        if self._odometry is None:
            self._map.clear()
        yaw = math.atan2(grid_from_base[1, 0], grid_from_base[0, 0])
        self.robot = (float(grid_from_base[0, 3]), float(grid_from_base[1, 3]), yaw)
        grid_from_camera = grid_from_base @ base_from_camera
        self._map.update(segmentation, frame.depth, intrinsics, grid_from_camera, frame.stamp_ns)
