"""A subscriber that keeps what arrives, in order, while a tool under test runs as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile

from gemini_ros.nodes.tool import tool_node


@dataclass
class Listener:
    """``heard``: (topic, message, monotonic ns of its arrival)."""

    executor: SingleThreadedExecutor
    heard: list[tuple[str, Any, int]] = field(default_factory=list)

    def messages(self, topic: str) -> list[Any]:
        return [message for name, message, _ in self.heard if name == topic]

    def arrivals_s(self, topic: str) -> list[float]:
        return [arrival / 1e9 for name, _, arrival in self.heard if name == topic]

    def spin_until(self, condition: Callable[[], object], limit_s: float = 20.0) -> None:
        """Listen until ``condition`` holds."""
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, f"in vain for {limit_s} s"
            self.executor.spin_once(timeout_sec=0.05)

    def spin_while(self, process: subprocess.Popen[str]) -> None:
        """Listen until ``process`` has ended and nothing more comes."""
        self.spin_until(lambda: process.poll() is not None)
        count = -1
        while count != len(self.heard):
            count = len(self.heard)
            self.executor.spin_once(timeout_sec=0.1)


@contextmanager
def listening(topics: Mapping[str, tuple[type, QoSProfile]]) -> Iterator[Listener]:
    """Subscribe to ``topics`` in the domain of the environment."""
    with tool_node("listener") as node:
        listener = Listener(SingleThreadedExecutor(context=node.context))
        for topic, (message_type, qos) in topics.items():

            def keep(message: Any, topic: str = topic) -> None:
                listener.heard.append((topic, message, time.monotonic_ns()))

            node.create_subscription(message_type, topic, keep, qos)
        listener.executor.add_node(node)
        yield listener
        listener.executor.remove_node(node)
        listener.executor.shutdown(timeout_sec=1.0)


def start_cli(*words: object, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """``gemini-ros WORDS`` as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "gemini_ros.cli", *map(str, words)],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
