"""Where the camera was when it took an image: from odometry and a mounting parameter, or from TF."""

from __future__ import annotations

import importlib
import threading
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time

from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.transforms import camera_in_base, from_xyz_quaternion
from gemini_ros.pipeline.pose import (
    BASE_FRAME,
    TOLERANCE_NS,
    WAIT_NS,
    CameraPose,
    Motion,
    OdometryPoses,
    PoseSource,
    PoseUnknown,
    moved_between,
    planar,
)
from gemini_ros.pipeline.settings import DEFAULTS

tf2_ros: Any = importlib.import_module("tf2_ros") if find_spec("tf2_ros") else None


class OdometryPose(OdometryPoses):
    """nav_msgs/Odometry on ``odom`` and the mounting of the camera in base_link, ``None`` where it is not known."""

    def __init__(
        self,
        node: Node,
        grid_frame: str,
        mounting: tuple[float, ...] | None,
        max_speed_mps: float = DEFAULTS.max_speed_mps,
    ) -> None:
        base_from_camera = None if mounting is None else camera_in_base(mounting)
        super().__init__(grid_frame, base_from_camera, max_speed_mps=max_speed_mps)
        self._node = node
        self._came = threading.Condition()
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = node.create_subscription(Odometry, "odom", self._take, qos)

    def wait(self, stamp: int) -> None:
        with self._came:
            self._came.wait_for(lambda: not self.awaits(stamp), WAIT_NS / 1e9)

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)

    def _take(self, message: Odometry) -> None:
        if fault := self.take(message):
            self._node.get_logger().warning(fault, throttle_duration_sec=5.0)
        with self._came:
            self._came.notify_all()


class TfPose:
    """TF: ``costmap.frame`` from the camera's frame at the stamp; base_link is the robot's centre.

    Where TF does not know ``costmap.frame`` at all the grid is in base_link.
    """

    def __init__(self, node: Node, grid_frame: str, max_speed_mps: float = DEFAULTS.max_speed_mps) -> None:
        self.jumps, self.jump = 0, ""
        self._motion = Motion(max_speed_mps)
        self._grid_frame = grid_frame
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)
        self._grid_seen = False

    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        try:
            base = self._lookup(self._grid_frame, BASE_FRAME, stamp)
            self._grid_seen = True
            if jump := self._motion.step(stamp, base):
                self.jump = jump
                self.jumps += 1
        except tf2_ros.TransformException as error:
            if self._grid_seen:
                raise PoseUnknown(f"TF {self._grid_frame} from {BASE_FRAME}: {error}") from error
            warning = (
                f"TF knows no {self._grid_frame} from {BASE_FRAME} ({error}): the grid is in {BASE_FRAME} and does not "
                "accumulate"
            )
            return CameraPose(BASE_FRAME, self._camera(BASE_FRAME, camera_frame, stamp), (0.0, 0.0, 0.0), warning)
        return CameraPose(self._grid_frame, self._camera(self._grid_frame, camera_frame, stamp), planar(base))

    def wait(self, stamp: int) -> None:
        if self._grid_seen:
            wait = Duration(nanoseconds=WAIT_NS)
            self._buffer.can_transform(self._grid_frame, BASE_FRAME, Time(nanoseconds=stamp), wait)

    def moved(self, since_ns: int, until_ns: int) -> bool | None:
        try:
            return moved_between(*(self._lookup(self._grid_frame, BASE_FRAME, at) for at in (since_ns, until_ns)))
        except tf2_ros.TransformException:
            return None

    def close(self) -> None:
        self._listener.unregister()

    def _camera(self, target: str, camera_frame: str, stamp: int) -> npt.NDArray[np.float64]:
        try:
            return self._lookup(target, camera_frame, stamp)
        except tf2_ros.TransformException as error:
            raise PoseUnknown(
                f"TF {target} from {camera_frame!r}: {error}. Publish the camera's mounting, or set camera.in_base"
            ) from error

    def _lookup(self, target: str, source: str, stamp: int) -> npt.NDArray[np.float64]:
        """The transform at ``stamp``; the latest one where TF has not got that far, if it is near enough."""
        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp))
        except tf2_ros.ExtrapolationException:
            found = self._buffer.lookup_transform(target, source, Time())
            if abs(stamp_ns(found) - stamp) > TOLERANCE_NS:
                raise
        t, q = found.transform.translation, found.transform.rotation
        return from_xyz_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))


def pose_source(
    node: Node, grid_frame: str, mounting: tuple[float, ...] | None, max_speed_mps: float = DEFAULTS.max_speed_mps
) -> PoseSource:
    """The mounting parameter decides for odometry; without it TF is used where tf2_ros is installed."""
    if mounting is None and tf2_ros is not None:
        return TfPose(node, grid_frame, max_speed_mps)
    return OdometryPose(node, grid_frame, mounting, max_speed_mps)
