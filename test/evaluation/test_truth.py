"""Truth of another label set: through a map, or refused with both lists."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import COLOR_FRAME, LABEL_SET_TOPIC
from gemini_ros.bags.writer import BagWriter
from gemini_ros.cli import main
from gemini_ros.core.labels import load_label_set
from gemini_ros.evaluation.common_classes import common_classes
from gemini_ros.evaluation.truth import Truth, TruthMap, read_truth_map
from test.evaluation.drive import START_NS, pose_at, view, write_drive

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
NAV5 = load_label_set("nav5")
FLOOR, TABLE = 4, 9  # of nyudv2_13


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The drive's truth in the numbers of NYU's 13 classes: the box is a table."""

    def renumbered(stream, i, message):
        _, labels = view(pose_at(i * 0.1))
        if stream != "labels":
            return message
        numbers = np.select([labels == 0, labels == 4], [FLOOR, TABLE], 255).astype(np.uint8)
        return messages.compressed_labels(numbers, START_NS + i * 100_000_000, COLOR_FRAME)

    bag = write_drive(tmp_path_factory.mktemp("truth") / "d.mcap", frames=2, streams=("labels",), tamper=renumbered)
    with BagReader(bag) as reader:
        return LabelImages(reader, "/ground_truth/labels/compressed")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def all_to_obstacle(**others: object) -> str:
    names = load_label_set("nyudv2_13").names
    return "map: {" + ", ".join(f"{name}: {others.get(name, 'obstacle')}" for name in names) + "}"


def test_a_map_brings_truth_to_the_classes_of_the_model(images, tmp_path: Path):
    _, labels = view(pose_at(0.0))
    perfect = np.where(labels == 0, 0, np.where(labels == 4, 1, 2)).astype(np.uint8)
    sure = np.full(labels.shape, 255, np.uint8)
    by_name = write(tmp_path / "names.yaml", "label_set: nyudv2_13\n" + all_to_obstacle(floor="floor", wall="null"))
    by_number = write(tmp_path / "numbers.yaml", "map: {4: floor, 9: obstacle}")
    for file in (by_name, by_number):
        truth = Truth(images, NAV5, read_truth_map(file))
        scores = truth.score(START_NS, perfect, sure)
        assert len(truth) == 2 and scores.confusion.miou() == 1
        assert scores.confusion.counts.sum() == (labels != 255).sum()
    hidden = Truth(images, NAV5, TruthMap({FLOOR: None, TABLE: "obstacle"}))
    assert hidden.score(START_NS, perfect, sure).confusion.counts.sum() == (labels == 4).sum()


def test_without_a_map_both_lists_are_told(images):
    truth = Truth(images, NAV5)
    with pytest.raises(
        ValueError, match=r"The truth has the values 4, 9; the model has the classes 0 floor, .*--map FILE"
    ):
        truth.score(START_NS, np.zeros((64, 96), np.uint8), np.zeros((64, 96), np.uint8))
    with pytest.raises(ValueError, match=r"values \[9\], which the map does not name"):
        Truth(images, NAV5, TruthMap({FLOOR: "floor"}))[START_NS]


def bag_that_says(path: Path, text: str) -> LabelImages:
    with BagWriter(path) as bag:
        bag.write(LABEL_SET_TOPIC, messages.string(text), START_NS)
        labels = np.zeros((4, 6), np.uint8)
        bag.write("/ground_truth/labels", messages.compressed_labels(labels, START_NS, COLOR_FRAME), START_NS)
    with BagReader(path) as reader:
        return LabelImages(reader, "/ground_truth/labels")


def test_a_bag_that_names_its_classes_is_not_scored_in_others(tmp_path: Path):
    """The numbers alone would pass: 0 is a class of both."""
    images = bag_that_says(tmp_path / "a.mcap", '{"name": "mine", "classes": ["grass", "wall"]}')
    with pytest.raises(
        ValueError, match=r"the truth has the classes 0 grass, 1 wall; the model has 0 floor, .*--map FILE"
    ):
        Truth(images, NAV5)
    assert (Truth(images, NAV5, TruthMap({0: "obstacle"}))[START_NS] == 1).all()
    own = bag_that_says(tmp_path / "b.mcap", json.dumps({"classes": NAV5.names}))
    assert (Truth(own, NAV5)[START_NS] == 0).all() and own.damaged == []
    for i, text in enumerate(("{", '{"classes": 3}', "[]", "null", '{"classes": [1]}')):
        broken = bag_that_says(tmp_path / f"{i}.mcap", text)
        assert broken.classes is None and Truth(broken, NAV5) is not None
        assert broken.damaged == [f"{LABEL_SET_TOPIC}: {text}, expected JSON with the names of the classes"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("map: {4: ground}", r"map: classes \['ground'\], expected some of the model's: \['floor', 'obstacle'"),
        ("map: {floor: floor}", "expected numbers 0 to 254, or a label_set"),
        ("map: {300: floor}", "expected numbers 0 to 254"),
        (
            "label_set: nyudv2_13\nmap: {floor: floor}",
            r"\['floor'\], expected those of 'nyudv2_13': \['bed'",
        ),
        ("label_set: [a]\nmap: {1: floor}", "label_set \\['a'\\], expected the name or path of one"),
        ("map: [1]", "expected a class of the model, or null"),
        (
            "map: {1: things}\nmerge: {things: obstacle}",
            r"merge \{'things': 'obstacle'\}, expected under each ",
        ),
        ("map: {1: obstacle}\nmerge: {things: [obstacle]}", r"\['obstacle'\], expected some of the model's, as merged"),
        ("map: {1: things}\nmerge: {things: [rock, obstacle]}", "merge has rock, expected classes of the model: floor"),
        ("map: {1: a}\nmerge: {a: [floor], b: [floor]}", "merge has floor more than once"),
        ("map: {1: floor}\nmerge: {floor: [obstacle, person]}", "makes floor, which the model has and which is not"),
        ("classes: {1: floor}", "keys \\['classes'\\], expected exactly \\['map'\\]"),
    ],
)
def test_a_wrong_map_is_told(text, said, images, tmp_path: Path):
    with pytest.raises(ValueError, match=said):
        truth_map = read_truth_map(write(tmp_path / "map.yaml", text))
        Truth(images, common_classes(NAV5, truth_map.merged).label_set, truth_map)


def test_truth_that_tells_fewer_classes_apart_is_scored_in_common_ones():
    warehouse = load_label_set("warehouse")
    common = common_classes(warehouse, {"obstacle": ("pallet", "person", "box")})
    assert common.label_set.names == ["floor", "wall", "ceiling", "rack", "obstacle", "door", "vehicle", "cone"]
    labels = np.array([[0, 4, 5, 6, 7, 255]], np.uint8)
    assert common.labels(labels).tolist() == [[0, 4, 4, 4, 5, 255]]
    assert common.label_set.classes[4].nav == "lethal"
    # Where truth may be free it is not held against a model that says so; an obstacle that is called free is.
    ground = common_classes(NAV5, {"ground": ("floor", "person")})
    truth, said = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 2, 0, 2]], np.uint8)
    names = NAV5.names
    said = np.array([[names.index(n) for n in ("floor", "person", "floor", "person")]], np.uint8)
    assert ground.falsely_free(truth, said, np.full(truth.shape, 230, np.uint8)) == (2, [1, 1, 0])


def test_a_coarse_bag_is_evaluated_and_compared_in_the_common_classes(tmp_path: Path, capsys):
    """The truth has ground and things alone; the labels stay those of the model."""
    bag = write_drive(tmp_path / "d.mcap", frames=3, streams=("rgb", "depth", "labels", "odom", "info", "tf"))
    file = write(
        tmp_path / "map.yaml",
        "map: {0: floor, 4: thing}\nmerge: {thing: [rack, box, pallet, person, door, vehicle, cone]}\n",
    )
    options = ["--model", str(MODEL), "--map", str(file)]
    assert main(["evaluate", str(bag), *options, "--out", str(tmp_path / "one")]) == 0
    results = json.loads((tmp_path / "one/results.json").read_text())
    ious = [name for name in results["scores"] if name.startswith("iou.")]
    assert ious == ["iou.floor", "iou.wall", "iou.ceiling", "iou.thing"]
    assert results["scored_frames"] == 3 and results["scores"]["miou"]["value"] is not None
    assert list(json.loads((tmp_path / "one/summary.json").read_text())["iou"]) == [name[4:] for name in ious]
    assert "thing" in (tmp_path / "one/report.html").read_text()
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "one"), "--out", str(tmp_path / "both")]) == 0
    assert "iou.thing" in capsys.readouterr().out
