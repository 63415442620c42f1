"""What is in a bag, and whether it can be used: topics, rates, gaps in the stamps, messages that are damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from gemini_ros.bags.reader import BagError, BagMessage, BagReader
from gemini_ros.bags.topics import NOTES_TOPIC, Topics
from gemini_ros.core.camera_info import CameraCalibration
from gemini_ros.core.encodings import decode_image, stamp_ns
from gemini_ros.core.frames import FrameError
from gemini_ros.pipeline.streams import find_topics


@dataclass(frozen=True)
class TopicCheck:
    """One topic: its stream (``rgb``, ``depth_info``, ``odom``, ...) if it is one, and what was found.

    ``rate_hz`` and ``longest_gap_s`` are those of the header stamps, of receipt where messages have none; ``None`` with
    fewer than two messages. ``sizes`` are the (width, height) of its images. ``errors`` maps each error to how often.
    """

    topic: str
    msgtype: str
    stream: str | None
    count: int
    rate_hz: float | None
    longest_gap_s: float | None
    sizes: frozenset[tuple[int, int]]
    errors: dict[str, int]


@dataclass(frozen=True)
class BagCheck:
    """All topics of a bag, what its notes say, and what is wrong with the bag as a whole."""

    topics: tuple[TopicCheck, ...]
    notes: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.errors and not any(topic.errors for topic in self.topics)

    def lines(self) -> list[str]:
        """A table of the topics, then the notes, then every error."""
        width = max(len(check.topic) for check in self.topics)
        found = [f"{'topic':{width}s} {'messages':>8s} {'Hz':>8s} {'gap s':>8s} {'size':>9s}  stream"]
        for check in self.topics:
            rate, gap = ("" if v is None else f"{v:.3f}" for v in (check.rate_hz, check.longest_gap_s))
            size = ",".join(f"{w}x{h}" for w, h in sorted(check.sizes))
            stream = check.stream or check.msgtype
            found.append(f"{check.topic:{width}s} {check.count:8d} {rate:>8s} {gap:>8s} {size:>9s}  {stream}")
        found += [f"note: {note}" for note in self.notes]
        found += [f"error: {c.topic}: {error} ({n} x)" for c in self.topics for error, n in c.errors.items()]
        return found + [f"error: {error}" for error in self.errors]


def check_bag(path: str | Path) -> BagCheck:
    """Read every message of a bag, decode every image of a stream. Raises ``BagError`` for what is no readable bag."""
    with BagReader(path) as reader:
        names = _stream_names(find_topics(reader))
        seen = {topic: _Seen(names.get(topic)) for topic in reader.topics}
        notes = []
        for stored in reader.messages():
            message = seen[stored.topic].add(reader, stored)
            if stored.topic == NOTES_TOPIC and message is not None:
                notes.append(message.data)
        checks = tuple(seen[topic].result(topic, msgtype) for topic, msgtype in reader.topics.items())
    sizes = {check.stream: check.sizes for check in checks if check.sizes}
    errors = []
    if len(set().union(*sizes.values())) > 1:
        found = ", ".join(f"{stream} {w}x{h}" for stream, of in sizes.items() for w, h in sorted(of))
        errors.append(f"images of different size ({found}): record aligned images, or register them to one grid")
    errors += _camera_errors(seen, sizes)
    return BagCheck(checks, tuple(notes), tuple(errors))


def _camera_errors(seen: Mapping[str, _Seen], sizes: Mapping[str | None, frozenset[tuple[int, int]]]) -> list[str]:
    """Every camera_info that is not of the images it stands beside: labels need none, a map does."""
    found = {}
    for topic, info in seen.items():
        for size in sizes.get((info.stream or "").removesuffix("_info"), ()):
            for calibration in info.calibrations:
                try:
                    calibration.intrinsics(image_size=size)
                except FrameError as error:
                    found[f"{topic}: {error}"] = True
    return list(found)


def _stream_names(topics: Topics) -> dict[str, str]:
    return {topic: stream for stream, topic in vars(topics).items() if topic is not None}


@dataclass
class _Seen:
    """What was seen of one topic so far."""

    stream: str | None
    stamps_ns: list[int] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    calibrations: set[CameraCalibration] = field(default_factory=set)

    def add(self, reader: BagReader, stored: BagMessage) -> Any:
        """Check a message; returns it, or ``None`` if it is damaged."""
        stamp = stored.receipt_ns
        message = None
        try:
            message = reader.deserialize(stored)
            if hasattr(message, "header"):
                stamp = stamp_ns(message)
            if self.stream in ("rgb", "depth", "thermal", "labels"):
                self.sizes.add(decode_image(message, self.stream).shape[1::-1])
            elif self.stream is not None and self.stream.endswith("_info"):
                calibration = CameraCalibration.of(message)
                calibration.intrinsics()
                self.calibrations.add(calibration)
        except (BagError, FrameError) as error:
            self.errors[str(error)] += 1
        if self.stamps_ns and stamp < self.stamps_ns[-1]:
            self.errors["stamps go backward"] += 1
        self.stamps_ns.append(stamp)
        return message

    def result(self, topic: str, msgtype: str) -> TopicCheck:
        stamps = self.stamps_ns
        rate = gap = None
        if len(stamps) > 1:
            gap = max(b - a for a, b in pairwise(stamps)) / 1e9
            span = max(stamps) - min(stamps)
            rate = (len(stamps) - 1) * 1e9 / span if span else None
        return TopicCheck(topic, msgtype, self.stream, len(stamps), rate, gap, frozenset(self.sizes), dict(self.errors))
