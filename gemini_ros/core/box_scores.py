"""Boxes against true ones: their common volume, average precision, recall, centre errors and switches of ids.

A thing counts as found where a box of its class has its centre within ``FOUND_M`` of the true one in the plane, as in
nuScenes (Caesar et al., CVPR 2020); average precision is that of all points, by common volume.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from gemini_ros.core.boxes import Box

FOUND_M = 0.5
LEAST_PIXELS = 50
"""A thing of which less is seen is not asked for, and not wrong where it is found."""
IOUS = (0.25, 0.5)
DISTANCES_M = (2.0, 5.0, 8.0, math.inf)


@dataclass(frozen=True)
class TrueBox:
    """What is there: as ``Box`` has it, with ``pixels``, how many show it."""

    id: int
    label: int
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float
    pixels: int


def iou(a: Box | TrueBox, b: Box | TrueBox) -> float:
    """The common volume of two boxes over that of both together."""
    low = max(a.center[2] - a.size[2] / 2, b.center[2] - b.size[2] / 2)
    high = min(a.center[2] + a.size[2] / 2, b.center[2] + b.size[2] / 2)
    if high <= low:
        return 0.0
    x, y = a.center[:2]
    # Near the origin, as OpenCV counts in float32.
    plans = [((box.center[0] - x, box.center[1] - y), box.size[:2], math.degrees(box.yaw)) for box in (a, b)]
    _, corners = cv2.rotatedRectangleIntersection(*plans)
    if corners is None or len(corners) < 3:
        return 0.0
    common = float(cv2.contourArea(cv2.convexHull(corners))) * (high - low)
    return common / (math.prod(a.size) + math.prod(b.size) - common)


@dataclass
class BoxScores:
    """What was counted of frames; two of them add up by ``add``.

    ``asked``: by label, light and distance, how many things there were; ``errors_m`` the centre errors in the plane of
    those that were found. ``judged``: by label, the score of each box and whether it is right at each of ``IOUS``.
    ``switches``: how often a thing got another id, over ``metres`` that the robot drove. ``least_m`` is the shortest
    side of any box.
    """

    asked: Counter[tuple[int, str, float]] = field(default_factory=Counter)
    errors_m: dict[tuple[int, str, float], list[float]] = field(default_factory=dict)
    judged: dict[int, list[tuple[float, bool, bool]]] = field(default_factory=dict)
    switches: int = 0
    metres: float = 0.0
    least_m: float = math.inf
    frames: int = 0

    def add(self, other: BoxScores) -> None:
        """Take in what was counted of other frames."""
        self.asked.update(other.asked)
        for key, errors in other.errors_m.items():
            self.errors_m.setdefault(key, []).extend(errors)
        for label, rows in other.judged.items():
            self.judged.setdefault(label, []).extend(rows)
        self.switches += other.switches
        self.metres += other.metres
        self.least_m = min(self.least_m, other.least_m)
        self.frames += other.frames

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """The scores by class; ``None`` where there was nothing to score."""
        classes = {}
        for label in sorted({key[0] for key in self.asked} | set(self.judged)):
            keys = [key for key in self.asked if key[0] == label]
            near = [key for key in keys if key[2] <= 5.0]
            classes[names[label]] = {
                **{f"ap_{100 * least:.0f}": self._average_precision(label, i + 1) for i, least in enumerate(IOUS)},
                **self._found(keys),
                **{f"{name}_within_5_m": value for name, value in self._found(near).items()},
                "by": [
                    {"light": key[1], "up_to_m": key[2] if math.isfinite(key[2]) else None, **self._found([key])}
                    for key in sorted(keys)
                ],
            }
        return {
            "frames": self.frames,
            "metres": round(self.metres, 3),
            "id_switches": self.switches,
            "id_switches_per_100_m": round(100 * self.switches / self.metres, 3) if self.metres else None,
            "shortest_side_m": round(self.least_m, 4) if math.isfinite(self.least_m) else None,
            "classes": classes,
        }

    def _found(self, keys: Sequence[tuple[int, str, float]]) -> dict[str, Any]:
        asked = sum(self.asked[key] for key in keys)
        errors = [error for key in keys for error in self.errors_m.get(key, ())]
        return {
            "asked": asked,
            "recall": round(len(errors) / asked, 4) if asked else None,
            "center_error_m": round(float(np.median(errors)), 4) if errors else None,
        }

    def _average_precision(self, label: int, column: int) -> float | None:
        there = sum(count for key, count in self.asked.items() if key[0] == label)
        if not there:
            return None
        rows = sorted(self.judged.get(label, []), key=lambda row: -row[0])
        if not rows:
            return 0.0
        right = np.cumsum([row[column] for row in rows])
        precision = np.maximum.accumulate((right / np.arange(1, len(rows) + 1))[::-1])[::-1]
        return round(float(np.sum(precision * np.diff(right, prepend=0)) / there), 4)


class BoxJudge:
    """Compares the boxes of the frames of one drive with the truth, in order; ``scores`` has what was counted."""

    def __init__(self) -> None:
        self.scores = BoxScores()
        self._ids: dict[int, int] = {}
        self._place: tuple[float, float] | None = None

    def add(self, found: Sequence[Box], truth: Sequence[TrueBox], place: tuple[float, float], light: str) -> None:
        """The boxes of a frame, and the true ones, in one frame of coordinates; ``place`` is the robot's x and y."""
        scores = self.scores
        scores.frames += 1
        if self._place is not None:
            scores.metres += math.dist(place, self._place)
        self._place = place
        scores.least_m = min([scores.least_m, *(min(box.size) for box in found)])
        self._count_found(found, truth, place, light)
        self._judge(found, truth)

    def _count_found(
        self, found: Sequence[Box], truth: Sequence[TrueBox], place: tuple[float, float], light: str
    ) -> None:
        pairs = _matched(
            [
                (math.dist(box.center[:2], true.center[:2]), i, j)
                for i, box in enumerate(found)
                for j, true in enumerate(truth)
                if box.label == true.label
            ],
            FOUND_M,
        )
        for j, true in enumerate(truth):
            if true.pixels < LEAST_PIXELS:
                continue
            away = math.dist(true.center[:2], place)
            key = true.label, light, next(limit for limit in DISTANCES_M if away <= limit)
            self.scores.asked[key] += 1
            if j in pairs:
                index, error = pairs[j]
                self.scores.errors_m.setdefault(key, []).append(error)
                self.scores.switches += self._ids.setdefault(true.id, found[index].id) != found[index].id
                self._ids[true.id] = found[index].id

    def _judge(self, found: Sequence[Box], truth: Sequence[TrueBox]) -> None:
        """Each box is right where it is the best in score that has enough in common with a thing."""
        common = {
            (i, j): iou(box, true)
            for i, box in enumerate(found)
            for j, true in enumerate(truth)
            if box.label == true.label and math.dist(box.center, true.center) < sum(box.size) + sum(true.size)
        }
        right: list[set[int]] = []
        for least in IOUS:
            order = [(-found[i].score, -share, i, j) for (i, j), share in common.items() if share >= least]
            taken: dict[int, int] = {}
            for _, _, i, j in sorted(order):
                if j not in taken and i not in taken.values():
                    taken[j] = i
            right.append({i for j, i in taken.items() if truth[j].pixels >= LEAST_PIXELS})
        unasked = {i for (i, j), share in common.items() if share > 0 and truth[j].pixels < LEAST_PIXELS}
        for i, box in enumerate(found):
            told = i in right[0], i in right[1]
            if any(told) or i not in unasked:
                self.scores.judged.setdefault(box.label, []).append((box.score, *told))


def _matched(pairs: list[tuple[float, int, int]], most: float) -> dict[int, tuple[int, float]]:
    """Of pairs (distance, i, j) up to ``most`` the nearest first, each i and j once: i and distance by j."""
    found: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for distance, i, j in sorted(pairs):
        if distance <= most and i not in taken and j not in found:
            found[j] = i, distance
            taken.add(i)
    return found
