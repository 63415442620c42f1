"""Where the camera was when it took an image: from odometry and a mounting parameter, or from TF."""

from __future__ import annotations

import dataclasses
import importlib
import threading
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
from nav_msgs.msg import Odometry
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time

from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.transforms import camera_in_base, from_xyz_quaternion
from gemini_ros.nodes.executor import MessageExecutor
from gemini_ros.nodes.segmenter.tf_links import TfLinks, WatchedBuffer
from gemini_ros.pipeline.pose import (
    BASE_FRAME,
    SILENT_NS,
    TOLERANCE_NS,
    WAIT_NS,
    CameraPose,
    Motion,
    OdometryPoses,
    PoseUnknown,
    Transforms,
    moved_between,
    over_footprint,
    planar,
)
from gemini_ros.pipeline.settings import DEFAULTS

tf2_ros: Any = importlib.import_module("tf2_ros") if find_spec("tf2_ros") else None


class OdometryPose(OdometryPoses):
    """nav_msgs/Odometry on ``odom`` and the camera's mounting in ``base_frame``, ``None`` where it is not known."""

    def __init__(
        self,
        node: Node,
        grid_frame: str,
        mounting: tuple[float, ...] | None,
        base_frame: str = BASE_FRAME,
        max_speed_mps: float = DEFAULTS.max_speed_mps,
        transforms: Transforms | None = None,
        listener: TfListener | None = None,
    ) -> None:
        base_from_camera = None if mounting is None else camera_in_base(mounting)
        super().__init__(
            grid_frame, base_from_camera, max_speed_mps=max_speed_mps, base_frame=base_frame, transforms=transforms
        )
        self._node = node
        self._came = threading.Condition()
        self._listener = listener
        self._closed = False
        self._listening = threading.Lock()
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = node.create_subscription(Odometry, "odom", self._take, qos)

    def wait(self, stamp: int) -> None:
        with self._came:
            self._came.wait_for(lambda: not self.awaits(stamp), WAIT_NS / 1e9)

    def transform(self, target: str, source: str, stamp: int) -> npt.NDArray[np.float64]:
        """``target_from_source`` (4, 4) by TF, which is listened to from the first time on. Raises ``LookupError``.

        The executor's thread and the worker's may both be the first.
        """
        if tf2_ros is None:
            raise LookupError("TF is not known: tf2_ros is not installed")
        with self._listening:
            if self._closed:
                raise LookupError("TF is not listened to any more")
            self._listener = self._listener or TfListener(self._node)
            buffer = self._listener.buffer
        try:
            return _look_up(buffer, target, source, stamp)
        except (tf2_ros.TransformException, PoseUnknown) as error:
            raise LookupError(str(error)) from error

    def close(self) -> None:
        with self._listening:
            self._closed = True
            listener = self._listener
        if listener is not None:
            listener.close()
        self._node.destroy_subscription(self._subscription)

    def _take(self, message: Odometry) -> None:
        if fault := self.take(message):
            self._node.get_logger().warning(fault, throttle_duration_sec=5.0)
        with self._came:
            self._came.notify_all()


class TfListener:
    """What TF says, in ``buffer``, heard by a node and a thread of its own beside ``node``.

    An executor looks at all entities of its nodes for each message. This one has two subscriptions, and the images need
    not wait. The buffer is emptied when the clock of ``node`` jumps back: tf2 refuses what is older than it has.
    """

    def __init__(self, node: Node) -> None:
        self.buffer = tf2_ros.Buffer()
        self.links = TfLinks()
        remappings = [f"{topic}:={node.resolve_topic_name(topic)}" for topic in ("/tf", "/tf_static")]
        self._node = Node(
            f"{node.get_name()}_tf",
            namespace=node.get_namespace(),
            context=node.context,
            use_global_arguments=False,
            cli_args=["--ros-args", *(word for remapping in remappings for word in ("-r", remapping))],
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._listener = tf2_ros.TransformListener(WatchedBuffer(self.buffer, self.links), self._node)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jumps = node.get_clock().create_jump_callback(back, post_callback=lambda _: self._forget())
        self._executor = MessageExecutor(context=node.context)
        self._executor.add_node(self._node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="tf", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._jumps.unregister()
        self._listener.unregister()
        self._executor.shutdown(timeout_sec=0.5)
        self._node.destroy_node()

    def _forget(self) -> None:
        self.buffer.clear()
        self.links.clear()

    def _listen(self) -> None:
        try:
            while not self._stop.is_set():
                self._executor.spin_once(timeout_sec=0.1)
        except ExternalShutdownException:
            pass


class TfPose(OdometryPose):
    """TF: ``costmap.frame`` from ``base_frame``, the robot's centre, and that from the camera's frame, at the stamp.

    Where TF does not know ``costmap.frame`` the mounting comes from TF and the motion from odometry, see
    ``OdometryPoses``.
    """

    def __init__(
        self,
        node: Node,
        grid_frame: str,
        base_frame: str = BASE_FRAME,
        max_speed_mps: float = DEFAULTS.max_speed_mps,
    ) -> None:
        self._tf = TfListener(node)
        super().__init__(node, grid_frame, None, base_frame, max_speed_mps, self.transform, self._tf)
        self._tf_motion = Motion(max_speed_mps)
        self._grid_seen = False

    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        motion = f"TF {self._grid_frame} from {self.base_frame}"
        try:
            base = self._lookup(self._grid_frame, self.base_frame, stamp)
        except tf2_ros.ExtrapolationException as error:
            self._grid_seen = True
            raise PoseUnknown(f"{motion} has nothing near the image's stamp: {error}") from error
        except tf2_ros.TransformException as error:
            if self._grid_seen:
                raise PoseUnknown(f"{motion}: {error}") from error
            found = super().at(stamp, camera_frame)
            warnings = found.warning and f"{motion} is not known, {found.warning}", self._doubt()
            warning = "; ".join(text for text in warnings if text)
            return dataclasses.replace(found, warning=warning)
        self._grid_seen = True
        if jump := self._tf_motion.step(stamp, base):
            self.jump = jump
            self.jumps += 1
        robot = planar(base)
        # Not by the camera in the grid: a joint that is late would take the motion of the robot back with it.
        mounting = self._mounting(stamp, camera_frame)
        return CameraPose(self._grid_frame, over_footprint(robot, mounting), robot, self._doubt())

    def _mounting(self, stamp: int, camera_frame: str) -> npt.NDArray[np.float64]:
        try:
            return self._lookup(self.base_frame, camera_frame, stamp)
        except tf2_ros.TransformException as error:
            raise PoseUnknown(
                f"TF {self.base_frame} from {camera_frame!r}: {error}. Publish the camera's mounting, or set "
                "camera.in_base"
            ) from error

    def _doubt(self) -> str:
        return self._tf.links.doubt(self._grid_frame, self.base_frame)

    def wait(self, stamp: int) -> None:
        if not self._grid_seen:
            super().wait(stamp)
            return
        if self._silent_at(stamp):
            return
        wait = Duration(nanoseconds=WAIT_NS)
        self._tf.buffer.can_transform(self._grid_frame, self.base_frame, Time(nanoseconds=stamp), wait)

    def _silent_at(self, stamp: int) -> bool:
        """Whether TF has nothing of the second before ``stamp``: waiting for a TF that died would delay every image."""
        try:
            newest = self._tf.buffer.lookup_transform(self._grid_frame, self.base_frame, Time())
        except tf2_ros.TransformException:
            return False
        return stamp - stamp_ns(newest) > SILENT_NS

    def moved(self, since_ns: int, until_ns: int) -> bool | None:
        try:
            return moved_between(*(self._lookup(self._grid_frame, self.base_frame, at) for at in (since_ns, until_ns)))
        except (tf2_ros.TransformException, PoseUnknown):
            return super().moved(since_ns, until_ns)

    def _lookup(self, target: str, source: str, stamp: int) -> npt.NDArray[np.float64]:
        return _look_up(self._tf.buffer, target, source, stamp)


def _look_up(buffer: Any, target: str, source: str, stamp: int) -> npt.NDArray[np.float64]:
    """The transform at ``stamp``; the latest one where TF has not got that far, if it is near enough."""
    try:
        found = buffer.lookup_transform(target, source, Time(nanoseconds=stamp))
    except tf2_ros.ExtrapolationException:
        found = buffer.lookup_transform(target, source, Time())
        if abs(stamp_ns(found) - stamp) > TOLERANCE_NS:
            raise
    t, q = found.transform.translation, found.transform.rotation
    try:
        return from_xyz_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
    except ValueError as error:
        raise PoseUnknown(f"TF {target} from {source}: {error}") from error


def pose_source(
    node: Node,
    grid_frame: str,
    mounting: tuple[float, ...] | None,
    base_frame: str = BASE_FRAME,
    max_speed_mps: float = DEFAULTS.max_speed_mps,
) -> OdometryPose:
    """The mounting parameter decides for odometry; without it TF is used where tf2_ros is installed."""
    if mounting is None and tf2_ros is not None:
        return TfPose(node, grid_frame, base_frame, max_speed_mps)
    return OdometryPose(node, grid_frame, mounting, base_frame, max_speed_mps)
