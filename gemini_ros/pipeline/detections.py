"""The boxes of a run: of which frames there are any, in which frame they are, and why there are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.boxes import Box, BoxFinder
from gemini_ros.core.costmap.margins import WALKING_MPS, Faster, margin_m
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.tracks import Tracker
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
    """Boxes of the frames that are evidence for the map, tracked. One thread at a time.

    ``silence`` is why the last frame gave none, empty if it was looked at; ``faults`` counts these sentences.
    ``found`` is what the last frame gave.
    """

    def __init__(self, label_set: LabelSet, base_frame: str) -> None:
        self._finder, self._tracker = BoxFinder(label_set), Tracker()
        self._dynamic = frozenset(c.id for c in label_set.classes if c.dynamic)
        self._base_frame = base_frame
        self._frame = ""
        self.wanted = self._finder.marks
        self.faults = FaultCounts()
        self.found: Detections | None = None
        self.silence = "" if self.wanted else NOTHING_MARKED.format(label_set.name)

    def clear(self) -> None:
        """Forget the things that were followed: the clock or the pose jumped."""
        self._tracker.clear()
        self.found = None

    def none(self, why: str) -> None:
        """A frame that is no evidence, for the reason ``why``."""
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
        if frame_id == self._base_frame:
            self._note(NO_ODOMETRY.format(frame_id))
            return
        if frame_id != self._frame:
            self._tracker.clear()
            self._frame = frame_id
        things = self._finder.find(*images, intrinsics, grid_from_camera)
        self._note(self._finder.note)
        self.found = Detections(stamp_ns, frame_id, self._tracker.follow(things, stamp_ns))

    def faster(self, age_s: float) -> tuple[Faster, ...]:
        """What moves faster than a person walks, with the margin that a map of this age needs around it."""
        boxes = self.found.boxes if self.found is not None else ()
        return tuple(
            Faster(*box.center[:2], max(box.size[:2]), margin_m(age_s, box.speed))
            for box in boxes
            if box.label in self._dynamic and box.speed > WALKING_MPS
        )

    def _note(self, text: str) -> None:
        self.silence = text
        if text:
            self.faults.note(text)
