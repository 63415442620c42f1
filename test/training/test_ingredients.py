"""The table of ingredients: which runs there are, what must hold, and all of it at toy size."""

import itertools
import json
from argparse import Namespace
from dataclasses import replace
from datetime import timedelta

import pytest

from benchmarks import ingredients
from benchmarks.fusion_operators import main
from benchmarks.ingredients import (
    AS_MANY_STEPS,
    HELD_OUT,
    INGREDIENTS,
    NOISE,
    Run,
    lines,
    plan,
    runs,
    steps_of,
    summary,
)
from gemini_ros.training.task import SegmentationTask
from test.training.toy import nano, save_checkpoint, write_folder

pytestmark = pytest.mark.torch


def test_every_operator_before_and_after_each_ingredient_left_out_and_the_rivals():
    found = runs((1, 2, 3))
    assert len({run.name for run in found}) == len(found) == 3 * (2 * 3 + len(INGREDIENTS) + 3)
    after = {run.operator: run for run in found if run.kind == "after"}
    assert set(after["gemini"].ingredients) == set(INGREDIENTS)
    for run in found:
        if run.kind.startswith("without"):
            (gone,) = set(INGREDIENTS) - set(run.ingredients)
            assert run.operator == "gemini" and run.kind == f"without {gone}"
    assert all(run.seed == 1 for run in found[: len(found) // 3])


def test_the_plan_lists_what_is_done_and_what_it_costs(tmp_path):
    args = Namespace(dir=tmp_path, seeds=(1,), core_hours=0.15)
    first = runs((1,))[0]
    (tmp_path / f"{first.name}.json").write_text("{}")
    *listed, total = plan(args)
    assert listed[0] == f"{first.name}: done; no ingredient"
    count = len(listed)
    assert total == f"{count} runs, 1 done, {(count - 1) * 0.15:.2f} core-hours of training to go"


def result(run, complete, **scores):
    scores = {"complete": complete, "only rgb": 30.0, "only depth": 40.0, "noise low": 45.0, HELD_OUT: 50.0} | scores
    error = {"complete": {"all": {"before": 0.1, "after": 0.02}}}
    known = {"steps": 9, "core_seconds": 1.0, "calibration": {"temperature": 1.5, "calibration_error": error}}
    return {**vars(run), **known, "scores": scores}


def test_what_must_hold_is_told_in_points_seed_by_seed():
    found = []
    for seed in (1, 2):
        found += [
            result(Run("none", "alone", (name,), (), seed), value) for name, value in (("rgb", 32.0), ("depth", 39))
        ]
        found.append(result(Run("gemini", "after", ("rgb", "depth"), INGREDIENTS, seed), 60.0 + seed))
        found.append(result(Run("gemini", f"without {NOISE}", ("rgb", "depth"), (), seed), 61.0, **{HELD_OUT: 51.0}))
    data = summary(found)
    assert data["must_hold"] == {
        "noise low, at most 25 % lost": [-0.75, -1.5],
        "only rgb, the rival - 1": [-1.0, -1.0],
        "only depth, the rival - 1": [2.0, 2.0],
        "complete, best rival + 3": [19.0, 20.0],
        "held out, as without noise": [-1.0, -1.0],
    }
    row = next(row for row in data["table"] if row["kind"] == "after")
    assert row["scores"]["complete"] == [61.5, pytest.approx(0.7071)] and row["seeds"] == [1, 2]
    shown = list(lines(data))
    assert any("`gemini` after | 2 | 61.5 ± 0.7" in line for line in shown)
    assert "only rgb, the rival - 1: -1.0, -1.0 points, 0 of 2 seeds" in shown


def test_steps_of_a_kind_are_measured_beside_a_known_one(tmp_path, monkeypatch):
    """Twice as slow a machine halves no budget: what counts is how a kind compares with gemini after."""
    folder = write_folder(tmp_path / "set", frames=16)
    weights = save_checkpoint(SegmentationTask(nano("rgb")), tmp_path / "rgb.ckpt")
    args = Namespace(steps=None, dir=tmp_path, weights=weights, train=folder, val=folder, core_hours=0.15)
    after = next(run for run in runs((1,)) if (run.operator, run.kind) == ("gemini", "after"))
    alone = next(run for run in runs((2,)) if run.kind == "alone")
    (tmp_path / f"{after.cost}.steps").write_text("500")
    speed = itertools.cycle((1.0, 3.0))  # of the machine, round by round
    now = [0.0]

    def seconds(make):
        both = len(make()[0].network.modalities) == 2
        now[0] = next(speed) if both else now[0]
        return now[0] * (2.0 if both else 0.5)

    monkeypatch.setattr(ingredients, "step_seconds", seconds)
    assert steps_of(alone, args) == 2000
    assert steps_of(after, args) == 500
    monkeypatch.setattr(ingredients, "step_seconds", lambda make: 1 / 0)  # known from now on, for every seed
    assert steps_of(replace(alone, seed=3), args) == 2000


def test_gemini_runs_once_more_for_as_many_steps_as_concat(tmp_path):
    (tmp_path / "rgb_depth_concat_before.steps").write_text("974")
    (longer,) = (run for run in runs((1,)) if run.kind == AS_MANY_STEPS)
    assert (longer.operator, longer.ingredients) == ("gemini", ())
    assert steps_of(longer, Namespace(steps=None, dir=tmp_path)) == 974


@pytest.mark.slow
def test_the_table_at_toy_size_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    """Runs of one seed; one that was cut off goes on from its checkpoint, a second call makes none again."""
    kinds = ("alone", "after", f"without {NOISE}")
    some = [run for run in runs((1,)) if run.kind in kinds and run.operator != "concat"]
    monkeypatch.setattr(ingredients, "runs", lambda seeds: some)
    folder = write_folder(tmp_path / "set", frames=16)
    weights = save_checkpoint(SegmentationTask(nano("rgb")), tmp_path / "rgb.ckpt")
    out = tmp_path / "out"
    arguments = [f"--dir={out}", f"--weights={weights}", f"--train={folder}", f"--val={folder}", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", ["x", "ingredients", *arguments, "--frames=1", "--steps=2"])
    monkeypatch.setattr(ingredients, "CHECKPOINT_EVERY", timedelta(0))
    taken, given = [], SegmentationTask.training_step

    def cut_off_once(task, sample, index):
        taken.append(task.global_step)
        return given(task, sample, index) if len(taken) != 2 else 1 / 0

    monkeypatch.setattr(SegmentationTask, "training_step", cut_off_once)
    with pytest.raises(ZeroDivisionError):
        main()
    assert not list(out.glob("*.json")) and list((out / "checkpoints" / some[0].name).glob("*.ckpt"))
    main()
    assert taken[:4] == [0, 1, 1, 0]  # the first run goes on with its second step
    data = json.loads((out / "results.json").read_text())
    assert [run["kind"] for run in data["runs"]] == [run.kind for run in some]
    assert len(some) == 5 and not list((out / "checkpoints").iterdir())
    for run in data["runs"]:
        names = {"complete", "noise low", HELD_OUT} if "rgb" in run["modalities"] else {"complete", "noise low"}
        assert names <= set(run["scores"]) and run["core_seconds"] > 0 and run["steps"] == 2
    assert len(data["must_hold"]) == 5
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*seed1.json")}
    capsys.readouterr()
    main()
    assert stamps == {path: path.stat().st_mtime_ns for path in out.glob("*seed1.json")}
    assert "`gemini` after" in capsys.readouterr().out
