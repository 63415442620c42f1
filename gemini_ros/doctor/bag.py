"""What is in a bag, and whether its streams can be used: topics, rates, gaps in the stamps, damaged messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagError, BagMessage, BagReader
from gemini_ros.bags.topics import NOTES_TOPIC, Topics
from gemini_ros.bags.transform_tree import TransformTree
from gemini_ros.core.camera_info import CameraCalibration
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.frames import MODALITIES, FrameError
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.image_topics import is_own_output
from gemini_ros.pipeline.intake import ImageStream
from gemini_ros.pipeline.onto_grid import OntoGrid, View
from gemini_ros.pipeline.settings import Settings, make_settings, values_of_camera
from gemini_ros.pipeline.streams import DETECTED, IMAGES, StreamChoice, aligned_streams, find_topics, topic_lines
from gemini_ros.pipeline.unpaired import Unpaired

_NO_STREAM: dict[str, str | None] = {name: None for name in vars(Topics())}


@dataclass(frozen=True)
class TopicCheck:
    """One topic: its stream (``rgb``, ``depth_info``, ``odom``, ...) if it is one, and what was found.

    ``rate_hz`` and ``longest_gap_s`` are those of the header stamps, and ``None`` with fewer than two messages. Of a
    topic that is no stream only receipt and number are known. ``sizes`` are the (width, height) of its images, without
    rows of telemetry.
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
    """Read every message of the streams of a bag as the pipeline does, by the parameters of its camera file.

    The other topics are listed, not judged. Raises ``BagError`` for what is no readable bag, and for one without a
    stream, unless a segmenter recorded it.
    """
    with BagReader(path) as reader:
        topics = _topics(reader, choice)
        settings = make_settings(values_of_camera(choice.file))
        names = {topic: stream for stream, topic in vars(topics).items() if topic is not None}
        seen = {topic: _Seen(names.get(topic), _sources(topics, topic, settings)) for topic in reader.topics}
        notes = [f"{topic}: {fault}: left out" for topic in reader.topics if (fault := reader.fault_of(topic))]
        for stored in reader.messages():
            seen[stored.topic].add(reader, stored)
        notes += _notes_of(reader)
        checks = tuple(seen[topic].result(topic, msgtype) for topic, msgtype in reader.topics.items())
        if not names:
            notes.append("no stream of a camera: these are what a segmenter published")
        transforms = TransformTree(reader, topics.rgb or "").at
        errors, assumed = _grids(topics, seen, OntoGrid(settings, aligned_streams(topics, choice), transforms))
        errors += _camera_errors(topics, seen)
        errors += _unpaired(topics, seen, settings, reader.duration_ns)
        return BagCheck(checks, tuple(topic_lines(reader, topics)), (*notes, *assumed), tuple(errors))


def _sources(topics: Topics, topic: str, settings: Settings) -> tuple[_Source, ...]:
    """The streams whose images, or whose cameras, a topic brings: one camera_info may be that of several."""
    images = topics.images()
    return tuple(
        _Source(stream, image, settings)
        for stream, image in images.items()
        if topic in (image, getattr(topics, f"{stream}_info", None))
    )


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
        for message in seen[info].infos.values() if info else ():
            for size in sorted(seen[images].sizes):
                if fault := seen[images].sources[0].view(message, "", size).fault:
                    found[f"{info}: {fault}"] = True
    return list(found)


def _unpaired(topics: Topics, seen_of: Mapping[str, _Seen], settings: Settings, lasting_ns: int) -> list[str]:
    """A sentence for each stream of which no image is near enough in time to one of RGB, else of the first stream."""
    images = {s: seen_of[topic].stamps_ns for s, topic in topics.images().items() if s in MODALITIES}
    stamps = {s: np.sort(np.array(found, np.int64)) + settings.offsets_ns.get(s, 0) for s, found in images.items()}
    reference = next((stream for stream in MODALITIES if stream in stamps), "")
    errors = []
    for stream in stamps.keys() - {reference}:
        if not len(stamps[stream]) or not len(stamps[reference]):
            continue
        nearest_ns = _nearest_ns(stamps[stream], stamps[reference])
        if abs(nearest_ns) > settings.slop_ns:
            offset_ns = settings.offsets_ns.get(stream, 0)
            errors.append(str(Unpaired(stream, reference, lasting_ns, nearest_ns, settings.slop_ns, offset_ns)))
    return sorted(errors)


def _nearest_ns(stamps: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> int:
    """The smallest difference between stamps (n,) and others (m,), both sorted, with its sign."""
    after = np.searchsorted(others, stamps)
    differences = np.concatenate(
        [stamps - others[(after - 1).clip(0)], stamps - others[after.clip(max=len(others) - 1)]]
    )
    return int(differences[np.abs(differences).argmin()])


@dataclass(frozen=True)
class _Source:
    """A stream of images: what reads them as the pipeline does."""

    stream: str
    topic: str
    settings: Settings

    def images(self) -> ImageStream:
        """What decodes them, of which nothing is known yet."""
        source = ImageStream(self.stream, self.settings)
        source.topic = self.topic
        return source

    def view(self, info: Any, frame: str, size: tuple[int, int]) -> View:
        """What is known of images of ``size`` by a camera_info, ``None`` for none."""
        source = self.images()
        if info is not None:
            source.take_info(info)
        return source.view(frame, size)


@dataclass
class _Seen:
    """What was seen of one topic so far; messages of none of the streams are counted alone.

    ``sources``: the streams that its images are, or that its camera_info is of; ``infos``: a message of each camera;
    ``blank`` and ``measured``: how many images have no valid pixel, and how many have one.
    """

    stream: str | None
    sources: tuple[_Source, ...] = ()
    stamps_ns: list[int] = field(default_factory=list)
    frames: Counter[str] = field(default_factory=Counter)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    unstamped: int = 0
    blank: int = 0
    measured: int = 0
    infos: dict[CameraCalibration, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._images = self.sources[0].images() if self.stream in IMAGES else None
        self._faults: dict[CameraCalibration, str] = {}
        self._unusable = ""

    def add(self, reader: BagReader, stored: BagMessage) -> None:
        """Count a message, and check one of a stream."""
        stamp = stored.receipt_ns
        if self.stream is not None:
            try:
                message = reader.deserialize(stored)
                stamp = stamp_ns(message)
                self._check(message)
            except FrameError as error:
                # Of images that measure next to nothing, each reads other figures.
                self._unusable = self._unusable or (str(error) if error.cause == "unusable" else "")
                self.errors[self._unusable if error.cause == "unusable" else str(error)] += 1
            except BagError as error:
                self.errors[str(error)] += 1
        if stamp == 0:
            self.unstamped += 1
            return
        if self.stream is not None:
            self._check_stamp(stamp)
        self.stamps_ns.append(stamp)

    def _check_stamp(self, stamp: int) -> None:
        if stamp < 0:
            self.errors["stamps before 1970: the driver has to stamp what it measures with the time it did"] += 1
        if self.stamps_ns and stamp < self.stamps_ns[-1]:
            self.errors["stamps go backward"] += 1
        if self.stamps_ns and stamp == self.stamps_ns[-1] and self.stream in MODALITIES:
            self.errors[
                "the stamp of the image before it: the driver has to stamp each image with the time of its exposure"
            ] += 1

    def _check(self, message: Any) -> None:
        """Judge a message of a stream. Raises ``FrameError``."""
        self.frames[message.header.frame_id.lstrip("/")] += 1
        if self._images is not None:
            received, _ = self._images.decode(message, 0, Instant.of(0))
            self.sizes.add(received.image.shape[1::-1])
            if received.image.dtype == np.float32 and not np.isfinite(received.image).any():
                self.blank += 1
            else:
                self.measured += 1
        elif self.stream and self.stream.endswith("_info"):
            self._check_info(message)

    def _check_info(self, message: Any) -> None:
        """Judge a camera_info by itself, as one of raw or of rectified images. Raises ``FrameError``."""
        calibration = CameraCalibration.of(message)
        if calibration not in self._faults:
            faults = []
            for source in self.sources:
                images = source.images()
                images.take_info(message)
                faults.append(images.camera_fault)
            self._faults[calibration] = next(filter(None, faults), "")
        if fault := self._faults[calibration]:
            raise FrameError(fault)
        self.infos[calibration] = message

    def result(self, topic: str, msgtype: str) -> TopicCheck:
        stamps, errors = self.stamps_ns, dict(self.errors)
        if self.unstamped and self.stream in (*IMAGES, "odom"):
            errors["stamp 0: the driver has to stamp what it measures with the time it did"] = self.unstamped
        if self.blank and not self.measured:
            unit = f"{self.stream}.scale" + " and thermal.offset" * (self.stream == "thermal")
            errors[f"no pixel of any image is a measurement: is the lens covered, or {unit} wrong?"] = self.blank
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
            else:
                notes.append(grid.assumed(stream, view, of_rgb))
    return errors, [text for text in notes if text]


def _view(topics: Topics, seen: Mapping[str, _Seen], stream: str, frame: str, size: tuple[int, int]) -> View:
    """What a bag says of the camera of some images."""
    info = getattr(topics, f"{stream}_info")
    source = seen[topics.images()[stream]].sources[0]
    views = [source.view(message, frame, size) for message in (seen[info].infos.values() if info else ())]
    return next((view for view in views if view.camera), (views or [source.view(None, frame, size)])[-1])
