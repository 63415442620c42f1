"""The costmap of a run: what goes into it, in which frame it is, and why it is unknown where it is."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np

from gemini_ros.core.costmap import CostmapConfig, Occupancy, SemanticCostmap
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.pipeline.pose import PoseSource, PoseUnknown
from gemini_ros.pipeline.statistics import FaultCounts


class Mapper:
    """Evidence of each frame into the grid: in the odometry's frame, or in the robot's, where nothing accumulates.

    ``fault`` says why the last frame gave no evidence, ``warning`` what is less than it could be; both are empty when
    all is well. ``faults`` and ``warnings`` count the frames they came with. ``robot`` is x, y and yaw in ``frame``.
    Safe to use from several threads.
    """

    def __init__(self, config: CostmapConfig, label_set: LabelSet, poses: PoseSource) -> None:
        self.fault = "no frame yet"
        self.warning = ""
        self.faults = FaultCounts()
        self.warnings = FaultCounts()
        self.frame = poses.base_frame
        self.robot = (0.0, 0.0, 0.0)
        self._label_set, self._poses = label_set, poses
        self._lock = threading.Lock()
        self._costmap = SemanticCostmap(config, label_set)
        self._stopped = False

    def integrate(self, frame: Frame, segmentation: Segmentation) -> None:
        """Take in one frame, or note in ``fault`` why it is no evidence; the map then goes on ageing."""
        self.fault = self._integrate(frame, segmentation)
        if self.fault:
            self.faults.note(self.fault)
        elif self.warning:
            self.warnings.note(self.warning)

    def render(self, at_ns: int) -> tuple[Occupancy, str]:
        """The map at ``at_ns`` around the robot, and its frame."""
        with self._lock:
            return self._costmap.render(at_ns, self.robot[:2]), self.frame

    def render_frame(self, stamp_ns: int, now_ns: int) -> tuple[Occupancy, str]:
        """The map of a frame, at the frame's stamp; at ``now_ns`` where that is too far away to be evidence."""
        timeout_ns = self._costmap.config.timeout_s * 1e9
        return self.render(stamp_ns if abs(now_ns - stamp_ns) <= timeout_ns else now_ns)

    def unknown(self, at_ns: int) -> tuple[Occupancy, str]:
        """A map of the same place that knows nothing."""
        occupancy, frame = self.render(at_ns)
        return dataclasses.replace(occupancy, data=np.full_like(occupancy.data, -1)), frame

    def reconfigure(self, config: CostmapConfig) -> None:
        """Start an empty map of another shape."""
        replacement = SemanticCostmap(config, self._label_set)
        replacement.warm_up()
        with self._lock:
            self._costmap = replacement

    def warm_up(self) -> None:
        """Compile (or load) the kernels, see ``SemanticCostmap.warm_up``."""
        self._costmap.warm_up()

    def follow(self, mode: str) -> bool:
        """Empty and without evidence while the matcher's mode is ``stop:...``; whether that began."""
        stopped = mode.startswith("stop:")
        began = stopped and not self._stopped
        if began:
            self.stop()
        elif self._stopped and not stopped:
            self.resume()
        return began

    def stop(self) -> None:
        """All unknown at once, and no evidence until ``resume``: not even of a frame that is under way."""
        with self._lock:
            self._stopped = True
            self._costmap.clear()

    def resume(self) -> None:
        """Take evidence again."""
        with self._lock:
            self._stopped = False

    def _integrate(self, frame: Frame, segmentation: Segmentation) -> str:
        if frame.depth is None:
            return "the frame has no depth: depth is missing, or not among the modalities"
        if frame.intrinsics is None:
            return "the camera's intrinsics are not known: publish a calibrated camera_info"
        try:
            pose = self._poses.at(frame.stamp_ns, frame.frame_id)
        except PoseUnknown as reason:
            return str(reason)
        self.warning = pose.warning
        with self._lock:
            if self._stopped:
                return "stopped while a modality is missing"
            if pose.frame == self._poses.base_frame or pose.frame != self.frame:
                self._costmap.clear()
            self.frame, self.robot = pose.frame, pose.robot
            self._costmap.update(segmentation, frame.depth, frame.intrinsics, pose.grid_from_camera, frame.stamp_ns)
        return ""
