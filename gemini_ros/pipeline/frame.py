"""What becomes of a match: assembled, segmented, mapped, and counted once, whatever happens to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gemini_ros.core.frames import Frame, FrameError, Segmentation
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.intake import Intake, Received
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.statistics import Counters, FaultCounts, LatencyStatistics, StageTimer
from gemini_ros.pipeline.sync import Match

_NOTES_KEPT = 20


@dataclass(frozen=True)
class Segmented:
    """A frame with the network's answer, the times of its stages so far, and why its camera is not known."""

    frame: Frame
    segmentation: Segmentation
    timer: StageTimer
    seen: Seen
    camera_fault: str = ""


class FramePipeline:
    """Frames, one at a time. ``segmenter`` gives the network, or ``None`` while there is none.

    ``fault`` is why the last match became no labels, empty if it did; ``faults`` counts the reasons of a run.
    """

    def __init__(self, intake: Intake, segmenter: Callable[[], Segmenter | None], costmap: Mapper) -> None:
        self.counters = Counters()
        self.latencies = LatencyStatistics()
        self.fault = ""
        self.faults = FaultCounts()
        self._intake, self._segmenter, self._costmap = intake, segmenter, costmap
        self._settling = threading.Lock()
        self._abandoned = False
        self._under_way = False

    def emitted(self, match: Match) -> None:
        """Count a match that the matcher gave out."""
        if match.kind == "pair":
            self.counters.pairs += 1
        else:
            self.counters.singles += 1

    def begin(self) -> None:
        """A match is taken on: from here until ``segment`` has counted it, ``abandon`` may take it away."""
        self._under_way = True

    def segment(self, match: Match, timer: StageTimer) -> Segmented | None:
        """Frame and labels, or ``None`` with the match counted under the cause it failed for."""
        images = [item for item in match.items.values() if isinstance(item, Received)]
        timer.add("preprocess", sum(item.decode_ns for item in images))
        try:
            with timer.stage("preprocess"):
                frame = self._intake.assemble(match)
        except FrameError as error:
            if self._settle():
                self._fail("wrong_size" if error.cause == "wrong_size" else "invalid", str(error))
            return None
        try:
            segmenter = self._segmenter()
            if segmenter is None:
                raise RuntimeError("the model was unloaded")
            start_ns = time.monotonic_ns()
            segmentation = segmenter.segment(frame)
        except Exception as error:  # noqa: BLE001 (a backend may raise anything; the next frame may be good)
            if self._settle():
                self._fail("failed", f"{type(error).__name__}: {error}")
            return None
        if not self._settle():
            return None
        frame, segmentation = self._intake.without_robot(frame, segmentation)
        self.counters.inferences += 1
        _time_segment(timer, segmentation.timings_ns, time.monotonic_ns() - start_ns)
        self.fault = ""
        receipt = min((item.receipt for item in images), default=Instant.of(match.time_ns))
        camera_fault = "" if frame.intrinsics else self._intake.grid_fault
        return Segmented(frame, segmentation, timer, Seen(match.stamp_ns, match.time_ns, receipt), camera_fault)

    def published(self) -> None:
        """The labels of a frame have left."""
        self.counters.labels_published += 1

    def map(self, segmented: Segmented, now: Instant) -> None:
        """The frame as evidence into the map."""
        with segmented.timer.stage("costmap"):
            self._costmap.integrate(
                segmented.frame, segmented.segmentation, segmented.seen, now, segmented.camera_fault
            )

    def notes(self) -> list[str]:
        """What was not there or not usable in a run, and what follows; the commonest first."""
        costmap = self._costmap
        notes = [f"costmap: nothing from {n} frames: {fault}" for fault, n in costmap.faults.most_common()]
        notes += [f"costmap: cleared {n} x: {why}" for why, n in costmap.clearings.most_common()]
        notes += [f"costmap: in {n} frames {warning}" for warning, n in costmap.warnings.most_common()]
        notes += [str(unpaired) for unpaired in self._intake.matcher.unpaired_ever.values()]
        faults = self._intake.faults + self.faults
        return notes + [f"{n} x {fault}" for fault, n in faults.most_common(_NOTES_KEPT)]

    def unused(self, required: Sequence[str]) -> list[str]:
        """Of the ``required`` streams, and of depth for the map, those that brought nothing usable in the whole run."""
        counts = self._intake.matcher.counts
        unused = [name for name in required if not counts[name].in_pairs + counts[name].singles]
        return unused + ["depth"] * (self._costmap.always_blind and "depth" not in unused)

    def abandon(self) -> bool:
        """Take the match that the network still works on out of its thread's hands; whether there was one."""
        with self._settling:
            self._abandoned = True
            if self._under_way:
                self.counters.shutdown += 1
            return self._under_way

    def _settle(self) -> bool:
        """The network is done with the match; whether it may still be counted and published."""
        with self._settling:
            self._under_way = False
            return not self._abandoned

    def _fail(self, cause: str, text: str) -> None:
        self.counters.drop(cause)
        self.fault = text
        self.faults.note(text)


def _time_segment(timer: StageTimer, measured_ns: Mapping[str, int], whole_ns: int) -> None:
    for stage, duration_ns in measured_ns.items():
        timer.add(stage, duration_ns)
    timer.add("preprocess", max(whole_ns - sum(measured_ns.values()), 0))
