"""Which questions a view allows: all programs whose answer nobody would argue about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gemini_ros.language.phrase import Phrase
from gemini_ros.language.select import Seen, rank, select
from gemini_ros.language.views import View
from gemini_ros.language.words import RELATIONS, SIDES, SUPERLATIVES, Limits, Words

BRIGHT = ("day", "dim")
"""Lights in which a colour can be seen."""
_REFERENCE_PX = 320 * 240
_SHOWN = 0.5  # the share of what makes a thing hot or cold that the thermal image must show of it


@dataclass(frozen=True)
class Posed:
    """A program with its answer: the numbers of its targets, or for stuff whether it is there."""

    phrase: Phrase
    targets: tuple[int, ...]
    stuff: bool = False

    @property
    def present(self) -> bool:
        return bool(self.targets) or self.stuff


def posed_programs(view: View, words: Words) -> list[Posed]:
    """All programs that a view allows, in a fixed order."""
    found = (_posed(phrase, view, words) for phrase in _programs(words))
    return [program for program in found if program is not None]


def _programs(words: Words) -> Iterator[Phrase]:
    things = [noun for noun in words.nouns.values() if not noun.stuff]
    for noun in words.nouns.values():
        yield Phrase(noun.name)
    for noun in things:
        name = noun.name
        yield from (Phrase(name, color=color) for color in words.colors.get(noun.of, ()))
        yield from (Phrase(name, heat=heat) for heat in words.heat.get(noun.of, {}))
        yield from (Phrase(name, side=side) for side in SIDES)
        yield from (Phrase(name, choose=choose) for choose in SUPERLATIVES)
        for landmark in things:
            if landmark.of != noun.of:
                yield from (Phrase(name, relation=relation, landmark=landmark.name) for relation in RELATIONS)
    if "box" in words.nouns:
        yield from (Phrase("box", on=on) for on in ("floor", "rack", "pallet", "vehicle", "box") if on in words.nouns)


def _posed(phrase: Phrase, view: View, words: Words) -> Posed | None:
    limits = _scaled(words.limits, view)
    if words.nouns[phrase.noun].stuff:
        pixels = view.counts[phrase.noun]
        return None if 0 < pixels < limits.min_stuff_px else Posed(phrase, (), pixels > 0)
    named = [thing for thing in view.things if thing.is_a(phrase.noun)]
    if view.counts[words.nouns[phrase.noun].of] and not any(t.noun == words.nouns[phrase.noun].of for t in view.things):
        return None  # pixels of the class that belong to no thing
    if phrase.relation and sum(thing.is_a(phrase.landmark or "") for thing in view.things) != 1:
        return None
    if _arguable(phrase, named, view, words, limits):
        return None
    targets = select(phrase, view.things, view.size[0], words)
    if any(thing.pixels < limits.min_px for thing in targets):
        return None
    return Posed(phrase, tuple(thing.number for thing in targets))


def _arguable(phrase: Phrase, named: Sequence[Seen], view: View, words: Words, limits: Limits) -> bool:
    if phrase.color:
        return view.light not in BRIGHT
    if phrase.heat:
        return any(_lukewarm(thing, phrase.heat, view, words) for thing in named)
    if phrase.on:
        return any(thing.on is None for thing in named)
    if phrase.side:
        return any(abs(thing.u - view.size[0] / 2) < limits.gap_px for thing in named)
    if phrase.choose:
        return bool(named) and not _clear_order(phrase, named, view, limits)
    if phrase.relation and phrase.landmark:
        landmark = next(thing for thing in view.things if thing.is_a(phrase.landmark))
        if landmark.pixels < limits.min_px:
            return True
        return bool(named) and not _clear_relation(phrase.relation, named, landmark, limits)
    return False


def _lukewarm(thing: Seen, heat: str, view: View, words: Words) -> bool:
    """Between hot and not, or hot where the camera does not see it."""
    holds, not_above = words.heat[thing.noun][heat]
    sign = 1 if heat == "hot" else -1
    degrees = sign * (thing.degrees or 0.0)
    shown = sign * view.warm[thing.number][1 if heat == "hot" else 0]
    if degrees >= sign * holds:
        return shown < _SHOWN * sign * holds
    return degrees > sign * not_above or shown > _SHOWN * sign * (holds + not_above)


def _clear_order(phrase: Phrase, named: Sequence[Seen], view: View, limits: Limits) -> bool:
    """Two or more, none too small, and the first is clearly before the second by every measure."""
    choose = phrase.choose or ""
    if len(named) < 2 or any(thing.pixels < limits.min_px for thing in named):
        return False
    if choose in ("leftmost", "rightmost"):
        first, second = rank(phrase, named)[:2]
        return abs(first.u - second.u) > limits.gap_px
    if any(thing.place is None for thing in named):
        return False
    first, second = rank(phrase, named)[:2]
    end = 0 if choose == "nearest" else 1
    ends = {thing.number: view.spans[thing.number][end] for thing in named}
    best = min(ends, key=lambda n: ends[n]) if end == 0 else max(ends, key=lambda n: ends[n])
    return abs(_ahead(first) - _ahead(second)) > limits.gap_m and best == first.number


def _clear_relation(relation: str, named: Sequence[Seen], landmark: Seen, limits: Limits) -> bool:
    if relation != "nearest to":
        return all(abs(thing.u - landmark.u) > limits.gap_px for thing in named)
    if len(named) < 2 or landmark.place is None:
        return False
    if any(thing.place is None or thing.pixels < limits.min_px for thing in named):
        return False
    first, second = sorted(landmark.away(thing) for thing in named)[:2]
    return second - first > limits.gap_m


def _ahead(thing: Seen) -> float:
    return thing.place[1] if thing.place else np.inf


def _scaled(limits: Limits, view: View) -> Limits:
    share = view.size[0] * view.size[1] / _REFERENCE_PX
    return Limits(limits.min_px * share, limits.min_stuff_px * share, limits.gap_m, limits.gap_px * view.size[0] / 320)
