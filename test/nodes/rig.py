"""A robot around the segmenter: cameras that publish, and somebody who listens, in a context of their own."""

from __future__ import annotations

import array
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PoseStamped, Quaternion
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import OccupancyGrid, Odometry
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2
from std_msgs.msg import String

from gemini_ros.core import registration
from gemini_ros.core.costmap import CostmapConfig, SemanticCostmap
from gemini_ros.core.labels import load_label_set
from gemini_ros.inference.load import load_segmenter
from gemini_ros.nodes.executor import MessageExecutor
from gemini_ros.nodes.segmenter import SegmenterNode
from gemini_ros.nodes.segmenter import node as segmenter
from gemini_ros.nodes.segmenter.keys import undescribed

MODELS = Path(__file__).parents[1] / "fixtures"
WIDTH, HEIGHT = 80, 60
FRAME = "camera_color_optical_frame"
MOUNTING = [0.2, 0.0, 0.5, 0.0, 0.2, 0.0]
SENSOR_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STREAMS = ("rgb", "depth", "thermal")
OUTPUTS = {
    "labels": Image,
    "confidence": Image,
    "color": Image,
    "camera_info": CameraInfo,
    "costmap": OccupancyGrid,
    "obstacles": PointCloud2,
    "ground": PointCloud2,
    "points": PointCloud2,
    "scan": LaserScan,
    "speed_mask": OccupancyGrid,
    "answers": String,
    "phrases": String,
    "phrase_masks": Image,
    "keepout_mask": OccupancyGrid,
    "target_pose": PoseStamped,
    "depth_completed": Image,
    "night_view": Image,
}
TIMEOUT_S = 30.0


def stamp(ns: int) -> Time:
    return Time(sec=ns // 10**9, nanosec=ns % 10**9)


def image(values: np.ndarray, encoding: str, stamp_ns: int, **changes: Any) -> Image:
    """An Image message of an array; ``changes`` spoil its fields."""
    message = Image(height=values.shape[0], width=values.shape[1], encoding=encoding, step=values[0].nbytes)
    message.header.stamp, message.header.frame_id = stamp(stamp_ns), FRAME
    message.data = array.array("B", values.tobytes())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def camera_info(width: int = WIDTH, height: int = HEIGHT, focal: float = 60.0) -> CameraInfo:
    message = CameraInfo(width=width, height=height)
    message.header.frame_id = FRAME
    message.k = [focal, 0.0, width / 2, 0.0, focal, height / 2, 0.0, 0.0, 1.0 if focal else 0.0]
    return message


class Robot:
    """Publishes what the cameras see and keeps what the segmenter says. Time is the wall's."""

    def __init__(self, listen: tuple[str, ...] = ("labels", "costmap"), suffix: Mapping[str, str] = {}) -> None:
        self.context = Context()
        rclpy.init(args=[], context=self.context)
        self.node = Node("robot", context=self.context, enable_rosout=False)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: dict[str, list[Any]] = {name: [] for name in listen}
        self.diagnostics: dict[str, Any] = {}
        self.on_diagnostics: Callable[[], None] = lambda: None
        self.cameras = {
            name: self.node.create_publisher(
                CompressedImage if suffix.get(name) else Image, f"{name}/image{suffix.get(name, '')}", SENSOR_QOS
            )
            for name in STREAMS
        }
        self.infos = {
            name: self.node.create_publisher(CameraInfo, f"{name}/camera_info", SENSOR_QOS) for name in STREAMS
        }
        self.odometry = self.node.create_publisher(Odometry, "odom", SENSOR_QOS)
        self._listeners = {
            name: self.node.create_subscription(
                OUTPUTS[name],
                f"segmenter/{name}",
                self.heard[name].append,
                LATCHED_QOS if OUTPUTS[name] is OccupancyGrid or name == "phrases" else QoSProfile(depth=50),
            )
            for name in listen
        }
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 10)
        self._random = np.random.default_rng(0)

    def _diagnosed(self, message: DiagnosticArray) -> None:
        self.diagnostics = {status.name.partition(": ")[2]: status for status in message.status}
        strange = [undescribed(name, (pair.key for pair in s.values)) for name, s in self.diagnostics.items()]
        assert not any(strange), f"docs/diagnostics.md does not have {strange}"
        self.on_diagnostics()

    def close(self) -> None:
        self.executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        self.context.try_shutdown()

    def until(self, condition: Callable[[], Any], what: str = "", timeout_s: float = TIMEOUT_S) -> Any:
        """Spin until ``condition`` holds and return its value; fail with what is known after the timeout."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if time.monotonic() > deadline:
                known = {name: f"{status.message} {self.figures(name)}" for name, status in self.diagnostics.items()}
                raise AssertionError(f"waited {timeout_s} s in vain {what}; diagnostics {known}")
            self.executor.spin_once(timeout_sec=0.02)
        return value

    def spin(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)

    def meet(self, streams: tuple[str, ...] = ("rgb", "depth"), outputs: bool = True) -> None:
        """Wait until the segmenter subscribes to the cameras and publishes to us."""
        self.until(lambda: all(self.cameras[name].get_subscription_count() for name in streams), "for subscriptions")
        if outputs:
            self.until(
                lambda: all(self.node.count_publishers(f"segmenter/{name}") for name in self.heard), "for outputs"
            )

    def figures(self, subject: str) -> dict[str, str]:
        status = self.diagnostics.get(subject)
        return {pair.key: pair.value for pair in status.values} if status else {}

    def says(self, subject: str, text: str) -> bool:
        return subject in self.diagnostics and text in self.diagnostics[subject].message

    def level(self, subject: str) -> int:
        return self.diagnostics[subject].level[0] if subject in self.diagnostics else -1

    def change(self, transition: str) -> bool:
        """Ask for a transition as a lifecycle manager does; whether it succeeded."""
        return self.call(
            ChangeState, "change_state", ChangeState.Request(transition=Transition(label=transition))
        ).success

    def state(self) -> str:
        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def set(self, **values: Any) -> str:
        """Set parameters, ``__`` for a dot; why it was refused, empty if it was not."""
        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        answer = self.call(
            SetParametersAtomically, "set_parameters_atomically", SetParametersAtomically.Request(parameters=parameters)
        )
        return "" if answer.result.successful else answer.result.reason or "refused"

    def call(self, kind: type, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, f"segmenter/{name}")
        try:
            self.until(client.service_is_ready, f"for the service {name}")
            future = client.call_async(request)
            self.until(future.done, f"for an answer of {name}")
            return future.result()
        finally:
            self.node.destroy_client(client)

    # -- what cameras see

    def now(self) -> int:
        return time.time_ns()

    def rgb(self, stamp_ns: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image:
        return image(self._random.integers(0, 256, (size[1], size[0], 3), np.uint8), "rgb8", stamp_ns)

    def depth(self, stamp_ns: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image:
        """Two metres, a little noise, millimetres; on the grid of RGB."""
        return image(self._random.integers(1990, 2011, (size[1], size[0])).astype(np.uint16), "16UC1", stamp_ns)

    def thermal(self, stamp_ns: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image:
        return image(self._random.integers(29000, 31000, (size[1], size[0])).astype(np.uint16), "mono16", stamp_ns)

    def odom(self, stamp_ns: int, x: float = 0.0, frame: str = "odom") -> Odometry:
        message = Odometry(child_frame_id="base_link")
        message.header.stamp, message.header.frame_id = stamp(stamp_ns), frame
        message.pose.pose.position = Point(x=x)
        message.pose.pose.orientation = Quaternion(w=1.0)
        return message

    def send(
        self, *streams: str, stamp_ns: int | None = None, odom: bool = True, info: bool = True, **replaced: Any
    ) -> int:
        """Publish one image of each stream under one stamp; ``replaced`` messages go out instead. Returns the stamp."""
        stamp_ns = stamp_ns or self.now()
        if odom:
            self.odometry.publish(self.odom(stamp_ns))
        for name in streams:
            if info:
                self.infos[name].publish(camera_info())
            message = replaced.get(name)
            self.cameras[name].publish(getattr(self, name)(stamp_ns) if message is None else message)
        return stamp_ns

    def send_until(
        self, condition: Callable[[], Any], *streams: str, every_s: float = 0.05, **options: Any
    ) -> list[int]:
        """Publish at a steady rate until ``condition`` holds; the stamps sent."""
        stamps = []
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, f"in vain; {[s.message for s in self.diagnostics.values()]}"
            stamps.append(self.send(*streams, **options))
            self.spin(every_s)
        return stamps

    def label_stamps(self) -> list[int]:
        return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in self.heard["labels"]]


@contextmanager
def robot(listen: tuple[str, ...] = ("labels", "costmap"), suffix: Mapping[str, str] = {}) -> Iterator[Robot]:
    made = Robot(listen, suffix)
    try:
        yield made
    finally:
        made.close()


class LiveNode:
    """The segmenter in a context and thread of its own, in this process."""

    def __init__(self, **parameters: Any) -> None:
        parameters = {
            "model": str(MODELS / "tiny_rgb_depth.onnx"),
            "camera.in_base": MOUNTING,
            **{name.replace("__", "."): value for name, value in parameters.items()},
        }
        self.context = Context()
        rclpy.init(args=[], context=self.context)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = SegmenterNode(context=self.context, parameter_overrides=overrides)
        self.executor = MessageExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._stop = Event()
        self._thread = Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while not self._stop.is_set():
            self.executor.spin_once(timeout_sec=0.05)

    def do(self, action: Callable[[], Any]) -> Any:
        """Run ``action`` in the executor's thread."""
        return self.executor.create_task(action)

    def close(self) -> int:
        self._stop.set()
        self._thread.join()
        status = self.node.close()
        self.executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        self.context.try_shutdown()
        return status


@cache
def warm_up() -> None:
    """Import the libraries and compile the kernels: where a machine is busy the first node of a process takes half a
    minute for it, and the limits of the tests are those of a node."""
    load_segmenter(MODELS / "tiny_rgb_depth.onnx", backend="onnxruntime").close()
    SemanticCostmap(CostmapConfig(), load_label_set("nav5")).warm_up()
    registration.warm_up()


@contextmanager
def live_node(**parameters: Any) -> Iterator[LiveNode]:
    """The running node; at the end it must have accounted for every message. ``__`` in a name stands for a dot.

    It reports ten times as often as it would, so that tests need not wait.
    """
    warm_up()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenter, "_DIAGNOSTICS_S", 0.1)
        live = LiveNode(**parameters)
    try:
        yield live
    finally:
        status = live.close()
    assert status == 0
