"""A bag walked offline as the node would live it: messages in order of receipt, matched, segmented and mapped.

The same every time. Where the node waits, for a pose or for time to pass, the walk reads on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagError, BagMessage, BagReader
from gemini_ros.bags.topics import Topics
from gemini_ros.bags.transform_tree import TransformTree
from gemini_ros.core import registration
from gemini_ros.core.clouds import Clouds
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.costmap.completed import CompletedDepth
from gemini_ros.core.costmap.scan import Scan
from gemini_ros.core.frames import MODALITIES, Frame, FrameError, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.transforms import Matrix, camera_in_base
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.pipeline.answers import Answers, PhraseOutputs
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.detections import Detections
from gemini_ros.pipeline.frame import FramePipeline, Segmented
from gemini_ros.pipeline.image_topics import frame_of
from gemini_ros.pipeline.intake import Intake
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.nav_outputs import NavOutputs
from gemini_ros.pipeline.phrases import PhraseBook
from gemini_ros.pipeline.pose import WAIT_NS, OdometryPoses
from gemini_ros.pipeline.settings import DEFAULTS, Settings, settings_of_no_stream
from gemini_ros.pipeline.statistics import StageTimer
from gemini_ros.pipeline.streams import (
    DETECTED,
    StreamChoice,
    aligned_streams,
    find_topics,
    stream_topics,
    streams_of_bag,
    undecided,
)
from gemini_ros.pipeline.sync import POLL_NS, Match
from gemini_ros.pipeline.translations import DEPTH_COMPLETED, NIGHT_VIEW, Translations, require_streams

_POLLS_IN_A_GAP = 1200


@dataclass(frozen=True)
class Moment:
    """What a message, or the passing of time, settled at ``now_ns`` in the bag's time of receipt."""

    now_ns: int
    mode: str
    matches: tuple[Match, ...]


@dataclass(frozen=True)
class Step:
    """A frame of the bag, at ``now_ns``, the matcher being in ``mode``."""

    frame: Frame
    mode: str
    now_ns: int


@dataclass(frozen=True)
class Result(Step):
    """What the pipeline said of a frame: labels, the map at the frame's stamp in ``map_frame``, and the robot in it.

    ``map_fault`` is why the frame was no evidence, empty if it was; ``timings_ns`` the time of each stage. ``clouds``
    (valid until the next result) and ``scan`` are ``None`` where the frame does not tell what is in the way, ``boxes``
    where it is no evidence, there is no odometry, or no class is marked, ``answers`` where no phrase is in force or the
    frame tells none, ``keepout`` where no phrase was given. ``target_pose`` is x, y and yaw in ``map_frame`` of a place
    before the target, ``None`` where there is none. ``completed`` and ``night_view`` are what translation models made,
    ``None`` where that is not wanted.
    """

    segmentation: Segmentation
    occupancy: Occupancy
    map_frame: str
    robot: tuple[float, float, float]
    match: Match
    map_fault: str
    timings_ns: Mapping[str, int]
    clouds: Clouds | None = None
    scan: Scan | None = None
    boxes: Detections | None = None
    answers: Answers | None = None
    keepout: Occupancy | None = None
    target_pose: tuple[float, float, float] | None = None
    completed: CompletedDepth | None = None
    night_view: npt.NDArray[np.uint8] | None = None


class BagWalk:
    """One walk through a bag: iterate once, then ``intake`` and ``faults`` tell the rest.

    ``model_modalities``: what the model takes, and ``also`` what other models take beside it. ``keep_poses_ns``: how
    long poses are remembered. ``ranges``: see
    ``Intake``. ``choice`` names topics. Raises ``BagError`` for a bag that lacks a topic, ``ValueError`` for modalities
    that do not go together; on the way ``BagError`` where the bag is damaged. A message that cannot be used is a
    counted drop, and ``faults`` counts the reasons.
    """

    def __init__(
        self,
        reader: BagReader,
        model_modalities: Sequence[str],
        settings: Settings = DEFAULTS,
        *,
        keep_poses_ns: int = 10_000_000_000,
        ranges: Mapping[str, tuple[float, float]] = MappingProxyType({}),
        choice: StreamChoice = DETECTED,
        also: Sequence[str] = (),
    ) -> None:
        taken = tuple(dict.fromkeys((*model_modalities, *also)))
        further = sorted(set(taken) - set(MODALITIES))
        needed = {*taken, *(settings.modalities or ())}
        self.topics = find_topics(reader, choice, settings, further, needed)
        required, extras = streams_of_bag(reader, self.topics, model_modalities, settings.modalities, choice, also)
        tree = TransformTree(reader, self.topics.rgb or self.topics.depth or "")
        self.poses = OdometryPoses(
            settings.costmap_frame,
            None if settings.camera_in_base is None else camera_in_base(settings.camera_in_base),
            keep_poses_ns,
            settings.max_speed_mps,
            base_frame=settings.base_frame,
            transforms=tree.at,
        )
        self.required = required
        aligned = aligned_streams(self.topics, choice)
        self.intake = Intake(required, extras, settings, self.poses.moved, ranges, aligned, tree.at)
        self._topics = {stream: stream_topics(reader, self.topics, stream, choice) for stream in self.intake.streams}
        for stream, source in self.intake.streams.items():
            source.topic = self._topics[stream][0]
        self.faults = self.intake.faults
        for sentence in settings_of_no_stream(settings, taken):
            self.faults.note(sentence)
        if why := undecided(reader, choice, further):
            self.faults.note(f"left out, as the model goes without: {why}")
        self._reader = reader

    def moments(self) -> Iterator[Moment]:
        """All that happens, in the order in which the node would live it."""
        handlers = self._handlers()
        matcher = self.intake.matcher
        now_ns = self._reader.start_ns
        for stored in self._reader.messages(list(handlers)):
            for _ in range(_POLLS_IN_A_GAP):
                if stored.receipt_ns - now_ns <= POLL_NS:
                    break
                now_ns += POLL_NS
                yield self._moment(matcher.poll(now_ns), now_ns)
            now_ns = stored.receipt_ns
            yield self._moment(matcher.poll(now_ns), now_ns)
            for kind, stream in handlers[stored.topic]:
                yield self._moment(self._take(kind, stream, stored, now_ns), now_ns)
        yield self._moment(matcher.finish(), now_ns)

    def frames(self) -> Iterator[Step]:
        """The frames alone; a match whose images make none is a fault."""
        for moment in self.moments():
            for match in moment.matches:
                try:
                    yield Step(self.intake.assemble(match), moment.mode, moment.now_ns)
                except FrameError as error:
                    self.faults.note(str(error))

    def _handlers(self) -> dict[str, list[tuple[str, str]]]:
        """What each topic brings: the images of a stream, the camera_info of some, or odometry."""
        handlers: dict[str, list[tuple[str, str]]] = {}
        for stream, (image, info) in self._topics.items():
            handlers.setdefault(image, []).append(("image", stream))
            if info:
                handlers.setdefault(info, []).append(("info", stream))
        if self.topics.odom:
            handlers.setdefault(self.topics.odom, []).append(("odometry", ""))
        return handlers

    def _take(self, kind: str, stream: str, stored: BagMessage, now_ns: int) -> list[Match]:
        try:
            message: Any = self._reader.deserialize(stored)
        except BagError as error:
            if kind == "image":
                self.intake.refuse(stream, FrameError(str(error)), now_ns)
            else:
                self.faults.note(str(error))
            return []
        if kind == "image":
            try:
                return self.intake.take(stream, message, lambda: now_ns, now_ns, Instant.of(now_ns))
            except FrameError:
                return []  # counted by the intake
        if kind == "info":
            self.intake.take_info(stream, message)
        elif fault := self.poses.take(message):
            self.faults.note(f"{stored.topic}: {fault}")
        return []

    def _moment(self, matches: list[Match], now_ns: int) -> Moment:
        return Moment(now_ns, self.intake.matcher.mode, tuple(matches))


class BagRun:
    """A walk through segmenter and costmap: iterate ``results`` once, then counters, latencies and notes are there.

    With ``nav`` results have clouds and a scan; without it they are ``None``, and so are completed depth and the night
    view that are not among ``made``. Raises ``ValueError`` for phrases that are refused, and for translation models
    that cannot be run or whose images the bag has not.
    """

    def __init__(
        self,
        reader: BagReader,
        segmenter: Segmenter,
        label_set: LabelSet,
        settings: Settings,
        choice: StreamChoice = DETECTED,
        *,
        nav: bool = False,
        made: Collection[str] = (),
    ) -> None:
        info = segmenter.info
        self.translations = Translations(settings)
        also = self.translations.modalities
        self.walk = BagWalk(reader, info.modality_names, settings, ranges=info.ranges, choice=choice, also=also)
        require_streams(self.translations, tuple(self.walk.intake.streams))
        self.translations.load(segmenter.threads)
        self._wanted = frozenset(made)
        book = PhraseBook(label_set, tuple(self.walk.intake.streams), settings.phrases_file, info.language)
        book.start(settings.phrases)
        if book.fault:
            raise ValueError(book.fault)
        self.costmap = Mapper(settings.costmap, label_set, self.walk.poses, book.roles)
        self.phrases = PhraseOutputs(book, self.costmap) if settings.phrases else None
        self.costmap.warm_up()
        self.nav = NavOutputs(self.costmap, settings) if nav else None
        if self.nav is not None:
            self.nav.warm_up()
        registration.warm_up()
        self._now_ns = 0
        self.pipeline = FramePipeline(
            self.walk.intake,
            lambda: segmenter,
            self.costmap,
            lambda: book.inputs(Instant.of(self._now_ns)),
            self.translations,
        )
        self._waiting: deque[tuple[Segmented, Moment, Match]] = deque()

    def results(self) -> Iterator[Result]:
        """What the node would have published of each frame. Nothing is replaced offline: every match is segmented."""
        now_ns = 0
        for moment in self.walk.moments():
            now_ns = moment.now_ns
            yield from self._mapped(now_ns)
            self.costmap.follow(moment.mode)
            for match in moment.matches:
                self._segment(match, moment)
            yield from self._mapped(now_ns)
        yield from self._mapped(now_ns + WAIT_NS)

    def _segment(self, match: Match, moment: Moment) -> None:
        self.pipeline.emitted(match)
        self._now_ns = moment.now_ns
        timer = StageTimer()
        timer.add("sync", moment.now_ns - max(item.received_ns for item in match.items.values()))
        self.pipeline.begin()
        segmented = self.pipeline.settle(self.pipeline.infer(match, timer))
        if segmented is not None:
            self.pipeline.published()
            self._waiting.append((segmented, moment, match))

    def _mapped(self, now_ns: int) -> Iterator[Result]:
        """The frames whose pose is known by now, or has been waited for long enough, in order."""
        while self._waiting:
            segmented, moment, match = self._waiting[0]
            frame = segmented.frame
            if now_ns < moment.now_ns + WAIT_NS and self.walk.poses.awaits(segmented.seen.time_ns):
                return
            self._waiting.popleft()
            now = Instant.of(now_ns)
            completed = self.pipeline.map(segmented, now)
            fault = self.costmap.fault
            answers = keepout = target = None
            if self.phrases is not None:
                with segmented.timer.stage("costmap"):
                    answers = self.phrases.take(frame, segmented.segmentation, segmented.seen, now)
                    keepout, _ = self.phrases.keepout(segmented.seen, now)
                    target = self.phrases.target_pose(answers, segmented.seen, now) if answers else None
            with segmented.timer.stage("costmap"):
                occupancy, map_frame = self.costmap.render_frame(segmented.seen, now)
            self.pipeline.counters.costmaps_published += 1
            timings_ns = segmented.timer.timings_ns
            segmented.timer.add("total", sum(timings_ns.values()))
            self.pipeline.latencies.record_frame(timings_ns)
            clouds = scan = None
            if self.nav is not None and self.nav.tells(segmented.seen, now):
                clouds, scan = self.nav.clouds(), self.nav.scan(segmented.seen, now)
            made = segmented.segmentation, occupancy, map_frame, self.costmap.robot
            found = self.costmap.detector.found
            told = match, fault, segmented.timer.timings_ns, clouds, scan, found, answers, keepout, target
            told = *told, *self._translated(segmented, completed)
            yield Result(frame, moment.mode, moment.now_ns, *made, *told)

    def _translated(
        self, segmented: Segmented, completed: CompletedDepth | None
    ) -> tuple[CompletedDepth | None, npt.NDArray[np.uint8] | None]:
        """Completed depth and the night view of a frame, what is wanted of them."""
        if completed is None and DEPTH_COMPLETED in self._wanted:
            completed = self.translations.completed(segmented.frame, segmented.segmentation)
        return completed, self.translations.night_view(segmented.frame) if NIGHT_VIEW in self._wanted else None


def mounting_of(reader: BagReader, topics: Topics, settings: Settings = DEFAULTS) -> Matrix | None:
    """The optical frame of the grid in the base (4, 4): as set, else by TF of the bag; ``None`` where a joint moves."""
    if settings.camera_in_base is not None:
        return camera_in_base(settings.camera_in_base)
    topic = topics.rgb or topics.depth or topics.thermal or ""
    image = reader.first(topic) if topic else None
    return image and TransformTree(reader, topic).fixed(settings.base_frame, frame_of(image))
