"""The label sets that come with the package, and what is refused."""

from pathlib import Path

import pytest
import yaml

from gemini_ros.core.labels import label_set_from_dict, load_label_set
from gemini_ros.core.resources import find_resource

SIZES = {
    "nyudv2_40": 40,
    "nyudv2_13": 13,
    "sunrgbd_37": 37,
    "mfnet_9": 9,
    "pst900_5": 5,
    "deliver_25": 25,
    "cityscapes_19": 19,
    "warehouse": 10,
    "nav5": 5,
}
# What moves by itself, or stands for something that does, by any of its names.
MOVES = {
    *("person", "pedestrian", "rider", "survivor", "dynamic", "objects"),
    *("vehicle", "car", "cars", "truck", "bus", "train", "motorcycle", "bicycle", "bike", "twowheeler"),
}
# Their ground is part of the class "unlabeled", together with what stands on it.
NOTHING_FREE = {"mfnet_9", "pst900_5"}


def test_every_label_set_is_known_here():
    folder = find_resource("config/labels/warehouse.yaml").parent
    assert {path.stem for path in folder.glob("*.yaml")} == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_label_set_has_a_safe_meaning_for_every_class(name):
    labels = load_label_set(name)
    assert (labels.name, len(labels), labels.ignore_index) == (name, SIZES[name], 255)
    assert labels.source
    assert len(set(labels.names)) == len(labels)
    assert len({c.color for c in labels.classes}) == len(labels)
    by_name = {c.name.lower(): c for c in labels.classes}
    for word in MOVES & set(by_name):
        assert by_name[word].dynamic and by_name[word].nav == "lethal", word
    assert all(c.nav == "lethal" for c in labels.classes if c.dynamic)
    for c in labels.classes:
        assert (c.cost > 0) == (c.nav == "caution"), c
    free = {c.name for c in labels.classes if c.nav == "free"}
    assert bool(free) == (name not in NOTHING_FREE)
    assert free <= {"floor", "floor mat", "road", "Road", "RoadLine"}
    unknown = {c.name for c in labels.classes if c.nav == "unknown"}
    assert unknown <= {"ceiling", "sky", "Sky", "unlabeled"}


@pytest.mark.parametrize(
    ("name", "index", "expected"),
    [
        ("nyudv2_40", 0, ("wall", (128, 0, 0))),
        ("nyudv2_40", 39, ("otherprop", (64, 0, 64))),
        ("nyudv2_13", 5, ("furniture", (128, 128, 0))),
        ("sunrgbd_37", 36, ("bag", (12, 83, 45))),
        ("mfnet_9", 8, ("bump", (192, 64, 0))),
        ("pst900_5", 3, ("hand_drill", (255, 0, 0))),
        ("deliver_25", 22, ("TwoWheeler", (0, 0, 230))),
        ("cityscapes_19", 18, ("bicycle", (119, 11, 32))),
    ],
)
def test_order_and_colours_are_those_of_the_data_set(name, index, expected):
    found = load_label_set(name).classes[index]
    assert (found.name, found.color) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nav": "fine"}, r"class 1: nav 'fine', expected one of free, caution, lethal, unknown"),
        ({"cost": 99}, r"class 1: cost 99, expected a whole number 0-98"),
        ({"cost": True}, r"class 1: cost True"),
        ({"dynamic": "no"}, r"class 1: dynamic 'no', expected true or false"),
        ({"color": [0, 0, 256]}, r"class 1: color \[0, 0, 256\], expected"),
        ({"id": 2}, r"class 1: id 2, expected ids 0\.\.n-1 in order"),
        ({"name": "floor"}, r"class names must be unique"),
        ({"height": 1}, r"class 1: keys .*height.*, expected exactly .* and any of .*'transparent'\]"),
        ({"speed_percent": 0}, r"class 1: speed_percent 0, expected a whole number 1-100"),
        ({"speed_percent": 101}, r"class 1: speed_percent 101, expected a whole number 1-100"),
        ({"speed_percent": 50.0}, r"class 1: speed_percent 50\.0, expected a whole number 1-100"),
        ({"speed_percent": True}, r"class 1: speed_percent True, expected a whole number 1-100"),
        ({"speed_percent": None}, r"class 1: speed_percent None, expected a whole number 1-100"),
        ({"transparent": 1}, r"class 1: transparent 1, expected true or false"),
        ({"instances": "yes"}, r"class 1: instances 'yes', expected true or false"),
    ],
)
def test_a_bad_class_is_named(change, message):
    data = yaml.safe_load(find_resource("config/labels/warehouse.yaml").read_text())
    data["classes"][1] |= change
    with pytest.raises(ValueError, match=message):
        label_set_from_dict(data, "label set")


def warehouse(**changes):
    """The warehouse set with changes to its second class."""
    data = yaml.safe_load(find_resource("config/labels/warehouse.yaml").read_text())
    data["classes"][1] |= changes
    return label_set_from_dict(data, "label set")


def test_what_a_set_may_leave_out_is_kept():
    plain, full = warehouse(), warehouse(speed_percent=40, transparent=True, instances=False)
    wall = full.classes[1]
    assert (wall.speed_percent, wall.transparent, wall.instances) == (40, True, False)
    assert (plain.classes[1].speed_percent, plain.classes[1].transparent, plain.classes[1].instances) == (None,) * 3
    assert label_set_from_dict(full.to_dict(), "copy") == full
    assert full.to_dict()["classes"][1]["speed_percent"] == 40
    assert set(plain.to_dict()["classes"][1]) == {"id", "name", "color", "nav", "cost", "dynamic"}


def test_another_meaning_keeps_what_it_does_not_state():
    model = warehouse(speed_percent=40, transparent=True)
    assert warehouse().with_meaning_of(model) == model
    other = warehouse(nav="unknown", speed_percent=100, instances=True)
    (wall,) = model.with_meaning_of(other).classes[1:2]
    assert (wall.nav, wall.speed_percent, wall.transparent, wall.instances) == ("unknown", 100, True, True)
    assert model.with_meaning_of(warehouse(transparent=False)).classes[1].transparent is False
    with pytest.raises(ValueError, match=r"label set 'warehouse': classes .*'glass'.*, expected the model's .*'wall'"):
        model.with_meaning_of(warehouse(name="glass"))


def test_a_file_that_is_no_label_set_is_named(tmp_path: Path):
    path = tmp_path / "x.yaml"
    with pytest.raises(ValueError, match=r"x\.yaml: no such file"):
        load_label_set(path)
    path.write_text("a: [")
    with pytest.raises(ValueError, match="not YAML"):
        load_label_set(path)
    path.write_text("- a")
    with pytest.raises(ValueError, match="expected a mapping, found list"):
        load_label_set(path)
