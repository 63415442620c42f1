"""What finds phrases in a frame: the model where it says something of them, else rules on its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED, Frame, FrameError, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.phrase_maps import COUNTS, PhraseMaps
from gemini_ros.language.exact import exact_mask, measured_mask
from gemini_ros.language.phrase import Query
from gemini_ros.language.rules import NOT_MEASURED, Things, parts_of
from gemini_ros.language.words import Words

RULES, NETWORK = "rules", "network"
_LEAST_PRESENT = 0.5


@dataclass(frozen=True)
class Grounded:
    """``parts`` uint16 (H, W): the pixels of each thing that a phrase means, numbered from 1, 0 elsewhere.

    ``probability`` is that of being there, ``None`` where it is not and nobody says how probable that is; ``count`` is
    ``None`` for what cannot be counted. ``ignored``: what the phrase says and was not judged. ``by``: what found it.
    """

    parts: npt.NDArray[np.uint16]
    present: bool
    probability: float | None
    count: int | None
    ignored: tuple[str, ...] = ()
    by: str = RULES


class Asked(NamedTuple):
    """A phrase to find: its text, as it was encoded where it was, and what it means."""

    text: str
    query: Query


class Grounder(Protocol):
    """Finds phrases; ``name`` is what answers say they are by."""

    name: str

    def ground(self, asked: Sequence[Asked], frame: Frame, segmentation: Segmentation) -> list[Grounded | FrameError]:
        """What each of ``asked`` means in a frame with depth and intrinsics, or why the frame does not tell."""
        ...


class Rules:
    """``language.rules`` on the labels of a model of ``label_set``, whose classes are found by their names."""

    name = RULES

    def __init__(self, words: Words, label_set: LabelSet) -> None:
        self._words = words
        self._table = np.full(256, UNLABELLED, np.uint8)
        for label in label_set.classes:
            if label.name in words.classes:
                self._table[label.id] = words.classes.index(label.name)

    def ground(self, asked: Sequence[Asked], frame: Frame, segmentation: Segmentation) -> list[Grounded | FrameError]:
        things = Things(frame, self._table[segmentation.labels], self._words)
        return [self._ground(one.query, things, segmentation) for one in asked]

    def _ground(self, query: Query, things: Things, segmentation: Segmentation) -> Grounded | FrameError:
        try:
            found = things.answer(query)
        except FrameError as error:
            return error
        sure = segmentation.confidence[found.mask]
        probability = float(sure.mean()) / 255 if found.present and sure.size else None
        stuff = self._words.nouns[query.phrase.noun].stuff
        return Grounded(found.parts, found.present, probability, None if stuff else len(found.things), found.ignored)


class Network:
    """What a model of ``label_set`` says of phrases (``Segmentation.phrases``); ``otherwise`` finds the rest.

    That is what it says nothing of, and an order within an exact bound: which is the nearest of those beyond 2 m is
    decided after the bound. Exact bounds are applied to measured pixels of the class, whatever the model says.
    """

    name = NETWORK

    def __init__(self, words: Words, label_set: LabelSet, otherwise: Grounder) -> None:
        self._words, self._otherwise = words, otherwise
        self._ids = {label.name: label.id for label in label_set.classes}

    def ground(self, asked: Sequence[Asked], frame: Frame, segmentation: Segmentation) -> list[Grounded | FrameError]:
        maps = segmentation.phrases
        rows = {} if maps is None else {text: row for row, text in enumerate(maps.texts)}
        rows = {one.text: rows[one.text] for one in asked if one.text in rows and not _orders_within(one.query)}
        left = [one for one in asked if one.text not in rows]
        others = iter(self._otherwise.ground(left, frame, segmentation) if left else ())
        found: list[Grounded | FrameError] = []
        for one in asked:
            if maps is None or one.text not in rows:
                found.append(next(others))
            else:
                found.append(self._ground(one.query, rows[one.text], maps, frame, segmentation))
        return found

    def _ground(
        self, query: Query, row: int, maps: PhraseMaps, frame: Frame, segmentation: Segmentation
    ) -> Grounded | FrameError:
        probability = float(maps.present[row])
        noun = self._words.nouns[query.phrase.noun]
        stuff, allowed = noun.stuff, None
        try:
            mask = maps.mask(row, frame.size)
            if query.exact:
                mask &= segmentation.labels == self._ids.get(noun.of, UNLABELLED)
                allowed = exact_mask(query.exact, frame)
                if probability >= _LEAST_PRESENT and mask.any() and not measured_mask(query.exact, frame)[mask].any():
                    return FrameError(NOT_MEASURED)
            whole = stuff or _one(query)
            if whole:
                parts = (mask if allowed is None else mask & allowed).astype(np.uint16)
            else:
                parts = parts_of(mask, frame, self._words, allowed)
        except FrameError as error:
            return error
        present = probability >= _LEAST_PRESENT and bool(parts.any())
        if not present:
            return Grounded(np.zeros_like(parts), False, probability, None if stuff else 0, by=NETWORK)
        count = int(parts.max())
        if not query.exact and not whole:
            said = int(maps.count[row].argmax())
            # The last class is "or more", and 0 is no count of what is there.
            count = max(said, 1) if said < COUNTS - 1 else max(said, count)
        return Grounded(parts, True, probability, None if stuff else count, by=NETWORK)


def _one(query: Query) -> bool:
    """Whether a phrase means a single thing, the first by some order."""
    return query.phrase.choose is not None or query.phrase.relation == "nearest to"


def _orders_within(query: Query) -> bool:
    return bool(query.exact) and _one(query)
