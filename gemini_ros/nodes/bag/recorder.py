"""Record topics into an MCAP bag: raw CDR, with the quality of service each publisher offers.

A tool for demonstrations and tests where ROS's own commands are not installed; with them, ``ros2 bag record`` does the
same work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.nodes.bag.topics import check_topic, message_class, subscriber_qos
from gemini_ros.nodes.tool import stop_on_signals, tool_node

_log = logging.getLogger(__name__)
NODE_NAME = "recorder"
# Messages held for this process while it is busy writing: a second of the fastest topic we know.
_DEPTH = 100
_LOOK_S = 0.1
_DRAIN_S = 0.5
_QUIET_S = 0.05


@dataclass(frozen=True)
class RecordReport:
    """What ``path`` holds, if anything came: messages written by topic.

    ``unseen`` topics never had a publisher, or one of a type that is not installed.
    """

    path: Path
    written: Mapping[str, int]
    unseen: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether no message came; then there is no file."""
        return not any(self.written.values())

    def lines(self) -> list[str]:
        """A line for each topic, then the file."""
        found = [f"{topic:50s} {count:6d} messages" for topic, count in self.written.items()]
        return [*found, f"no message came: {self.path} is not written" if self.empty else f"wrote {self.path}"]


def record_bag(path: Path, topics: Sequence[str]) -> RecordReport:
    """Record ``topics`` of this process's ROS domain into ``path`` (*.mcap) until SIGINT or SIGTERM.

    A topic is subscribed as soon as it has a publisher. Messages are stored under the (wall clock) time of
    their receipt, as ``ros2 bag record`` does, so that a recording over a time jump stays in order. The file appears
    when the recording ends, and not at all if no message came. A file that is there already is refused (``BagError``).
    """
    with stop_on_signals() as stop, tool_node(NODE_NAME) as node, BagWriter(path, replace=False) as writer:
        recorder = _Recorder(node, writer, topics)
        recorder.run(stop)
        report = recorder.report(path)
        if report.empty:
            writer.abort()
        return report


class _Recorder:
    def __init__(self, node: Node, writer: BagWriter, topics: Sequence[str]) -> None:
        self._node, self._writer = node, writer
        self._awaited = {check_topic(topic if topic.startswith("/") else f"/{topic}") for topic in topics}
        self._refused: set[str] = set()
        self._written = Counter(dict.fromkeys(self._awaited, 0))

    def run(self, stop: threading.Event) -> None:
        with _spinning(self._node) as executor:
            look_at = 0.0
            while not stop.is_set():
                if self._awaited and time.monotonic() >= look_at:
                    self._subscribe_to_new()
                    look_at = time.monotonic() + _LOOK_S
                executor.spin_once(timeout_sec=_LOOK_S)
            self._drain(executor)

    def report(self, path: Path) -> RecordReport:
        return RecordReport(path, dict(self._written), tuple(sorted(self._awaited | self._refused)))

    def _drain(self, executor: SingleThreadedExecutor) -> None:
        """Take what had arrived before the end was asked for."""
        deadline = time.monotonic() + _DRAIN_S
        written = -1
        while written != sum(self._written.values()) and time.monotonic() < deadline:
            written = sum(self._written.values())
            executor.spin_once(timeout_sec=_QUIET_S)

    def _subscribe_to_new(self) -> None:
        for topic in sorted(self._awaited):
            offers = self._node.get_publishers_info_by_topic(topic)
            if offers:
                self._awaited.discard(topic)
                self._subscribe(topic, sorted({offer.topic_type for offer in offers}), [o.qos_profile for o in offers])

    def _subscribe(self, topic: str, msgtypes: list[str], offered: list[QoSProfile]) -> None:
        message_type = message_class(msgtypes[0])
        if len(msgtypes) > 1 or message_type is None or msgtypes[0] not in TYPESTORE.fielddefs:
            _log.warning("%s is left out: cannot record %s", topic, " and ".join(msgtypes))
            self._refused.add(topic)
            return
        qos = subscriber_qos(offered, _DEPTH)
        if qos.durability == DurabilityPolicy.TRANSIENT_LOCAL:
            self._writer.latch(topic)

        def write(raw: bytes) -> None:
            self._writer.write_raw(topic, msgtypes[0], raw, time.time_ns())
            self._written[topic] += 1

        self._node.create_subscription(message_type, topic, write, qos, raw=True)


@contextmanager
def _spinning(node: Node) -> Iterator[SingleThreadedExecutor]:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        yield executor
    finally:
        executor.remove_node(node)
        executor.shutdown(timeout_sec=0.5)
