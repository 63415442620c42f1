"""What finds phrases in a frame: rules on the labels, behind an interface that a network may take over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED, Frame, FrameError, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.language.phrase import Query
from gemini_ros.language.rules import Things
from gemini_ros.language.words import Words


@dataclass(frozen=True)
class Grounded:
    """``parts`` uint16 (H, W): the pixels of each thing that a phrase means, numbered from 1, 0 elsewhere.

    ``probability`` is that of being there, ``None`` where it is not and nobody says how probable that is; ``count`` is
    ``None`` for what cannot be counted. ``ignored``: what the phrase says and was not judged.
    """

    parts: npt.NDArray[np.uint16]
    present: bool
    probability: float | None
    count: int | None
    ignored: tuple[str, ...] = ()


class Grounder(Protocol):
    """Finds phrases; ``name`` is what answers say they are by."""

    name: str

    def ground(self, queries: Sequence[Query], frame: Frame, segmentation: Segmentation) -> list[Grounded | FrameError]:
        """What each of ``queries`` means in a frame with depth and intrinsics, or why the frame does not tell."""
        ...


class Rules:
    """``language.rules`` on the labels of a model of ``label_set``, whose classes are found by their names."""

    name = "rules"

    def __init__(self, words: Words, label_set: LabelSet) -> None:
        self._words = words
        self._table = np.full(256, UNLABELLED, np.uint8)
        for label in label_set.classes:
            if label.name in words.classes:
                self._table[label.id] = words.classes.index(label.name)

    def ground(self, queries: Sequence[Query], frame: Frame, segmentation: Segmentation) -> list[Grounded | FrameError]:
        things = Things(frame, self._table[segmentation.labels], self._words)
        return [self._ground(query, things, segmentation) for query in queries]

    def _ground(self, query: Query, things: Things, segmentation: Segmentation) -> Grounded | FrameError:
        try:
            found = things.answer(query)
        except FrameError as error:
            return error
        sure = segmentation.confidence[found.mask]
        probability = float(sure.mean()) / 255 if found.present and sure.size else None
        stuff = self._words.nouns[query.phrase.noun].stuff
        return Grounded(found.parts, found.present, probability, None if stuff else len(found.things), found.ignored)
