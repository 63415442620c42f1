"""The comparison of fusion operators at toy size: what is run, that it repeats, goes on and can be shared out."""

import json
from types import SimpleNamespace

import pytest

from benchmarks.fusion_operators import OPERATORS, Run, allowed_steps, locked, main, make_one, runs
from gemini_ros.training.task import SegmentationTask
from test.training.toy import nano, save_checkpoint, write_folder

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Arguments of a run of two steps on a toy data set, from a checkpoint of RGB alone."""
    root = tmp_path_factory.mktemp("operators")
    folder = write_folder(root / "set", frames=16)
    weights = save_checkpoint(SegmentationTask(nano("rgb")), root / "rgb.ckpt")
    return SimpleNamespace(weights=weights, train=folder, val=folder, frames=2, steps=2)


def test_every_run_is_named_once_and_controls_come_after_what_they_are_measured_by():
    names = [run.name for run in runs((1, 2))]
    assert len(set(names)) == len(names) == 2 * (2 * len(OPERATORS) + 6)
    assert all(name.endswith("seed1") for name in names[: len(names) // 2])
    for run in runs((1,)):
        if run.as_long_as:
            short = Run(run.operator, run.modalities, run.seed).name
            assert max(names.index(run.as_long_as), names.index(short)) < names.index(run.name)


def test_a_control_gets_the_steps_of_as_much_processor_time(tmp_path):
    run = Run("none", ("depth",), 3, "rgb_depth_gemini_seed3")
    assert allowed_steps(run, tmp_path) is None and allowed_steps(Run("none", ("depth",), 3), tmp_path) == 0
    (tmp_path / "rgb_depth_gemini_seed3.json").write_text(json.dumps({"steps": 200, "core_seconds": 130.0}))
    assert allowed_steps(run, tmp_path) is None
    (tmp_path / "depth_alone_seed3.json").write_text(json.dumps({"steps": 200, "core_seconds": 52.0}))
    assert allowed_steps(run, tmp_path) == 500


def test_a_run_belongs_to_one_process(tmp_path):
    with locked(tmp_path / "a.json") as first, locked(tmp_path / "a.json") as second:
        assert first and not second
    with locked(tmp_path / "a.json") as again:
        assert again


@pytest.mark.slow
def test_a_seed_gives_the_same_numbers(place, tmp_path):
    run = Run("channel_exchange", ("rgb", "depth"), 1)
    results = []
    for name in ("a", "b"):
        make_one(run, place, tmp_path / f"{name}.json")
        results.append(json.loads((tmp_path / f"{name}.json").read_text()))
        results[-1].pop("core_seconds")
    assert results[0] == results[1]
    assert set(results[0]["scores"]) == {"complete", "without rgb", "without depth"}
    assert results[0]["scores"]["complete"]["all"]["pixels"] == 2 * 62 * 96
    assert results[0]["exchanged_share"] == 0 and results[0]["steps"] == 2


@pytest.mark.slow
def test_what_is_missing_is_made_and_all_is_shown(place, tmp_path, capsys, monkeypatch):
    example = tmp_path / "example.json"
    make_one(Run("none", ("rgb",), 1), place, example)
    result = json.loads(example.read_text())
    example.unlink()
    for run in runs((1,)):
        if run.name != "depth_alone_seed1":
            stored = result | {"operator": run.operator if len(run.modalities) == 2 else None}
            stored |= {"modalities": list(run.modalities), "as_long_as": run.as_long_as}
            (tmp_path / f"{run.name}.json").write_text(json.dumps(stored))
    options = [f"--{name}={getattr(place, name)}" for name in ("weights", "train", "val", "frames", "steps")]
    monkeypatch.setattr("sys.argv", ["fusion_operators", "all", f"--dir={tmp_path}", "--seeds", "1", *options])
    main()
    made = json.loads((tmp_path / "depth_alone_seed1.json").read_text())
    assert made["modalities"] == ["depth"] and made["operator"] is None and made["steps"] == 2
    assert made["parameters"] == result["parameters"]
    monkeypatch.setattr("sys.argv", ["fusion_operators", "table", f"--dir={tmp_path}"])
    capsys.readouterr()
    main()
    lines = capsys.readouterr().out.splitlines()
    titles = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    for second in ("depth", "thermal"):
        assert {f"RGB and {second}", f"{second} alone", f"{second} alone, as long as `gemini`"} <= set(titles)
    assert titles.count("`token_exchange`") == titles.count("rgb alone, as long as `gemini`") == 2
    assert len({line.count("|") for line in lines if line}) == 1
