"""Boxes in an evaluation: rows of the store, scores by light and distance, criteria, the page, and comparisons."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import BOXES_TOPIC
from gemini_ros.bags.writer import BagWriter
from gemini_ros.core.box_scores import average_precision
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.resources import find_model
from gemini_ros.evaluation.box_tally import SCORE_STEPS, score_limits
from gemini_ros.evaluation.boxes import BoxRecorder
from gemini_ros.evaluation.compare import compare_results
from gemini_ros.evaluation.criteria import Criterion
from gemini_ros.evaluation.page import evaluation_page
from gemini_ros.evaluation.pipeline import evaluate_bag
from gemini_ros.evaluation.results import read_results
from gemini_ros.evaluation.rules import parse_rule
from gemini_ros.evaluation.scores import Selection
from gemini_ros.evaluation.store import STORE, BagRecord, Store
from gemini_ros.pipeline.bag_walk import Result
from gemini_ros.pipeline.settings import make_settings
from gemini_ros.pipeline.statistics import Counters, LatencyStatistics
from gemini_ros.pipeline.summary import summarise
from gemini_ros.pipeline.sync import Match, StreamCounts
from gemini_ros.simulation.drive_bag import write_drive_bag
from test.evaluation.made_stores import label_set, made_bag, made_store

FLOOR, WALL, PERSON = range(3)


def whole_bag(name: str) -> BagRecord:
    """Eight frames, with a summary."""
    record, counts = made_bag(name, 0.9), StreamCounts(8, 8, 0, {})
    summary = summarise(
        streams={"rgb": counts, "depth": counts},
        counters=Counters(pairs=8, inferences=8, labels_published=8),
        latencies=LatencyStatistics(),
        backend="onnxruntime",
        mode_changes=(),
        model_sha256="",
        unused=(),
    )
    sha256, start_ns, duration_ns, topics, _, error = record.rows["bags"][0]
    record.rows["bags"] = [(sha256, start_ns, duration_ns, topics, summary.to_json(), error)]
    return record


def bag(name: str, error_m: float, missed: int = 0) -> BagRecord:
    """Eight frames a metre apart, the first four in the dark. A person 3 m away is found but in the first ``missed``.

    One at 7 m is found by day, where the third frame calls them by another id; one box in each frame is wrong.
    """
    record = whole_bag(name)
    for i in range(8):
        record.add("box_frames", i, float(i > 0))
        found = i >= missed
        record.add("true_things", i, PERSON, 1, 3.0, 900, 5 if found else None, error_m if found else None, 0)
        record.add("boxes", i, PERSON, 9, 0.3, 0, 0)
        if found:
            record.add("boxes", i, PERSON, 5, 0.9, 1, int(error_m < 0.2))
        if i >= 4:
            record.add("true_things", i, PERSON, 2, 7.0, 200, 6, 0.21, int(i == 6))
            record.add("boxes", i, PERSON, 6, 0.7, 1, 0)
    return record


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return stored(tmp_path_factory.mktemp("boxes") / "a", *[bag(f"b{i}", 0.05 + 0.02 * i, missed=1) for i in range(6)])


def stored(folder: Path, *bags: BagRecord) -> Path:
    classes = label_set()
    classes["classes"][PERSON]["instances"] = True
    return made_store(folder, list(bags), {"label_set": json.dumps(classes)})


def test_scores_of_boxes_are_told_by_light_and_distance(folder: Path):
    with Store(folder / STORE) as store:
        data = read_results(store).data
    scores, dark = data["scores"], data["conditions"]["light"]["dark"]["scores"]
    value = {name: each["value"] for name, each in scores.items() if name.startswith("box_")}
    assert value["box_recall.person"] == pytest.approx(66 / 72, abs=1e-4)
    assert value["box_recall_within_5_m.person"] == value["box_recall_2_5_m.person"] == 0.875
    assert value["box_recall_5_8_m.person"] == 1.0
    assert value["box_recall_8_m.person"] is None
    assert value["box_error_within_5_m.person"] == pytest.approx(0.1, abs=0.02)
    assert value["box_error_5_8_m.person"] == pytest.approx(0.21, abs=0.01)
    assert value["box_ap_25.person"] == pytest.approx(66 / 72, abs=1e-4)
    assert value["box_ap_50.person"] == pytest.approx(42 / 72, abs=1e-4)
    assert value["box_id_switches"] == pytest.approx(100 / 7, abs=1e-4)
    error = scores["box_error_within_5_m.person"]
    assert error["low"] < error["value"] < error["high"]
    assert dark["box_recall.person"]["value"] == 0.75
    assert not any(name.endswith(".wall") for name in value)


def test_the_order_of_scores_counts_and_boxes_that_are_forgiven_do_not(tmp_path: Path):
    record = whole_bag("b")
    for i in range(8):
        record.add("box_frames", i, 0.0)
        record.add("true_things", i, PERSON, 1, 3.0, 900, 5, 0.1, 0)
        record.add("boxes", i, PERSON, 5, 0.99 + 1e-5 * i, 1, 1)
        record.add("boxes", i, PERSON, 6, 0.989, 0, 0)
        record.add("boxes", i, PERSON, 7, 0.995, 1, None)
        record.add("boxes", i, PERSON, 8, 0.996, None, 0)
    with Store(stored(tmp_path / "a", record) / STORE) as store:
        scores = read_results(store).data["scores"]
    assert scores["box_ap_25.person"]["value"] == 2.0  # 16 right ones of 8 that were asked for
    assert scores["box_ap_50.person"]["value"] == pytest.approx(0.5)


@pytest.mark.parametrize("count", [1, 200, 250, 20_000])
def test_places_in_the_order_of_scores_are_filled_alike(count: int):
    scores = 1 - np.random.default_rng(1).random(count) ** 4 / 50
    limits = score_limits(scores.tolist())
    places = np.searchsorted(limits, scores, side="right")
    filled = np.bincount(places, minlength=SCORE_STEPS)
    assert len(filled) == SCORE_STEPS
    assert filled.max() == -(-count // SCORE_STEPS)
    order = np.argsort(scores)
    assert (np.diff(places[order]) >= 0).all()
    right = (np.random.default_rng(2).random(count) < (scores - 0.98) / 0.02).astype(float)
    exact = average_precision(np.ones(count), right[order], np.array(float(count)))
    stepped = average_precision(
        filled.astype(float), np.bincount(places, right, SCORE_STEPS).astype(np.float64), np.array(float(count))
    )
    assert stepped == pytest.approx(exact, abs=0.002 if count > SCORE_STEPS else 1e-12)
    assert not len(score_limits([]))
    assert not len(score_limits([0.5, 0.5]))


def test_boxes_in_another_frame_than_the_truth_are_told(tmp_path: Path):
    labels = load_label_set("warehouse")
    with BagWriter(tmp_path / "truth.mcap") as writer:
        for stamp in range(3):
            text = json.dumps({"stamp_ns": stamp, "frame_id": "map_", "boxes": []})
            writer.write(BOXES_TOPIC, messages.string(text), stamp)
    frame = Frame(0, "camera", np.zeros((4, 6, 3), np.uint8))
    segmentation = Segmentation(np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8))
    occupancy = Occupancy(np.zeros((2, 2), np.int8), 0.05, (0.0, 0.0), 0)
    seen = Result(frame, "", 0, segmentation, occupancy, "odom", (0.0, 0.0, 0.0), Match(0, {}, "pair"), "", {})
    with BagReader(tmp_path / "truth.mcap") as reader:
        recorder = BoxRecorder(reader, labels)
        for stamp in range(4):
            assert recorder.add(replace(seen, frame=replace(frame, stamp_ns=stamp)), "day") is None
        assert recorder.notes() == [
            "in 3 frames no box was scored: the true boxes are in 'map_' and the map is in 'odom': set costmap.frame "
            "to that of the true boxes, or publish its odometry"
        ]
        same = replace(seen, map_frame="map_")
        assert recorder.add(same, "day") is not None


def test_a_store_without_marked_classes_has_no_such_scores(tmp_path: Path):
    with Store(made_store(tmp_path / "plain", [whole_bag("b")]) / STORE) as store:
        assert not [name for name in read_results(store).data["scores"] if name.startswith("box_")]


def test_criteria_take_them_and_the_page_shows_them(folder: Path):
    dark = Selection((("light", "dark"),))
    criteria = [
        Criterion("box_recall_within_5_m.person", dark, at_least=0.95),
        Criterion("box_error_within_5_m.person", dark, at_most=0.2),
    ]
    with Store(folder / STORE) as store:
        results = read_results(store, criteria)
        page = evaluation_page(store, results, {}, "evaluate")
    assert [bool(verdict.failure) for verdict in results.verdicts] == [True, False]
    said = [line for line in results.lines() if line.startswith(("boxes of", "ids:"))]
    assert said[0].startswith("boxes of person: recall within 5 m 0.875, median centre error 0.1")
    assert said[1] == "ids: 14.3 switches in 100 m"
    (table,) = [section for section in page.sections if section.title == "Boxes"]
    assert [row[:4] for row in table.rows] == [  # type: ignore[attr-defined]
        ("person", "all", "2 to 5 m", "87.5 %"),
        ("person", "all", "5 to 8 m", "100.0 %"),
        ("person", "day", "2 to 5 m", "100.0 %"),
        ("person", "day", "5 to 8 m", "100.0 %"),
        ("person", "dark", "2 to 5 m", "75.0 %"),
    ]


def test_two_models_are_compared_by_their_boxes(folder: Path, tmp_path: Path):
    worse = stored(tmp_path / "b", *[bag(f"b{i}", 0.25 + 0.02 * i, missed=3) for i in range(6)])
    found = compare_results(folder, worse, [parse_rule("box_recall_within_5_m.person<-5")]).data
    recall, error = (found["scores"][f"box_{name}_within_5_m.person"] for name in ("recall", "error"))
    assert recall["difference"] == pytest.approx(-0.25)
    assert error["difference"] == pytest.approx(0.2, abs=0.02)
    assert (recall["change"], error["change"]) == ("worse", "worse")
    assert found["verdict"] == "fail"


@pytest.mark.slow
def test_a_drive_in_the_dark_has_equal_scores_in_the_file_and_in_the_store(tmp_path: Path):
    drive = write_drive_bag(tmp_path / "drive.mcap", seed=9304, duration_s=4.0, light="black", person_at_s=1.0)
    settings = make_settings({"label_set": "warehouse"})
    evaluate_bag(drive, find_model("warehouse_rgbd_nano"), tmp_path / "out", settings=settings)
    (path,) = (tmp_path / "out").rglob("boxes.json")
    person = json.loads(path.read_text())["classes"]["person"]
    with Store(tmp_path / "out" / STORE) as store:
        scores = read_results(store).data["scores"]
        assert store.rows("true_things") and store.rows("boxes")
    assert person["recall_within_5_m"] == pytest.approx(scores["box_recall_within_5_m.person"]["value"], abs=1e-3)
    assert person["ap_25"] == pytest.approx(scores["box_ap_25.person"]["value"], abs=1e-3)
    assert person["center_error_m"] == pytest.approx(scores["box_error.person"]["value"], abs=1e-3)
    assert person["recall_within_5_m"] > 0.9
