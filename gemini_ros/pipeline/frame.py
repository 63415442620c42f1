"""What becomes of a match: assembled, segmented, mapped, and counted once, whatever happens to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gemini_ros.core.costmap.completed import CompletedDepth
from gemini_ros.core.frames import Frame, FrameError, Segmentation
from gemini_ros.core.phrase_maps import PhraseInputs
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.intake import Intake, Received
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.statistics import Counters, FaultCounts, LatencyStatistics, StageTimer
from gemini_ros.pipeline.sync import Match
from gemini_ros.pipeline.translations import Translations

_NOTES_KEPT = 20


@dataclass(frozen=True)
class Segmented:
    """A frame with the network's answer, the times of its stages so far, why its camera is not known, and why images of
    the match were left out of it."""

    frame: Frame
    segmentation: Segmentation
    timer: StageTimer
    seen: Seen
    camera_fault: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """Why a match became no labels, and the cause it counts under."""

    cause: str
    text: str


class FramePipeline:
    """What becomes of matches. ``segmenter`` gives the network, or ``None`` while there is none; ``phrases`` what it is
    asked, ``None`` where nothing that it takes is in force: the plain network runs then. ``translations`` complete
    depth where the map takes that.

    ``fault`` is why the last match became no labels, empty if it did; ``faults`` counts the reasons of a run. ``begin``
    and ``infer`` may be called from several threads; ``settle`` and what follows it from one, match after match.
    """

    def __init__(
        self,
        intake: Intake,
        segmenter: Callable[[], Segmenter | None],
        costmap: Mapper,
        phrases: Callable[[], PhraseInputs | None] = lambda: None,
        translations: Translations | None = None,
    ) -> None:
        self.counters = Counters()
        self.latencies = LatencyStatistics()
        self.fault = ""
        self.faults = FaultCounts()
        self._intake, self._segmenter, self._costmap, self._phrases = intake, segmenter, costmap, phrases
        self._translations = translations
        self._settling = threading.Lock()
        self._abandoned = False
        self._under_way = 0
        self._used: set[str] = set()

    def emitted(self, match: Match) -> None:
        """Count a match that the matcher gave out."""
        if match.kind == "pair":
            self.counters.pairs += 1
        else:
            self.counters.singles += 1

    def begin(self) -> None:
        """A match is taken on: from here until ``settle`` has counted it, ``abandon`` may take it away."""
        with self._settling:
            self._under_way += 1

    def infer(self, match: Match, timer: StageTimer) -> Segmented | Failed:
        """Frame and labels, or why there are none. Nothing is counted here."""
        images = [item for item in match.items.values() if isinstance(item, Received)]
        timer.add("preprocess", sum(item.decode_ns for item in images))
        try:
            frame = self._intake.assemble(match, timer)
            segmenter = self._segmenter()
            if segmenter is None:
                raise RuntimeError("the model was unloaded")
            start_ns = time.monotonic_ns()
            asked = self._phrases()
            segmentation = segmenter.segment(frame) if asked is None else segmenter.segment(frame, asked)
        except FrameError as error:
            return Failed("wrong_size" if error.cause == "wrong_size" else "invalid", str(error))
        except Exception as error:  # noqa: BLE001 (a backend may raise anything; the next frame may be good)
            return Failed("failed", f"{type(error).__name__}: {error}")
        frame, segmentation = self._intake.without_robot(frame, segmentation)
        _time_segment(timer, segmentation.timings_ns, time.monotonic_ns() - start_ns)
        receipt = min((item.receipt for item in images), default=Instant.of(match.time_ns))
        camera_fault = "" if frame.intrinsics else self._intake.grid_fault
        seen = Seen(match.stamp_ns, match.time_ns, receipt)
        return Segmented(frame, segmentation, timer, seen, camera_fault, self._intake.left_out(match, frame))

    def settle(self, outcome: Segmented | Failed) -> Segmented | None:
        """Count a match that was begun by its outcome; what there is to publish, ``None`` where nothing is."""
        with self._settling:
            if self._abandoned:
                return None
            self._under_way -= 1
        if isinstance(outcome, Failed):
            self.counters.drop(outcome.cause)
            self.fault = outcome.text
            self.faults.note(outcome.text)
            self._intake.matcher.outcome(False)
            return None
        self.counters.inferences += 1
        self._used.update(outcome.frame.images())
        for text in outcome.left_out:
            self.faults.note(text)
        self.fault = ""
        return outcome

    def published(self) -> None:
        """The labels of a frame have left."""
        self.counters.labels_published += 1
        self._intake.matcher.outcome(True)

    def map(self, segmented: Segmented, now: Instant) -> CompletedDepth | None:
        """The frame as evidence into the map, with its completed depth where the map takes that, which is returned."""
        frame, segmentation, completed = segmented.frame, segmented.segmentation, None
        if self._translations is not None and self._costmap.takes_completed:
            with segmented.timer.stage("network"):
                completed = self._translations.completed(frame, segmentation)
        with segmented.timer.stage("costmap"):
            self._costmap.integrate(frame, segmentation, segmented.seen, now, segmented.camera_fault, completed)
        return completed

    def notes(self) -> list[str]:
        """What was not there or not usable in a run, and what follows; the commonest first."""
        costmap = self._costmap
        notes = self._intake.assumptions()
        notes += [f"costmap: nothing from {n} frames: {fault}" for fault, n in costmap.faults.most_common()]
        notes += [f"costmap: cleared {n} x: {why}" for why, n in costmap.clearings.most_common()]
        notes += [f"costmap: in {n} frames {warning}" for warning, n in costmap.warnings.most_common()]
        notes += [f"in {n} frames {fault}" for fault, n in costmap.detector.faults.most_common()]
        notes += [str(unpaired) for unpaired in self._intake.matcher.unpaired_ever.values()]
        faults = self._intake.faults + self.faults
        return notes + [f"{n} x {fault}" for fault, n in faults.most_common(_NOTES_KEPT)]

    def unused(self, required: Sequence[str]) -> list[str]:
        """Of the ``required`` streams, and of depth for the map, those that brought nothing usable in the whole run."""
        counts = self._intake.matcher.counts
        brought = {name for name in required if counts[name].in_pairs + counts[name].singles}
        if self.counters.inferences:
            brought &= self._used
        unused = [name for name in required if name not in brought]
        return unused + ["depth"] * (self._costmap.always_blind and "depth" not in unused)

    def abandon(self) -> int:
        """Take the matches that are still under way out of their threads' hands; how many there were."""
        with self._settling:
            self._abandoned = True
            self.counters.shutdown += self._under_way
            return self._under_way


def _time_segment(timer: StageTimer, measured_ns: Mapping[str, int], whole_ns: int) -> None:
    for stage, duration_ns in measured_ns.items():
        timer.add(stage, duration_ns)
    timer.add("preprocess", max(whole_ns - sum(measured_ns.values()), 0))
