"""What is in a bag, and whether its streams can be used: topics, rates, gaps in the stamps, damaged messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from gemini_ros.bags.reader import BagError, BagMessage, BagReader
from gemini_ros.bags.topics import NOTES_TOPIC, Topics
from gemini_ros.bags.transform_tree import TransformTree
from gemini_ros.core.camera_info import CameraCalibration
from gemini_ros.core.encodings import decode_image, stamp_ns
from gemini_ros.core.frames import MODALITIES, FrameError
from gemini_ros.pipeline.grid import assumption
from gemini_ros.pipeline.image_topics import is_own_output
from gemini_ros.pipeline.intake import NO_CAMERA_INFO
from gemini_ros.pipeline.onto_grid import OntoGrid, View
from gemini_ros.pipeline.settings import make_settings, values_of_camera
from gemini_ros.pipeline.streams import DETECTED, IMAGES, StreamChoice, aligned_streams, find_topics, topic_lines

_NO_STREAM: dict[str, str | None] = {name: None for name in vars(Topics())}


@dataclass(frozen=True)
class TopicCheck:
    """One topic: its stream (``rgb``, ``depth_info``, ``odom``, ...) if it is one, and what was found.

    ``rate_hz`` and ``longest_gap_s`` are those of the header stamps, and ``None`` with fewer than two messages. Of a
    topic that is no stream only receipt and number are known. ``sizes`` are the (width, height) of its images.
    ``errors`` maps each error to how often.
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
    """All topics of a bag, which were chosen as streams, what there is to know, and what is wrong with the streams."""

    topics: tuple[TopicCheck, ...]
    chosen: tuple[str, ...]
    notes: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.errors and not any(topic.errors for topic in self.topics)

    def lines(self) -> list[str]:
        """A table of the topics, the choice of streams, then the notes, then every error."""
        width = max((len(check.topic) for check in self.topics), default=5)
        found = [f"{'topic':{width}s} {'messages':>8s} {'Hz':>8s} {'gap s':>8s} {'size':>9s}  stream"]
        for check in self.topics:
            rate, gap = ("" if v is None else f"{v:.3f}" for v in (check.rate_hz, check.longest_gap_s))
            size = ",".join(f"{w}x{h}" for w, h in sorted(check.sizes))
            stream = check.stream or check.msgtype
            found.append(f"{check.topic:{width}s} {check.count:8d} {rate:>8s} {gap:>8s} {size:>9s}  {stream}")
        found += [f"stream: {line}" for line in self.chosen]
        found += [f"note: {note}" for note in self.notes]
        found += [f"error: {c.topic}: {error} ({n} x)" for c in self.topics for error, n in c.errors.items()]
        return found + [f"error: {error}" for error in self.errors]


def check_bag(path: str | Path, choice: StreamChoice = DETECTED) -> BagCheck:
    """Read every message of the streams of a bag, decode every image. The other topics are listed, not judged.

    Raises ``BagError`` for what is no readable bag, and for one without a stream, unless a segmenter recorded it.
    """
    with BagReader(path) as reader:
        topics = _topics(reader, choice)
        names = {topic: stream for stream, topic in vars(topics).items() if topic is not None}
        seen = {topic: _Seen(names.get(topic)) for topic in reader.topics}
        notes = [f"{topic}: {fault}: left out" for topic in reader.topics if (fault := reader.fault_of(topic))]
        for stored in reader.messages():
            seen[stored.topic].add(reader, stored)
        notes += _notes_of(reader)
        checks = tuple(seen[topic].result(topic, msgtype) for topic, msgtype in reader.topics.items())
        if not names:
            notes.append("no stream of a camera: these are what a segmenter published")
        settings = make_settings(values_of_camera(choice.file))
        transforms = TransformTree(reader, topics.rgb or "").at
        errors, assumed = _grids(topics, seen, OntoGrid(settings, aligned_streams(topics, choice), transforms))
        errors += _camera_errors(topics, seen)
        return BagCheck(checks, tuple(topic_lines(reader, topics)), (*notes, *assumed), tuple(errors))


def _topics(reader: BagReader, choice: StreamChoice) -> Topics:
    """The streams; none in a bag of our own outputs."""
    try:
        return find_topics(reader, choice)
    except BagError:
        if choice == DETECTED and any(is_own_output(topic, reader.topics) for topic in reader.topics):
            return Topics(**_NO_STREAM)
        raise


def _notes_of(reader: BagReader) -> list[str]:
    if reader.topics.get(NOTES_TOPIC) != "std_msgs/msg/String" or reader.fault_of(NOTES_TOPIC):
        return []
    return [reader.deserialize(stored).data for stored in reader.messages([NOTES_TOPIC])]


def _camera_errors(topics: Topics, seen: Mapping[str, _Seen]) -> list[str]:
    """Every camera_info that is not of the images it serves: labels need none, a map does."""
    found = {}
    for stream, images in topics.images().items():
        info = getattr(topics, f"{stream}_info", None)
        for calibration in seen[info].calibrations if info else ():
            for size in sorted(seen[images].sizes):
                try:
                    calibration.intrinsics(image_size=size)
                except FrameError as error:
                    found[f"{info}: {error}"] = True
    return list(found)


@dataclass
class _Seen:
    """What was seen of one topic so far; messages of none of the streams are counted alone."""

    stream: str | None
    stamps_ns: list[int] = field(default_factory=list)
    frames: Counter[str] = field(default_factory=Counter)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    unstamped: int = 0
    calibrations: set[CameraCalibration] = field(default_factory=set)

    def add(self, reader: BagReader, stored: BagMessage) -> None:
        """Count a message, and check one of a stream."""
        stamp = stored.receipt_ns
        if self.stream is not None:
            try:
                stamp = self._check(reader.deserialize(stored))
            except (BagError, FrameError) as error:
                self.errors[str(error)] += 1
        if stamp == 0:
            self.unstamped += 1
            return
        if self.stream is not None and self.stamps_ns and stamp < self.stamps_ns[-1]:
            self.errors["stamps go backward"] += 1
        self.stamps_ns.append(stamp)

    def _check(self, message: Any) -> int:
        """The stamp of a message of a stream. Raises ``FrameError``."""
        self.frames[message.header.frame_id.lstrip("/")] += 1
        if self.stream in IMAGES:
            self.sizes.add(decode_image(message, self.stream).shape[1::-1])
        elif self.stream and self.stream.endswith("_info"):
            calibration = CameraCalibration.of(message)
            calibration.intrinsics()
            self.calibrations.add(calibration)
        return stamp_ns(message)

    def result(self, topic: str, msgtype: str) -> TopicCheck:
        stamps, errors = self.stamps_ns, dict(self.errors)
        if self.unstamped and self.stream in (*IMAGES, "odom"):
            errors["stamp 0: the driver has to stamp what it measures with the time it did"] = self.unstamped
        rate = gap = None
        if len(stamps) > 1:
            gap = max(b - a for a, b in pairwise(stamps)) / 1e9 if self.stream else None
            span = max(stamps) - min(stamps)
            rate = (len(stamps) - 1) * 1e9 / span if span else None
        count = len(stamps) + self.unstamped
        return TopicCheck(topic, msgtype, self.stream, count, rate, gap, frozenset(self.sizes), errors)


def _grids(topics: Topics, seen_of: Mapping[str, _Seen], grid: OntoGrid) -> tuple[list[str], list[str]]:
    """Errors of images that have no way onto the grid of RGB, and how those come there that do not lie on it."""
    errors, notes = [], []
    images = {stream: seen_of[topic] for stream, topic in topics.images().items()}
    for stream, seen in images.items():
        if len(seen.sizes) > 1:
            found = ", ".join(f"{w}x{h}" for w, h in sorted(seen.sizes))
            errors.append(f"{stream}: images of different size ({found}): set the camera's resolution")
    rgb = images.get("rgb")
    if rgb is None or not rgb.sizes:
        return errors, notes
    of_rgb = _view(topics, seen_of, "rgb", next(iter(rgb.frames)), max(rgb.sizes))
    for stream, seen in images.items():
        if stream not in MODALITIES or stream == "rgb":
            continue
        for frame, size in product(seen.frames, sorted(seen.sizes)):
            view, stamp = _view(topics, seen_of, stream, frame, size), min(seen.stamps_ns, default=0)
            try:
                way = grid.way(stream, view, of_rgb, stamp)
            except FrameError as error:
                errors.append(f"{stream}: {error}")
                break
            if way is not None:
                notes.append(f"{stream}: {size[0]}x{size[1]} in {frame!r} is registered onto the grid of RGB")
            elif stream in grid.aligned:
                notes.append(assumption(stream, frame, of_rgb.frame))
    return errors, [text for text in notes if text]


def _view(topics: Topics, seen: Mapping[str, _Seen], stream: str, frame: str, size: tuple[int, int]) -> View:
    """What a bag says of the camera of some images."""
    info = getattr(topics, f"{stream}_info")
    fault = NO_CAMERA_INFO
    for calibration in seen[info].calibrations if info else ():
        try:
            return View(frame, size, calibration.intrinsics(image_size=size))
        except FrameError as error:
            fault = str(error)
    return View(frame, size, None, fault)
