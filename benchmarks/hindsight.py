"""How right labels in hindsight are: those of simulated drives against the bags' true labels.

gemini-ros dataset simulate --bag drive.mcap --seed 5 --duration 40
python -m benchmarks.hindsight drive.mcap --json hindsight.json

For each bag: what it teaches or why it is refused, and of its labels ``precision`` (the share of the labelled pixels
whose truth is of that class) and ``pixels``, by class and by what depth measures there: up to 2 m, 2 to 4 m, beyond, or
nothing. ``labelled`` is the share of all pixels, ``recall`` that of the true ones of each class, and ``surest`` the
precision where confidence is 0.9 or more. True obstacle is all that is neither free nor a drop. What is refused is
scored all the same, so that what a guard prevents can be seen; ``--refused`` leaves that out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagReader
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.hindsight.labelling import LABEL_SET
from gemini_ros.datasets.hindsight.recording import Recording, examine
from gemini_ros.datasets.hindsight.teach import Teacher
from gemini_ros.pipeline.streams import find_topics

CLASSES = ("floor", "obstacle", "drop")
RANGES = {"0-2 m": (0.0, 2.0), "2-4 m": (2.0, 4.0), "4 m and more": (4.0, np.inf), "not measured": None}
TRUTHS = ("warehouse", "nav5")  # the first is that of bags that do not say
SUREST = 230


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bags", nargs="+", type=Path, metavar="BAG")
    parser.add_argument("--every", type=float, default=0.2, metavar="SECONDS")
    parser.add_argument("--refused", action="store_true", help="leave out the labels of bags that are refused")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    results = {}
    for bag in args.bags:
        results[bag.name] = score(bag, args.every, skip=args.refused)
        print(bag.name, json.dumps(results[bag.name], indent=1))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def score(bag: Path, every_s: float, *, skip: bool = False) -> dict[str, object]:
    """What a bag teaches, and how right it is."""
    recording = Recording(bag, every_s=every_s)
    lesson = examine(recording)
    result: dict[str, object] = {"refusal": lesson.refusal, "frames": lesson.frames, **lesson.to_dict()}
    if not lesson.frames or (skip and lesson.refusal):
        return result
    teacher = Teacher(recording, lesson, load_label_set(LABEL_SET))
    result["refusal"] = refusal = "; ".join(text for text in (lesson.refusal, teacher.learn()) if text)
    result["contradictions"] = vars(teacher.contradictions)
    if skip and refusal:
        return result
    counts = Counts()
    with BagReader(bag) as reader:
        topic = find_topics(reader).labels
        if topic is None:
            raise ValueError(f"{bag}: no true labels, expected a simulated drive")
        truth = LabelImages(reader, topic)
        classes = true_classes(truth.classes)
        for placed, _, labelled in teacher.labels():
            stamp, said = placed.frame.stamp_ns, labelled.segmentation
            if stamp in truth:
                counts.add(said.labels, said.confidence, classes[truth[stamp]], placed.depth)
    return {**result, **counts.scores()}


def true_classes(names: Sequence[str] | None) -> npt.NDArray[np.uint8]:
    """uint8 (256,): which of ``CLASSES`` each true label is."""
    known = [load_label_set(name) for name in TRUTHS]
    label_set = next((one for one in known if names is None or list(one.names) == list(names)), None)
    if label_set is None:
        raise ValueError(f"true labels {names}, expected those of {' or '.join(TRUTHS)}")
    table = np.full(256, UNLABELLED, np.uint8)
    table[: len(label_set)] = CLASSES.index("obstacle")
    table[: len(label_set)][label_set.nav_table("free")[: len(label_set)]] = CLASSES.index("floor")
    if "drop" in label_set.names:
        table[label_set.names.index("drop")] = CLASSES.index("drop")
    return table


class Counts:
    """Pixels by label, truth and range, (classes, classes, ranges), of all and of the surest."""

    def __init__(self) -> None:
        self._pixels = np.zeros((2, len(CLASSES), len(CLASSES), len(RANGES)), np.int64)
        self._true = np.zeros(len(CLASSES), np.int64)
        self._all = self._labelled = self._frames = 0
        names = load_label_set(LABEL_SET).names
        self._own = np.full(256, UNLABELLED, np.uint8)
        self._own[[names.index(name) for name in CLASSES]] = range(len(CLASSES))

    def add(self, labels: np.ndarray, confidence: np.ndarray, truth: np.ndarray, depth: np.ndarray) -> None:
        labels = self._own[labels]
        measured = np.nan_to_num(depth, nan=-1.0)
        where = np.full(labels.shape, len(RANGES) - 1)
        for number, limits in enumerate(RANGES.values()):
            if limits:
                where[(measured > limits[0]) & (measured <= limits[1])] = number
        known = (labels != UNLABELLED) & (truth != UNLABELLED)
        for surest in (0, 1):
            taken = known & (confidence >= surest * SUREST)
            np.add.at(self._pixels[surest], (labels[taken], truth[taken], where[taken]), 1)
        self._true += np.bincount(truth[truth != UNLABELLED], minlength=len(CLASSES))
        self._all += labels.size
        self._labelled += int((labels != UNLABELLED).sum())
        self._frames += 1

    def scores(self) -> dict[str, object]:
        scores: dict[str, object] = {"scored": self._frames, "labelled": self._labelled / max(self._all, 1)}
        pixels = self._pixels[0]
        for number, name in enumerate(CLASSES):
            right = pixels[number, number]
            said = pixels[number].sum(0)
            surest = self._pixels[1, number].sum(1)
            scores[name] = {
                "precision": _ratio(right.sum(), said.sum()),
                "recall": _ratio(right.sum(), self._true[number]),
                "surest": _ratio(surest[number], surest.sum()),
                "pixels": int(said.sum()),
                "mistaken_for": {other: int(pixels[number, k].sum()) for k, other in enumerate(CLASSES) if k != number},
                "by_range": {
                    text: {"precision": _ratio(right[k], said[k]), "pixels": int(said[k])}
                    for k, text in enumerate(RANGES)
                },
            }
        return scores


def _ratio(part: int, whole: int) -> float | None:
    return round(float(part / whole), 5) if whole else None


if __name__ == "__main__":
    main()
