"""The comparison of starts at toy size, on folders written here."""

import json
import sys

import cv2
import numpy as np
import pytest

from benchmarks import few_labels

pytestmark = pytest.mark.torch


def write_rooms(folder, count, size):
    """Images in the form of NYU Depth v2: a wall over a floor."""
    for kind in ("rgb", "depth", "label40"):
        (folder / kind).mkdir(parents=True)
    height, width = size
    below = np.arange(height)[:, None] >= height // 2 + np.zeros(width, int)
    for i in range(count):
        cv2.imwrite(str(folder / f"rgb/{i}.jpg"), np.where(below, 60, 160 + i)[..., None].repeat(3, 2).astype(np.uint8))
        cv2.imwrite(str(folder / f"depth/{i}.png"), np.where(below, 1500, 3000).astype(np.uint16))
        cv2.imwrite(str(folder / f"label40/{i}.png"), np.where(below, 1, 0).astype(np.uint8))
    return folder


def test_every_set_is_learnt_from_each_start_once(tmp_path, monkeypatch, capsys):
    train, test = write_rooms(tmp_path / "train", 12, (120, 160)), write_rooms(tmp_path / "test", 2, (192, 256))
    arguments = [
        "few_labels",
        str(train),
        str(test),
        "--dir",
        str(tmp_path / "runs"),
        "--weights",
        "warehouse_rgbd_nano",
    ]
    arguments += ["--images", "8", "12", "--steps", "2", "--json", str(tmp_path / "few.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    few_labels.main()
    rows = json.loads((tmp_path / "few.json").read_text())["rows"]
    starts = [few_labels.NOTHING, "warehouse_rgbd_nano"]
    assert [(row["images"], row["start"]) for row in rows] == [(n, start) for n in (8, 12) for start in starts]
    assert all(row["steps"] == 2 and row["test_images"] == 2 and row["core_seconds"] > 0 for row in rows)
    assert [row["gain"] is None for row in rows] == [True, False, True, False]
    assert len(list((tmp_path / "runs/images_8/rgb").iterdir())) == 8
    assert capsys.readouterr().out.count("images from") == 4
    few_labels.main()
    assert "images from" not in capsys.readouterr().out


def test_more_images_than_there_are_is_an_error(tmp_path, monkeypatch, capsys):
    train = write_rooms(tmp_path / "train", 2, (48, 64))
    arguments = [
        "few_labels",
        str(train),
        str(train),
        "--dir",
        str(tmp_path / "runs"),
        "--weights",
        "x",
        "--images",
        "3",
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit):
        few_labels.main()
    assert "--images [3], expected 1 to the 2 of" in capsys.readouterr().err


def test_mean_over_classes_that_are_there():
    confusion = np.zeros((1, 3, 4), int)
    confusion[0, 0] = [3, 1, 0, 0]
    confusion[0, 1] = [0, 2, 0, 2]
    assert few_labels.miou(confusion)[0] == pytest.approx((3 / 4 + 2 / 5) / 2)
