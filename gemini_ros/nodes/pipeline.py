"""From messages to published outputs, between activation and deactivation.

Messages, matching and time-outs belong to the executor's thread; one worker's thread runs the network on the newest
match and publishes. The slot between them is the only way from one to the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.node import Node

from gemini_ros.core.frames import Frame, FrameError, Segmentation
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.nodes.diagnostics import Complaints
from gemini_ros.nodes.filters import NodeClock, PairFilter
from gemini_ros.nodes.inputs import ImageInput
from gemini_ros.nodes.mapping import CostmapTopic, LiveCostmap
from gemini_ros.nodes.outputs import Outputs
from gemini_ros.nodes.parameters import Settings
from gemini_ros.pipeline.intake import Received, assemble
from gemini_ros.pipeline.slot import NewestSlot
from gemini_ros.pipeline.statistics import Counters, LatencyStatistics, StageTimer
from gemini_ros.pipeline.sync import Match, PairMatcher


class Pipeline:
    """Subscribes when made; ``stop`` ends it, after which every message and match is accounted for."""

    def __init__(
        self,
        node: Node,
        settings: Settings,
        required: tuple[str, ...],
        extras: tuple[str, ...],
        segmenter: Callable[[], Segmenter | None],
        costmap: LiveCostmap,
        outputs: Outputs,
    ) -> None:
        streams = (*required, *extras)
        self.counters = Counters()
        self.latencies = LatencyStatistics()
        self.matcher = PairMatcher(
            required,
            extras,
            slop_ns=settings.slop_ns,
            offsets_ns={stream: settings.offsets_ns[stream] for stream in streams},
            missing_timeout_ns=settings.missing_timeout_ns,
            policy=settings.missing_policy,
        )
        self.inputs = {stream: ImageInput(node, stream, settings) for stream in streams}
        self.costmap_topic = CostmapTopic(costmap, outputs, _now_of(node), self.counters)
        self.worker_fault = ""
        self._segmenter, self._costmap, self._outputs = segmenter, costmap, outputs
        self._logger = node.get_logger()
        self._complaints = Complaints(self._logger)
        self._slot: NewestSlot[tuple[Match, int]] = NewestSlot()
        self._filter = PairFilter(
            self.matcher,
            {stream: source.source for stream, source in self.inputs.items()},
            self._decode,
            NodeClock(_now_of(node)),
            self._refused,
        )
        self._filter.registerCallback(self._submit)
        self._mode = ""
        self._settling = threading.Lock()
        self._abandoned = False
        self._under_way = False
        self.worker = threading.Thread(target=self._work, name="worker", daemon=True)
        self.worker.start()

    def poll(self) -> None:
        """Let time pass in the matcher and act on a change of mode. Called about twenty times a second."""
        self._filter.poll()
        mode = self.matcher.mode
        if mode == self._mode:
            return
        if mode in ("normal", "waiting"):
            self._logger.info(f"mode {mode}")
        else:
            self._logger.warning(f"mode {mode}")
        if mode.startswith("stop:"):
            self._costmap.stop()
            self.costmap_topic.publish()
        elif self._mode.startswith("stop:"):
            self._costmap.resume()
        self._mode = mode

    def stop(self, timeout_s: float) -> None:
        """Unsubscribe, give the frame under way ``timeout_s`` to finish, count what is left over as ``shutdown``."""
        for source in self.inputs.values():
            source.close()
        if self._slot.close() is not None:
            self.counters.shutdown += 1
        self.worker.join(timeout_s)
        if self._abandon():
            self.counters.shutdown += 1
            self._logger.warning(f"the frame under way took longer than {timeout_s:g} s and is dropped")
        self.matcher.flush("shutdown")
        self._costmap.stop()
        self.costmap_topic.close()
        self._costmap.resume()

    def broken_identities(self) -> list[str]:
        """What does not add up after ``stop``; empty when every message and match is accounted for."""
        return self.counters.identities(self.matcher.counts)

    # -- the executor's thread

    def _decode(self, stream: str, message: Any) -> tuple[Received, int]:
        if self._segmenter() is None:
            self.inputs[stream].note_receipt(message, time.monotonic_ns())
            raise FrameError("the model is not loaded yet", "not_ready")
        return self.inputs[stream].decode(message)

    def _refused(self, stream: str, error: FrameError) -> None:
        if error.cause != "not_ready":
            self.inputs[stream].note_error(str(error))
            self._complaints.say(f"{stream} {error.cause}", f"{stream}: {error}")

    def _submit(self, match: Match) -> None:
        if match.kind == "pair":
            self.counters.pairs += 1
        else:
            self.counters.singles += 1
        if self._slot.put((match, time.monotonic_ns())) is not None:
            self.counters.replaced += 1

    def _abandon(self) -> bool:
        """Take the frame that the network still works on out of the worker's hands; whether there was one."""
        with self._settling:
            self._abandoned = True
            return self._under_way

    # -- the worker's thread

    def _settle(self) -> bool:
        """The network is done with the frame; whether it is still the worker's to count and to publish."""
        with self._settling:
            self._under_way = False
            return not self._abandoned

    def _work(self) -> None:
        while not self._slot.closed:
            taken = self._slot.take()
            if taken is None:
                continue
            self._under_way = True
            try:
                self._process(*taken)
            except Exception as error:  # noqa: BLE001 (one frame must not end the node; the identities tell)
                self._fail("worker", f"{type(error).__name__}: {error}")

    def _process(self, match: Match, queued_ns: int) -> None:
        timer = StageTimer()
        taken_ns = time.monotonic_ns()
        images = [item for item in match.items.values() if isinstance(item, Received)]
        last = max(images, key=lambda item: item.received_ns)
        timer.add("sync", queued_ns - last.received_ns - last.decode_ns)
        timer.add("queue", taken_ns - queued_ns)
        timer.add("preprocess", sum(item.decode_ns for item in images))
        segmented = self._segment(match, timer)
        if segmented is None:
            return
        frame, segmentation = segmented
        with timer.stage("publish"):
            self._outputs.publish_images(frame, segmentation)
        self.counters.labels_published += 1
        with timer.stage("costmap"):
            self._costmap.integrate(frame, segmentation)
        with timer.stage("publish"):
            self.costmap_topic.publish()
        # What the earlier image took to decode was spent before the last one came; it is part of the frame's cost.
        before_ns = sum(item.decode_ns for item in images if item is not last)
        timer.add("total", time.monotonic_ns() - last.received_ns + before_ns)
        self.latencies.record_frame(timer.timings_ns)

    def _segment(self, match: Match, timer: StageTimer) -> tuple[Frame, Segmentation] | None:
        """Frame and answer, or ``None`` with the match counted under the cause it failed for."""
        try:
            with timer.stage("preprocess"):
                frame = self._assemble(match)
        except FrameError as error:
            self._settle()
            if error.cause == "wrong_size":
                self.counters.wrong_size += 1
            else:
                self.counters.invalid += 1
            self._fail(error.cause, str(error))
            return None
        segmenter = self._segmenter()
        try:
            if segmenter is None:
                raise RuntimeError("the model was unloaded")
            start_ns = time.monotonic_ns()
            segmentation = segmenter.segment(frame)
        except Exception as error:  # noqa: BLE001 (a backend may raise anything; the next frame may be good)
            if self._settle():
                self.counters.failed += 1
                self._fail("failed", f"{type(error).__name__}: {error}")
            return None
        if not self._settle():
            return None
        self.counters.inferences += 1
        self._time_segment(timer, segmentation.timings_ns, time.monotonic_ns() - start_ns)
        self.worker_fault = ""
        return frame, segmentation

    def _assemble(self, match: Match) -> Frame:
        rgb = self.inputs.get("rgb")
        if rgb is None:
            return assemble(match, rgb_frame_id="")
        return assemble(match, rgb_frame_id=rgb.frame_id, intrinsics=rgb.intrinsics)

    @staticmethod
    def _time_segment(timer: StageTimer, measured_ns: Mapping[str, int], whole_ns: int) -> None:
        for stage, duration_ns in measured_ns.items():
            timer.add(stage, duration_ns)
        timer.add("preprocess", max(whole_ns - sum(measured_ns.values()), 0))

    def _fail(self, key: str, text: str) -> None:
        self.worker_fault = text
        self._complaints.say(key, text)


def _now_of(node: Node) -> Callable[[], int]:
    return lambda: node.get_clock().now().nanoseconds
