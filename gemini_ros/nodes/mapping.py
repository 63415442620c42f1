"""The costmap of the running node: what goes into it, in which frame it is, and why it is unknown where it is."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable

import numpy as np

from gemini_ros.core.costmap import CostmapConfig, Occupancy, SemanticCostmap
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.nodes.outputs import Outputs
from gemini_ros.nodes.pose import BASE_FRAME, PoseSource, PoseUnknown
from gemini_ros.pipeline.statistics import Counters


class LiveCostmap:
    """Evidence comes from the worker's thread, rendering and changes from the executor's.

    ``fault`` says why the last frame gave no evidence, ``warning`` what is less than it could be; both are empty when
    all is well.
    """

    def __init__(self, config: CostmapConfig, label_set: LabelSet, poses: PoseSource) -> None:
        self.fault = "no frame yet"
        self.warning = ""
        self._label_set, self._poses = label_set, poses
        self._lock = threading.Lock()
        self._costmap = SemanticCostmap(config, label_set)
        self.frame = BASE_FRAME
        self._robot_xy = (0.0, 0.0)
        self._stopped = False

    def integrate(self, frame: Frame, segmentation: Segmentation) -> None:
        """Take in one frame, or note in ``fault`` why it is no evidence; the map then goes on ageing."""
        self.fault = self._integrate(frame, segmentation)

    def render(self, now_ns: int) -> tuple[Occupancy, str]:
        """The map at ``now_ns`` around the robot, and its frame."""
        with self._lock:
            return self._costmap.render(now_ns, self._robot_xy), self.frame

    def unknown(self, now_ns: int) -> tuple[Occupancy, str]:
        """A map of the same place that knows nothing."""
        occupancy, frame = self.render(now_ns)
        return dataclasses.replace(occupancy, data=np.full_like(occupancy.data, -1)), frame

    def reconfigure(self, config: CostmapConfig) -> None:
        """Start an empty map of another shape."""
        replacement = SemanticCostmap(config, self._label_set)
        replacement.warm_up()
        with self._lock:
            self._costmap = replacement

    def warm_up(self) -> None:
        self._costmap.warm_up()

    def stop(self) -> None:
        """All unknown at once, and no evidence until ``resume``: not even of a frame that is under way."""
        with self._lock:
            self._stopped = True
            self._costmap.clear()

    def resume(self) -> None:
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
            if pose.frame == BASE_FRAME or pose.frame != self.frame:
                self._costmap.clear()
            self.frame, self._robot_xy = pose.frame, pose.robot_xy
            self._costmap.update(segmentation, frame.depth, frame.intrinsics, pose.grid_from_camera, frame.stamp_ns)
        return ""


class CostmapTopic:
    """Publishes the costmap from two threads: after every frame, and between frames so that it ages.

    Made only while somebody subscribes. The last map stays with the middleware for whoever subscribes later, so when
    the last subscriber has gone it is replaced by an unknown one: nobody is handed old free space.
    """

    def __init__(self, costmap: LiveCostmap, outputs: Outputs, now: Callable[[], int], counters: Counters) -> None:
        self._costmap, self._outputs, self._now, self._counters = costmap, outputs, now, counters
        self._lock = threading.Lock()
        self._left_unknown = False
        self._published_ns = 0

    def publish(self) -> None:
        """The map as of now."""
        with self._lock:
            wanted = self._outputs.costmap_wanted
            if wanted or not self._left_unknown:
                self._publish(self._costmap.render(self._now()) if wanted else self._costmap.unknown(self._now()))
                self._left_unknown = not wanted

    def publish_if_older(self, age_ns: int) -> None:
        """Once more, unless the last one left less than ``age_ns`` ago."""
        if time.monotonic_ns() - self._published_ns >= age_ns:
            self.publish()

    def close(self) -> None:
        """Leave an unknown map behind."""
        with self._lock:
            self._publish(self._costmap.unknown(self._now()))

    def _publish(self, rendered: tuple[Occupancy, str]) -> None:
        self._outputs.publish_costmap(*rendered)
        self._published_ns = time.monotonic_ns()
        self._counters.costmaps_published += 1
