"""What a program means: which of the things in view it is about. Questions and rules read it alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gemini_ros.language.phrase import Phrase
from gemini_ros.language.words import Words


@dataclass(frozen=True)
class Seen:
    """A thing in view. None: not known, which no filter accepts.

    ``u``: its middle column, pixels; ``place``: (right, ahead) of the camera in metres; ``pixels``: how many it has;
    ``degrees``: kelvin above the air; ``on``: class of what it stands on.
    """

    number: int
    noun: str
    u: float
    pixels: int
    place: tuple[float, float] | None
    degrees: float | None = None
    color: str | None = None
    kind: str | None = None
    on: str | None = None

    def is_a(self, noun: str) -> bool:
        return noun in (self.noun, self.kind)

    def away(self, other: Seen) -> float:
        """Metres between two things on the floor's plane; infinite where one has no place."""
        return math.dist(self.place, other.place) if self.place and other.place else math.inf


def select(phrase: Phrase, seen: Sequence[Seen], width: float, words: Words) -> list[Seen]:
    """The things that ``phrase`` means, in an image of ``width`` pixels. The largest of several landmarks counts."""
    found = [thing for thing in seen if thing.is_a(phrase.noun)]
    if phrase.color:
        found = [thing for thing in found if thing.color == phrase.color]
    if phrase.heat:
        found = [thing for thing in found if holds_heat(thing, phrase.heat, words)]
    if phrase.on:
        found = [thing for thing in found if thing.on == phrase.on]
    if phrase.side:
        found = [thing for thing in found if (thing.u < width / 2) == (phrase.side == "left")]
    if phrase.relation and phrase.landmark:
        found = _related(found, phrase.relation, [thing for thing in seen if thing.is_a(phrase.landmark)])
    if phrase.choose and found:
        ranked = rank(phrase, found)
        return ranked[:1]
    return found


def unknown(phrase: Phrase, seen: Sequence[Seen], width: float, words: Words) -> bool:
    """Whether things are left out of ``select`` for what is not known of them: their distance, or their degrees."""
    found = [thing for thing in seen if thing.is_a(phrase.noun)]
    if phrase.heat and any(thing.degrees is None for thing in found):
        return True
    named = replace(phrase, choose=None, relation=None if phrase.relation == "nearest to" else phrase.relation)
    left = select(named, seen, width, words)
    if phrase.choose and order(phrase.choose)[1] and any(thing.place is None for thing in left):
        return True
    landmarks = [thing for thing in seen if phrase.landmark and thing.is_a(phrase.landmark)]
    return phrase.relation == "nearest to" and bool(landmarks) and any(t.place is None for t in (*left, *landmarks))


def rank(phrase: Phrase, found: Sequence[Seen]) -> list[Seen]:
    """Things in the order that a superlative gives them, the meant one first; without those of unknown distance."""
    key, needs_place = order(phrase.choose or "")
    return sorted((thing for thing in found if thing.place or not needs_place), key=key)


def order(choose: str) -> tuple[Callable[[Seen], float], bool]:
    """What a superlative sorts by, and whether that needs a distance."""
    sign = -1 if choose in ("farthest", "rightmost") else 1
    if choose in ("leftmost", "rightmost"):
        return lambda thing: sign * thing.u, False
    return lambda thing: sign * thing.place[1] if thing.place else math.inf, True


def holds_heat(thing: Seen, heat: str, words: Words) -> bool:
    """Whether a thing is hot or cold: beyond the middle of what is arguable."""
    bounds = words.heat.get(thing.noun, {}).get(heat)
    if bounds is None or thing.degrees is None:
        return False
    middle = sum(bounds) / 2
    return thing.degrees > middle if heat == "hot" else thing.degrees < middle


def _related(found: Sequence[Seen], relation: str, landmarks: Sequence[Seen]) -> list[Seen]:
    if not landmarks:
        return []
    landmark = max(landmarks, key=lambda thing: thing.pixels)
    others = [thing for thing in found if thing is not landmark]
    if relation == "nearest to":
        near = [thing for thing in others if thing.place and landmark.place]
        return sorted(near, key=landmark.away)[:1]
    return [thing for thing in others if (thing.u < landmark.u) == (relation == "left of")]
