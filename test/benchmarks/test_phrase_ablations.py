"""What each idea is worth, at toy size: a variant is trained once, by the same budget, and compared with its base."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

from benchmarks import phrase_ablations
from benchmarks.language import ALL
from benchmarks.phrase_ablations import BASE, compare, rows
from test.training.language.scenes import scenes_with_questions
from test.training.language.word_vectors import WordVectors

WITHOUT_TEXT = "text in the decoder only"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return scenes_with_questions(tmp_path_factory.mktemp("data") / "scenes", 1)


def asked(data: Path, folder: Path, **changes) -> Namespace:
    config = folder.parent / "small.yaml"
    config.write_text(
        "{model: warehouse_rgbd_nano, folders: [x], network_size: [160, 128], branch: {width: 16, rounds: 1}, "
        "latents: {steps: 1, frames: 1, phrases: 2}, all: {steps: 1, frames: 1, phrases: 2}}"
    )
    folder.mkdir(exist_ok=True)
    options = {"config": config, "model": "warehouse_rgbd_nano", "core_hours": 0.001, "steps": [2, 1], "seeds": [0]}
    options |= {"variants": [BASE, WITHOUT_TEXT], "frames": None, "json": folder / "all.json"}
    return Namespace(train=data, test=data, dir=folder, **(options | changes))


@pytest.mark.slow
def test_each_variant_is_trained_once_and_compared_with_its_base(data, tmp_path, capsys) -> None:
    args = asked(data, tmp_path / "runs")
    compare(args, WordVectors())
    printed = capsys.readouterr().out
    assert printed.count("after [2, 1] steps") == 2
    table = json.loads(args.json.read_text())["rows"]
    of_all = {row["variant"]: row for row in table if row["kind"] == ALL}
    assert of_all[BASE]["seeds"] == [0] and "gain" not in of_all[BASE]
    gain = of_all[WITHOUT_TEXT]["gain"]
    own, base = (of_all[name]["target_iou"][0] for name in (WITHOUT_TEXT, BASE))
    assert gain == [pytest.approx(own - base, abs=2e-4)]  # of two scenes there is no interval
    assert f"| {WITHOUT_TEXT} | {ALL} | 1 |" in printed
    model = json.loads((args.dir / "text_in_the_decoder_only_seed0/options.json").read_text())
    assert (model["branch"]["text_in_encoder"], model["seed"]) == (False, 0)
    compare(args, WordVectors())
    assert "steps" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_budget_is_measured_once_for_each_network(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(phrase_ablations, "_LAST", 50)
    args = asked(data, tmp_path / "runs", steps=None, variants=[BASE])
    compare(args, WordVectors())
    (path,) = args.dir.glob("*.steps")
    steps = json.loads(path.read_text())
    assert json.loads((args.dir / "base_seed0.json").read_text())["steps"] == steps and min(steps) > 0


def test_runs_of_different_questions_are_not_compared() -> None:
    judged = {"kind": ["side"], "scene": [1], "target": [True], "iou": [0.5]}
    table = {"side": {"target_iou": 0.5, "hit": 1.0, "not_there_said": None}}
    runs = [
        {"variant": BASE, "seed": 0, "table": table, "judged": judged},
        {"variant": WITHOUT_TEXT, "seed": 0, "table": table, "judged": judged | {"scene": [2]}},
    ]
    with pytest.raises(ValueError, match="different questions"):
        list(rows(runs))
