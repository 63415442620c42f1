"""Two evaluations beside each other: what differs beyond chance, verdicts, what is refused, where they disagree."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.cli import main
from gemini_ros.core.paired import Difference
from gemini_ros.evaluation.compare import compare_results
from gemini_ros.evaluation.differences import change_sentences, scored
from gemini_ros.evaluation.rules import FAIL, PASS, UNDECIDED, overall, parse_rule
from gemini_ros.evaluation.scores import TallyForm
from gemini_ros.evaluation.store import BagRecord
from test.evaluation.drive import BOX, write_drive
from test.evaluation.made_stores import NAMES, confusion_of, label_set, made_bag, made_store

FIXTURES = Path(__file__).parents[1] / "fixtures"
RIGHT = np.random.default_rng(5).uniform(0.5, 0.9, 12)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Twelve bags; those of ``worse`` have another name, and 0.6 to 1.4 points less of each class right."""
    folder = tmp_path_factory.mktemp("stores")
    less = np.random.default_rng(6).uniform(0.006, 0.014, 12)
    return {
        "a": made_store(folder / "a", [made_bag(f"bag{i}", r) for i, r in enumerate(RIGHT)]),
        "worse": made_store(
            folder / "worse",
            [
                made_bag(f"other{11 - i}", r - less[i], sha256=f"sum of bag{i}", frames=9 if i == 3 else 8)
                for i, r in enumerate(RIGHT)
            ],
        ),
        "three": made_store(folder / "three", [made_bag(f"bag{i}", 0.7) for i in range(3)]),
        "one": made_store(folder / "one", [made_bag("bag0", 0.7, frames=40)]),
        "one_worse": made_store(folder / "one_worse", [made_bag("bag0", 0.65, frames=40, drift=0.01)]),
    }


def test_a_model_that_is_worse_in_each_bag_is_worse(stores):
    data = compare_results(stores["a"], stores["worse"]).data
    assert data["units"] == "exact sign-flip over 12 bags"
    assert data["frames"] == {"both": 96, "only_a": 0, "only_b": 1, "scored": 96}
    iou = np.mean(RIGHT) / (2 - np.mean(RIGHT))
    miou = data["scores"]["miou"]
    assert miou["a"] == pytest.approx(iou, abs=1e-3) and miou["p"] == pytest.approx(2 / 4096, abs=1e-6)
    assert miou["low"] < miou["difference"] < miou["high"] < 0 and miou["change"] == "worse"
    person = data["scores"]["iou.person"]
    assert person["p"] == pytest.approx(6 / 4096, abs=1e-6) and person["change"] == "worse"  # of three classes
    assert data["scores"]["false_floor_80"]["change"] == "worse" and data["scores"]["false_floor_80"]["difference"] > 0
    assert data["scores"]["flicker"] | {"change": None} == data["scores"]["flicker"]
    assert data["scores"]["boundary_f1"]["a"] is None and data["scores"]["boundary_f1"]["units"] == 0
    assert list(data["conditions"]) == ["light"] and data["conditions"]["light"]["dark"]["frames"] == 48
    assert data["bags"]["bag3"]["scores"]["miou"]["difference"] < 0
    assert data["disagreement"]["classes"]["floor"]["a"] > 0.3 and data["disagreement"]["pixels"] is None
    back = compare_results(stores["worse"], stores["a"]).data["scores"]
    for name, found in data["scores"].items():
        if found["low"] is not None:
            assert back[name]["high"] == pytest.approx(-found["low"], abs=1e-6)


def test_the_same_is_the_same(stores, capsys):
    data = compare_results(stores["a"], stores["a"], [parse_rule("miou<-0.5"), parse_rule("flicker>0")]).data
    assert data["verdict"] == PASS and {each["change"] for each in data["scores"].values()} == {None}
    assert data["scores"]["miou"] | {"low": 0, "high": 0, "p": 1} == data["scores"]["miou"]
    assert all(frame["differing"] == 0 for frame in data["disagreement"]["frames"])


def test_a_difference_is_a_change_where_all_of_its_interval_matters():
    """Of a model exported again a rare class moves by less than 0.1 points, but so in each bag."""
    sure = Difference(0.2276, 0.2281, 20, 0.0002, 0.0009, 0.0003)
    far = replace(sure, second=0.2206, low=-0.009, high=-0.0051)
    found = scored({"iou.pallet": sure, "iou.cone": far, "miou": replace(far, high=-0.0009)})
    assert [found[name]["change"] for name in found] == [None, "worse", None]
    assert list(change_sentences(found)) == [
        "Surely worse by more than 0.1 points: iou.cone -0.70.",
        "Beyond chance, but perhaps by less: iou.pallet +0.05, miou -0.70.",
    ]
    assert list(change_sentences(scored({"iou.pallet": sure}))) == [
        "No score surely differs by more than 0.1 points.",
        "Beyond chance, but perhaps by less: iou.pallet +0.05.",
    ]
    rise = replace(sure, second=0.24, low=0.011, high=0.013)
    told = scored({"false_floor_80": rise, "corridor_false_free": replace(rise, second=3.0, low=0.2, high=5.0)})
    assert {each["change"] for each in told.values()} == {"worse"}


def test_few_bags_have_no_interval_and_one_has_blocks(stores):
    few = compare_results(stores["three"], stores["three"], [parse_rule("miou<-50")])
    assert few.data["units"] == "none: 3 bags, 6 are needed" and few.data["verdict"] == UNDECIDED and few.status == 1
    one = compare_results(stores["one"], stores["one_worse"], [parse_rule("miou<-2"), parse_rule("iou.wall<-9")])
    assert one.data["units"] == "exact sign-flip over blocks of 2 s of one bag: they say nothing of another drive"
    assert one.data["scores"]["miou"]["units"] == 10 and one.data["scores"]["miou"]["high"] < -0.02
    assert [each["verdict"] for each in one.data["fail_if"]] == [FAIL, PASS] and one.status == 1


def test_blocks_of_one_bag_hold_the_same_frames_where_one_side_begins_later(tmp_path: Path):
    """B is A less its first second: what both have is equal, so no block of two seconds may differ."""
    rights = np.random.default_rng(7).uniform(0.4, 0.9, 42)
    whole = made_store(tmp_path / "whole", [made_bag("bag0", rights, frames=42)])
    later = made_store(tmp_path / "later", [made_bag("bag0", rights[2:], frames=40, first=2)])
    data = compare_results(whole, later, [parse_rule("miou<-0.5")]).data
    assert data["frames"] == {"both": 40, "only_a": 2, "only_b": 0, "scored": 40} and data["verdict"] == PASS
    assert data["scores"]["miou"] | {"low": 0, "high": 0, "p": 1, "units": 10} == data["scores"]["miou"]


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        ("miou<-0.5", -0.02, -0.0051, FAIL),
        ("miou < -0.5", -0.02, -0.005, UNDECIDED),
        ("miou<-0.5", -0.005, 0.3, PASS),
        ("flicker>+.5", 0.0051, 0.02, FAIL),
        ("flicker>0.5", 0.004, 0.02, UNDECIDED),
        ("flicker>0.5", -0.02, 0.005, PASS),
        ("map_known<-20", -19, 5, PASS),  # cells
        ("iou.a class<0", None, None, UNDECIDED),
    ],
)
def test_a_rule_passes_fails_or_is_not_decided(rule, low, high, verdict):
    assert parse_rule(rule).judge(Difference(0.5, 0.5, 9, low, high)) == verdict


def test_the_worst_verdict_counts():
    words = [{"verdict": word} for word in (PASS, UNDECIDED, FAIL)]
    assert [overall(words[:n]) for n in range(4)] == [None, PASS, UNDECIDED, FAIL]
    for wrong in ("miou", "miou<", "<3", "miou<-0.5%", "miou=0", "miou<nan"):
        with pytest.raises(ValueError, match=r"expected SCORE<POINTS or SCORE>POINTS"):
            parse_rule(wrong)


def test_unlike_things_are_refused_with_the_lists(stores, tmp_path: Path, capsys):
    other = made_store(tmp_path / "other", [made_bag("bag0", 0.7), made_bag("new", 0.7)])
    classes = made_store(
        tmp_path / "classes", [made_bag("bag0", 0.7)], {"label_set": json.dumps(label_set(("floor", "wall", "cat")))}
    )
    truth = made_store(tmp_path / "truth", [made_bag("bag0", 0.7)], {"truth_map": '{"classes": {}}'})
    later = made_store(tmp_path / "later", [made_bag("bag0", 0.7)])
    for second, said in (
        (other, "alone has bag1, bag10, bag11, bag2,"),
        (other, f"{other}/frames.sqlite alone has new: evaluate both on the same ones"),
        (classes, "has floor, wall, person; "),
        (classes, "has floor, wall, cat: scores of other classes cannot be compared"),
        (truth, "the truth differs: --map of"),
        (tmp_path, "no such file, expected the frames.sqlite"),
    ):
        assert main(["compare", str(stores["a"]), str(second)]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"score 'iou.cat', expected one of miou, iou.floor"):
        compare_results(later, later, [parse_rule("iou.cat<0")])


def test_a_bag_that_neither_could_use_is_told(tmp_path: Path, capsys):
    bags = [made_bag("bag0", 0.7), BagRecord.of("cut", "", "truncated or corrupt")]
    stores = [made_store(tmp_path / name, bags) for name in "ab"]
    assert main(["compare", *map(str, stores)]) == 2
    assert "not used: cut: truncated or corrupt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fail-if", "miou"], "fail-if 'miou', expected SCORE<POINTS"),
        (["--bags", "x"], "--bags is for models and parameter files"),
    ],
)
def test_wrong_words_for_results(stores, words, said, capsys):
    assert main(["compare", str(stores["one"]), str(stores["one"]), *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x.onnx", "y.onnx"], "x.onnx, y.onnx is no folder of results, expected --bags"),
        (["x.yaml", "y.yaml", "--bags", "b", "--out", "o"], "x.yaml is a parameter file, expected --model"),
        (["x.onnx", "y", "--model", "m", "--bags", "b", "--out", "o"], "x.onnx is a model, expected no --model"),
    ],
)
def test_wrong_words_for_what_is_to_be_evaluated(words, said, capsys):
    assert main(["compare", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("no_such_model", "model no_such_model: No such file or directory"),
        ("notes.onnx", "notes.onnx: "),
        ("empty", "frames.sqlite: no such file, expected"),
    ],
)
def test_both_sides_are_looked_at_before_the_first_is_evaluated(tmp_path, monkeypatch, capsys, second, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.onnx").write_text("no model")
    (tmp_path / "empty").mkdir()
    bag = write_drive(tmp_path / "d.mcap", frames=2)
    words = ["compare", str(FIXTURES / "tiny_rgb_depth.onnx"), second, "--bags", str(bag), "--out", "out"]
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_for_the_comparison_that_cannot_be_written_is_told_first(stores, tmp_path: Path, capsys):
    (tmp_path / "file").touch()
    assert main(["compare", str(stores["a"]), str(stores["worse"]), "--out", str(tmp_path / "file")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"--out {tmp_path / 'file'}: is a file, expected a folder" in err


def test_the_table_and_the_files(stores, tmp_path: Path, capsys):
    words = [str(stores["a"]), str(stores["worse"]), "--fail-if", "miou<-5", "--out", str(tmp_path)]
    assert main(["compare", *words]) == 0
    said = capsys.readouterr().out
    assert f"A  {stores['a']}\nB  {stores['worse']}\n96 frames in both, 1 in B alone, 96 with truth\n" in said
    (row,) = [line for line in said.splitlines() if line.startswith("iou.person ")]
    assert row.endswith("worse") and " to -" in row
    assert "mIoU by light\ndark" in said and "\npass      fail if miou<-5\n" in said and "boundary_f1" not in said
    data, times = (json.loads((tmp_path / name).read_text()) for name in ("compare.json", "times.json"))
    assert data["a"]["run"]["model"] == "a" and data["verdict"] == PASS
    assert times["latency_ms"]["queue"]["a"] == times["latency_ms"]["queue"]["b"]
    page = (tmp_path / "report.html").read_text()
    assert "iou.person" in page and "96 frames in both, 1 in B alone" in page
    assert main(["compare", *words[:2], "--fail-if", "miou<-0.1"]) == 1


def test_two_models_on_bags_pixel_by_pixel(tmp_path: Path, capsys):
    """The same network in fp32 and fp16, and with a parameter that keeps frames from being pairs."""
    bags = [write_drive(tmp_path / f"d{i}.mcap", frames=3 + i) for i in range(2)]
    words = ["compare", str(FIXTURES / "tiny_rgb_depth.onnx"), str(FIXTURES / "tiny_rgb_depth_fp16.onnx")]
    more = ["--bags", *map(str, bags), "--out", str(tmp_path / "out"), "--camera-in-base", "0.2,0,0.6,0,0.2,0"]
    assert main([*words, *more]) == 0
    said = capsys.readouterr().out
    assert "7 frames in both, 7 with truth" in said and "intervals: none: 2 bags, 6 are needed" in said
    data = json.loads((tmp_path / "out/compare.json").read_text())
    pixels, cells = (data["disagreement"][what] for what in ("pixels", "cells"))
    assert pixels["compared"] == 7 * 64 * 96 and pixels["differing"] < 0.01 * pixels["compared"]
    assert cells["compared"] > 0 and data["disagreement"]["notes"] == []
    assert {frame["bag"] for frame in data["disagreement"]["frames"]} == {"d0", "d1"}
    assert data["a"]["run"]["model_sha256"] != data["b"]["run"]["model_sha256"]
    assert "data:image/webp" in (tmp_path / "out/report.html").read_text()
    assert "network" in json.loads((tmp_path / "out/times.json").read_text())["latency_ms"]


def test_maps_and_labels_that_differ_are_counted(tmp_path: Path):
    from gemini_ros.evaluation.disagreement import CELLS, Disagreement, _count

    table = np.zeros((4, 4), np.int64)
    _count(table, np.array([0, 1, 3, 255], np.uint8), np.array([0, 2, 3, 1], np.uint8))
    found = Disagreement(table, np.array([[1, 2, 0, 1], [0, 4, 0, 0]]), frames=[("a", 1, 0.1), ("a", 2, 0.4)])
    data = found.to_dict(("x", "y", "z"))
    assert data["pixels"] == {
        "compared": 4,
        "differing": 2,
        "pairs": [{"a": "y", "b": "z", "count": 1}, {"a": "unlabelled", "b": "y", "count": 1}],
    }
    assert data["cells"] is None and len(CELLS) == 4 and BOX != 0
    assert data["classes"] == {
        "x": {"a": 0.25, "b": 0.0},
        "y": {"a": 0.5, "b": 1.0},
        "unlabelled": {"a": 0.25, "b": 0.0},
    }
    assert [frame["stamp_ns"] for frame in data["frames"]] == [2, 1]


def test_runs_of_a_training_are_compared_image_by_image(tmp_path: Path, capsys):
    rng = np.random.default_rng(2)
    for name, less in (("a", 0.0), ("b", 0.01)):
        counts = np.stack([confusion_of(right - less) for right in rng.uniform(0.6, 0.8, 1) + np.linspace(0, 0.1, 30)])
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "frames.npz", counts=counts)
        scores = {"complete": {"all": {"iou": dict.fromkeys(NAMES, 0.5)}}}
        (tmp_path / name / "scores.json").write_text(json.dumps(scores))
        rng = np.random.default_rng(2)
    words = ["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path)]
    assert main([*words, "--fail-if", "miou<-0.5"]) == 1
    said = capsys.readouterr().out
    assert "intervals: exact sign-flip over 30 images" in said and "fail      fail if miou<-0.5" in said
    assert "flicker" not in json.loads((tmp_path / "compare.json").read_text())["scores"]
    np.savez(tmp_path / "b/frames.npz", counts=np.stack([confusion_of(0.5)] * 9))
    assert main(words) == 2
    assert "30 images, " in capsys.readouterr().err


def test_scores_of_a_form_are_those_of_the_store():
    form = TallyForm(NAMES)
    tally = np.zeros(form.size)
    tally[form.at["confusion"]] = confusion_of(0.8).ravel()
    assert form.of(tally)["miou"] == pytest.approx(0.8 / 1.2)
