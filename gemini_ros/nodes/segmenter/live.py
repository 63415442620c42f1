"""From messages to published outputs, between activation and deactivation.

Messages, decoding, matching and time-outs belong to the executor's thread. A worker's thread runs the network on the
newest match; a backend that takes several requests at once has as many workers. The finisher's thread publishes the
labels in the order of their stamps and makes the map while the network is at the next match. The slot is the only way
from the executor to the workers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rclpy.node import Node

from gemini_ros.core.frames import Frame
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.nodes.segmenter.clock import NodeTime
from gemini_ros.nodes.segmenter.costmap_topic import CostmapTopic
from gemini_ros.nodes.segmenter.duplicates import duplicates
from gemini_ros.nodes.segmenter.filters import NodeClock, PairFilter
from gemini_ros.nodes.segmenter.inputs import ImageInput
from gemini_ros.nodes.segmenter.outputs import Outputs
from gemini_ros.nodes.segmenter.phrase_topics import PhraseTopics
from gemini_ros.nodes.segmenter.pose import OdometryPose
from gemini_ros.nodes.segmenter.snapshot import InputRecorder, Snapshots
from gemini_ros.nodes.segmenter.translation_topics import TranslationTopics
from gemini_ros.nodes.throttled_log import ThrottledLog
from gemini_ros.pipeline.clock import Seen
from gemini_ros.pipeline.detections import Detector
from gemini_ros.pipeline.frame import Failed, FramePipeline, Segmented
from gemini_ros.pipeline.in_order import InOrder
from gemini_ros.pipeline.intake import Intake, Received
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.nav_outputs import NavOutputs
from gemini_ros.pipeline.settings import Settings
from gemini_ros.pipeline.slot import NewestSlot
from gemini_ros.pipeline.statistics import StageTimer
from gemini_ros.pipeline.sync import Match
from gemini_ros.pipeline.topic_names import is_registered

HANG_S = 2.0
"""A frame that takes longer than this hangs: no network that a robot could use needs as long."""


@dataclass(frozen=True)
class _Taken:
    """A match on its way to the network, and when the slot took it (by the monotonic clock)."""

    match: Match
    queued_ns: int


@dataclass(frozen=True)
class _Done:
    """What the network made of a match, and when it was done."""

    match: Match
    outcome: Segmented | Failed
    at_ns: int


class LivePipeline:
    """Subscribes when made; ``stop`` ends it, after which every message and match is accounted for."""

    def __init__(
        self,
        node: Node,
        settings: Settings,
        required: tuple[str, ...],
        extras: tuple[str, ...],
        ranges: Mapping[str, tuple[float, float]],
        segmenter: Callable[[], Segmenter | None],
        learn_grid: Callable[[tuple[int, int]], None],
        costmap: Mapper,
        poses: OdometryPose,
        outputs: Outputs,
        nav: NavOutputs,
        phrases: PhraseTopics,
        translated: TranslationTopics,
    ) -> None:
        self.now = NodeTime(node.get_clock())
        self.required = required
        names = {stream: node.resolve_topic_name(f"{stream}/image") for stream in (*required, *extras)}
        aligned = [stream for stream, topic in names.items() if is_registered(topic)]
        self.intake = Intake(required, extras, settings, poses.moved, ranges, aligned, poses.transform)
        self.matcher, self.camera_fault = self.intake.matcher, self.intake.camera_fault
        self.frames = FramePipeline(
            self.intake,
            segmenter,
            costmap,
            lambda: phrases.phrases.book.inputs(self.now()),
            translated.translations,
        )
        self.counters, self.latencies = self.frames.counters, self.frames.latencies
        self.inputs = {
            stream: ImageInput(node, self.intake, stream, settings.transports[stream]) for stream in self.intake.streams
        }
        self.costmap_topic = CostmapTopic(costmap, outputs, self.now, self.counters)
        self._costmap, self._poses, self._outputs, self.nav = costmap, poses, outputs, nav
        self.phrases, self.translated = phrases, translated
        self._node = node
        self._logger = node.get_logger()
        self._throttled = ThrottledLog(self._logger)
        self._slot: NewestSlot[_Taken] = NewestSlot()
        self._filter = PairFilter(
            self.intake,
            self.inputs,
            NodeClock(lambda: self.now().clock_ns),
            lambda: segmenter() is not None,
            self.now,
            learn_grid,
        )
        self._filter.registerCallback(self._submit)
        self._recorder = (
            None
            if settings.snapshot is None
            else InputRecorder(
                node,
                self.inputs.values(),
                settings.snapshot,
                lambda: self.now().clock_ns,
                self._logger.warning,
            )
        )
        self._mode = ""
        self._polled_ns = time.monotonic_ns()
        self._segmenter = segmenter
        self._line: InOrder[_Taken, _Done] | None = None

    @property
    def workers(self) -> list[threading.Thread]:
        """The threads that may be inside the network."""
        return self._line.threads if self._line is not None else []

    @property
    def worker_fault(self) -> str:
        """Why the last match became no labels; empty if it did."""
        return self.frames.fault

    @property
    def snapshots(self) -> Snapshots | None:
        """What is kept of the inputs, where that is wanted."""
        return self._recorder.snapshots if self._recorder is not None else None

    def assumptions(self) -> list[str]:
        """What is taken for granted of the grids of the streams."""
        return self.intake.assumptions()

    def duplicates(self) -> list[str]:
        """What is there twice among the publishers of the node's topics, with the cure."""
        resolve = self._node.resolve_topic_name
        topics = [source.topic for source in self.inputs.values()]
        topics += [resolve(f"{stream}/camera_info") for stream in self.inputs]
        topics.append(resolve("odom"))
        if self._node.get_parameter("use_sim_time").value:
            topics.append("/clock")
        return duplicates(self._node, topics)

    @property
    def hangs(self) -> str:
        """What has stood still for longer than ``HANG_S``: the executor, or the worker; empty while both go on."""
        stands_ns = time.monotonic_ns() - self._polled_ns
        if stands_ns > HANG_S * 1e9:
            return f"the executor has handled nothing for {stands_ns / 1e9:.0f} s"
        if self._line is None:
            return ""
        if not self._line.whole:
            return "a worker's thread has ended"
        return f"one frame has taken more than {HANG_S:g} s" if self._line.busy_ns() > HANG_S * 1e9 else ""

    def poll(self) -> None:
        """Let time pass in the matcher and act on a change of mode. Called about twenty times a second."""
        self._polled_ns = time.monotonic_ns()
        self._filter.poll()
        self._follow_mode()

    def age(self, period_ns: int) -> None:
        """Let the map age: publish it anew unless that happened less than ``period_ns`` ago. For another thread."""
        self.costmap_topic.publish_if_older(period_ns)
        self.phrases.tell()
        while self._costmap.news:
            self._logger.warning(self._costmap.news.popleft())

    def stop(self, timeout_s: float) -> None:
        """Unsubscribe, give the frame under way ``timeout_s`` to finish, count what is left over as ``shutdown``."""
        deadline_s = time.monotonic() + timeout_s
        self.costmap_topic.close()
        for source in self.inputs.values():
            source.close()
        if self._slot.close() is not None:
            self.counters.shutdown += 1
        if self._line is not None:
            self._line.join(timeout_s)
        if self.frames.abandon():
            self._logger.warning(f"the frame under way took longer than {timeout_s:g} s and is dropped")
        self.matcher.flush("shutdown")
        if self._recorder is not None:
            self._recorder.close(max(deadline_s - time.monotonic(), 0.0))
        self._costmap.stop()
        self._costmap.resume()

    def broken_identities(self) -> list[str]:
        """What does not add up after ``stop``; empty when every message and match is accounted for."""
        return self.counters.identities(self.matcher.counts)

    # -- the executor's thread

    def _submit(self, match: Match) -> None:
        self._follow_mode()
        self.frames.emitted(match)
        if self._slot.put(_Taken(match, time.monotonic_ns())) is not None:
            self.counters.replaced += 1
        if self._line is None:  # matches come once the network is there
            segmenter = self._segmenter()
            requests = segmenter.requests if segmenter is not None else 1
            self._line = InOrder(requests, self._slot.take, self._work, self._finish)

    def _follow_mode(self) -> None:
        mode = self.matcher.mode
        if mode == self._mode:
            return
        self._mode = mode
        if self._recorder is not None:
            self._recorder.follow(mode)
        if mode in ("normal", "waiting"):
            self._logger.info(f"mode {mode}")
        else:
            self._logger.warning(f"mode {mode}")
        if self._costmap.follow(mode):
            self.costmap_topic.publish()

    # -- the workers' threads

    def _work(self, taken: _Taken) -> _Done:
        self.frames.begin()
        timer = StageTimer()
        last = _last(taken.match)
        timer.add("sync", taken.queued_ns - last.received_ns - last.decode_ns)
        timer.add("queue", time.monotonic_ns() - taken.queued_ns)
        return _Done(taken.match, self.frames.infer(taken.match, timer), time.monotonic_ns())

    # -- the finisher's thread

    def _finish(self, done: _Done) -> None:
        segmented = self.frames.settle(done.outcome)
        if segmented is not None:
            try:
                self._publish(done, segmented)
            except Exception as error:  # noqa: BLE001 (one frame must not end the node; the identities tell)
                self.frames.fault = f"{type(error).__name__}: {error}"
        if self.frames.fault:
            self._throttled.warning("worker", self.frames.fault)

    def _publish(self, done: _Done, segmented: Segmented) -> None:
        timer, frame = segmented.timer, segmented.frame
        timer.add("queue", time.monotonic_ns() - done.at_ns)
        with timer.stage("publish"):
            in_time = not self.nav.late(segmented.seen, self.now())
            self._outputs.publish_images(frame, segmented.segmentation, in_time=in_time)
        self.frames.published()
        # A pose comes later than the image it belongs to: that is waiting, no work.
        if frame.depth is not None:
            with timer.stage("queue"):
                self._poses.wait(segmented.seen.time_ns)
        completed = self.frames.map(segmented, self.now())
        with timer.stage("costmap"):
            self.phrases.publish(frame, segmented.segmentation, segmented.seen)
        with timer.stage("publish"):
            self._publish_for_nav(frame, segmented.seen)
            self._publish_boxes(frame)
            self.costmap_topic.publish(segmented.seen)
        self.translated.offer(frame, segmented.segmentation, completed, lambda: self.intake.depth_encoding)
        # What the earlier image took to decode was spent before the last one came; it is part of the frame's cost.
        last = _last(done.match)
        before_ns = sum(item.decode_ns for item in _images(done.match) if item is not last)
        timer.add("total", time.monotonic_ns() - last.received_ns + before_ns)
        self.latencies.record_frame(timer.timings_ns)

    def _publish_for_nav(self, frame: Frame, seen: Seen) -> None:
        """Clouds, scan and speed mask, for whom it may concern, of a frame that tells what is in the way."""
        outputs, nav = self._outputs, self.nav
        if self.costmap_topic.clock_stands or not nav.tells(seen, self.now()):
            return
        clouds = nav.clouds() if outputs.clouds_wanted or outputs.speed.wanted else None
        if clouds is not None:
            outputs.publish_clouds(clouds, frame)
        if clouds is not None and outputs.speed.wanted:
            mask = nav.speed(outputs.label_set, seen, clouds.ground)
            if mask is not None:
                outputs.speed.publish(mask, self._costmap.frame)
        if outputs.scan_wanted and (scan := nav.scan(seen, self.now())) is not None:
            outputs.publish_scan(scan, seen.stamp_ns, self._costmap.base_frame)

    @property
    def detector(self) -> Detector | None:
        """What finds boxes, while somebody subscribes to them."""
        return self._costmap.detector if self._outputs.boxes.wanted else None

    def _publish_boxes(self, frame: Frame) -> None:
        """The boxes of the frame for whom they may concern, or why there are none."""
        boxes, detector = self._outputs.boxes, self._costmap.detector
        if not boxes.wanted:
            return
        found, silence = detector.found, detector.silence  # a jump takes them away meanwhile
        if found is not None:
            boxes.publish(found, frame)
        if silence:
            self._throttled.warning("boxes", silence)


def _images(match: Match) -> list[Received]:
    return [item for item in match.items.values() if isinstance(item, Received)]


def _last(match: Match) -> Received:
    return max(_images(match), key=lambda item: item.received_ns)
