"""A segmenter as a process, a robot around it that sends good pairs and faults, and the invariants it must keep."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from gemini_ros.core.image_files import encode_image_file
from test.nodes.rig import LATCHED_QOS, MODELS, MOUNTING, Robot, stamp
from test.nodes.test_process import resident_kb

TIMEOUT_S = 0.6
"""``costmap.timeout_s`` of the node under test; the map ages every 0.2 s."""
PERIOD_S = 0.05
_AGE_TOLERANCE_S = 0.4
_SILENCE_S = 1.5
_RECOVERY_S = 1.0
_PARAMETERS = {
    "model": str(MODELS / "tiny_rgb_depth.onnx"),
    "camera.in_base": MOUNTING,
    "missing.timeout_s": 0.3,
    "costmap.timeout_s": TIMEOUT_S,
    "costmap.size_m": 8.0,
    "costmap.resolution_m": 0.1,
}


def slack() -> float:
    """How many processes stand before each core: all that is timed takes that many times as long."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass
class Seen:
    """What came out of the node, by the time it came."""

    maps: list[tuple[float, int]] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)
    sentences: set[str] = field(default_factory=set)
    good: list[float] = field(default_factory=list)


class World:
    """``good`` sends a pair with its odometry; ``check`` and ``recover`` judge what became of a fault."""

    def __init__(self, running: subprocess.Popen[str], robot: Robot, log: Path, parameters: dict[str, Any]) -> None:
        self.running, self.robot, self.log = running, robot, log
        self.simulated = parameters.get("use_sim_time", False)
        self._compresses = parameters.get("rgb__image_transport") == "compressed"
        self.seen = Seen()
        self.clock = robot.node.create_publisher(Clock, "/clock", 10)
        self.clock_ns = 1_000_000_000_000
        robot.node.create_subscription(OccupancyGrid, "segmenter/costmap", self._map, LATCHED_QOS)
        robot.node.create_subscription(DiagnosticArray, "/diagnostics", self._report, QoSProfile(depth=50))

    def _map(self, message: OccupancyGrid) -> None:
        self.seen.maps.append((time.monotonic(), int((np.asarray(message.data) != -1).sum())))

    def _report(self, message: DiagnosticArray) -> None:
        self.seen.reports.append(time.monotonic())
        self.seen.sentences.update(f"{status.name.partition(': ')[2]}: {status.message}" for status in message.status)

    # -- what is sent

    def now(self) -> int:
        return self.clock_ns if self.simulated else self.robot.now()

    def tick(self, seconds: float = PERIOD_S) -> None:
        """Let time pass: the simulated clock too, in steps of a camera's period."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.simulated:
                self.clock_ns += round(PERIOD_S * 1e9)
                self.clock.publish(Clock(clock=stamp(self.clock_ns)))
            self.robot.spin(min(PERIOD_S, max(until - time.monotonic(), 0.0)))

    def good(self, count: int = 1) -> None:
        """Pairs that nobody can object to."""
        for _ in range(count):
            self.tick()
            at = self.now()
            rgb = self.robot.rgb(at)
            self.robot.send("rgb", "depth", stamp_ns=at, rgb=self.compressed(rgb) if self._compresses else rgb)
            self.seen.good.append(time.monotonic())

    def bad(self, *streams: str, seconds: float = 0.4, ahead_ns: int = 0, **options: Any) -> None:
        """Images for a while, in place of good ones; ``options`` are those of ``Robot.send``."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tick()
            self.robot.send(*streams, stamp_ns=self.now() + ahead_ns, **options)

    def compressed(self, message: Image) -> CompressedImage:
        """An rgb8 image as a PNG."""
        values = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
        return CompressedImage(header=message.header, format="png", data=encode_image_file(values, ".png"))

    # -- what must hold

    def resident_kb(self) -> int:
        return resident_kb(self.running.pid, "Anon")

    def start(self) -> None:
        self.robot.meet()
        deadline = time.monotonic() + 60 * slack()  # the libraries are imported, and the model loads
        while not (self.seen.maps and self.seen.maps[-1][1]):
            assert time.monotonic() < deadline, f"no map; {sorted(self.seen.sentences)}, {self.log.read_text()}"
            self.good()

    def forget(self) -> None:
        self.seen.maps.clear()
        self.seen.reports.clear()
        self.seen.sentences.clear()

    def recover(self) -> float:
        """Seconds from the third good pair to labels and a map that knows something."""
        self.good()
        self.seen.maps.clear()  # when a simulated clock goes on, what it had seen before it stood is young again
        self.good(2)
        start = time.monotonic()
        maps, labels = len(self.seen.maps), len(self.robot.heard["labels"])
        while not (len(self.robot.heard["labels"]) > labels and any(known for _, known in self.seen.maps[maps:])):
            took_s = time.monotonic() - start
            assert took_s < _RECOVERY_S * slack(), f"no recovery in {took_s:.1f} s; {sorted(self.seen.sentences)}"
            self.good()
        self.robot.heard["labels"].clear()
        return time.monotonic() - start

    def check(self) -> None:
        """No crash, never silent, and no known cell later than its timeout after the last good pair was sent."""
        assert self.running.poll() is None, f"the node ended with {self.running.returncode}: {self.log.read_text()}"
        times = [*self.seen.reports, time.monotonic()]
        silent_s = max(later - earlier for earlier, later in itertools.pairwise(times)) if times[1:] else 0.0
        assert silent_s < _SILENCE_S * slack(), f"no diagnostics for {silent_s:.1f} s"
        for came, known in self.seen.maps:
            before = bisect_right(self.seen.good, came)
            age_s = came - self.seen.good[before - 1]
            allowed_s = TIMEOUT_S + _AGE_TOLERANCE_S * slack()
            assert not known or age_s <= allowed_s, f"{known} known cells, {age_s:.2f} s old"


@contextmanager
def world(environment: dict[str, str], folder: Path, robot: Robot, **parameters: Any) -> Iterator[World]:
    """A running world; at the end the node is interrupted, and must have accounted for every message."""
    values = _PARAMETERS | {name.replace("__", "."): value for name, value in parameters.items()}
    file, log = folder / "parameters.yaml", folder / "log"
    file.write_text(yaml.safe_dump({"segmenter": {"ros__parameters": values}}), encoding="utf-8")
    command = [sys.executable, "-m", "gemini_ros.nodes.segmenter", "--ros-args", "--params-file", str(file)]
    with log.open("w") as output, subprocess.Popen(command, env=environment, text=True, stderr=output) as running:
        try:
            made = World(running, robot, log, parameters)
            made.start()
            yield made
            running.terminate()
            assert running.wait(10) == 0, log.read_text()
        finally:
            running.kill()
