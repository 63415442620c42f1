"""Sentences to programs and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from gemini_ros.core.resources import find_resource
from gemini_ros.language.grammar import Grammar, say
from gemini_ros.language.phrase import Exact, Phrase
from gemini_ros.language.words import load_words

WORDS = load_words()
GRAMMAR = Grammar(WORDS)


@pytest.mark.parametrize(
    ("text", "ask", "phrase"),
    [
        ("the nearest box", "find", Phrase("box", choose="nearest")),
        ("Box on the pallet", "find", Phrase("box", on="pallet")),
        ("find the red forklift on the left", "find", Phrase("forklift", color="red", side="left")),
        ("how many boxes on the pallet are there?", "how_many", Phrase("box", on="pallet")),
        ("is there an orange cone?", "is_there", Phrase("cone", color="orange")),
        (
            "where is the worker to the left of the door?",
            "where",
            Phrase("person", relation="left of", landmark="door"),
        ),
        ("would you highlight the closest person", "find", Phrase("person", choose="nearest")),
        ("the warm pallet truck", "find", Phrase("pallet truck", heat="hot")),
        (
            "the pallet nearest to the pallet jack",
            "find",
            Phrase("pallet", relation="nearest to", landmark="pallet truck"),
        ),
        ("people", "find", Phrase("person")),
        ("the box on the pallet on the left", "find", Phrase("box", on="pallet", side="left")),
        ("the most distant shelf", "find", Phrase("rack", choose="farthest")),
    ],
)
def test_parse(text: str, ask: str, phrase: Phrase) -> None:
    query = GRAMMAR.parse(text)
    assert (query.ask, query.phrase, query.exact, query.unknown) == (ask, phrase, (), ())


@pytest.mark.parametrize(
    ("text", "rest", "bounds"),
    [
        ("the nearest box within 2 m", Phrase("box", choose="nearest"), [Exact("distance", True, 2.0)]),
        ("a box that is closer than 80 cm", Phrase("box"), [Exact("distance", True, 0.8)]),
        ("the vehicle hotter than 40 degrees", Phrase("vehicle"), [Exact("temperature", False, 40.0)]),
        ("the door colder than -5 °C", Phrase("door"), [Exact("temperature", True, -5.0)]),
        (
            "is there a vehicle warmer than 30.5 degrees celsius within 3 metres?",
            Phrase("vehicle"),
            [Exact("temperature", False, 30.5), Exact("distance", True, 3.0)],
        ),
    ],
)
def test_exact(text: str, rest: Phrase, bounds: list[Exact]) -> None:
    query = GRAMMAR.parse(text)
    assert (query.phrase, list(query.exact)) == (rest, bounds)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "at least one word"),
        (7, "expected a text, found int"),
        ("the box\x07", "control character"),
        ("найди ящик", "another script"),
        ("box " * 60, "of 240 characters, expected at most 200"),
        ("the " * 14 + "box", "at most 16"),
        ("the box within 2", "a number without a unit"),
        ("the box within 2 degrees", "expected a number with its unit such as 2 m"),
        ("the box hotter than 2 m", "such as 40 degrees"),
        ("the box within reach", "no number"),
        ("the box within 0 m", "above 0"),
        ("the 2 boxes", "a number alone"),
        ("the box within 2 m of the door", "from the camera"),
        ("everything but the box", "turns the phrase round"),
        ("don’t find the box", "turns the phrase round"),
        ("the banana", "'banana' is not known"),
        ("the orange floor", "cannot be counted"),
        ("the blue cone", "expected orange, yellow"),
        ("the hot box", "has no meaning here"),
        ("the nearest farthest box", "at once"),
    ],
)
def test_refused(text: object, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as error:
        GRAMMAR.parse(text)
    assert "\n" not in str(error.value)


def test_a_noun_outside_the_vocabulary_is_mapped_and_marked() -> None:
    query = Grammar(WORDS, lambda noun: {"parcel": "box"}[noun]).parse("the nearest parcel")
    assert (query.phrase, query.unknown) == (Phrase("box", choose="nearest"), ("parcel",))
    assert Grammar(WORDS, held_out=True).parse("the nearest parcel").unknown == ()


def test_what_is_said_is_parsed_again() -> None:
    rng = np.random.default_rng(0)
    phrases = [
        Phrase("box"),
        Phrase("box", on="rack"),
        Phrase("floor"),
        Phrase("forklift", color="orange"),
        Phrase("door", heat="cold"),
        Phrase("person", side="right"),
        Phrase("cone", choose="farthest"),
        Phrase("rack", relation="right of", landmark="carrier"),
        Phrase("pallet truck", relation="nearest to", landmark="pallet"),
    ]
    for ask, templates in WORDS.templates.items():
        for template in templates:
            for phrase in phrases:
                options = (*WORDS.words.items(), *((noun.name, noun.words) for noun in WORDS.nouns.values()))
                choice = {meaning: words[rng.integers(len(words))] for meaning, words in options}
                query = GRAMMAR.parse(text := say(phrase, choice, template, WORDS))
                assert (query.ask, query.phrase) == (ask, phrase), text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"nouns": {"banana": {"words": ["banana"], "held_out": []}}}, "expected one of floor"),
        ({"templates": {"find": ["the box"]}}, "keys"),
        ({"kinds": {"lift": {"of": "floor", "words": ["lift"], "held_out": []}}}, "can be counted"),
        ({"kinds": {"lift": {"of": "vehicle", "words": ["box"], "held_out": []}}}, "stands for box and lift"),
        ({"negations": [False]}, "small English letters"),
        ({"heat": {"door": {"hot": [1, 4]}}}, "expected a gap"),
        ({"limits": {"min_px": -1, "min_stuff_px": 1, "gap_m": 1, "gap_px": 1}}, "0 or more"),
        ({"nonsense": 1}, "keys"),
    ],
)
def test_words_file_refused(change: dict, expected: str, tmp_path: Path) -> None:
    data = yaml.safe_load(find_resource("config/language/warehouse.yaml").read_text())
    (tmp_path / "words.yaml").write_text(yaml.safe_dump(data | change))
    with pytest.raises(ValueError, match=expected):
        load_words(tmp_path / "words.yaml")
