"""Floor scores on exact counts, and the benchmark at toy size on a written folder."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import floor
from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.layout import load_layout

MODEL = Path(__file__).parents[1] / "fixtures" / "tiny_rgb_depth.onnx"


@pytest.fixture
def rooms(tmp_path):
    """Three images in the form of NYU Depth v2: floor below, wall above, a mat, a person, something unlabelled."""
    for kind in ("rgb", "depth", "label40"):
        (tmp_path / kind).mkdir()
    labels = np.zeros((48, 64), np.uint8)
    labels[24:] = 1
    labels[40:, :10] = 19
    labels[10:20, 5:9] = 30
    labels[:4] = 255
    rows = np.maximum(np.mgrid[:48, :64][0] - 23.5, 7)
    depth = np.round(1000 * 1.2 * 60 / rows).astype(np.uint16)  # a floor 1.2 m below, then a wall
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"rgb/{i}.jpg"), np.full((48, 64, 3), 90 + i, np.uint8))
        cv2.imwrite(str(tmp_path / f"depth/{i}.png"), depth)
        cv2.imwrite(str(tmp_path / f"label40/{i}.png"), labels)
    return tmp_path


def test_counts_leave_out_what_is_unlabelled():
    truth = np.array([[1, 1, 1, 0, 0, 0, 1]], bool)
    found = np.array([[1, 1, 0, 1, 0, 0, 1]], bool)
    known = np.array([[1, 1, 1, 1, 1, 1, 0]], bool)
    assert floor.count_floor(truth, found, known).tolist() == [2, 1, 1, 2]


def test_scores_are_of_all_pixels_and_intervals_hold_them():
    counts = np.array([[8, 2, 1, 9], [0, 0, 3, 17], [30, 5, 0, 5]])
    scores = floor.floor_scores(counts)
    assert scores["iou"][0] == pytest.approx(38 / 49)
    assert scores["false_floor"][0] == pytest.approx(4 / 35)
    assert scores["false_floor_of_all"][0] == pytest.approx(4 / 80)
    assert scores["precision"][0] == pytest.approx(38 / 42)
    assert scores["recall"][0] == pytest.approx(38 / 45)
    assert all(low <= value <= high for value, low, high in (v for v in scores.values() if isinstance(v, list)))
    assert floor.floor_scores(counts) == scores


def test_a_model_is_asked_for_more_confidence_until_it_is_as_careful_as_the_plane():
    """Of 10 pixels of floor and 10 others: at 200 the model finds 6 with none falsely, at 100 all with 4 falsely."""
    truth, known = np.repeat([True, False], 10), np.ones(20, bool)
    model = np.array([250] * 6 + [120] * 4 + [150] * 4 + [0] * 6, np.uint8)
    rival = np.array([True] * 5 + [False] * 5 + [True] + [False] * 9)
    counts = [np.stack([floor.count_sure(truth, found, known)] * 3) for found in (model, rival)]
    recall, gain = floor.recall_beside(*counts)
    assert recall == pytest.approx([0.6] * 3)
    assert gain == pytest.approx([0.1] * 3)
    reckless = np.stack(
        [floor.count_sure(truth, np.array([True] * 5 + [False] * 5 + [True] * 4 + [False] * 6), known)] * 3
    )
    assert floor.recall_beside(counts[0], reckless)[0] == pytest.approx([1.0] * 3)


def test_equal_images_leave_no_doubt_and_no_floor_no_score():
    assert floor.floor_scores(np.array([[3, 1, 1, 5]] * 4))["iou"] == pytest.approx([0.6, 0.6, 0.6])
    scores = floor.floor_scores(np.array([[0, 0, 0, 7]] * 2))
    assert scores["iou"] == [None, None, None]
    assert scores["false_floor"] == [0, 0, 0]


def test_groups_of_nyudv2(rooms):
    frame, truth = next(floor.frames(rooms, load_layout("nyudv2_nav5"), load_label_set("nav5")))
    assert frame.depth is not None
    assert truth[44, 5] == truth[30, 30] == 0
    assert (truth[8, 30], truth[15, 6], truth[2, 2]) == (1, 2, 255)


def test_a_perfect_finder_and_a_reckless_one(rooms):
    layout, labels = load_layout("nyudv2_nav5"), load_label_set("nav5")
    finders = {
        "perfect": lambda frame: np.arange(48)[:, None] * np.ones((1, 64)) >= 24,
        "reckless": lambda frame: np.ones((48, 64), bool),
    }
    result = floor.score(floor.frames(rooms, layout, labels), labels, finders)
    assert result["perfect"]["iou"][0] == 1
    assert result["perfect"]["false_floor"][0] == 0
    assert result["reckless"]["iou"][0] == pytest.approx(24 / 44)
    assert result["reckless"]["false_floor"][0] == 1
    assert result["reckless"]["images"] == 3


def test_the_command_scores_planes_on_a_folder(rooms, monkeypatch, capsys):
    out = rooms / "floor.json"
    monkeypatch.setattr(
        sys, "argv", ["floor", str(rooms), "--camera", "60,60,31.5,23.5", "--json", str(out), "--limit", "2"]
    )
    floor.main()
    scores = json.loads(out.read_text())["plane fit, camera over 0.2 m"]
    assert scores["images"] == 2
    assert scores["recall"][0] > 0.5
    assert scores["false_floor"][0] < 0.2
    assert "plane fit" in capsys.readouterr().out


def test_a_model_is_also_scored_without_each_modality(rooms):
    labels = load_label_set("warehouse")
    finders = floor.model_finders(MODEL, labels, (64, 48))
    assert list(finders) == ["tiny_rgb_depth", "tiny_rgb_depth without rgb", "tiny_rgb_depth without depth"]
    rng = np.random.default_rng(0)
    frame = Frame(0, "x", rng.integers(0, 255, (48, 64, 3), np.uint8), rng.uniform(1, 4, (48, 64)).astype(np.float32))
    found = [find(frame) for find in finders.values()]
    assert all(f.shape == (48, 64) and f.dtype == np.uint8 for f in found)
    assert not np.array_equal(found[1], found[2])


def test_a_model_of_other_classes_is_refused():
    with pytest.raises(ValueError, match=r"expected .*'obstacle'"):
        floor.model_finders(MODEL, load_label_set("nav5"), (64, 48))


def test_a_camera_is_four_numbers():
    with pytest.raises(ValueError, match="expected FX,FY,CX,CY"):
        floor.plane_finder("500,500")
