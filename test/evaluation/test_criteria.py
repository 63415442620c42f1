"""Scores by condition and criteria, on a store whose frames are known by hand."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from gemini_ros.cli import main
from gemini_ros.core.labels import load_label_set
from gemini_ros.evaluation.criteria import read_criteria
from gemini_ros.evaluation.results import read_results
from gemini_ros.evaluation.store import FORMAT, STORE, BagRecord, Store, write_store
from gemini_ros.evaluation.truth import read_truth_map
from gemini_ros.pipeline.statistics import Counters, LatencyStatistics
from gemini_ros.pipeline.summary import summarise
from gemini_ros.pipeline.sync import StreamCounts

NAV5 = load_label_set("nav5")
RUN = {
    "format": str(FORMAT),
    "model": "m",
    "label_set": json.dumps(NAV5.to_dict()),
    "backend": "onnxruntime",
    "threads": "1",
}
FLOOR, OBSTACLE = 0, 1
DAY, DARK = 1, 3  # wrong pixels of each class of 10


def bag(name: str, *, received: int = 4, segmented: int = 4, unused: tuple[str, ...] = ()) -> BagRecord:
    """Two frames by day and two in the dark, a second apart; of 10 floor and 10 obstacle pixels some are exchanged."""
    record = BagRecord(name)
    counts = StreamCounts(received, segmented, 0, {})
    summary = summarise(
        streams={"rgb": counts, "depth": counts},
        counters=Counters(pairs=segmented, inferences=segmented, labels_published=segmented),
        latencies=LatencyStatistics(),
        backend="onnxruntime",
        mode_changes=(),
        model_sha256="",
        unused=unused,
    )
    record.add("bags", name, 0, 4_000_000_000, "{}", summary.to_json(), None)
    for i in range(segmented):
        wrong, light = (DAY, "day") if i < 2 else (DARK, "dark")
        record.add(
            "frames", i, i, i, float(i), "c", "normal", "rgb+depth", 0, 0.9, 100, wrong, "odom", 50, 20, 5, "", 0, 0, 0
        )
        for truth, predicted in ((FLOOR, OBSTACLE), (OBSTACLE, FLOOR)):
            record.add("confusion", i, truth, truth, 10 - wrong)
            record.add("confusion", i, truth, predicted, wrong)
        record.add("calibration", i, 14, 20, 20 - 2 * wrong, 20 * 255)
        for confidence, falsely in ((0.5, wrong), (0.8, wrong - 1), (0.95, 0)):
            record.add("floor", i, confidence, 10, falsely)
        record.add("conditions", i, "light", light)
        record.add("conditions", i, "/lights", str(i == 3))
    record.add("elapsed", 2.0)
    return record


def stored(folder: Path, *records: BagRecord) -> Path:
    write_store(folder / STORE, RUN, records)
    return folder


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Path:
    return stored(tmp_path_factory.mktemp("three"), bag("day"), bag("night_1"), bag("night_2"))


def judged(folder: Path, text: str, *options: str) -> int:
    (folder / "criteria.yaml").write_text(text)
    words = ["results", "merge", str(folder), "--out", str(folder / "out"), "--criteria", str(folder / "criteria.yaml")]
    return main([*words, *options])


def test_scores_are_told_for_each_condition(tmp_path: Path):
    with Store(stored(tmp_path, *map(bag, "abcdefgh")) / STORE) as store:
        results = read_results(store)
    data = results.data

    def value(name: str, of: dict = data) -> float:
        return of["scores"][name]["value"]

    by = data["conditions"]
    assert value("miou") == pytest.approx(16 / 24, abs=1e-6)  # 8 of 10 right, 2 + 2 wrong
    assert [value("miou", by["light"][light]) for light in ("day", "dark")] == [
        pytest.approx(9 / 11, abs=1e-6),
        pytest.approx(7 / 13, abs=1e-6),
    ]
    assert (value("pixel_accuracy"), value("iou.person"), value("flicker")) == (0.8, None, 0.02)
    assert value("calibration_error") == pytest.approx(0.2)
    (top,) = data["reliability"]
    assert top == {"pixels": 640, "confidence": 1.0, "right": 0.8}
    assert [value(f"false_floor_{c}") for c in (50, 80, 95)] == [0.2, 0.1, 0.0]
    assert value("false_floor_80", by["light"]["dark"]) == 0.2
    assert [by["/lights"][said]["frames"] for said in ("False", "True")] == [24, 8]
    assert (data["frames"], data["scored_frames"], data["intervals"]) == (32, 32, "bootstrap-t over 8 bags")
    assert results.times["bag_seconds_per_second"] == 2.0
    assert results.status == 0 and results.sentences() == []
    page = "\n".join(results.lines())
    assert "mIoU 0.6667" in page and "false floor 20.00 % at 0.50, 10.00 % at 0.80, 0.00 % at 0.95" in page


def test_a_single_bag_says_that_its_interval_is_of_blocks(tmp_path: Path):
    with Store(stored(tmp_path, bag("a")) / STORE) as store:
        assert read_results(store).data["intervals"] == "blocks of 2 s of one bag: they say nothing of another drive"


@pytest.mark.parametrize(
    ("entry", "failure"),
    [
        ("{score: miou, at_least: 0.66}", ""),
        ("{score: miou, at_least: 0.67}", "miou at least 0.67: found 0.6667 over 12 frames of 3 bags"),
        ("{score: miou, condition: {light: day}, at_least: 0.81, at_most: 0.82}", ""),
        ("{score: miou, condition: {light: dark}, at_least: 0.6}", "light dark: found 0.5385 over 6 frames of 3 bags"),
        ("{score: iou.floor, condition: {seconds: [0, 1.5]}, at_least: 0.8}", ""),
        ("{score: false_floor_80, condition: {/lights: true}, at_most: 0.1}", "found 0.2000 over 3 frames of 3 bags"),
        ("{score: flicker, bags: [night_*], at_most: 0.01}", "bags night_*: found 0.0200 over 8 frames of 2 bags"),
        ("{score: miou, bags: dusk, at_least: 0}", "bags dusk: nothing to measure in 0 frames of 0 bags"),
        ("{score: iou.person, at_least: 0}", "nothing to measure in 12 frames of 3 bags"),
        ("{score: miou, condition: {light: dark, /lights: false}, at_least: 0.54}", "found 0.5385 over 3 frames"),
    ],
)
def test_a_criterion_passes_or_says_why_it_failed(entry, failure, three: Path, tmp_path: Path):
    (tmp_path / "criteria.yaml").write_text(f"- {entry}\n")
    with Store(three / STORE) as store:
        results = read_results(store, read_criteria(tmp_path / "criteria.yaml"))
    (verdict,) = results.verdicts
    assert results.status == bool(failure) and failure in verdict.failure and bool(failure) == bool(verdict.failure)
    assert results.lines()[-1].startswith("failed  " if failure else "passed  ")
    assert results.data["criteria"][0]["passed"] is not bool(failure)


def test_the_command_ends_with_1_and_tells_junit(three: Path, tmp_path: Path, capsys):
    text = "- {score: miou, at_least: 0.6}\n- {score: miou, at_least: 0.9, bags: day}\n"
    out = stored(tmp_path, *map(bag, ("day", "night_1")))
    assert judged(out, text, "--junit", str(tmp_path / "junit.xml")) == 1
    said, failed = capsys.readouterr()
    assert "passed  miou at least 0.6" in said
    assert failed == (
        "gemini-ros: criterion failed: miou at least 0.9; bags day: found 0.6667 over 4 frames of 1 bags\n"
    )
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    suites = [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root]
    assert suites == [("bags", "2", "0"), ("criteria", "2", "1")]
    assert ["found 0.6667" in case.get("message", "") for case in root.iter("failure")] == [True]
    assert judged(out, text.splitlines()[0]) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"segmented": 0, "received": 0}, "b: nothing was segmented"),
        ({"received": 5}, "b: broken identity: rgb: received 5, but in_pairs 4"),
        ({"unused": ("depth",)}, "b: depth brought nothing usable"),
    ],
)
def test_one_bad_bag_gives_status_1(wrong, said, tmp_path: Path, capsys):
    folder = stored(tmp_path, bag("a"), bag("b", **wrong))
    assert judged(folder, "- {score: miou, at_least: 0}\n", "--junit", str(tmp_path / "junit.xml")) == 1
    assert said in capsys.readouterr().err
    cases = ElementTree.parse(tmp_path / "junit.xml").getroot().findall("testsuite[@name='bags']/testcase")
    assert [len(case) for case in cases] == [0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {score: mIoU, at_least: 0.5}", "score 'mIoU', expected one of miou, iou.floor"),
        ("- {score: miou}", "entry 1: no limit, expected at_least or at_most"),
        ("- {score: miou, at_least: high}", "at_least 'high', expected a number"),
        ("- {score: miou, at_least: .nan}", "at_least nan, expected a number"),
        ("- {score: miou, at_least: 0.5, at_most: 0.4}", "at_least 0.5 is above at_most 0.4"),
        ("- {score: miou, minimum: 0.5}", "keys ['minimum', 'score'], expected exactly ['score'] and any of"),
        ("- {score: miou, at_least: 0, condition: dark}", "condition 'dark', expected a mapping such as light: dark"),
        ("- {score: miou, at_least: 0, condition: {seconds: 3}}", "seconds 3, expected the first and the last second"),
        ("- {score: miou, at_least: 0, bags: [1]}", "bags [1], expected names or patterns such as night_*"),
        ("score: miou", "expected a list with a score in each entry"),
    ],
)
def test_wrong_criteria_are_told(text, said, tmp_path: Path, capsys):
    assert judged(stored(tmp_path, bag("a")), text) == 2
    assert said in capsys.readouterr().err


def test_the_criteria_and_the_map_of_the_docs_are_right(tmp_path: Path):
    page = (Path(__file__).parents[2] / "docs/scores.md").read_text(encoding="utf-8")
    truth_map, coarse, criteria = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "c.yaml").write_text(criteria)
    (tmp_path / "m.yaml").write_text(truth_map)
    assert len(read_criteria(tmp_path / "c.yaml")) == 5
    assert read_truth_map(tmp_path / "m.yaml").table(NAV5)[4] == FLOOR
    (tmp_path / "coarse.yaml").write_text(coarse)
    assert set(read_truth_map(tmp_path / "coarse.yaml").merged) == {"ground", "obstacle"}


def test_true_and_false_are_words(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("- {score: miou, at_least: 0, condition: {/lights: true, light: 3}}\n")
    (criterion,) = read_criteria(tmp_path / "c.yaml")
    assert criterion.selection.condition == (("/lights", "True"), ("light", "3"))
