"""The frames of a run that ``report.html`` shows: the worst ones, and an animation of camera and map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import blend, colorize, draw_occupancy
from gemini_ros.report.contact_sheet import Moment
from gemini_ros.report.pictures import MAP_SIZE, draw_errors, draw_map, encode, ground, seen, small, small_frame

WORST = 50
APART_S = 0.5
"""Neighbouring frames look the same: of each half second one frame can be among the worst."""
FILM = ("film camera", "film map")
"""The kinds of image of the animation; all others are of the worst frames, called by what they show."""
_FILM_FRAMES = 120
_FASTEST_S = 0.099

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Kept:
    """A frame as it will be drawn, in small; ``badness`` is larger the worse it is."""

    badness: tuple[bool, float]
    number: int
    images: dict[str, np.ndarray]
    labels: Labels
    truth: Labels | None


class Gallery:
    """Chooses frames while a run of ``seconds`` passes.

    Frames with truth are worse the more of their pixels are wrong, and worse than those without, which are worse the
    lower their confidence is. The animation has at most 120 frames, evenly spread, and at most ten a second.
    """

    def __init__(self, label_set: LabelSet, seconds: float) -> None:
        self._label_set = label_set
        self._due_s, self._step_s = 0.0, max(seconds / _FILM_FRAMES, _FASTEST_S)
        self._worst: dict[int, _Kept] = {}
        self._film: list[tuple[int, str, bytes]] = []

    def add(self, number: int, moment: Moment, confidence: float = 1.0) -> None:
        """See frame ``number`` of the run; ``confidence`` is its mean."""
        self._add_worst(number, moment, confidence)
        if moment.seconds >= self._due_s:
            self._due_s += ((moment.seconds - self._due_s) // self._step_s + 1) * self._step_s
            self._add_film(number, moment)

    def rows(self) -> Iterator[tuple[int, str, bytes]]:
        """Frame number, kind and WebP file of each image."""
        yield from self._film
        for kept in self._worst.values():
            for kind, data in self._drawn(kept).items():
                yield kept.number, kind, data

    def _add_worst(self, number: int, moment: Moment, confidence: float) -> None:
        wrong = None if moment.truth is None else wrong_share(moment.labels, moment.truth)
        badness = (False, 1 - confidence) if wrong is None else (True, wrong)
        window = int(moment.seconds / APART_S)
        if window in self._worst:
            if badness <= self._worst[window].badness:
                return
        elif len(self._worst) == WORST:
            best = min(self._worst, key=lambda key: self._worst[key].badness)
            if badness <= self._worst[best].badness:
                return
            del self._worst[best]
        truth = None if wrong is None or moment.truth is None else small(moment.truth, sharp=True)
        images, labels = small_frame(moment.frame), small(moment.labels, sharp=True)
        self._worst[window] = _Kept(badness, number, images, labels, truth)

    def _add_film(self, number: int, moment: Moment) -> None:
        over = self._over(ground(small_frame(moment.frame)), small(moment.labels, sharp=True), 0.5)
        self._film.append((number, FILM[0], encode(over)))
        if moment.occupancy is None:
            return
        if moment.robot is None:
            drawn = draw_occupancy(moment.occupancy, MAP_SIZE)
        else:
            drawn = draw_map(moment.occupancy, moment.robot, moment.cone)
        self._film.append((number, FILM[1], encode(drawn, sharp=True)))

    def _drawn(self, kept: _Kept) -> dict[str, bytes]:
        drawn = {name: encode(image) for name, image in seen(kept.images).items()}
        below = ground(kept.images)
        if kept.truth is None:
            return drawn | {"labels": encode(self._over(below, kept.labels, 0.6))}
        below = np.zeros((*kept.labels.shape, 3), np.uint8) if below is None else below
        errors = draw_errors(below, kept.labels, kept.truth, self._label_set)
        truth = colorize(kept.truth, self._label_set)
        return drawn | {"truth": encode(truth, sharp=True), "errors": encode(errors)}

    def _over(self, below: npt.NDArray[np.uint8] | None, labels: Labels, alpha: float) -> npt.NDArray[np.uint8]:
        if below is None:
            return colorize(labels, self._label_set)
        return blend(below, labels, self._label_set, alpha)


def wrong_share(labels: Labels, truth: Labels) -> float | None:
    """The share of the pixels with truth that are labelled otherwise; ``None`` where there are none."""
    known = truth != UNLABELLED
    pixels = int(known.sum())
    return float((known & (labels != truth)).sum() / pixels) if pixels else None
