"""From messages to published outputs, between activation and deactivation.

Messages, matching and time-outs belong to the executor's thread; one worker's thread runs the network on the newest
match and publishes. The slot between them is the only way from one to the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from rclpy.node import Node

from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.nodes.segmenter.clock import NodeTime
from gemini_ros.nodes.segmenter.costmap_topic import CostmapTopic
from gemini_ros.nodes.segmenter.duplicates import duplicates
from gemini_ros.nodes.segmenter.filters import NodeClock, PairFilter
from gemini_ros.nodes.segmenter.inputs import ImageInput
from gemini_ros.nodes.segmenter.outputs import Outputs
from gemini_ros.nodes.throttled_log import ThrottledLog
from gemini_ros.pipeline.frame import FramePipeline
from gemini_ros.pipeline.intake import Intake, Received
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.pose import OdometryPoses, PoseSource
from gemini_ros.pipeline.settings import Settings
from gemini_ros.pipeline.slot import NewestSlot
from gemini_ros.pipeline.statistics import StageTimer
from gemini_ros.pipeline.sync import Match

HANG_S = 2.0
"""A frame that takes longer than this hangs: no network that a robot could use needs as long."""


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
        costmap: Mapper,
        poses: PoseSource,
        outputs: Outputs,
    ) -> None:
        self.now = NodeTime(node.get_clock())
        self.required = required
        self._intake = Intake(required, extras, settings, poses.moved, ranges)
        self.matcher, self.camera_fault = self._intake.matcher, self._intake.camera_fault
        self.frames = FramePipeline(self._intake, segmenter, costmap)
        self.counters, self.latencies = self.frames.counters, self.frames.latencies
        self.inputs = {
            stream: ImageInput(node, self._intake, stream, settings.transports[stream])
            for stream in self._intake.streams
        }
        self.costmap_topic = CostmapTopic(costmap, outputs, self.now, self.counters)
        self._costmap, self._poses, self._outputs = costmap, poses, outputs
        self._node = node
        self._logger = node.get_logger()
        self._throttled = ThrottledLog(self._logger)
        self._slot: NewestSlot[tuple[Match, int]] = NewestSlot()
        self._filter = PairFilter(
            self._intake,
            self.inputs,
            NodeClock(lambda: self.now().clock_ns),
            lambda: segmenter() is not None,
            self.now,
        )
        self._filter.registerCallback(self._submit)
        self._mode = ""
        self._polled_ns = time.monotonic_ns()
        self._busy_since_ns: int | None = None
        self.worker = threading.Thread(target=self._work, name="worker", daemon=True)
        self.worker.start()

    @property
    def worker_fault(self) -> str:
        """Why the last match became no labels; empty if it did."""
        return self.frames.fault

    def duplicates(self) -> list[str]:
        """What is there twice among the publishers of the node's topics, with the cure."""
        resolve = self._node.resolve_topic_name
        topics = [source.topic for source in self.inputs.values()]
        topics += [resolve(f"{stream}/camera_info") for stream in self.inputs]
        if isinstance(self._poses, OdometryPoses):
            topics.append(resolve("odom"))
        if self._node.get_parameter("use_sim_time").value:
            topics.append("/clock")
        return duplicates(self._node, topics)

    @property
    def hangs(self) -> str:
        """What has stood still for longer than ``HANG_S``: the executor, or the worker; empty while both go on."""
        now_ns, since_ns = time.monotonic_ns(), self._busy_since_ns
        if now_ns - self._polled_ns > HANG_S * 1e9:
            return f"the executor has handled nothing for {(now_ns - self._polled_ns) / 1e9:.0f} s"
        if not self.worker.is_alive():
            return "the worker's thread has ended"
        return f"one frame has taken more than {HANG_S:g} s" if since_ns and now_ns - since_ns > HANG_S * 1e9 else ""

    def poll(self) -> None:
        """Let time pass in the matcher and act on a change of mode. Called about twenty times a second."""
        self._polled_ns = time.monotonic_ns()
        self._filter.poll()
        self._follow_mode()

    def age(self, period_ns: int) -> None:
        """Let the map age: publish it anew unless that happened less than ``period_ns`` ago. For another thread."""
        self.costmap_topic.publish_if_older(period_ns)
        while self._costmap.news:
            self._logger.warning(self._costmap.news.popleft())

    def stop(self, timeout_s: float) -> None:
        """Unsubscribe, give the frame under way ``timeout_s`` to finish, count what is left over as ``shutdown``."""
        self.costmap_topic.close()
        for source in self.inputs.values():
            source.close()
        if self._slot.close() is not None:
            self.counters.shutdown += 1
        self.worker.join(timeout_s)
        if self.frames.abandon():
            self._logger.warning(f"the frame under way took longer than {timeout_s:g} s and is dropped")
        self.matcher.flush("shutdown")
        self._costmap.stop()
        self._costmap.resume()

    def broken_identities(self) -> list[str]:
        """What does not add up after ``stop``; empty when every message and match is accounted for."""
        return self.counters.identities(self.matcher.counts)

    # -- the executor's thread

    def _submit(self, match: Match) -> None:
        self._follow_mode()
        self.frames.emitted(match)
        if self._slot.put((match, time.monotonic_ns())) is not None:
            self.counters.replaced += 1

    def _follow_mode(self) -> None:
        mode = self.matcher.mode
        if mode == self._mode:
            return
        self._mode = mode
        if mode in ("normal", "waiting"):
            self._logger.info(f"mode {mode}")
        else:
            self._logger.warning(f"mode {mode}")
        if self._costmap.follow(mode):
            self.costmap_topic.publish()

    # -- the worker's thread

    def _work(self) -> None:
        while not self._slot.closed:
            taken = self._slot.take()
            if taken is None:
                continue
            self.frames.begin()
            self._busy_since_ns = time.monotonic_ns()
            try:
                self._process(*taken)
            except Exception as error:  # noqa: BLE001 (one frame must not end the node; the identities tell)
                self.frames.fault = f"{type(error).__name__}: {error}"
            self._busy_since_ns = None
            if self.frames.fault:
                self._throttled.warning("worker", self.frames.fault)

    def _process(self, match: Match, queued_ns: int) -> None:
        timer = StageTimer()
        images = [item for item in match.items.values() if isinstance(item, Received)]
        last = max(images, key=lambda item: item.received_ns)
        timer.add("sync", queued_ns - last.received_ns - last.decode_ns)
        timer.add("queue", time.monotonic_ns() - queued_ns)
        segmented = self.frames.segment(match, timer)
        if segmented is None:
            return
        frame = segmented.frame
        with timer.stage("publish"):
            self._outputs.publish_images(frame, segmented.segmentation)
        self.frames.published()
        # A pose comes later than the image it belongs to: that is waiting, no work.
        if frame.depth is not None:
            with timer.stage("queue"):
                self._poses.wait(segmented.seen.time_ns)
        self.frames.map(segmented, self.now())
        with timer.stage("publish"):
            self.costmap_topic.publish(segmented.seen)
        # What the earlier image took to decode was spent before the last one came; it is part of the frame's cost.
        before_ns = sum(item.decode_ns for item in images if item is not last)
        timer.add("total", time.monotonic_ns() - last.received_ns + before_ns)
        self.latencies.record_frame(timer.timings_ns)
