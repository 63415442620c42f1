"""What a phrase means: a program of a noun, what it is like, where it is, and which of several is meant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gemini_ros.language.words import Noun, Words


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
