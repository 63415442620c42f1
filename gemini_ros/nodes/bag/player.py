"""Play a bag into ROS: raw CDR at the pace it was recorded, with ``/clock``, loops and gaps.

A tool for demonstrations and tests where ROS's own commands are not installed; with them, ``ros2 bag play BAG --clock``
does the same work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.nodes.bag.topics import check_topic, message_class, publisher_qos
from gemini_ros.nodes.tool import stop_on_signals, tool_node
from gemini_ros.pipeline.statistics import Histogram
from gemini_ros.pipeline.streams import find_topics

_log = logging.getLogger(__name__)
# A subscriber that is matched here may not have matched this publisher yet, and others may follow it.
_SETTLED_S = 0.5
_POLL_S = 0.02
_CLOCK = "/clock"
# /clock goes on a little after the last message: who waits in its time for one more has to see that none comes.
_TAIL_NS = 200_000_000


@dataclass(frozen=True)
class Drop:
    """Messages of ``name`` (a stream such as ``depth``, or a topic) from ``start_s`` up to ``end_s`` are left out.

    Seconds count from the start of the bag, in every loop.
    """

    name: str
    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.end_s:
            raise ValueError(f"drop {self.name}:{self.start_s:g}-{self.end_s:g}: expected 0 <= start < end, in seconds")


@dataclass(frozen=True)
class PlayOptions:
    """How a bag is played. ``topics`` empty = all; ``clock_hz`` None = no ``/clock`` but one of the bag's own.

    ``wait_for``: topics that must have a subscriber before the first message, within ``wait_s``; empty = wait until
    some topic has one and no more come, at most ``wait_s``. ``drain_s`` bounds the wait for the last acknowledgements.
    """

    rate: float = 1.0
    loops: int = 1
    drops: tuple[Drop, ...] = ()
    clock_hz: float | None = None
    topics: tuple[str, ...] = ()
    wait_for: tuple[str, ...] = ()
    wait_s: float = 10.0
    drain_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"rate {self.rate:g}, expected a positive number")
        if self.loops < 1:
            raise ValueError(f"loop {self.loops}, expected at least 1")
        if self.clock_hz is not None and not 0 < self.clock_hz <= 1000:
            raise ValueError(f"clock {self.clock_hz:g} Hz, expected more than 0, at most 1000")


@dataclass(frozen=True)
class PlayReport:
    """What was played: messages by topic, and those left out by ``drops``.

    ``unacknowledged`` topics have subscribers that did not confirm everything; ``lateness`` is by how many nanoseconds
    messages went out behind their time.
    """

    published: Mapping[str, int]
    dropped: Mapping[str, int]
    unacknowledged: tuple[str, ...]
    lateness: Histogram
    interrupted: bool

    @property
    def empty(self) -> bool:
        """Whether the bag came to its end without a message played."""
        return not self.published and not self.interrupted

    def lines(self) -> list[str]:
        """A line for each topic, then how late messages were."""
        found = []
        for topic, count in self.published.items():
            left_out = self.dropped.get(topic, 0)
            found.append(f"{topic:50s} {count:6d} messages" + (f", {left_out} left out" if left_out else ""))
        if self.lateness.count:
            p50, p99 = (self.lateness.quantile(q) * 1e-6 for q in (0.5, 0.99))
            found.append(f"lateness p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        return found


def play_bag(path: Path, options: PlayOptions = PlayOptions()) -> PlayReport:
    """Play ``path`` into the ROS domain of this process; SIGINT or SIGTERM ends it early.

    Raises ``BagError`` for a bag that cannot be read or lacks a topic asked for, ``TimeoutError`` where a topic of
    ``wait_for`` finds no subscriber.
    """
    with BagReader(path) as reader, stop_on_signals() as stop, tool_node("player") as node:
        player = _Player(reader, node, options, stop)
        player.wait_for_subscribers()
        for _ in range(options.loops):
            player.play_once()
        player.run_out()
        return player.finish()


class _Player:
    """One run of ``play_bag``; its methods are called in the order they stand here."""

    def __init__(self, reader: BagReader, node: Node, options: PlayOptions, stop: threading.Event) -> None:
        self._reader, self._options, self._stop = reader, options, stop
        self._publishers = _publishers(reader, node, options.topics)
        self._drops = _windows_by_topic(reader, options.drops)
        self._clock = _clock_ticks(node, options.clock_hz, recorded=_CLOCK in self._publishers)
        self._published: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._lateness = Histogram()

    def wait_for_subscribers(self) -> None:
        """Block until the subscribers are matched (``PlayOptions.wait_for``); a message before that would be lost."""
        _require_topics(self._reader, self._options.wait_for)
        wanted = set(self._options.wait_for)
        deadline = time.monotonic() + self._options.wait_s
        matched: frozenset[str] = frozenset()
        settled_at = deadline
        while (now := time.monotonic()) < deadline and not self._stop.wait(_POLL_S):
            found = frozenset(name for name, p in self._publishers.items() if p.get_subscription_count())
            if found != matched:
                matched, settled_at = found, now + _SETTLED_S
            if now >= settled_at and matched >= wanted:
                return
        if (missing := sorted(wanted - matched)) and not self._stop.is_set():
            raise TimeoutError(f"no subscriber on {', '.join(missing)} within {self._options.wait_s:g} s")
        if not matched:
            _log.warning("no subscriber on any topic within %g s; playing all the same", self._options.wait_s)

    def play_once(self) -> None:
        """The whole bag once, from now on."""
        start_ns, rate = self._reader.start_ns, self._options.rate
        pace = _Pace(start_ns, rate, time.monotonic_ns())
        for message in self._reader.messages(list(self._publishers)):
            if not self._wait_until(pace, message.receipt_ns):
                return
            if self._clock is not None:
                self._clock.publish(message.receipt_ns)
            if _inside(message.receipt_ns - start_ns, self._drops.get(message.topic, ())):
                self._dropped[message.topic] += 1
                continue
            self._publishers[message.topic].publish(message.raw)
            self._published[message.topic] += 1
            self._lateness.record(max(0, time.monotonic_ns() - pace.due_ns(message.receipt_ns)))

    def run_out(self) -> None:
        """Stay for a moment: ``/clock`` goes on, and the last best-effort message, never acknowledged, arrives."""
        end_ns = self._reader.start_ns + self._reader.duration_ns
        self._wait_until(_Pace(end_ns, self._options.rate, time.monotonic_ns()), end_ns + _TAIL_NS)

    def finish(self) -> PlayReport:
        """Say what was done, after everything reliable has been acknowledged unless interrupted."""
        # Fast DDS asks for acknowledgements every 3 s: the wait is as a rule shorter than that, and never much longer.
        interrupted = self._stop.is_set()
        unacknowledged = () if interrupted else self._unacknowledged(time.monotonic() + self._options.drain_s)
        return PlayReport(dict(self._published), dict(self._dropped), unacknowledged, self._lateness, interrupted)

    def _unacknowledged(self, deadline: float) -> tuple[str, ...]:
        return tuple(
            name
            for name, publisher in self._publishers.items()
            if not publisher.wait_for_all_acked(Duration(seconds=max(0.0, deadline - time.monotonic())))
        )

    def _wait_until(self, pace: _Pace, bag_ns: int) -> bool:
        """Sleep until ``bag_ns`` is due, ticking the clock meanwhile; False once stopped."""
        while (remaining_ns := pace.due_ns(bag_ns) - time.monotonic_ns()) > 0:
            tick_ns = remaining_ns if self._clock is None else min(remaining_ns, self._clock.remaining_ns())
            if self._stop.wait(tick_ns / 1e9):
                return False
            if self._clock is not None and not self._clock.remaining_ns():
                self._clock.publish(min(pace.bag_ns(time.monotonic_ns()), bag_ns))
        return not self._stop.is_set()


@dataclass(frozen=True)
class _Pace:
    """When a bag time is due: ``start_ns`` of the bag at ``origin_ns`` of the monotonic clock, then at ``rate``."""

    start_ns: int
    rate: float
    origin_ns: int

    def due_ns(self, bag_ns: int) -> int:
        return self.origin_ns + round((bag_ns - self.start_ns) / self.rate)

    def bag_ns(self, monotonic_ns: int) -> int:
        return self.start_ns + round((monotonic_ns - self.origin_ns) * self.rate)


class _ClockTicks:
    """Publishes ``/clock``, and knows when the next tick is due if no message brings one."""

    def __init__(self, node: Node, frequency_hz: float) -> None:
        # Reliable serves the best-effort subscription of every node's time source as well as a reliable one.
        self._publisher = node.create_publisher(Clock, _CLOCK, QoSProfile(depth=10))
        self._period_ns = round(1e9 / frequency_hz)
        self._last_ns = time.monotonic_ns() - self._period_ns

    def remaining_ns(self) -> int:
        return max(0, self._last_ns + self._period_ns - time.monotonic_ns())

    def publish(self, bag_ns: int) -> None:
        self._publisher.publish(Clock(clock=Time(nanoseconds=bag_ns).to_msg()))
        self._last_ns = time.monotonic_ns()


def _clock_ticks(node: Node, frequency_hz: float | None, *, recorded: bool) -> _ClockTicks | None:
    """The ticks asked for, but not beside a ``recorded`` clock.

    Time would jump between the two, and the recorded one fits the stamps of the messages.
    """
    if frequency_hz is not None and recorded:
        _log.warning("the bag's own %s is played, without ticks of %g Hz beside it", _CLOCK, frequency_hz)
        return None
    return None if frequency_hz is None else _ClockTicks(node, frequency_hz)


def _publishers(reader: BagReader, node: Node, topics: tuple[str, ...]) -> dict[str, Publisher]:
    _require_topics(reader, topics)
    publishers = {}
    for topic in topics or sorted(reader.topics):
        msgtype = reader.topics[topic]
        message_type = message_class(msgtype)
        if message_type is None:
            _log.warning("%s is left out: no package with %s is installed", topic, msgtype)
        else:
            publishers[topic] = node.create_publisher(
                message_type, check_topic(topic), publisher_qos(reader.qos[topic])
            )
    return publishers


def _require_topics(reader: BagReader, topics: Iterable[str]) -> None:
    missing = sorted(set(topics) - set(reader.topics))
    if missing:
        raise BagError(f"{reader.path}: no topic {', '.join(missing)}; topics there: {reader.listing()}")


def _windows_by_topic(reader: BagReader, drops: Iterable[Drop]) -> dict[str, list[tuple[int, int]]]:
    """Drop windows in nanoseconds since the start of the bag, by topic."""
    windows: dict[str, list[tuple[int, int]]] = {}
    for drop in drops:
        topic = drop.name if drop.name in reader.topics else find_topics(reader).images().get(drop.name)
        if topic is None:
            raise BagError(
                f"{reader.path}: cannot drop {drop.name!r}: expected a topic, or rgb, depth, thermal or labels; topics "
                f"there: {reader.listing()}"
            )
        windows.setdefault(topic, []).append((round(drop.start_s * 1e9), round(drop.end_s * 1e9)))
    return windows


def _inside(offset_ns: int, windows: Iterable[tuple[int, int]]) -> bool:
    return any(start <= offset_ns < end for start, end in windows)
