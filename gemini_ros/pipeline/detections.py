"""The boxes of a run: of which frames there are any, in which frame they are, and why there are none."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.boxes import Box, BoxFinder
from gemini_ros.core.costmap.margins import WALKING_MPS, Faster, margin_m
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.tracks import LOST_AFTER_NS, Tracker
from gemini_ros.core.transforms import Matrix
from gemini_ros.pipeline.statistics import FaultCounts

NOTHING_MARKED = (
    "no boxes: the label set {!r:.80} marks no class with instances: true; mark some in a copy and set label_set to it"
)
NO_ODOMETRY = (
    "no boxes: they are in the odometry's frame, and the map is in {!r:.80}: publish odometry and set costmap.frame"
)


@dataclass(frozen=True)
class Detections:
    """The ``boxes`` of a frame, in the frame ``frame_id`` of the odometry; empty where nothing is seen."""

    stamp_ns: int
    frame_id: str
    boxes: tuple[Box, ...]


class Detector:
    """Boxes of the frames that are evidence for the map, tracked.

    One thread at a time gives frames, by ``take`` and ``none``; others may ``clear`` and ask for what is ``faster``.
    ``silence`` is why the last frame gave none, empty if it was looked at; ``faults`` counts these sentences.
    ``found`` is what the last frame gave: read it once, as another thread may take it away.
    """

    def __init__(self, label_set: LabelSet, base_frame: str) -> None:
        self._finder, self._tracker = BoxFinder(label_set), Tracker()
        self._dynamic = frozenset(c.id for c in label_set.classes if c.dynamic)
        self._base_frame = base_frame
        self._frame = ""
        self._lock = threading.Lock()
        self._clearings = 0
        self._last_seen: dict[int, tuple[Box, int]] = {}  # by id, with the stamp
        self.wanted = self._finder.marks
        self.faults = FaultCounts()
        self.found: Detections | None = None
        self.silence = "" if self.wanted else NOTHING_MARKED.format(label_set.name)

    def clear(self) -> None:
        """Forget the things that were followed: the clock or the pose jumped."""
        with self._lock:
            self._clearings += 1
            self._forget()
            self.found = None

    def none(self, why: str) -> None:
        """A frame that is no evidence, for the reason ``why``. What was fast is so still."""
        self.found = None
        if self.wanted:
            self._note(f"no boxes: {why}")

    def take(
        self,
        stamp_ns: int,
        images: tuple[Segmentation, npt.NDArray[np.float32], npt.NDArray[np.uint8]],
        intrinsics: Intrinsics,
        grid_from_camera: Matrix,
        frame_id: str,
    ) -> None:
        """The labels, depth and levels of a frame, seen from a pose in ``frame_id`` as the floor corrects it."""
        self.found = None
        if not self.wanted:
            return
        with self._lock:
            clearings = self._clearings
            if frame_id != self._frame:
                self._forget()
                self._frame = frame_id
        if frame_id == self._base_frame:
            self._note(NO_ODOMETRY.format(frame_id))
            return
        things = self._finder.find(*images, intrinsics, grid_from_camera)
        self._note(self._finder.note)
        with self._lock:
            if clearings != self._clearings:
                return  # what the frame shows was before the jump
            boxes = self._tracker.follow(things, stamp_ns)
            self.found = Detections(stamp_ns, frame_id, boxes)
            kept = {id: seen for id, seen in self._last_seen.items() if 0 <= stamp_ns - seen[1] <= LOST_AFTER_NS}
            self._last_seen = kept | {box.id: (box, stamp_ns) for box in boxes}

    def faster(self, age_s: float, at_ns: int) -> tuple[Faster, ...]:
        """What moves faster than a person walks, with the margin that a map of this age, made at ``at_ns``, needs
        around it.

        What is not seen for some time keeps its margin, which grows, as long as the tracker follows it: a frame that
        shows nothing does not stop a vehicle.
        """
        with self._lock:
            seen = list(self._last_seen.values())
        return tuple(
            Faster(*box.center[:2], max(box.size[:2]), margin_m(max(age_s, (at_ns - stamp_ns) / 1e9), box.speed))
            for box, stamp_ns in seen
            if box.label in self._dynamic and box.speed > WALKING_MPS and at_ns - stamp_ns <= LOST_AFTER_NS
        )

    def _forget(self) -> None:
        self._tracker.clear()
        self._last_seen = {}

    def _note(self, text: str) -> None:
        self.silence = text
        if text:
            self.faults.note(text)
