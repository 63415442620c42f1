"""What a phrase means: a program of a noun, what it is like, where it is, and which of several is meant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gemini_ros.core.entries import require_entries
from gemini_ros.language.words import ASKS, RELATIONS, SIDES, SUPERLATIVES, Noun, Words


@dataclass(frozen=True)
class Phrase:
    """The things of one noun, filtered by all that is not None; ``choose`` picks one of those that are left.

    ``on``: what it stands on. ``relation`` is to the single ``landmark``, a noun. See ``words`` for the values.
    """

    noun: str
    color: str | None = None
    heat: str | None = None
    on: str | None = None
    side: str | None = None
    relation: str | None = None
    landmark: str | None = None
    choose: str | None = None

    def to_dict(self) -> dict[str, str]:
        """What is not None."""
        return {key: value for key, value in vars(self).items() if value is not None}

    def attributes(self) -> tuple[str, ...]:
        """The words beside the noun, by meaning."""
        return tuple(v for v in (self.color, self.heat, self.choose, self.side, self.relation) if v)

    def type(self, words: Words) -> str:
        """One of ``words.TYPES``: the hardest part decides."""
        for value, name in (
            (self.relation, "relation"),
            (self.choose, "superlative"),
            (self.side, "side"),
            (self.on, "on"),
            (self.heat, "heat"),
            (self.color, "color"),
        ):
            if value:
                return name
        noun: Noun = words.nouns[self.noun]
        return "stuff" if noun.stuff else "class" if noun.of == noun.name else "kind"

    def held_out(self, words: Words) -> bool:
        """Whether two of its words never stand together in training."""
        return any((attribute, self.noun) in words.held_out_pairs for attribute in self.attributes())


MOST_BOUND = 1000.0
"""Metres or degrees; more is no bound."""


@dataclass(frozen=True)
class Exact:
    """A bound on measured pixels. ``what`` is ``distance`` (metres) or ``temperature`` (degrees Celsius)."""

    what: str
    below: bool
    bound: float


@dataclass(frozen=True)
class Query:
    """A sentence, parsed. ``unknown``: the noun's word where the vocabulary lacks it and the nearest was taken."""

    ask: str
    phrase: Phrase
    exact: tuple[Exact, ...] = ()
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        exact = [asdict(bound) for bound in self.exact]
        return {"ask": self.ask, **self.phrase.to_dict(), "exact": exact, "unknown": list(self.unknown)}

    @property
    def needs_degrees(self) -> bool:
        """Whether it takes a thermal image to answer."""
        return self.phrase.heat is not None or any(bound.what == "temperature" for bound in self.exact)


def require_meaning(phrase: Phrase, words: Words) -> None:
    """Raise ``ValueError`` for a phrase that nothing could ever be: stuff with an order, a colour that no such thing
    has."""
    noun = words.nouns[phrase.noun]
    if noun.stuff and len(phrase.to_dict()) > 1:
        raise ValueError(f"{noun.name} cannot be counted, expected it without colour, place or order")
    if phrase.heat and phrase.heat not in words.heat.get(noun.of, {}):
        known = ", ".join(f"{heat} {name}" for name, heats in words.heat.items() for heat in heats)
        raise ValueError(f"{phrase.heat} {noun.of} has no meaning here, expected one of {known}")
    if phrase.color and phrase.color not in words.colors.get(noun.of, ()):
        colors = ", ".join(words.colors.get(noun.of, ())) or "no colour"
        raise ValueError(f"{phrase.color} {noun.of} has no meaning here, expected {colors}")
    if (phrase.relation is None) != (phrase.landmark is None):
        raise ValueError(f"relation {phrase.relation} with landmark {phrase.landmark}, expected both or none")
    if phrase.landmark and words.nouns[phrase.landmark].stuff:
        raise ValueError(f"{phrase.relation} {phrase.landmark} has no meaning here, expected what can be counted")


def query_of(data: object, words: Words, where: str) -> Query:
    """What ``Query.to_dict`` wrote, by the words in force. Raises ``ValueError`` for what has no meaning there."""
    may_be: dict[str, Any] = {
        "noun": words.nouns,
        "landmark": words.nouns,
        "on": words.classes,
        "color": {color for colors in words.colors.values() for color in colors},
        "heat": ("hot", "cold"),
        "side": SIDES,
        "relation": RELATIONS,
        "choose": SUPERLATIVES,
    }
    entry = require_entries(data, {"ask", "noun", "exact", "unknown"}, set(may_be) - {"noun"}, where)
    for key, known in {"ask": ASKS, **{key: may_be[key] for key in entry if key in may_be}}.items():
        if not isinstance(entry[key], str) or entry[key] not in known:
            raise ValueError(f"{where}: {key} {entry[key]!r:.80}, expected one of {', '.join(sorted(known))}")
    phrase = Phrase(**{key: entry[key] for key in entry if key in may_be})
    try:
        require_meaning(phrase, words)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    unknown = entry["unknown"]
    if not isinstance(unknown, list) or not all(isinstance(word, str) for word in unknown):
        raise ValueError(f"{where}: unknown {unknown!r:.80}, expected a list of words")
    if not isinstance(entry["exact"], list):
        raise ValueError(f"{where}: exact {entry['exact']!r:.80}, expected a list of bounds")
    return Query(entry["ask"], phrase, tuple(_bound(bound, where) for bound in entry["exact"]), tuple(unknown))


def _bound(data: object, where: str) -> Exact:
    entry = require_entries(data, {"what", "below", "bound"}, set(), f"{where}: exact")
    what, below, bound = entry["what"], entry["below"], entry["bound"]
    if what not in ("distance", "temperature") or type(below) is not bool or type(bound) not in (int, float):
        raise ValueError(f"{where}: exact {entry!s:.80}, expected distance or temperature, below or not, and a number")
    if not abs(bound) <= MOST_BOUND or (what == "distance" and bound <= 0):
        raise ValueError(f"{where}: bound {bound!s:.40}, expected at most {MOST_BOUND:g}, above 0 for a distance")
    return Exact(what, below, float(bound))
