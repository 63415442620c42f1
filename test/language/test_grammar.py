"""Sentences to programs and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from gemini_ros.core.resources import find_resource
from gemini_ros.language.grammar import Grammar, Unmapped, say
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
        ("how many boxes are on the pallet?", "how_many", Phrase("box", on="pallet")),
        ("are there boxes on a pallet?", "is_there", Phrase("box", on="pallet")),
        ("which box is on the pallet?", "which", Phrase("box", on="pallet")),
        ("which person is the closest one?", "which", Phrase("person", choose="nearest")),
        ("is the vehicle that is hot on the left?", "is_there", Phrase("vehicle", heat="hot", side="left")),
        ("person nearest the door", "find", Phrase("person", relation="nearest to", landmark="door")),
        ("box on the left of the pallet", "find", Phrase("box", relation="left of", landmark="pallet")),
        (
            "the box on the pallet nearest to the door",
            "find",
            Phrase("box", on="pallet", relation="nearest to", landmark="door"),
        ),
        ("could you please tell me how many people there are in view?", "how_many", Phrase("person")),
        ("go to the door, please", "find", Phrase("door")),
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
        ("the box within 800 mm", Phrase("box"), [Exact("distance", True, 0.8)]),
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
        ("the vehicle hotter than 104 °F", "degrees f, expected .* which are Celsius"),
        ("the vehicle hotter than 313 degrees kelvin", "degrees kelvin, expected .* which are Celsius"),
        ("the box within 3 feet", "feet, expected a number with its unit"),
        ("which box isn't on the pallet?", "turns the phrase round"),
        ("everything other than the floor", "'other than' turns the phrase round"),
        ("acid on the floor", "'acid' is not known"),
        ("drums of acid nearest to the rack", "'drums of acid' is not known"),
        ("two boxes on the pallet", "'two boxes' is not known"),
        ("box left of the red vehicle", "'red vehicle' is not understood"),
        ("drive around the box", "is not understood"),
        ("the person on the left or right", "is not understood"),
        ("the person left of the floor", "left of floor has no meaning"),
        ("anything hotter than 40 degrees", "'anything' is not known"),
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


@pytest.mark.parametrize(("noun", "text"), [("bin", "the green bin"), ("acid", "the nearest acid on the left")])
def test_where_the_nearest_noun_does_not_fit_nothing_is_asked_of_it(noun: str, text: str) -> None:
    with pytest.raises(Unmapped, match=f"'{noun}' is not known, and the nearest known noun does not fit") as error:
        Grammar(WORDS, {"bin": "box", "acid": "floor"}.__getitem__).parse(text)
    assert error.value.noun == noun


def test_a_word_of_the_grammar_is_no_part_of_an_unknown_noun() -> None:
    with pytest.raises(ValueError, match="'left person' is not understood"):
        Grammar(WORDS, lambda _: "person").parse("the left person")


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
