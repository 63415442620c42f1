"""Where the camera was when it took an image: from odometry and a mounting parameter, or from TF."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time

from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.transforms import PoseBuffer, camera_in_base, from_xyz_quaternion

tf2_ros: Any = importlib.import_module("tf2_ros") if find_spec("tf2_ros") else None

#: REP 105
BASE_FRAME = "base_link"
TOLERANCE_NS = 100_000_000


class PoseUnknown(Exception):  # noqa: N818 (an answer, not a failure)
    """There is no pose for an image; the text says why and what to do."""


@dataclass(frozen=True)
class CameraPose:
    """``grid_from_camera`` (4, 4), optical frame to ``frame``, in metres; ``robot_xy`` is base_link in ``frame``.

    ``warning`` says why the grid moves with the robot where it does; such a grid must not accumulate.
    """

    frame: str
    grid_from_camera: npt.NDArray[np.float64]
    robot_xy: tuple[float, float]
    warning: str = ""


class PoseSource(Protocol):
    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        """The pose at ``stamp`` in nanoseconds. Raises ``PoseUnknown``. Called from the worker's thread."""
        ...

    def close(self) -> None: ...


class OdometryPose:
    """nav_msgs/Odometry on ``odom`` and the mounting of the camera in base_link.

    As long as there was no odometry at all the grid is in base_link.
    """

    def __init__(self, node: Node, grid_frame: str, mounting: tuple[float, ...] | None) -> None:
        self._grid_frame = grid_frame
        self._base_from_camera = None if mounting is None else camera_in_base(mounting)
        self._buffer = PoseBuffer()
        self._found_frame: str | None = None
        self._fault = ""
        self._node = node
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = node.create_subscription(Odometry, "odom", self._take, qos)

    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        if self._base_from_camera is None:
            raise PoseUnknown(
                "the mounting of the camera is not known: set camera.in_base (x y z roll pitch yaw of its body in "
                f"{BASE_FRAME}), or install tf2_ros"
            )
        if self._found_frame is None:
            warning = f"{self._fault or 'no odometry on odom'}: the grid is in {BASE_FRAME} and does not accumulate"
            return CameraPose(BASE_FRAME, self._base_from_camera, (0.0, 0.0), warning)
        if self._found_frame != self._grid_frame:
            raise PoseUnknown(
                f"odometry is in frame {self._found_frame!r}, costmap.frame is {self._grid_frame!r}: set costmap.frame"
            )
        grid_from_base = self._buffer.at(stamp, TOLERANCE_NS)
        if grid_from_base is None:
            raise PoseUnknown(
                f"no odometry within {TOLERANCE_NS / 1e9:g} s of the image: publish it at 20 Hz or more, stamped with "
                "the clock of the camera"
            )
        x, y = grid_from_base[:2, 3]
        return CameraPose(self._grid_frame, grid_from_base @ self._base_from_camera, (float(x), float(y)))

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)

    def _take(self, message: Odometry) -> None:
        position, q = message.pose.pose.position, message.pose.pose.orientation
        try:
            pose = from_xyz_quaternion((position.x, position.y, position.z), (q.x, q.y, q.z, q.w))
        except ValueError as error:
            self._fault = f"odometry is unusable ({error})"
            self._node.get_logger().warning(self._fault, throttle_duration_sec=5.0)
            return
        self._buffer.add(stamp_ns(message), pose)
        self._found_frame = message.header.frame_id


class TfPose:
    """TF: ``costmap.frame`` from the camera's frame at the stamp; base_link is the robot's centre.

    Where TF does not know ``costmap.frame`` at all the grid is in base_link.
    """

    def __init__(self, node: Node, grid_frame: str) -> None:
        self._grid_frame = grid_frame
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)
        self._grid_seen = False

    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        try:
            base = self._lookup(self._grid_frame, BASE_FRAME, stamp)
            self._grid_seen = True
        except tf2_ros.TransformException as error:
            if self._grid_seen:
                raise PoseUnknown(f"TF {self._grid_frame} from {BASE_FRAME}: {error}") from error
            warning = (
                f"TF knows no {self._grid_frame} from {BASE_FRAME} ({error}): the grid is in {BASE_FRAME} and does not "
                "accumulate"
            )
            return CameraPose(BASE_FRAME, self._camera(BASE_FRAME, camera_frame, stamp), (0.0, 0.0), warning)
        x, y = base[:2, 3]
        return CameraPose(self._grid_frame, self._camera(self._grid_frame, camera_frame, stamp), (float(x), float(y)))

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


def pose_source(node: Node, grid_frame: str, mounting: tuple[float, ...] | None) -> PoseSource:
    """The mounting parameter decides for odometry; without it TF is used where tf2_ros is installed."""
    if mounting is None and tf2_ros is not None:
        return TfPose(node, grid_frame)
    return OdometryPose(node, grid_frame, mounting)
