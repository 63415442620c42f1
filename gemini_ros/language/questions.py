"""Questions about the frames of a simulated data set: program, sentence, and the answer from the scene."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.core.files import atomic_path
from gemini_ros.language.grammar import say
from gemini_ros.language.phrase import Phrase
from gemini_ros.language.posed import Posed, posed_programs
from gemini_ros.language.views import View, open_simulated
from gemini_ros.language.words import ASKS, Words, load_words

FILE = "questions.jsonl"
HELD_OUT = ("nouns", "templates", "pairs")
_ASK_SHARES = (0.35, 0.15, 0.15, 0.15, 0.2)  # of ASKS
_TRIES = 6


@dataclass
class Draw:
    """What has been drawn so far, which decides what is drawn next: the shares of the words file are kept to."""

    total: int = 0
    without_target: int = 0
    paired: int = 0
    types: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """For people."""
        most = max(1, self.total)
        none, paired = self.without_target / most, self.paired / most
        yield f"questions {self.total}, {none:.0%} without target, {paired:.0%} in pairs"
        yield "types     " + ", ".join(f"{name} {count}" for name, count in sorted(self.types.items()))


def write_questions(
    folder: str | Path,
    *,
    words: str | Path = "warehouse",
    out: str | Path | None = None,
    per_frame: int = 24,
    seed: int = 0,
    held_out: str | None = None,
) -> Draw:
    """Write the questions of all frames, one JSON object in a line, to ``out`` (``FOLDER/questions.jsonl``).

    ``held_out``: only questions with held-out ``nouns``, ``templates`` or ``pairs``; None has none of them. The same
    arguments give the same file. Raises ``ValueError`` for a folder or words that do not fit.
    """
    if held_out is not None and held_out not in HELD_OUT:
        raise ValueError(f"held out {held_out!r:.80}, expected one of {', '.join(HELD_OUT)}")
    if not 1 <= per_frame <= 1000 or seed < 0:
        raise ValueError(f"{per_frame} questions a frame of seed {seed}, expected 1 to 1000 of a seed of 0 or more")
    dataset, known, draw = open_simulated(folder), load_words(words), Draw()
    if lacking := sorted({noun.of for noun in known.nouns.values()} - set(dataset.classes)):
        raise ValueError(f"{folder}: classes {', '.join(dataset.classes)}, expected also {', '.join(lacking)}")
    with atomic_path(Path(out) if out else Path(folder) / FILE) as part, part.open("w", encoding="utf-8") as file:
        for number, row in enumerate(dataset.rows):
            rng = np.random.default_rng([seed, number, 0 if held_out is None else 1 + HELD_OUT.index(held_out)])
            for question in frame_questions(dataset.view(row), known, per_frame, rng, draw, held_out):
                file.write(json.dumps(question) + "\n")
    return draw


def frame_questions(
    view: View, words: Words, count: int, rng: np.random.Generator, draw: Draw, held_out: str | None = None
) -> list[dict[str, Any]]:
    """At most ``count`` different questions about a view; ``draw`` is kept up to date."""
    pool = [p for p in posed_programs(view, words) if p.phrase.held_out(words) == (held_out == "pairs")]
    found: list[dict[str, Any]] = []
    sentences: set[str] = set()
    misses = 0
    while pool and len(found) < count and misses < 4 * count:
        pair = draw.paired < words.drawing.paired * (draw.total + 1) and len(found) + 2 <= count
        drawn = _draw_sentences(pool, words, rng, draw, held_out, pair)
        if not drawn or any(sentence in sentences for _, _, sentence in drawn):
            misses += 1
            continue
        for program, ask, sentence in drawn:
            sentences.add(sentence)
            found.append(_question(view, words, program, ask, sentence, held_out))
        if len(drawn) == 2:
            found[-2]["pair"], found[-1]["pair"] = found[-1]["sentence"], found[-2]["sentence"]
            draw.paired += 2
        draw.total += len(drawn)
        draw.without_target += sum(not program.present for program, _, _ in drawn)
        draw.types.update(program.phrase.type(words) for program, _, _ in drawn)
    return found


def _draw_sentences(
    pool: Sequence[Posed], words: Words, rng: np.random.Generator, draw: Draw, held_out: str | None, pair: bool
) -> list[tuple[Posed, str, str]]:
    """One sentence, or where a ``pair`` is wanted and can be had two that differ in one word; none where words lack."""
    drawn: list[tuple[Posed, str, str]] = []
    for _ in range(_TRIES if pair else 1):
        program = _draw_program(pool, words, rng, draw)
        ask, template = _draw_template(program, words, rng, held_out)
        choice = _choice(words, rng, held_out)
        if any(
            noun not in choice for noun in (program.phrase.noun, program.phrase.landmark, program.phrase.on) if noun
        ):
            return []  # a noun without held-out words
        sentence = say(program.phrase, choice, template, words)
        drawn = [(program, ask, sentence)]
        if not pair:
            return drawn
        rivals = [
            (other, ask, said)
            for other in pool
            if _one_apart(program.phrase, other.phrase)
            and (other.targets, other.stuff) != (program.targets, program.stuff)
            and ask in _asks(other, words)
            and _one_word_apart(sentence, said := say(other.phrase, choice, template, words))
        ]
        wanted = [r for r in rivals if r[0].present != _wants_none(draw, words, int(not program.present), 1)]
        if rivals:
            chosen = wanted or rivals
            return [*drawn, chosen[rng.integers(len(chosen))]]
    return drawn


def _draw_program(pool: Sequence[Posed], words: Words, rng: np.random.Generator, draw: Draw) -> Posed:
    none = _wants_none(draw, words)
    fitting = [program for program in pool if program.present != none] or list(pool)
    by_type: dict[str, list[Posed]] = {}
    for program in fitting:
        by_type.setdefault(program.phrase.type(words), []).append(program)
    names = sorted(by_type)
    weights = np.array([words.drawing.weights[name] for name in names])
    if weights.sum() == 0:
        weights += 1
    chosen = by_type[names[int(rng.choice(len(names), p=weights / weights.sum()))]]
    return chosen[rng.integers(len(chosen))]


def _wants_none(draw: Draw, words: Words, none: int = 0, more: int = 0) -> bool:
    """Whether the next question should have no target, after ``more`` that are not counted yet, ``none`` without."""
    return draw.without_target + none < words.drawing.no_target * (draw.total + more + 1)


def _asks(program: Posed, words: Words) -> list[str]:
    kind = program.phrase.type(words)
    one = kind == "superlative" or program.phrase.relation == "nearest to"
    allowed = {"find", "where"}
    if len(program.targets) <= 1 and kind != "stuff":
        allowed.add("which")
    if not one:
        allowed.add("is_there")
    if not one and kind != "stuff":
        allowed.add("how_many")
    return [ask for ask in ASKS if ask in allowed]


def _draw_template(program: Posed, words: Words, rng: np.random.Generator, held_out: str | None) -> tuple[str, str]:
    asks = _asks(program, words)
    shares = np.array([_ASK_SHARES[ASKS.index(ask)] for ask in asks])
    ask = asks[int(rng.choice(len(asks), p=shares / shares.sum()))]
    templates = (words.held_out_templates if held_out == "templates" else words.templates)[ask]
    return ask, templates[rng.integers(len(templates))]


def _choice(words: Words, rng: np.random.Generator, held_out: str | None) -> dict[str, str]:
    """A word for every meaning; held-out ones for all nouns where they are wanted."""
    nouns = {n.name: n.held_out if held_out == "nouns" else n.words for n in words.nouns.values()}
    sources: Iterable[tuple[str, Sequence[str]]] = (*words.words.items(), *nouns.items())
    return {meaning: options[rng.integers(len(options))] for meaning, options in sources if options}


def _one_apart(a: Phrase, b: Phrase) -> bool:
    first, second = a.to_dict(), b.to_dict()
    return set(first) == set(second) and sum(first[key] != second[key] for key in first) == 1


def _one_word_apart(a: str, b: str) -> bool:
    first, second = a.split(" "), b.split(" ")
    return len(first) == len(second) and sum(x != y for x, y in zip(first, second, strict=True)) == 1


def _question(
    view: View, words: Words, program: Posed, ask: str, sentence: str, held_out: str | None
) -> dict[str, Any]:
    stuff = words.nouns[program.phrase.noun].stuff
    return {
        "frame": view.stem,
        "scene": view.scene,
        "type": program.phrase.type(words),
        "ask": ask,
        "program": program.phrase.to_dict(),
        "sentence": sentence,
        "targets": list(program.targets),
        "stuff": program.phrase.noun if program.stuff else None,
        "count": None if stuff else len(program.targets),
        "answer": "yes" if program.present else "no",
        "pair": None,
        "held_out": held_out,
    }
