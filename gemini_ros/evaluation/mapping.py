"""The costmap of a walk through a bag, and why it is unknown where it is."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import CostmapConfig, Occupancy, SemanticCostmap
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import LabelSet


class OfflineCostmap:
    """Evidence of each frame into the grid: in the odometry's frame, or in base_link, where nothing accumulates.

    ``base_from_camera`` (4, 4) is the camera's optical frame in base_link, ``None`` where that is not known.
    ``robot`` is x, y and yaw in the grid's frame. ``faults`` counts the frames that gave no evidence, by reason.
    """

    def __init__(
        self,
        config: CostmapConfig,
        label_set: LabelSet,
        base_from_camera: npt.NDArray[np.float64] | None,
        *,
        has_odometry: bool,
    ) -> None:
        self._map = SemanticCostmap(config, label_set)
        self._map.warm_up()
        self._base_from_camera = base_from_camera
        self._has_odometry = has_odometry
        self.faults: Counter[str] = Counter()
        self.robot = (0.0, 0.0, 0.0)

    def integrate(
        self, frame: Frame, segmentation: Segmentation, odom_from_base: npt.NDArray[np.float64] | None
    ) -> None:
        """Take in one frame, or count in ``faults`` why it is no evidence; the map then goes on ageing."""
        if frame.depth is None:
            self.faults["no depth"] += 1
        elif frame.intrinsics is None:
            self.faults["no calibrated camera_info"] += 1
        elif self._base_from_camera is None:
            self.faults["the camera's mounting is not known: no /tf_static in the bag; give --camera-in-base"] += 1
        elif self._has_odometry and odom_from_base is None:
            self.faults["no odometry within 0.1 s of the image"] += 1
        else:
            if not self._has_odometry:
                self._map.clear()
            grid_from_base = np.eye(4) if odom_from_base is None else odom_from_base
            yaw = math.atan2(grid_from_base[1, 0], grid_from_base[0, 0])
            self.robot = (float(grid_from_base[0, 3]), float(grid_from_base[1, 3]), yaw)
            grid_from_camera = grid_from_base @ self._base_from_camera
            self._map.update(segmentation, frame.depth, frame.intrinsics, grid_from_camera, frame.stamp_ns)

    def clear(self) -> None:
        """All unknown at once: what the policy ``stop`` asks for while a modality is missing."""
        self._map.clear()

    def render(self, now_ns: int) -> Occupancy:
        """The map around the robot at ``now_ns``."""
        return self._map.render(now_ns, self.robot[:2])
