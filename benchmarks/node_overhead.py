"""What the node costs beside the network: latency, CPU per frame and resident memory of the running segmenter.

    python benchmarks/node_overhead.py [--model MODEL] [--rate 5] [--frames 500] [--memory-frames 2200]
        [--checkout DIRECTORY] [--set NAME=VALUE]... [--json FILE]

The node is a process on one core; raw rgb8 and 16UC1 images come from this process on another, which subscribes to
labels, confidence and costmap. After a warm-up the node is activated anew, so that its statistics are those of the
frames measured. Overhead = total - queue - network, frame by frame, as the node measures it.
"""

from __future__ import annotations

import argparse
import array
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config/fastdds.xml")
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.setdefault("ROS_DOMAIN_ID", "97")

# ruff: noqa: E402 (the middleware reads its environment when it is loaded)
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.resources import find_model
from gemini_ros.nodes.messages import camera_info_message, header
from gemini_ros.nodes.tool import tool_node

WARM_UP = 50
MEMORY_FROM = 200
LIMITS = {"overhead_p50_ms": 8.0, "memory_growth_mb": 5.0}
SENSOR_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED_QOS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FRAME = "camera_color_optical_frame"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=find_model, default="warehouse_rgbd_nano", help="ONNX file, or a shipped model")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="runs the package of another directory")
    parser.add_argument("--set", type=assignment, action="append", default=[], metavar="NAME=VALUE", help="parameters")
    parser.add_argument("--size", default="640x480", help="image size, WIDTHxHEIGHT")
    parser.add_argument("--rate", type=float, default=5.0, help="images a second of each stream")
    parser.add_argument("--frames", type=int, default=500, help="frames measured, after 50 for warming up")
    parser.add_argument("--memory-frames", type=int, default=2200, help="frames of the memory measurement; 0: none")
    parser.add_argument("--memory-rate", type=float, default=10.0, help="images a second while memory is measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("needs two cores, one for the node and one for the cameras")
    os.sched_setaffinity(0, {cores[1]})
    result = {
        "size": options.size,
        "rate_hz": options.rate,
        "frames": options.frames,
        "model": options.model.name,
        "cpu": platform.processor() or platform.machine(),
        "limits": LIMITS,
    }
    with tempfile.TemporaryDirectory() as folder:
        statistics = Path(folder) / "statistics.json"
        given = segmenter(options.model, statistics, {cores[0]}, options.checkout.resolve(), **dict(options.set))
        with given as process, tool_node("cameras") as node:
            cameras = Cameras(node, width, height)
            result |= measure_latency(cameras, process.pid, statistics, options)
            if options.memory_frames:
                result |= measure_memory(cameras, process.pid, options)
            cameras.close()
    report(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if any(result.get(name, 0.0) > limit for name, limit in LIMITS.items()) else 0


def assignment(text: str) -> tuple[str, str]:
    """``NAME=VALUE`` as name and value."""
    name, _, value = text.partition("=")
    return name, value


@contextmanager
def segmenter(
    model: Path,
    statistics: Path,
    cores: Collection[int],
    checkout: Path = ROOT,
    namespace: str = "",
    **more: object,
) -> Iterator[subprocess.Popen[bytes]]:
    """The node of a checkout as a process on ``cores``, unconfigured; ``more`` are parameters by name."""
    parameters = {
        "model": model.resolve(),
        "autostart": "false",
        "statistics_file": statistics,
        "camera.in_base": "[0.2, 0.0, 0.5, 0.0, 0.2, 0.0]",
        **more,
    }
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    words += ["-r", f"__ns:=/{namespace}"] if namespace else []
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(checkout)}
    environment |= {"OMP_NUM_THREADS": "1"} if len(cores) == 1 else {}
    process = subprocess.Popen(
        [sys.executable, "-m", "gemini_ros.nodes.segmenter", "--ros-args", *words],
        env=environment,
        cwd=checkout,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        if process.wait(10) != 0:
            raise SystemExit(f"the node ended with status {process.returncode}")


@dataclass(frozen=True)
class Frame:
    rgb: array.array
    depth: array.array


class Operator:
    """Changes the state of the segmenter in the namespace of ``node``, and follows its ``mode``."""

    def __init__(self, node: Node) -> None:
        self.mode = ""
        self._node = node
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._change = node.create_client(ChangeState, "segmenter/change_state")
        node.create_subscription(DiagnosticArray, "/diagnostics", self._listen, 10)

    def close(self) -> None:
        self._executor.remove_node(self._node)
        self._executor.shutdown(timeout_sec=1.0)

    def change(self, transition: str) -> None:
        self.until(self._change.service_is_ready)
        future = self._change.call_async(ChangeState.Request(transition=Transition(label=transition)))
        self.until(future.done)
        if not future.result().success:
            raise SystemExit(f"{transition} failed")

    def activate(self) -> None:
        """Until the network is there, which each activation loads."""
        self.change("activate")
        self.spin(time.monotonic() + 0.5)
        self.mode = ""  # what came so far is of the time before
        self.until(lambda: self.mode.startswith("waiting"))

    def spin(self, until_s: float) -> None:
        """Listen until this time of the monotonic clock."""
        while (left := until_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], Any], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"the node does not answer; its mode is {self.mode!r}")
            self._executor.spin_once(timeout_sec=0.05)

    def _listen(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f"{self._node.get_namespace()}/segmenter: mode".lstrip("/"):
                self.mode = status.message


class Cameras(Operator):
    """Publishes frames at a rate and counts the labels that come back."""

    def __init__(self, node: Node, width: int, height: int) -> None:
        super().__init__(node)
        self.labels = 0
        self._width, self._height = width, height
        # More than the node remembers: a content that comes again is a frozen camera's.
        self._frames = [scene(width, height, seed) for seed in range(16)]
        self._images = {name: node.create_publisher(Image, f"{name}/image", SENSOR_QOS) for name in ("rgb", "depth")}
        self._info = node.create_publisher(CameraInfo, "rgb/camera_info", SENSOR_QOS)
        self._odometry = node.create_publisher(Odometry, "odom", SENSOR_QOS)
        for name in ("labels", "confidence"):
            node.create_subscription(Image, f"segmenter/{name}", self._count if name == "labels" else _ignore, 2)
        node.create_subscription(OccupancyGrid, "segmenter/costmap", _ignore, LATCHED_QOS)

    def send(self, count: int, rate_hz: float, at_frame: Callable[[int], None] = lambda i: None) -> None:
        """Publish ``count`` frames and wait for the labels of the last."""
        self.until(lambda: all(camera.get_subscription_count() for camera in self._images.values()))
        start = time.monotonic()
        for i in range(count):
            at_frame(i)
            self.spin(start + i / rate_hz)
            self._publish(self._frames[i % len(self._frames)])
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)
        at_frame(count)

    def _publish(self, frame: Frame) -> None:
        head = header(time.time_ns(), FRAME)
        odometry = Odometry(header=header(time.time_ns(), "odom"), child_frame_id="base_link")
        odometry.pose.pose.orientation.w = 1.0
        self._odometry.publish(odometry)
        w, h = self._width, self._height
        self._info.publish(camera_info_message(Intrinsics(w, h, 0.9 * w, 0.9 * w, w / 2, h / 2), head))
        for name, encoding, pixel, data in (("rgb", "rgb8", 3, frame.rgb), ("depth", "16UC1", 2, frame.depth)):
            image = Image(header=head, width=w, height=h, encoding=encoding, step=pixel * w)
            image.data = data
            self._images[name].publish(image)

    def _count(self, _: Image) -> None:
        self.labels += 1


def _ignore(_: Any) -> None:
    pass


def scene(width: int, height: int, seed: int) -> Frame:
    """A textured floor that runs away from the camera, with noise as a sensor has it."""
    random = np.random.default_rng(seed)
    rows = np.arange(height)[:, None]
    metres = np.clip(0.5 * 0.9 * width / np.maximum(rows - height / 3, 1.0), 0.4, 8.0) * np.ones(width)
    depth = (1000 * metres + random.normal(0, 10, metres.shape)).astype(np.uint16)
    coarse = random.integers(0, 256, (height // 20 + 1, width // 20 + 1, 3), np.uint8)
    rgb = np.kron(coarse, np.ones((20, 20, 1), np.uint8))[:height, :width]
    return Frame(array.array("B", rgb.tobytes()), array.array("B", depth.tobytes()))


def measure_latency(cameras: Cameras, pid: int, file: Path, options: argparse.Namespace) -> dict[str, Any]:
    cameras.change("configure")
    cameras.until(lambda: cameras.mode.endswith("configured, not active"))
    cameras.change("activate")
    cameras.send(WARM_UP, options.rate)
    cameras.change("deactivate")
    cameras.change("activate")
    before_s = cpu_seconds(pid)
    labels = cameras.labels
    cameras.send(options.frames, options.rate)
    spent_s = cpu_seconds(pid) - before_s
    heard = cameras.labels - labels
    cameras.change("deactivate")
    told = json.loads(file.read_text(encoding="utf-8"))
    if told["inferences"] < options.frames / 2:
        raise SystemExit(f"{told['inferences']} of {options.frames} frames were segmented; lower --rate")
    return {
        "inferences": told["inferences"],
        "labels_heard": heard,
        "overhead_p50_ms": told["overhead_ms"]["p50"],
        "overhead_p99_ms": told["overhead_ms"]["p99"],
        "latency_ms": told["latency_ms"],
        "cpu_ms_per_frame": {
            name: 1e3 * s / max(told["inferences"], 1) for name, s in zip(("user", "system"), spent_s, strict=True)
        },
    }


def measure_memory(cameras: Cameras, pid: int, options: argparse.Namespace) -> dict[str, Any]:
    resident: dict[int, float] = {}

    def note(i: int) -> None:
        if i in (MEMORY_FROM, options.memory_frames):
            resident[i] = resident_mb(pid)

    cameras.change("activate")
    cameras.send(options.memory_frames, options.memory_rate, note)
    cameras.change("deactivate")
    first, last = resident[MEMORY_FROM], resident[options.memory_frames]
    return {"memory_mb": last, "memory_growth_mb": last - first, "memory_frames": options.memory_frames}


def cpu_seconds(pid: int) -> np.ndarray:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return np.array([int(fields[11]), int(fields[12])]) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def report(result: dict[str, Any]) -> None:
    print(f"{result['model']}, {result['size']}, {result['rate_hz']:g} Hz, {result['inferences']} frames, one core")
    for stage, ms in result["latency_ms"].items():
        if ms["p50"] is not None:
            print(f"  {stage:12s} p50 {ms['p50']:8.2f} ms   p99 {ms['p99']:8.2f} ms")
    overhead = f"p50 {result['overhead_p50_ms']:8.2f} ms   p99 {result['overhead_p99_ms']:8.2f} ms"
    print(f"  overhead     {overhead} (limit of p50: 8)")
    cpu = result["cpu_ms_per_frame"]
    print(f"  CPU per frame {cpu['user']:.1f} ms user + {cpu['system']:.1f} ms system")
    if "memory_mb" in result:
        print(
            f"  memory {result['memory_mb']:.0f} MB, {result['memory_growth_mb']:+.1f} MB from frame 200 on (limit 5)"
        )


if __name__ == "__main__":
    sys.exit(main())
