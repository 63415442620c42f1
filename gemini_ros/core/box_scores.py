"""Boxes against true ones: their common volume, average precision, recall, centre errors and switches of ids.

A thing counts as found where a box of its class has its centre within ``FOUND_M`` of the true one in the plane, as in
nuScenes (Caesar et al., CVPR 2020); average precision is that of all points, by common volume. Switches of ids are
those of CLEAR MOT (Bernardin and Stiefelhagen, 2008): a thing keeps the box with its id while that is near enough.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.boxes import Box

FOUND_M = 0.5
LEAST_PIXELS, LEAST_SHARE = 50, 0.1
"""A thing that shows in fewer pixels, or in a smaller share of the rectangle that its box would fill, is not asked for,
and not wrong where it is found. A person fills about two fifths of it, so this is a quarter of a body."""
IOUS = (0.25, 0.5)
DISTANCES_M = (2.0, 5.0, 8.0, math.inf)
NEAR_M = 5.0
ERROR_STEPS = 25  # of 2 cm; counts by step add up

Counts = npt.NDArray[np.float64]


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
    common = _common_area(a, b) * (high - low)
    return common / (math.prod(a.size) + math.prod(b.size) - common)


_Point = tuple[float, float]


def _common_area(a: Box | TrueBox, b: Box | TrueBox) -> float:
    """The area in the plane that two boxes share: one clipped at each side of the other (Sutherland and Hodgman, 1974).

    In float64: OpenCV's ``rotatedRectangleIntersection`` loses corners where sides lie on each other.
    """
    away_x, away_y = b.center[0] - a.center[0], b.center[1] - a.center[1]
    along, across = (math.cos(a.yaw), math.sin(a.yaw)), (-math.sin(a.yaw), math.cos(a.yaw))
    middle = away_x * along[0] + away_y * along[1], away_x * across[0] + away_y * across[1]
    cos, sin = math.cos(b.yaw - a.yaw), math.sin(b.yaw - a.yaw)
    corners = [
        (middle[0] + x * cos - y * sin, middle[1] + x * sin + y * cos)
        for x, y in ((i * b.size[0] / 2, j * b.size[1] / 2) for i, j in ((1, 1), (-1, 1), (-1, -1), (1, -1)))
    ]
    for axis in (0, 1):
        for side in (1, -1):
            corners = _clipped(corners, axis, side, a.size[axis] / 2)
    return abs(sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(corners, corners[1:] + corners[:1], strict=True))) / 2


def _clipped(corners: Sequence[_Point], axis: int, side: int, limit: float) -> list[_Point]:
    """What of a convex polygon has ``side`` times its coordinate of this axis up to ``limit``."""
    kept: list[_Point] = []
    for i, here in enumerate(corners):
        before = corners[i - 1]
        inside, came_from = limit - side * here[axis], limit - side * before[axis]
        if (inside < 0) != (came_from < 0):
            share = came_from / (came_from - inside)
            kept.append((before[0] + share * (here[0] - before[0]), before[1] + share * (here[1] - before[1])))
        if inside >= 0:
            kept.append(here)
    return kept


@dataclass(frozen=True)
class AskedThing:
    """A thing that a frame shows enough of: ``box`` is the id of the one that was found at it, ``error_m`` how far off.

    ``away_m`` is its distance from the robot; ``switched``: the thing had another id before.
    """

    label: int
    id: int
    away_m: float
    pixels: int
    box: int | None
    error_m: float | None
    switched: bool


@dataclass(frozen=True)
class JudgedBox:
    """A box of a frame, and whether it is right at each of ``IOUS``.

    ``None`` where it is neither: it is of a thing that is not asked for.
    """

    label: int
    id: int
    score: float
    right: tuple[bool | None, ...]


@dataclass(frozen=True)
class JudgedFrame:
    """What became of the boxes of a frame, ``metres`` from the one before; ``least_m`` is the shortest side of any."""

    metres: float
    things: tuple[AskedThing, ...]
    boxes: tuple[JudgedBox, ...]
    least_m: float


def band_of(away_m: float) -> int:
    """Which of ``DISTANCES_M`` a distance is up to."""
    return next(i for i, limit in enumerate(DISTANCES_M) if away_m <= limit)


def average_precision(judged: Counts, right: Counts, asked: Counts) -> Counts:
    """Of all points over scores in rising order: at each, ``judged`` boxes (..., k), those of them that are ``right``
    (..., k), and the things ``asked`` for (...).

    Boxes of one place count as of one score. NaN where nothing is asked for.
    """
    boxes, hits = (np.cumsum(counts[..., ::-1], axis=-1) for counts in (judged, right))
    precision = hits / np.maximum(boxes, 1)
    best = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    area = np.sum(best * np.diff(hits, prepend=0, axis=-1), axis=-1)
    return np.divide(area, asked, out=np.full(np.shape(asked), np.nan), where=np.asarray(asked) > 0)


def median_error_m(counts: Counts) -> Counts:
    """The median (...) of errors by step (..., ``ERROR_STEPS``), in metres; NaN where there are none."""
    total = counts.sum(-1)
    up_to = np.cumsum(counts, axis=-1)
    step = np.argmax(up_to >= total[..., None] / 2, axis=-1)[..., None]
    here = np.take_along_axis(counts, step, -1)[..., 0]
    before = np.take_along_axis(up_to, step, -1)[..., 0] - here
    share = np.divide(total / 2 - before, here, out=np.full(total.shape, np.nan), where=total > 0)
    return (step[..., 0] + share) * FOUND_M / ERROR_STEPS


def error_step(error_m: float) -> int:
    """The step of an error up to ``FOUND_M``."""
    return min(int(error_m / FOUND_M * ERROR_STEPS), ERROR_STEPS - 1)


_Key = tuple[int, str, int]


@dataclass
class BoxScores:
    """What was counted of frames; two of them add up by ``add``.

    ``asked``: by label, light and band of distance, how many things there were; ``errors`` (``ERROR_STEPS``,) those
    that were found, by the step of their error. ``judged``: by label and each of ``IOUS``, the score of each box and
    whether it is right. ``switches``: how often a thing got another id, over ``metres`` that the robot drove.
    ``least_m`` is the shortest side of any box.
    """

    asked: Counter[_Key] = field(default_factory=Counter)
    errors: dict[_Key, Counts] = field(default_factory=dict)
    judged: dict[tuple[int, float], list[tuple[float, bool]]] = field(default_factory=dict)
    switches: int = 0
    metres: float = 0.0
    least_m: float = math.inf
    frames: int = 0

    def count(self, frame: JudgedFrame, light: str) -> None:
        """Count a frame that was taken in this ``light``."""
        self.frames += 1
        self.metres += frame.metres
        self.least_m = min(self.least_m, frame.least_m)
        for thing in frame.things:
            key = thing.label, light, band_of(thing.away_m)
            self.asked[key] += 1
            self.switches += thing.switched
            if thing.error_m is not None:
                self.errors.setdefault(key, np.zeros(ERROR_STEPS))[error_step(thing.error_m)] += 1
        for box in frame.boxes:
            for least, right in zip(IOUS, box.right, strict=True):
                if right is not None:
                    self.judged.setdefault((box.label, least), []).append((box.score, right))

    def add(self, other: BoxScores) -> None:
        """Take in what was counted of other frames."""
        self.asked.update(other.asked)
        for key, errors in other.errors.items():
            self.errors[key] = self.errors.get(key, 0) + errors
        for key, boxes in other.judged.items():
            self.judged.setdefault(key, []).extend(boxes)
        self.switches += other.switches
        self.metres += other.metres
        self.least_m = min(self.least_m, other.least_m)
        self.frames += other.frames

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """The scores by class; ``None`` where there was nothing to score."""
        classes = {}
        for label in sorted({key[0] for key in (*self.asked, *self.judged)}):
            keys = [key for key in self.asked if key[0] == label]
            near = [key for key in keys if DISTANCES_M[key[2]] <= NEAR_M]
            asked = sum(self.asked[key] for key in keys)
            classes[names[label]] = {
                **{f"ap_{100 * least:.0f}": _rounded(self._precision(label, least, asked)) for least in IOUS},
                **self._found(keys),
                **{f"{name}_within_{NEAR_M:g}_m": value for name, value in self._found(near).items()},
                "by": [
                    {
                        "light": key[1],
                        "up_to_m": DISTANCES_M[key[2]] if math.isfinite(DISTANCES_M[key[2]]) else None,
                        **self._found([key]),
                    }
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

    def _precision(self, label: int, least: float, asked: int) -> Counts:
        """Average precision by the scores themselves."""
        boxes = np.array(self.judged.get((label, least), ()), np.float64).reshape(-1, 2)
        scores, place = np.unique(boxes[:, 0], return_inverse=True)
        judged, right = np.zeros((2, len(scores)))
        np.add.at(judged, place, 1)
        np.add.at(right, place, boxes[:, 1])
        return average_precision(judged, right, np.array(asked, np.float64))

    def _found(self, keys: Sequence[_Key]) -> dict[str, Any]:
        asked = sum(self.asked[key] for key in keys)
        errors = sum((self.errors[key] for key in keys if key in self.errors), np.zeros(ERROR_STEPS))
        return {
            "asked": asked,
            "recall": round(float(errors.sum()) / asked, 4) if asked else None,
            "center_error_m": _rounded(median_error_m(errors)),
        }


class BoxJudge:
    """Compares the boxes of the frames of one drive with the truth, in order; ``scores`` has what was counted."""

    def __init__(self) -> None:
        self.scores = BoxScores()
        self._ids: dict[int, int] = {}
        self._place: tuple[float, float] | None = None

    def add(
        self,
        found: Sequence[Box],
        truth: Sequence[TrueBox],
        place: tuple[float, float],
        light: str,
        focal_px: float = 0.0,
    ) -> JudgedFrame:
        """The boxes of a frame, and the true ones, in one frame of coordinates.

        ``place`` is the robot's x and y; with ``focal_px`` 0 the share of a thing that shows does not count.
        """
        metres = 0.0 if self._place is None else math.dist(place, self._place)
        self._place = place
        asked = [_is_asked(true, math.dist(true.center[:2], place), focal_px) for true in truth]
        things = tuple(self._asked_things(found, truth, asked, place))
        least_m = min((min(box.size) for box in found), default=math.inf)
        frame = JudgedFrame(metres, things, tuple(_judged_boxes(found, truth, asked)), least_m)
        self.scores.count(frame, light)
        return frame

    def _asked_things(
        self, found: Sequence[Box], truth: Sequence[TrueBox], asked: Sequence[bool], place: tuple[float, float]
    ) -> Iterator[AskedThing]:
        near = [
            (away, i, j)
            for i, box in enumerate(found)
            for j, true in enumerate(truth)
            if box.label == true.label and (away := math.dist(box.center[:2], true.center[:2])) <= FOUND_M
        ]
        # Things that are asked for come first, so that no other takes their box. A thing keeps the box with the id that
        # it had, as long as that is near enough; then the nearest pairs.
        pairs = _matched(
            near, lambda pair: (not asked[pair[2]], self._ids.get(truth[pair[2]].id) != found[pair[1]].id, pair)
        )
        for j, true in enumerate(truth):
            if not asked[j]:
                continue
            away, box, error, switched = math.dist(true.center[:2], place), None, None, False
            if j in pairs:
                index, error = pairs[j]
                box = found[index].id
                switched = self._ids.setdefault(true.id, box) != box
                self._ids[true.id] = box
            yield AskedThing(true.label, true.id, away, true.pixels, box, error, switched)


def _judged_boxes(found: Sequence[Box], truth: Sequence[TrueBox], asked: Sequence[bool]) -> Iterator[JudgedBox]:
    """Each box is right where it is the best in score that has enough in common with a thing that is asked for.

    Where it is not, it is forgiven if it has as much in common with one that is not asked for, as in COCO.
    """
    common = {
        (i, j): iou(box, true)
        for i, box in enumerate(found)
        for j, true in enumerate(truth)
        if box.label == true.label and math.dist(box.center, true.center) < sum(box.size) + sum(true.size)
    }
    told: list[list[bool | None]] = []
    for least in IOUS:
        enough = {pair: share for pair, share in common.items() if share >= least}
        taken: dict[int, int] = {}
        for _, _, i, j in sorted((-found[i].score, -share, i, j) for (i, j), share in enough.items() if asked[j]):
            if j not in taken and i not in taken.values():
                taken[j] = i
        right = set(taken.values())
        forgiven = {i for i, j in enough if not asked[j]} - right
        told.append([None if i in forgiven else i in right for i in range(len(found))])
    for i, box in enumerate(found):
        of_box = tuple(each[i] for each in told)
        if any(each is not None for each in of_box):
            yield JudgedBox(box.label, box.id, box.score, of_box)


def _is_asked(true: TrueBox, away_m: float, focal_px: float) -> bool:
    """Whether enough is seen of a thing."""
    whole = true.size[2] * min(true.size[:2]) * (focal_px / max(away_m, 0.1)) ** 2
    return true.pixels >= max(LEAST_PIXELS, LEAST_SHARE * whole)


def _matched(
    pairs: Sequence[tuple[float, int, int]], rank: Callable[[tuple[float, int, int]], Any]
) -> dict[int, tuple[int, float]]:
    """Of pairs (distance, i, j) those of lowest rank first, each i and j once: i and distance by j."""
    found: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for distance, i, j in sorted(pairs, key=rank):
        if i not in taken and j not in found:
            found[j] = i, distance
            taken.add(i)
    return found


def _rounded(value: Counts) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
