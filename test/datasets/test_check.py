"""What the check of a data set counts, against what was written, and that it names every broken file."""

import re
import shutil

import cv2
import numpy as np
import pytest
import yaml

from gemini_ros.cli import main
from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.check import QUANTILES, check_dataset
from gemini_ros.datasets.layout import load_layout
from test.datasets.trees import HEIGHT, LABELS, METRES, RGB, TREES, WARMTH, WIDTH, write_tree


def check(root, name, **options):
    return check_dataset(root, load_layout(name), **options)


@pytest.mark.parametrize("name", TREES)
def test_counts_of_every_public_tree(tmp_path, name):
    found = check(write_tree(tmp_path, name), name)
    frames = {"mfnet_9": 2}.get(name, len(TREES[name]))
    assert (found.frames, found.broken, found.absent) == (frames, (), ())
    assert found.sizes == {(WIDTH, HEIGHT): frames}
    assert found.unlabelled_share == pytest.approx((LABELS == 255).mean())
    assert found.class_pixels.sum() == frames * (LABELS != 255).sum()
    assert sorted(found.class_frames[found.class_frames > 0]) == [frames] * 4
    if name != "nyudv2_13":
        np.testing.assert_array_equal(found.class_pixels[:4], frames * np.bincount(LABELS.ravel())[:4])
    for kind, truth, tolerance in (("depth", METRES, 0.02), ("thermal", 0.2 * WARMTH, 1e-6)):
        if kind in load_layout(name).images:
            measured = found.measurements[kind]
            assert measured.valid_share == pytest.approx(np.isfinite(truth).mean())
            values = np.sort(np.concatenate([truth[np.isfinite(truth)]] * frames))
            expected = values[[round(q * (len(values) - 1)) for q in QUANTILES]]
            np.testing.assert_allclose(measured.quantiles, expected, atol=tolerance)


def test_splits_and_lights_are_counted(tmp_path):
    root = write_tree(tmp_path, "deliver_25")
    groups = {"light cloud": 1, "light night": 1, "light sun": 1, "split test": 1, "split train": 2}
    assert check(root, "deliver_25").groups == groups
    assert check(root, "deliver_25", split="train").groups == {"light night": 1, "light sun": 1, "split train": 2}


def test_every_broken_file_is_listed_and_the_others_counted(tmp_path, capsys):
    root = write_tree(tmp_path, "sunrgbd_37")
    wrong = np.full((HEIGHT, WIDTH), 38, np.uint8)
    cv2.imwrite(str(root / "label37/test/00000001.png"), wrong)
    cv2.imwrite(str(root / "depth/test/00000001.png"), wrong)
    (root / "depth/train/00000001.png").unlink()
    assert main(["dataset", "check", str(root), "--layout", "sunrgbd_37"]) == 2
    out = capsys.readouterr().out
    assert "1 frames" in out and f"{WIDTH}x{HEIGHT} (1)" in out
    assert [line.replace(str(root), "") for line in out.splitlines() if line.startswith("broken")] == [
        "broken: /depth/train/00000001.png: no such file; /image/train/img-000001.jpg is there",
        "broken: /depth/test/00000001.png: uint8, 1 per pixel; expected depth as uint16: a picture of the depth, not "
        "the depth itself?",
        "broken: /label37/test/00000001.png: labels [38], expected 0 to 37, or 255 for unlabelled: is it of another "
        "label set?",
    ]


def test_sizes_that_differ_are_broken_only_where_they_must_not(tmp_path):
    for name in ("pst900_5", "sunrgbd_37"):
        root = write_tree(tmp_path / name, name)
        for path in TREES[name][-1]:
            stored = cv2.imread(str(root / path), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(root / path), stored[:, :-4])
    assert len(check(tmp_path / "pst900_5", "pst900_5").broken) == 3
    assert check(tmp_path / "sunrgbd_37", "sunrgbd_37").sizes == {(WIDTH, HEIGHT): 2, (WIDTH - 4, HEIGHT): 1}
    depth = tmp_path / "sunrgbd_37" / TREES["sunrgbd_37"][0][1]
    cv2.imwrite(str(depth), np.ones((HEIGHT, 8), np.uint16))
    (sentence,) = check(tmp_path / "sunrgbd_37", "sunrgbd_37").broken
    assert sentence.startswith(f"{depth}: size 8x{HEIGHT}, expected {WIDTH}x{HEIGHT} as rgb")


def test_a_modality_that_nobody_recorded_is_said_and_no_fault(tmp_path, capsys):
    root = write_tree(tmp_path, "nyudv2_40")
    for file in (root / "depth").iterdir():
        file.unlink()
    assert main(["dataset", "check", str(root), "--layout", "nyudv2_40"]) == 0
    assert "depth: no image" in capsys.readouterr().out


def test_labels_alone_teach_nothing(tmp_path, capsys):
    root = write_tree(tmp_path, "nyudv2_40")
    for kind in ("rgb", "depth"):
        for file in (root / kind).iterdir():
            file.unlink()
    assert main(["dataset", "check", str(root), "--layout", "nyudv2_40"]) == 2
    assert "labels alone, expected rgb/" in capsys.readouterr().err


def test_nothing_to_check(tmp_path, capsys):
    assert main(["dataset", "check", str(tmp_path / "nowhere"), "--layout", "nyudv2_40"]) == 2
    assert main(["dataset", "check", str(tmp_path), "--layout", "nyudv2_40"]) == 2
    assert main(["dataset", "check", str(tmp_path), "--layout", "recorded"]) == 2
    (tmp_path / "dataset.yaml").write_text("label_set: {name: mine}")
    assert main(["dataset", "check", str(tmp_path)]) == 2
    (tmp_path / "dataset.yaml").write_text("label_set: [")
    assert main(["dataset", "check", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert "dataset.yaml: not YAML" in errors
    assert "nowhere: no such folder" in errors
    assert "no labels image label40/{stem}.png, as layout nyudv2_40 expects" in errors
    assert "dataset.yaml says no label set, nor does the layout: give --label-set" in errors
    assert "dataset.yaml: keys ['name'], expected exactly" in errors


def test_a_simulated_folder_brings_its_label_set(tmp_path, capsys):
    for kind, image in (("rgb", RGB), ("labels", LABELS)):
        (tmp_path / kind).mkdir()
        cv2.imwrite(str(tmp_path / kind / f"a.{'jpg' if kind == 'rgb' else 'png'}"), image)
    (tmp_path / "frames.csv").write_text("stem,light\na,dim\n")
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"label_set": load_label_set("warehouse").to_dict()}))
    assert main(["dataset", "check", str(tmp_path)]) == 0
    report = capsys.readouterr().out
    assert "light dim: 1" in report and "labels: warehouse" in report and "thermal: no image" in report


@pytest.fixture(scope="module")
def with_ids(tmp_path_factory):
    """Two frames of two persons, and a pallet with an id that is of no marked class."""
    root, warehouse = tmp_path_factory.mktemp("ids") / "data", load_label_set("warehouse")
    labels, ids = np.zeros((24, 32), np.uint8), np.zeros((24, 32), np.uint16)
    things = ("person", slice(2, 8)), ("person", slice(10, 14)), ("pallet", slice(20, 28))
    for number, (name, columns) in enumerate(things):
        labels[4:20, columns], ids[4:20, columns] = warehouse.names.index(name), 300 + number
    for folder in ("rgb", "labels", "instances"):
        (root / folder).mkdir(parents=True)
    for stem in ("a", "b"):
        cv2.imwrite(str(root / f"rgb/{stem}.jpg"), np.full((24, 32, 3), 90, np.uint8))
        cv2.imwrite(str(root / f"labels/{stem}.png"), labels)
        cv2.imwrite(str(root / f"instances/{stem}.png"), ids)
    (root / "frames.csv").write_text("stem\na\nb\n")
    return root


def test_things_are_counted_by_their_ids(with_ids):
    found = check(with_ids, "simulated", label_set="warehouse")
    assert (found.things, found.broken) == ({"person": 4}, ())
    assert "instances: things of marked classes in all frames: person 4" in found.lines()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "no such file, expected the ids"),
        (lambda path: path.write_bytes(b"\0" * 100), "compressed image starts with"),
        (lambda path: cv2.imwrite(str(path), np.zeros((9, 32), np.uint16)), r"\(9, 32\), expected \(24, 32\)"),
        (
            lambda path: cv2.imwrite(str(path), np.zeros((24, 32, 3), np.uint8)),
            "uint8 .*, expected one id of 8 or 16 bits",
        ),
    ],
)
def test_broken_ids_are_told_as_other_broken_images_are(with_ids, tmp_path, spoil, said):
    root = shutil.copytree(with_ids, tmp_path / "data")
    spoil(path := root / "instances/a.png")
    found = check(root, "simulated", label_set="warehouse")
    assert (found.frames, found.things, len(found.broken)) == (1, {"person": 2}, 1)
    assert re.match(rf"{path}: {said}", found.broken[0])


def test_ids_without_a_label_are_told_and_a_folder_without_ids_is_good(with_ids, tmp_path):
    root = shutil.copytree(with_ids, tmp_path / "data")
    cv2.imwrite(str(root / "labels/b.png"), np.full((24, 32), 255, np.uint8))
    found = check(root, "simulated", label_set="warehouse")
    assert re.match(rf"{root}/instances/b.png: \d+ pixels have the id of a thing and no label", found.broken[0])
    shutil.rmtree(root / "instances")
    found = check(root, "simulated", label_set="warehouse")
    assert (found.frames, found.things, found.broken) == (2, None, ())
