"""The boxes of a bag against the true ones: ``boxes.json``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.true_boxes import TrueBoxes
from gemini_ros.core.box_scores import BoxJudge, JudgedFrame
from gemini_ros.core.files import atomic_path
from gemini_ros.core.labels import LabelSet
from gemini_ros.evaluation.store import BagRecord
from gemini_ros.pipeline.bag_walk import Result

FILE = "boxes.json"
_NOTES_KEPT = 20


class BoxRecorder:
    """Takes down what becomes of the boxes of a bag; nothing where no class is marked or the bag has no true boxes."""

    def __init__(self, reader: BagReader, label_set: LabelSet) -> None:
        self._names = label_set.names
        marked = any(c.instances for c in label_set.classes)
        self._truth = TrueBoxes(reader, self._names) if marked else None
        self.judge = BoxJudge()
        self._elsewhere: Counter[str] = Counter()

    def add(self, result: Result, light: str) -> JudgedFrame | None:
        """Compare the boxes of a frame, taken in this ``light``; ``None`` where there is no truth in the map's frame.

        A frame without any has found nothing.
        """
        truth = self._truth.at(result.frame.stamp_ns) if self._truth else None
        if truth is None or self._truth is None:
            return None
        if result.map_frame != self._truth.frame:
            self._elsewhere[result.map_frame] += 1
            return None
        found = result.boxes.boxes if result.boxes is not None else ()
        camera = result.frame.intrinsics
        return self.judge.add(found, truth, result.robot[:2], light, 0.0 if camera is None else camera.fx)

    def add_rows(self, record: BagRecord, number: int, frame: JudgedFrame, scored: LabelSet) -> None:
        """The rows of the store for frame ``number``, of the classes that are among those that are ``scored``."""
        places = {label: scored.names.index(name) for label, name in enumerate(self._names) if name in scored.names}
        record.add("box_frames", number, frame.metres)
        for thing in frame.things:
            if thing.label in places:
                place, found = places[thing.label], (thing.box, thing.error_m, int(thing.switched))
                record.add("true_things", number, place, thing.id, thing.away_m, thing.pixels, *found)
        for box in frame.boxes:
            if box.label in places:
                right = (None if each is None else int(each) for each in box.right)
                record.add("boxes", number, places[box.label], box.id, box.score, *right)

    def notes(self) -> list[str]:
        """What is wrong with the truth, and of how many frames the boxes could not be compared with it."""
        if self._truth is None:
            return []
        notes = [
            f"in {n} frames no box was scored: the true boxes are in {self._truth.frame!r:.80} and the map is in "
            f"{frame!r:.80}: set costmap.frame to that of the true boxes, or publish its odometry"
            for frame, n in self._elsewhere.most_common()
        ]
        return [*notes, *self._truth.damaged[:_NOTES_KEPT]]

    def write(self, folder: Path) -> None:
        """``boxes.json`` in the place of an earlier run's; none where nothing was compared."""
        path = folder / FILE
        path.unlink(missing_ok=True)
        if self.judge.scores.frames:
            text = json.dumps(self.judge.scores.to_dict(self._names), indent=2) + "\n"
            with atomic_path(path) as part:
                part.write_text(text, encoding="utf-8")
