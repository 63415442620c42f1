"""What a drive is worth, at toy size: a home of some seconds, a toy model, and the numbers that are read off."""

import json
import sys

import cv2
import numpy as np
import pytest

from benchmarks import adaptation
from benchmarks.adaptation import ADAPTED, BEFORE, SUPERVISED
from gemini_ros.core.labels import load_label_set
from test.training.short_drives import shorten_drives
from test.training.test_adaptation import weights
from test.training.toy import write_folder

pytestmark = pytest.mark.torch
SCORES = adaptation.scores_of(np.arange(5) == 0)


@pytest.fixture
def short_drives(monkeypatch):
    shorten_drives(monkeypatch, way_m=0.3, period_s=0.8, block_s=0.3, near_m=0.001)


def arguments(tmp_path, mode, label_set="nav5", **others):
    words = [
        mode,
        "--dir",
        str(tmp_path / "runs"),
        "--model",
        str(weights(tmp_path / "toy.safetensors", "rgb", "depth", label_set=label_set)),
    ]
    words += ["--simulation", str(tmp_path / "sim"), "--size", "96", "64", "--every", "0", "--judged", "6"]
    words += ["--core-hours", "0.0005", "--json", str(tmp_path / "found.json")]
    for name, value in ({"duration": "8"} | others).items():
        words += [f"--{name}", *str(value).split()]
    return words


def run(monkeypatch, words):
    monkeypatch.setattr(sys, "argv", ["adaptation", *words])
    adaptation.main()


@pytest.mark.slow
@pytest.mark.parametrize("label_set", ["nav5", "warehouse"])
def test_a_place_is_learnt_beside_its_twin_once(tmp_path, short_drives, monkeypatch, capsys, label_set):
    sim = write_folder(tmp_path / "sim", frames=64)
    words = arguments(tmp_path, "good", label_set, old=sim)
    run(monkeypatch, words)
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    (place,) = found["runs"]
    assert not place["refused"]
    assert set(place["counts"]["judge"]) == {BEFORE, ADAPTED, SUPERVISED}
    assert set(place["counts"]["old"]) == {BEFORE, ADAPTED}
    totals = {np.sum(counts) for counts in place["counts"]["judge"].values()}
    assert totals == {3 * 6 * 96 * 64}
    assert {np.shape(counts) for counts in place["counts"]["judge"].values()} == {(3, 3, 3)}
    classes = len(load_label_set(label_set))
    assert {np.shape(counts) for counts in place["counts"]["old"].values()} == {(3, classes, classes)}
    conditions = ("", ", without rgb", ", without depth")
    names = {f"{name}{of}" for name in ("mIoU", "floor IoU", "falsely floor") for of in conditions}
    assert set(found["scores"]["judge"]["adapted"]) == names
    assert all(step["core_seconds"] >= 0 and step["peak_mb"] > 100 for step in place["steps"].values())
    assert {"learn", "judge", "adapt", "supervised"} < set(place["steps"])

    folder = tmp_path / "runs/home_1"
    stems = (folder / "adapt/labels/learn.csv").read_text().split()[1:]
    twins = sorted(path.stem for path in (folder / "twin/labels/classes").iterdir())
    assert twins == sorted(stems)
    known = np.unique([cv2.imread(str(path), 0) for path in (folder / "twin/labels/classes").iterdir()])
    assert len(known) > 1 and set(known) <= {*range(classes), 255}
    assert "confidence" not in (folder / "twin/learn.yaml").read_text()
    assert "| floor IoU |" in said and "home_1: supervised," in said
    run(monkeypatch, words)
    assert "core-seconds" not in capsys.readouterr().out


def test_a_bad_drive_is_refused_by_name(tmp_path, monkeypatch, capsys):
    write_folder(tmp_path / "sim", frames=64)
    monkeypatch.setitem(adaptation.BAD, "short", {"duration": 1.0})
    run(monkeypatch, arguments(tmp_path, "bad", kinds="short", duration=1))
    (found,) = json.loads((tmp_path / "found.json").read_text())["runs"]
    assert "learn.mcap: teaches nothing: " in found["refused"] and str(tmp_path) not in found["refused"]
    assert set(found["counts"]["judge"]) == {BEFORE}
    assert "| home_1_short | learn.mcap: teaches nothing: " in capsys.readouterr().out


def test_a_folder_holds_the_runs_of_one_plan(tmp_path):
    plan = {"duration": 60.0, "model": "m"}
    for _ in range(2):
        adaptation.require_same_plan(tmp_path / "plan.json", plan)
    with pytest.raises(ValueError, match="holds runs of other duration: choose another folder"):
        adaptation.require_same_plan(tmp_path / "plan.json", plan | {"duration": 180.0})


def confusion(right, floor_wrong, other_wrong):
    """Floor that is right or called obstacle, and as much obstacle, of which some is called floor."""
    counts = np.zeros((5, 5))
    counts[0, :2] = right, floor_wrong
    counts[1, :2] = other_wrong, right + floor_wrong - other_wrong
    return counts


def test_scores_are_of_what_is_there():
    found = SCORES(confusion(80, 20, 10).reshape(-1))
    assert found["floor IoU"] == pytest.approx(80 / 110)
    assert found["falsely floor"] == pytest.approx(0.1)
    assert found["mIoU"] == pytest.approx((80 / 110 + 90 / 120) / 2)


def test_the_gap_is_that_of_the_pooled_places():
    before = np.stack([confusion(60 + i, 40 - i, 20).reshape(-1) for i in range(6)])
    adapted = np.stack([confusion(75 + i, 25 - i, 15).reshape(-1) for i in range(6)])
    supervised = np.stack([confusion(90 + i, 10 - i, 10).reshape(-1) for i in range(6)])
    judged = {BEFORE: before, ADAPTED: adapted, SUPERVISED: supervised}
    found = adaptation.gaps(judged, SCORES)
    assert found["falsely floor"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert found["floor IoU"]["low"] <= found["floor IoU"]["value"] <= found["floor IoU"]["high"]
    assert adaptation.gaps({**judged, SUPERVISED: before}, SCORES)["mIoU"]["value"] is None
    few = adaptation.gaps({name: counts[:2] for name, counts in judged.items()}, SCORES)
    assert few["falsely floor"] == {"value": 0.5, "low": None, "high": None}
    rows = adaptation.differences(before, adapted, SCORES)
    assert rows["falsely floor"]["difference"] == pytest.approx(-5)
    assert rows["floor IoU"]["low"] is not None and rows["floor IoU"]["places"] == 6
