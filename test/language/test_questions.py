"""Questions about views: what may be asked, what the answers are, and in which shares."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.cli import main
from gemini_ros.language.grammar import Grammar
from gemini_ros.language.phrase import Phrase
from gemini_ros.language.posed import posed_programs
from gemini_ros.language.questions import Draw, frame_questions
from gemini_ros.language.select import Seen
from gemini_ros.language.views import View
from gemini_ros.language.words import load_words

WORDS = load_words()
THINGS = (
    Seen(1, "box", 60, 500, (-1.0, 2.0), 0.1, on="pallet"),
    Seen(2, "box", 250, 400, (0.8, 3.0), 0.1, on="floor"),
    Seen(3, "pallet", 62, 600, (-1.0, 2.1), 0.0, on="floor"),
    Seen(4, "vehicle", 220, 900, (0.9, 4.0), 12.0, color="red", kind="forklift", on="floor"),
    Seen(5, "cone", 30, 90, (-2.0, 3.0), 0.0, color="orange", on="floor"),
    Seen(6, "cone", 290, 90, (2.0, 3.2), 0.0, color="yellow", on="floor"),
)


def view(things: Iterable[Seen] = THINGS, light: str = "day") -> View:
    things = tuple(things)
    counts = {name: sum(t.pixels for t in things if t.noun == name) for name in WORDS.classes} | {
        "floor": 9000,
        "wall": 99,
    }
    spans = {t.number: (t.place[1], t.place[1]) if t.place else (np.nan, np.nan) for t in things}
    warm = {t.number: (t.degrees or 0.0, t.degrees or 0.0) for t in things}
    return View("000000_000", 0, light, (320, 240), things, counts, spans, warm)


def answers(seen: View) -> dict[Phrase, tuple[int, ...] | bool]:
    return {p.phrase: p.stuff if WORDS.nouns[p.phrase.noun].stuff else p.targets for p in posed_programs(seen, WORDS)}


def test_answers() -> None:
    found = answers(view())
    assert found[Phrase("box")] == (1, 2)
    assert found[Phrase("box", choose="nearest")] == found[Phrase("box", on="pallet")] == (1,)
    assert (
        found[Phrase("forklift")]
        == found[Phrase("vehicle", color="red")]
        == found[Phrase("vehicle", heat="hot")]
        == (4,)
    )
    assert found[Phrase("vehicle", color="blue")] == found[Phrase("person")] == ()
    assert found[Phrase("box", relation="right of", landmark="vehicle")] == (2,)
    assert found[Phrase("cone", relation="nearest to", landmark="pallet")] == (5,)
    assert found[Phrase("floor")] is True
    assert found[Phrase("ceiling")] is False


def test_what_is_arguable_is_not_asked() -> None:
    found = answers(view())
    for phrase in (
        Phrase("wall"),  # 99 pixels
        Phrase("cone", choose="nearest"),  # 0.2 m apart
        Phrase("vehicle", choose="nearest"),  # the only one
        Phrase("box", relation="left of", landmark="pallet"),  # 2 pixels apart
        Phrase("box", relation="left of", landmark="cone"),  # two cones
    ):
        assert phrase not in found
    small = answers(view([*THINGS, Seen(7, "person", 200, 79, (0.0, 5.0), 5.0, on="floor")]))
    assert Phrase("person") not in small
    assert Phrase("person", side="left") in small  # it is neither there nor on the left
    lukewarm = [replace(t, degrees=5.0) if t.noun == "vehicle" else t for t in THINGS]
    assert Phrase("vehicle", heat="hot") not in answers(view(lukewarm))
    hidden = view()
    assert Phrase("vehicle", heat="hot") not in answers(replace(hidden, warm={**hidden.warm, 4: (0.0, 1.0)}))
    assert Phrase("vehicle", color="red") not in answers(view(light="black"))
    assert Phrase("box", side="left") not in answers(view([replace(t, u=150) if t.number == 1 else t for t in THINGS]))


@pytest.mark.parametrize("held_out", [None, "nouns", "templates", "pairs"])
def test_shares_pairs_and_sentences(held_out: str | None) -> None:
    draw, grammar = Draw(), Grammar(WORDS, held_out=held_out is not None)
    rng = np.random.default_rng(3)
    asked = frame_questions(view(), WORDS, 40, rng, draw, held_out)
    seen = {word for noun in WORDS.nouns.values() for word in noun.words}
    for question in asked:
        query = grammar.parse(question["sentence"])
        assert (query.ask, query.phrase.to_dict()) == (question["ask"], question["program"]), question["sentence"]
        assert query.phrase.held_out(WORDS) == (held_out == "pairs")
        assert (question["answer"] == "yes") == bool(question["targets"] or question["stuff"])
        if question["pair"]:
            first, second = question["sentence"].split(), question["pair"].split()
            assert len(first) == len(second)
            assert sum(a != b for a, b in zip(first, second, strict=True)) == 1
    if held_out == "nouns":
        assert not any(f"the {word}" == question["sentence"] for question in asked for word in seen)
    if held_out is None:
        assert draw.total == len(asked) == 40
        assert draw.without_target / draw.total == pytest.approx(0.3, abs=0.05)
        assert draw.paired / draw.total == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "frames"
    assert main(["dataset", "simulate", "--out", str(folder), "--scenes", "1", "--frames-per-scene", "2"]) == 0
    assert main(["dataset", "questions", str(folder), "--per-frame", "8"]) == 0
    first = (folder / "questions.jsonl").read_bytes()
    questions = [json.loads(line) for line in first.splitlines()]
    things = json.loads((folder / "objects.json").read_text())["scenes"]["0"]
    assert len(questions) == 16
    for question in questions:
        named = {
            things[str(number)]["kind" if question["type"] == "kind" else "class"] for number in question["targets"]
        }
        assert named <= {question["program"]["noun"]} or question["program"]["noun"] in (
            "forklift",
            "pallet truck",
            "carrier",
        )
    assert main(["dataset", "questions", str(folder), "--per-frame", "8"]) == 0
    assert (folder / "questions.jsonl").read_bytes() == first
    capsys.readouterr()
    for arguments, expected in (
        (["--per-frame", "0"], "expected 1 to 1000"),
        (["--words", str(tmp_path / "none.yaml")], "no such file"),
    ):
        assert main(["dataset", "questions", str(folder), *arguments]) == 2
        assert expected in capsys.readouterr().err
    (folder / "objects.json").write_text('{"scenes": {"0": {"1": {"class": "box"}}}}')
    assert main(["dataset", "questions", str(folder)]) == 2
    assert "objects.json: instance 1: keys ['class']" in capsys.readouterr().err
    (folder / "objects.json").write_text('{"scenes": {"0": {"1": {"class": ["box"], "degrees": 1}}}}')
    assert main(["dataset", "questions", str(folder)]) == 2
    assert "objects.json: instance 1: class ['box'], expected a name" in capsys.readouterr().err
    assert main(["dataset", "questions", str(tmp_path)]) == 2
    assert "dataset.yaml" in capsys.readouterr().err
