"""Phrases that are set: what is refused, in which words, and that what is in force then stays."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.core.phrase_maps import TEXT_WIDTH
from gemini_ros.language.features import PhraseFeatures, write_features
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.phrases import PhraseBook

WAREHOUSE = load_label_set("warehouse")
S = 1_000_000_000
NOW = Instant.of(1000 * S)


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch):
    def missing() -> Path:
        raise ValueError("no weights")

    monkeypatch.setattr("gemini_ros.language.encoder.find_weights", missing)


def book(
    streams: tuple[str, ...] = ("rgb", "depth"), labels: str = "warehouse", file: Path | None = None
) -> PhraseBook:
    return PhraseBook(load_label_set(labels), streams, file)


def phrase(text: Any = "the nearest person", **more: Any) -> dict[str, Any]:
    return {"text": text, **more}


BAD = {
    "five": (json.dumps([phrase()] * 5), "5 phrases, expected at most 4"),
    "long": (phrase("the box " * 15), "word pieces, expected at most 16"),
    "very long": (phrase("box" * 100), "300 characters, expected at most 200"),
    "huge": ("[" * 10_000, "10000 characters, expected JSON of at most 4000"),
    "empty": (phrase(""), "expected at least one word"),
    "no text": ({"role": "ask"}, r"keys \['role'\], expected exactly \['text'\]"),
    "control": (phrase("the box\u0007"), "a control character: expected English letters"),
    "script": (phrase("человек"), "another script: expected English letters"),
    "broken": ('[{"text": "the box"', "not JSON"),
    "deep": ("[" * 100 + "]" * 100, "not JSON: nested deeper"),
    "no list": ("3", "expected a JSON list of phrases such as"),
    "no phrase": ('["the box"]', "expected a mapping, found str"),
    "number": (phrase(7), "expected a text, found int"),
    "role": (phrase(role="kill"), "role 'kill', expected one of target, avoid, prefer, ask"),
    "role type": (phrase(role=["ask"]), "role .*, expected one of target"),
    **{
        f"cost {cost!r}": (phrase(cost=cost), "expected a whole number from 1 to 98")
        for cost in (0, 99, 5.5, True, "7")
    },
    "ttl 0": (phrase(ttl_s=0), "ttl_s 0, expected seconds above 0"),
    "ttl -1": (phrase(ttl_s=-1), "ttl_s -1, expected seconds above 0"),
    "ttl text": (phrase(ttl_s="9"), "expected seconds above 0"),
    "ttl nan": ('[{"text": "the box", "ttl_s": NaN}]', "ttl_s nan, expected seconds above 0"),
    "unit": (phrase("the box within 2"), "a number without a unit, expected a number with its unit"),
    "alone": (phrase("2 boxes"), "a number alone, expected it after one of"),
    "negation": (phrase("not the box"), "turns the phrase round"),
    "twice": ('[{"text": "the box", "text": "the door"}]', "'text' stands twice"),
    "too general": (phrase("everything", role="avoid"), "'everything' is not known, expected one of .* not in force"),
    "hidden": (phrase("acid on the floor", role="avoid"), "'acid' is not known"),
    "extra": (phrase(color="red"), r"expected exactly \['text'\] and any of"),
    "acid": (phrase("the acid", role="avoid"), "'acid' is not known, expected one of .* for avoid: it is not in force"),
    "lawn": (phrase("the lawn", role="prefer"), "'lawn' is not known, expected one of .*: it is not in force"),
    "degrees": (phrase("the hot vehicle", role="avoid"), "needs a thermal image"),
    "bound": (phrase("the box hotter than 40 degrees", role="avoid"), "needs a thermal image"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_is_told_and_what_is_in_force_stays(name):
    text, told = BAD[name]
    b = book()
    assert b.set(json.dumps([phrase("the box", role="avoid")]), NOW) == ""
    before = b.in_force(NOW)
    why = b.set(text if isinstance(text, str) else json.dumps([text]), NOW)
    assert re.search(told, why), why
    assert "\n" not in why
    assert b.in_force(NOW) == before
    assert b.to_dict(NOW)["refused"][0] | {"why": why, "in_force": False} == b.to_dict(NOW)["refused"][0]


def test_a_refused_phrase_is_answered_by_name_and_another_set_ends_that():
    b = book()
    b.set(json.dumps([phrase("the acid", role="avoid")]), NOW)
    assert b.refused is not None
    assert b.refused.to_dicts()[0]["text"] == "the acid"
    assert b.in_force(NOW) == ()
    assert b.set(json.dumps(phrase("the cone")), NOW) == ""
    assert b.refused is None
    assert [entry.text for entry in b.in_force(NOW)] == ["the cone"]
    assert b.set("[]", NOW) == ""
    assert b.in_force(NOW) == ()


def test_unknown_words_are_accepted_where_nothing_is_raised_and_marked():
    b = book()
    assert b.set(json.dumps([phrase("the acid"), phrase("the acid", role="target")]), NOW) == ""
    assert [(entry.unknown, entry.query) for entry in b.in_force(NOW)] == [(("acid",), None)] * 2
    assert "'acid' is not known" in b.in_force(NOW)[0].why


def test_a_class_that_the_model_lacks_is_refused():
    b = book(labels="nav5")
    assert b.set(json.dumps(phrase("the nearest person")), NOW) == ""
    for text in ("the box", "the person left of the door", "the person on the pallet"):
        assert "the model has no class" in b.set(json.dumps(phrase(text)), NOW)


def test_a_clock_that_jumps_back_prolongs_nothing():
    b = book()
    b.set(json.dumps(phrase("the box", ttl_s=5)), NOW)
    b.begin(Instant.of(1003 * S))
    b.begin(Instant.of(10 * S))  # a bag that plays again: three seconds are over
    assert b.in_force(Instant.of(11 * S))
    assert not b.in_force(Instant.of(12 * S))
    for _ in range(3):  # a loop that is shorter than what is left
        b.begin(Instant.of(10 * S))
        b.begin(Instant.of(11 * S))
    assert not b.in_force(Instant.of(11 * S))


def test_the_parameter_may_end_with_a_semicolon():
    b = book()
    b.start("the box; the door;")
    assert [entry.text for entry in b.in_force(NOW)] == ["the box", "the door"]
    with pytest.raises(ValueError, match="at least one word"):
        b.start(" ; ")


def test_entries_expire_by_the_steady_clock():
    b = book()
    b.set(json.dumps([phrase("the box", ttl_s=2.5), phrase("the door", role="avoid", cost=7)]), NOW)
    assert [e.number for e in b.in_force(NOW._replace(steady_ns=NOW.steady_ns + 2 * S))] == [1, 2]
    later = NOW._replace(steady_ns=NOW.steady_ns + 3 * S)
    assert [e.number for e in b.in_force(later)] == [2]
    assert [(role.text, role.cost) for role in b.roles(later)] == [("the door", 7)]
    assert [e.number for e in b.in_force(NOW._replace(clock_ns=0))] == [1, 2]


def test_the_parameter_is_phrases_or_json_and_lives_from_the_first_frame():
    b = book()
    b.start("the nearest person; the box on the pallet")
    assert [(e.text, e.role) for e in b.in_force(NOW)] == [
        ("the nearest person", "ask"),
        ("the box on the pallet", "ask"),
    ]
    b.start('[{"text": "the box", "role": "avoid", "ttl_s": 2}]')
    assert b.in_force(NOW)
    b.begin(NOW)
    assert not b.in_force(Instant.of(NOW.clock_ns + 3 * S))
    with pytest.raises(ValueError, match="phrases: phrase 2: 'acidic stuff' is not known"):
        b.start('[{"text": "the box"}, {"text": "the acidic stuff", "role": "avoid"}]')


def features(path: Path, value: float = 0.0, **program: Any) -> Path:
    entry = {"ask": "find", "noun": "person", "exact": [], "unknown": ["operator"], **program}
    phrases = np.full((1, 16, TEXT_WIDTH), value, np.float32)
    mask = np.zeros((1, 16), np.float32)
    mask[:, :4] = 1
    return write_features(PhraseFeatures(("the nearest operator",), (entry,), phrases, mask), path)


def test_a_file_says_what_its_words_mean(tmp_path):
    b = book(file=features(tmp_path / "p.npz", choose="nearest"))
    assert b.set(json.dumps(phrase("The nearest operator")), NOW) == ""
    entry = b.in_force(NOW)[0]
    assert entry.query is not None
    assert (entry.query.phrase.noun, entry.query.phrase.choose, entry.unknown) == ("person", "nearest", ("operator",))
    assert "not known" in b.set(json.dumps(phrase("the nearest operator", role="avoid")), NOW)


@pytest.mark.parametrize(
    ("program", "told"),
    [({"noun": "acid"}, "noun 'acid', expected one of"), ({"exact": [3]}, "exact: expected a mapping")],
)
def test_a_file_of_other_words_is_a_fault(tmp_path, program, told):
    assert told in book(file=features(tmp_path / "p.npz", **program)).fault


def test_features_that_are_not_finite_put_nothing_in_force(tmp_path):
    b = book(file=features(tmp_path / "p.npz", value=float("nan")))
    assert "not finite" in b.fault
    assert b.set(json.dumps(phrase("the box")), NOW) == b.fault


def test_features_of_another_encoder_put_nothing_in_force(tmp_path, monkeypatch):
    monkeypatch.setattr("gemini_ros.language.features.SHA256", "0" * 64)
    file = features(tmp_path / "p.npz")
    monkeypatch.undo()
    b = book(file=file)
    assert "phrases_file" in b.fault
    assert "encode the phrases again" in b.fault
    b.start("the box")
    assert b.in_force(NOW) == ()
    assert b.set(json.dumps(phrase("the box", role="avoid")), NOW) == b.fault
    assert b.to_dict(NOW)["refused"][0]["text"] == "the box"
