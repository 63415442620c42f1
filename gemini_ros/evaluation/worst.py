"""The worst frames of a run, as a list to look at and to annotate."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gemini_ros.core.files import atomic_path
from gemini_ros.evaluation.store import Store
from gemini_ros.report.gallery import APART_S, WORST

WORST_FILE = "worst.csv"


@dataclass(frozen=True)
class WorstFrame:
    """A frame: ``wrong`` is the share of its pixels with truth that are labelled otherwise, ``None`` without truth."""

    bag: str
    sha256: str
    frame: int
    stamp_ns: int
    seconds: float
    wrong: float | None
    confidence: float

    @property
    def badness(self) -> tuple[bool, float]:
        """Larger the worse it is: frames with truth first, by ``wrong``, then the others by their confidence."""
        return (False, 1 - self.confidence) if self.wrong is None else (True, self.wrong)


def worst_frames(store: Store, count: int = WORST) -> list[WorstFrame]:
    """The worst frames of all bags, the worst first; of each half second of a bag at most one."""
    found = [
        frame for bag, (sha256, error) in store.bags().items() if error is None for frame in _of(store, bag, sha256)
    ]
    return sorted(found, key=lambda frame: (frame.badness, frame.bag, -frame.frame), reverse=True)[:count]


def write_worst(path: str | Path, frames: list[WorstFrame]) -> None:
    """Write the list as CSV; ``gemini-ros dataset from-bag --frames`` takes it."""
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["bag", "sha256", "frame", "stamp_ns", "seconds", "wrong", "confidence"])
        for each in frames:
            wrong = "" if each.wrong is None else round(each.wrong, 6)
            row = [each.bag, each.sha256, each.frame, each.stamp_ns, round(each.seconds, 3), wrong]
            writer.writerow([*row, round(each.confidence, 6)])


def _of(store: Store, bag: str, sha256: str) -> Iterator[WorstFrame]:
    """The worst frame of each half second."""
    rows = store.rows("frames", "frame, stamp_ns, seconds, confidence", "bag = ?", [bag])
    pixels = np.zeros((2, 1 + max((row[0] for row in rows), default=0)), np.int64)
    for frame, truth, predicted, count in store.rows("confusion", "frame, truth, predicted, pixels", "bag = ?", [bag]):
        pixels[int(truth == predicted), frame] += count
    worst: dict[int, WorstFrame] = {}
    for frame, stamp_ns, seconds, confidence in rows:
        wrong, right = pixels[:, frame].tolist()
        share = wrong / (wrong + right) if wrong + right else None
        found = WorstFrame(bag, sha256, frame, stamp_ns, seconds, share, confidence)
        window = int(seconds / APART_S)
        if window not in worst or found.badness > worst[window].badness:
            worst[window] = found
    yield from worst.values()
