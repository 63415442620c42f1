"""The words of phrases, from one YAML file (``config/language/``): nouns, attributes, templates, what is held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemini_ros.core.entries import require_entries
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.resources import load_yaml

ASKS = ("find", "where", "which", "how_many", "is_there")
TYPES = ("class", "stuff", "color", "kind", "heat", "on", "side", "superlative", "relation")
SUPERLATIVES = ("nearest", "farthest", "leftmost", "rightmost")
SIDES = ("left", "right")
RELATIONS = ("left of", "right of", "nearest to")
_MEANINGS = ("hot", "cold", *SUPERLATIVES, *SIDES, "on", *RELATIONS)
_KEYS = {
    *("name", "label_set", "nouns", "kinds", "plurals", "colors", "heat", "words", "templates", "held_out_templates"),
    *("also", "leads", "tails", "general", "held_out_pairs", "negations", "limits", "questions"),
}


@dataclass(frozen=True)
class Noun:
    """What a noun stands for: a class of the label set, or one kind of it. ``words[0]`` is its usual word."""

    name: str
    of: str  # the class; the name itself where it is one
    words: tuple[str, ...]
    held_out: tuple[str, ...]
    stuff: bool = False


@dataclass(frozen=True)
class Limits:
    """What is too small or too close to be asked about; pixels are those of a 320x240 image."""

    min_px: float
    min_stuff_px: float
    gap_m: float
    gap_px: float


@dataclass(frozen=True)
class Drawing:
    """How questions are drawn: shares of 0 to 1, and a weight for each of ``TYPES``."""

    no_target: float
    paired: float
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Words:
    """All that a words file holds. ``heat``: class -> hot or cold -> (holds from, does not hold up to), kelvin.

    ``words`` are said and understood; ``also``, ``leads`` and ``tails`` are only understood.
    """

    name: str
    label_set: str
    classes: tuple[str, ...]
    nouns: Mapping[str, Noun]
    plurals: Mapping[str, str]
    colors: Mapping[str, tuple[str, ...]]
    heat: Mapping[str, Mapping[str, tuple[float, float]]]
    words: Mapping[str, tuple[str, ...]]
    also: Mapping[str, tuple[str, ...]]
    templates: Mapping[str, tuple[str, ...]]
    held_out_templates: Mapping[str, tuple[str, ...]]
    leads: Mapping[str, tuple[str, ...]]
    tails: tuple[str, ...]
    general: frozenset[str]
    held_out_pairs: frozenset[tuple[str, str]]
    negations: frozenset[str]
    limits: Limits
    drawing: Drawing

    def plural(self, word: str) -> str:
        """The plural of a noun of one or more words."""
        *first, last = word.split(" ")
        es = last.endswith(("x", "s", "ch", "sh"))
        return " ".join([*first, self.plurals.get(last) or last + ("es" if es else "s")])


def load_words(name_or_path: str | Path = "warehouse") -> Words:
    """The words file of this name in ``config/language/``, or at this path.

    Raises ``ValueError`` for an unknown key, a class that the label set lacks, or a word that stands for two things.
    """
    data, where = load_yaml(name_or_path, "language", "words file")
    data = require_entries(data, _KEYS, set(), where)
    classes = tuple(entry.name for entry in load_label_set(_text(data["label_set"], f"{where}: label_set")).classes)
    nouns = _nouns(data, classes, where)
    plurals = {k: _text(v, f"{where}: plurals") for k, v in _mapping(data["plurals"], f"{where}: plurals").items()}
    return Words(
        _text(data["name"], f"{where}: name"),
        data["label_set"],
        classes,
        nouns,
        plurals,
        _lists(data["colors"], set(), classes, f"{where}: colors"),
        _heat(data["heat"], classes, f"{where}: heat"),
        _lists(data["words"], set(_MEANINGS), _MEANINGS, f"{where}: words"),
        _lists(data["also"], set(), _MEANINGS, f"{where}: also"),
        _lists(data["templates"], set(ASKS), ASKS, f"{where}: templates", placeholder=True),
        _lists(data["held_out_templates"], set(ASKS), ASKS, f"{where}: held_out_templates", placeholder=True),
        _lists(data["leads"], set(), ASKS, f"{where}: leads"),
        _texts(data["tails"], f"{where}: tails"),
        frozenset(_texts(data["general"], f"{where}: general")),
        _pairs(data["held_out_pairs"], nouns, f"{where}: held_out_pairs"),
        frozenset(_texts(data["negations"], f"{where}: negations")),
        Limits(**_numbers(data["limits"], ("min_px", "min_stuff_px", "gap_m", "gap_px"), f"{where}: limits")),
        _drawing(data["questions"], f"{where}: questions"),
    )


def _nouns(data: Mapping[str, Any], classes: tuple[str, ...], where: str) -> dict[str, Noun]:
    found: dict[str, Noun] = {}
    for name, entry in _mapping(data["nouns"], f"{where}: nouns").items():
        place = f"{where}: nouns: {name}"
        _one_of(name, classes, place)
        entry = require_entries(entry, {"words", "held_out"}, {"stuff"}, place)
        if not isinstance(stuff := entry.get("stuff", False), bool):
            raise ValueError(f"{place}: stuff: {stuff!r:.80}, expected true or false")
        words, held_out = _texts(entry["words"], place), _texts(entry["held_out"], place)
        found[name] = Noun(name, name, words, held_out, stuff)
    for name, entry in _mapping(data["kinds"], f"{where}: kinds").items():
        place = f"{where}: kinds: {name}"
        entry = require_entries(entry, {"of", "words", "held_out"}, set(), place)
        if name in found or entry["of"] not in found or found[entry["of"]].stuff:
            raise ValueError(f"{place}: of {entry['of']!r:.80}, expected a new name and a class that can be counted")
        found[name] = Noun(name, entry["of"], _texts(entry["words"], place), _texts(entry["held_out"], place))
    owners: dict[str, str] = {}
    for noun in found.values():
        if not noun.words:
            raise ValueError(f"{where}: {noun.name}: no words, expected at least one")
        for word in (*noun.words, *noun.held_out):
            if owners.setdefault(word, noun.name) != noun.name:
                raise ValueError(f"{where}: {word!r} stands for {owners[word]} and {noun.name}, expected one of them")
    return found


def _heat(data: object, classes: Iterable[str], where: str) -> dict[str, dict[str, tuple[float, float]]]:
    found = {}
    for name, entry in _mapping(data, where).items():
        _one_of(name, classes, where)
        found[name] = {}
        for word, bounds in _mapping(entry, f"{where}: {name}").items():
            _one_of(word, ("hot", "cold"), f"{where}: {name}")
            if not (isinstance(bounds, list) and len(bounds) == 2 and all(type(b) in (int, float) for b in bounds)):
                raise ValueError(f"{where}: {name}: {word}: {bounds!r:.80}, expected two numbers")
            if (bounds[0] <= bounds[1]) if word == "hot" else (bounds[0] >= bounds[1]):
                raise ValueError(f"{where}: {name}: {word}: {bounds}, expected a gap between both")
            found[name][word] = (float(bounds[0]), float(bounds[1]))
    return found


def _pairs(data: object, nouns: Mapping[str, Noun], where: str) -> frozenset[tuple[str, str]]:
    if not isinstance(data, list):
        raise ValueError(f"{where}: {data!r:.80}, expected a list of [attribute, noun]")
    pairs = [_texts(pair, where) for pair in data]
    for pair in pairs:
        if len(pair) != 2 or pair[1] not in nouns:
            raise ValueError(f"{where}: {list(pair)!r:.80}, expected [attribute, noun]")
    return frozenset((pair[0], pair[1]) for pair in pairs)


def _drawing(data: object, where: str) -> Drawing:
    entry = require_entries(data, {"no_target", "paired", "weights"}, set(), where)
    shares = _numbers({k: entry[k] for k in ("no_target", "paired")}, ("no_target", "paired"), where)
    if max(shares.values()) > 1:
        raise ValueError(f"{where}: {shares}, expected shares of 0 to 1")
    return Drawing(**shares, weights=_numbers(entry["weights"], TYPES, f"{where}: weights"))


def _numbers(data: object, keys: Iterable[str], where: str) -> dict[str, float]:
    entry = require_entries(data, set(keys), set(), where)
    for key, value in entry.items():
        if type(value) not in (int, float) or not 0 <= value < 1e6:
            raise ValueError(f"{where}: {key}: {value!r:.80}, expected a number of 0 or more")
    return {key: float(entry[key]) for key in keys}


def _lists(
    data: object, required: set[str], allowed: Iterable[str], where: str, *, placeholder: bool = False
) -> dict[str, tuple[str, ...]]:
    entry = require_entries(data, required, set(allowed), where)
    found = {key: _texts(value, f"{where}: {key}") for key, value in entry.items()}
    for key, texts in found.items():
        if not texts:
            raise ValueError(f"{where}: {key}: none, expected at least one")
        for text in texts if placeholder else ():
            if text.count("{}") + text.count("{s}") != 1 or text.count("{") != 1 or text.count("}") != 1:
                raise ValueError(f"{where}: {key}: {text!r:.80}, expected exactly one {{}} or {{s}}")
    return found


def _mapping(data: object, where: str) -> dict[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ValueError(f"{where}: {data!r:.80}, expected a mapping of names")
    return data


def _texts(data: object, where: str) -> tuple[str, ...]:
    if not isinstance(data, list):
        raise ValueError(f"{where}: {data!r:.80}, expected a list of words")
    return tuple(_text(value, where) for value in data)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isascii() or value != value.lower():
        raise ValueError(f"{where}: {value!r:.80}, expected words in small English letters")
    return value


def _one_of(name: str, known: Iterable[str], where: str) -> None:
    if name not in known:
        raise ValueError(f"{where}: {name!r:.80}, expected one of {', '.join(known)}")
