"""What a running segmenter says of itself, and what is heard of it: figures for a live display."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import OccupancyGrid
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image

from gemini_ros.nodes.tool import tool_node

_RATE_OVER_S = 2.0


@dataclass(frozen=True)
class Subject:
    """One status of /diagnostics: ``message`` in one line, ``values`` as the node wrote them."""

    message: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    def number(self, key: str) -> float | None:
        """A figure; ``None`` where it is not said."""
        return float(self.values[key]) if key in self.values else None

    def count(self, key: str) -> int:
        """A counter; 0 where it is not said."""
        return int(self.values.get(key, 0))


class Monitor:
    """Listens while ``spin`` runs. ``subjects``: the latest statuses by subject (``mode``, ``input rgb``, ``latency``).

    ``reports`` counts the diagnostics heard; ``map_known`` is the share of cells of the costmap that are not unknown.
    """

    def __init__(self, node: Node, segmenter: str) -> None:
        self.subjects: Mapping[str, Subject] = {}
        self.reports = 0
        self.map_known: float | None = None
        self._node, self._name = node, segmenter
        self._label_times: deque[float] = deque(maxlen=1000)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 10)
        node.create_subscription(Image, f"/{segmenter}/labels", self._take_labels, 10, raw=True)
        node.create_subscription(OccupancyGrid, f"/{segmenter}/costmap", self._take_costmap, latched)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)

    def spin(self, duration_s: float) -> None:
        """Listen for ``duration_s``."""
        end = time.monotonic() + duration_s
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def close(self) -> None:
        self._executor.remove_node(self._node)
        self._executor.shutdown(timeout_sec=0.5)

    def subject(self, name: str) -> Subject:
        """The latest status of a subject; an empty one before there is any."""
        return self.subjects.get(name, Subject())

    @property
    def mode(self) -> str:
        """The segmenter's mode; ``starting`` until it has said any."""
        return self.subject("mode").values.get("mode", "starting")

    @property
    def streams(self) -> dict[str, Subject]:
        """The statuses of the image streams, by stream."""
        prefix = "input "
        return {name[len(prefix) :]: s for name, s in self.subjects.items() if name.startswith(prefix)}

    @property
    def labels_hz(self) -> float:
        """Label images heard per second, over the last two seconds."""
        since = time.monotonic() - _RATE_OVER_S
        return sum(at > since for at in self._label_times) / _RATE_OVER_S

    def is_subscribed(self, topic: str, node_name: str) -> bool:
        """Whether a node of this name has a subscription on ``topic``."""
        return any(info.node_name == node_name for info in self._node.get_subscriptions_info_by_topic(topic))

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        prefix = f"{self._name}: "
        statuses = {s.name[len(prefix) :]: s for s in message.status if s.name.startswith(prefix)}
        if statuses:
            self.subjects = {
                name: Subject(status.message, {pair.key: pair.value for pair in status.values})
                for name, status in statuses.items()
            }
            self.reports += 1

    def _take_labels(self, _: bytes) -> None:
        self._label_times.append(time.monotonic())

    def _take_costmap(self, message: OccupancyGrid) -> None:
        data = np.frombuffer(message.data, np.int8)
        self.map_known = float((data != -1).mean()) if data.size else None


@contextmanager
def monitoring(segmenter: str) -> Iterator[Monitor]:
    """A ``Monitor`` of the node ``segmenter`` in the domain of the environment."""
    with tool_node("monitor") as node:
        monitor = Monitor(node, segmenter)
        try:
            yield monitor
        finally:
            monitor.close()
