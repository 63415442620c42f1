"""Every public data set's tree is found and read as it is published; what is missing is named."""

import csv

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.folder import find_frames, find_splits, survey
from gemini_ros.datasets.images import decoded, read_stored
from gemini_ros.datasets.layout import PathPattern, layout_from_dict, load_layout
from test.datasets.trees import LABELS, METRES, RGB, TREES, WARMTH, write_tree


def read(frame, layout):
    n = len(load_label_set(layout.label_set))
    table = layout.images["labels"].class_table(n)
    found = {}
    for kind, path in frame.files.items():
        image = layout.images[kind]
        found[kind] = decoded(kind, read_stored(path, kind, image), image, table)
    return found


@pytest.mark.parametrize("name", TREES)
def test_public_trees_are_read_into_the_units_of_a_frame(tmp_path, name):
    layout = load_layout(name)
    frames = find_frames(write_tree(tmp_path, name), layout, tuple(layout.images))
    listed = [paths for paths in TREES[name] if "flip" not in paths[0]]
    assert sorted({str(p.relative_to(tmp_path)) for frame in frames for p in frame.files.values()}) == sorted(
        {path for paths in listed for path in paths}
    )
    for frame in frames:
        images = read(frame, layout)
        assert all(
            image.dtype == (np.uint8 if kind in ("rgb", "labels") else np.float32) for kind, image in images.items()
        )
        if name == "nyudv2_13":  # wall, floor, cabinet and bed of the 40
            ids = [load_label_set(name).names.index(word) for word in ("wall", "floor", "furniture", "bed")]
            np.testing.assert_array_equal(images["labels"][1:], np.array(ids)[LABELS[1:]])
            assert (images["labels"][0] == 255).all()
        else:
            np.testing.assert_array_equal(images["labels"], LABELS)
        if "depth" in images:
            np.testing.assert_allclose(images["depth"], METRES, atol=1e-3)
        if "thermal" in images:
            np.testing.assert_allclose(images["thermal"], 0.2 * WARMTH, rtol=1e-6)
        lossy = 12 if frame.files["rgb"].suffix == ".jpg" else 0
        assert np.abs(images["rgb"].astype(int) - RGB).max() <= lossy


@pytest.mark.parametrize(
    ("name", "splits", "split", "frames"),
    [
        ("sunrgbd_37", ["test", "train"], "train", 2),
        ("pst900_5", ["test", "train"], "test", 1),
        ("deliver_25", ["test", "train"], "train", 2),
        ("mfnet_9", ["test", "train"], "train", 2),
    ],
)
def test_splits(tmp_path, name, splits, split, frames):
    layout = load_layout(name)
    root = write_tree(tmp_path, name)
    assert layout.has_splits and find_splits(root, layout) == splits
    found = find_frames(root, layout, ("rgb", "labels"), split)
    assert len(found) == frames and {frame.record["split"] for frame in found} == {split}
    with pytest.raises(ValueError, match=f"no split 'trian'; layout {name} finds test, train there"):
        find_frames(root, layout, ("rgb", "labels"), "trian")


def test_a_part_called_light_is_known_of_each_frame(tmp_path):
    frames = find_frames(write_tree(tmp_path, "deliver_25"), load_layout("deliver_25"), ("rgb", "labels"))
    assert sorted(frame.record["light"] for frame in frames) == ["cloud", "night", "sun"]
    assert len({frame.record["stem"] for frame in frames}) == 3


def test_everything_that_is_missing_is_named_the_first_as_an_error(tmp_path):
    root, layout = write_tree(tmp_path, "sunrgbd_37"), load_layout("sunrgbd_37")
    (root / "depth/train/00000002.png").unlink()
    (root / "image/test/img-000001.jpg").unlink()
    frames, problems = survey(root, layout, tuple(layout.images))
    assert [frame.record["stem"] for frame in frames] == ["000001"]
    assert problems == [
        f"{root}/image/test/img-000001.jpg: no such file; {root}/depth/test/00000001.png is there",
        f"{root}/depth/train/00000002.png: no such file; {root}/image/train/img-000002.jpg is there",
    ]
    with pytest.raises(ValueError, match=r"img-000001\.jpg: no such file"):
        find_frames(root, layout, tuple(layout.images))


def test_empty_and_missing_folders(tmp_path):
    root, layout = write_tree(tmp_path / "set", "nyudv2_40"), load_layout("nyudv2_40")
    for file in (root / "depth").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"no depth image depth/\{stem\}\.png, as layout nyudv2_40 expects"):
        find_frames(root, layout, ("rgb", "depth", "labels"))
    assert len(find_frames(root, layout, ("rgb", "labels"))) == 1
    with pytest.raises(ValueError, match="no such folder"):
        find_frames(tmp_path / "nowhere", layout, ("rgb", "labels"))
    with pytest.raises(ValueError, match=r"\{split\}\.txt: no such file; layout mfnet_9 lists its frames there"):
        find_frames(root, load_layout("mfnet_9"), ("rgb", "labels"))


def described(**changes):
    return {
        "name": "mine",
        "source": "here",
        "label_set": None,
        "frames": "paired",
        "one_size": True,
        "unpack": False,
        "images": {"rgb": {"path": "color/{stem}.png"}, "labels": {"path": "mask/{stem}.png"}},
    } | changes


@pytest.fixture
def two_of_three_labelled(tmp_path):
    for path in ("color/a.png", "color/b.png", "color/c.png", "mask/a.png", "mask/c.png", "color/.d.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / path), LABELS)
    return tmp_path


def stems(root, frames):
    layout = layout_from_dict(described(frames=frames), "here")
    return [frame.record["stem"] for frame in find_frames(root, layout, ("rgb", "labels"))]


def test_labels_say_which_frames_there_are_where_the_layout_says_so(two_of_three_labelled):
    assert stems(two_of_three_labelled, "labelled") == ["a", "c"]
    with pytest.raises(ValueError, match=r"mask/b\.png: no such file; .*color/b\.png is there"):
        stems(two_of_three_labelled, "paired")


def test_lists_of_stems_of_paths_and_of_rows(two_of_three_labelled):
    root = two_of_three_labelled
    (root / "part.txt").write_text("c\n\na\n")
    assert stems(root, "part.txt") == ["c", "a"]
    (root / "part.txt").write_text("mask/c.png\tcolor/c.png\ncolor/a.png\tmask/a.png\n")
    assert stems(root, "part.txt") == ["c", "a"]
    with (root / "part.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["light", "stem"], ["day", "a"]])
    assert stems(root, "part.csv") == ["a"]
    (root / "part.csv").write_text("name\na\n")
    with pytest.raises(ValueError, match=r"part\.csv: \{'name': 'a'\} does not say stem of the frame"):
        stems(root, "part.csv")
    (root / "part.csv").write_text(f"stem\n{'a' * 252}\n")
    with pytest.raises(ValueError, match=r"aaa does not name a frame in the form of mask/\{stem\}"):
        stems(root, "part.csv")
    (root / "part.csv").write_text("stem\n../color/a\n")
    with pytest.raises(ValueError, match=r"part\.csv: .*color/a'\} does not name a frame in the form of mask/\{stem\}"):
        stems(root, "part.csv")
    (root / "part.csv").write_text("stem\nb\n")
    with pytest.raises(ValueError, match=r"mask/b\.png: no such file"):
        stems(root, "part.csv")


name = st.text("abc[]*?_- 0", min_size=1, max_size=6)


@given(name, name)
def test_what_fills_a_path_is_found_in_it(folder, stem):
    pattern = PathPattern("x/{folder}/{stem}_{folder}.p[n]g")
    assert pattern.match(pattern.fill({"folder": folder, "stem": stem})) == {"folder": folder, "stem": stem}
    assert pattern.match(f"x/{folder}/{stem}_{folder}z.p[n]g") is None


def test_names_with_special_characters_are_found_in_a_folder(tmp_path):
    pattern = PathPattern("a[1]/{split}/{stem}.png")
    file = tmp_path / "a[1]/te*t/00[2].png"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"")
    assert list(pattern.files(tmp_path, {})) == [({"split": "te*t", "stem": "00[2]"}, file)]
    assert list(pattern.files(tmp_path, {"split": "te*t"})) == [({"split": "te*t", "stem": "00[2]"}, file)]
    assert list(pattern.files(tmp_path, {"split": "test"})) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": "some"}, "frames 'some', expected paired, labelled"),
        ({"frames": "../some.txt"}, "below the data set's folder"),
        ({"unpack": True, "one_size": False}, "no array holds several sizes"),
        ({"one_size": "yes"}, "one_size 'yes', expected true or false"),
        ({"label_set": 3}, "label_set 3"),
        ({"images": {"rgb": {"path": "a/{stem}.png"}}}, "images rgb, expected labels and any of"),
        ({"images": {"labels": {"path": "a/{stem}.png"}}}, "images labels, expected labels and any of"),
        (
            {"images": {"rgb": {"path": "a/{stem}.png"}, "labels": {"path": "a/{name}.png"}}},
            r"rgb has the parts \['stem'\], labels \['name'\]",
        ),
        ({"extra": 1}, "keys .*extra"),
    ],
)
def test_a_wrong_description_is_refused(changes, message):
    with pytest.raises(ValueError, match=f"here.*{message}"):
        layout_from_dict(described(**changes), "here")


@pytest.mark.parametrize(
    ("kind", "image", "message"),
    [
        ("depth", {"path": "d/{stem}.png", "type": "uint16", "scale": 0.001}, "keys .*hole"),
        ("depth", {"path": "d/{stem}.png", "type": "float32", "scale": 0.001, "hole": 0}, "type 'float32'"),
        ("depth", {"path": "d/{stem}.png", "type": "uint16", "scale": 0, "hole": 0}, "the scale not 0"),
        ("depth", {"path": "d/{stem}.png", "type": "uint16", "scale": "1e-3", "hole": 0}, "finite numbers"),
        ("depth", {"path": "/d/{stem}.png", "type": "uint16", "scale": 1, "hole": 0}, "below the data set's folder"),
        ("depth", {"path": "../{stem}.png", "type": "uint16", "scale": 1, "hole": 0}, "below the data set's folder"),
        ("depth", {"path": "d/{st em}.png", "type": "uint16", "scale": 1, "hole": 0}, "names in braces"),
        ("depth", {"path": "d/{1}.png", "type": "uint16", "scale": 1, "hole": 0}, "names in braces"),
        (
            "depth",
            {"path": "d/{stem}.png", "type": "uint8", "scale": 1, "hole": 0, "encoding": "rotated_3_bits"},
            "type 'uint8', expected one of uint16",
        ),
        ("depth", {"path": "d/1.png", "type": "uint16", "scale": 1, "hole": 0}, "names no part"),
        ("labels", {"path": "l/{stem}.png", "channel": "pink"}, "channel 'pink'"),
        ("labels", {"path": "l/{stem}.png", "first_class": -1}, "first_class -1"),
        ("labels", {"path": "l/{stem}.png", "map": {0: "wall"}}, "whole numbers to classes"),
        ("labels", {"path": "l/{stem}.png", "map": {0: 1}, "first_class": 1}, "expected one of them"),
    ],
)
def test_a_wrong_image_of_a_description_is_refused(kind, image, message):
    images = described()["images"] | {kind: image}
    with pytest.raises(ValueError, match=f"here: {kind}.*{message}"):
        layout_from_dict(described(images=images), "here")


def test_a_description_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    with pytest.raises(ValueError, match=r"mine\.yaml: no such file"):
        load_layout(path)
    path.write_text("a: [")
    with pytest.raises(ValueError, match=r"mine\.yaml: not YAML"):
        load_layout(path)
    with pytest.raises(FileNotFoundError, match=r"config/datasets/nothing\.yaml was not found"):
        load_layout("nothing")


def test_the_recorded_nyu_is_what_its_layout_says(test_data_dir):
    root = test_data_dir / "nyudv2_val_640"
    layout = load_layout("nyudv2_40")
    frames = find_frames(root, layout, ("rgb", "depth", "labels"))
    assert len(frames) == 327
    images = read(frames[163], layout)
    assert {image.shape[:2] for image in images.values()} == {(480, 640)}
    assert 0.7 < np.nanmin(images["depth"]) < np.nanmax(images["depth"]) < 10
    coarse = read(frames[163], load_layout("nyudv2_13"))["labels"]
    names, fewer = load_label_set("nyudv2_40").names, load_label_set("nyudv2_13").names
    for label in np.unique(images["labels"][images["labels"] != 255]):
        (found,) = np.unique(coarse[images["labels"] == label])
        assert names[label] not in fewer or fewer[found] == names[label]
