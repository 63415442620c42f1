"""What image to image cannot be learnt from: depth full of holes, and other scenes under the same names."""

import cv2
import numpy as np
import pytest

from gemini_ros.datasets.layout import load_layout
from gemini_ros.datasets.pairs import check_dark_pairs, check_depth_target
from test.training.toy import write_folder

LAYOUT = load_layout("simulated")


def darken(folder, stem):
    path = str(folder / f"rgb/{stem}.jpg")
    cv2.imwrite(path, cv2.imread(path) // 4)


def test_depth_with_many_holes_is_no_target(tmp_path):
    folder = write_folder(tmp_path / "toy", 3)
    check = check_depth_target(folder, LAYOUT)
    assert check.broken == ()
    assert check.lines() == ["target depth: known at 93.8% of the pixels of 3 frames, in the worst at 93.8%"]
    cv2.imwrite(str(folder / "depth/001.png"), np.zeros((64, 96), np.uint16))
    (sentence,) = check_depth_target(folder, LAYOUT).broken
    assert sentence.startswith("frame 001: depth is known at 0% of the pixels, expected 50% at least")


def test_pairs_show_the_same_scenes_with_less_light(tmp_path):
    day, dark = write_folder(tmp_path / "day", 3), write_folder(tmp_path / "dark", 3)
    for stem in ("000", "001"):
        darken(dark, stem)
    cv2.imwrite(str(dark / "labels/001.png"), np.full((64, 96), 7, np.uint8))
    check = check_dark_pairs(day, dark, LAYOUT)
    assert check.lines()[0].startswith("target rgb: 3 pairs, mean ")
    other, bright = check.broken
    assert other.startswith(f"frame 001 of {dark}: 100% of the labels are others than by day: render both with one")
    assert bright.startswith(f"frame 002 of {dark}: mean ")
    with pytest.raises(ValueError, match="expected the same scenes in the dark: render both with one seed"):
        check_dark_pairs(day, write_folder(tmp_path / "more", 2), LAYOUT)


def test_the_command_says_what_is_wrong_with_its_target(tmp_path, capsys):
    from gemini_ros.cli import main

    folder = write_folder(tmp_path / "toy", 2)
    check = ["dataset", "check", str(folder), "--label-set", "warehouse", "--target"]
    assert main([*check, "depth"]) == 0
    assert "target depth: known at" in capsys.readouterr().out
    assert main([*check, "rgb"]) == 2
    assert "--target rgb and --dark DIR" in capsys.readouterr().err
    assert main([*check, "rgb", "--dark", str(folder)]) == 2
    assert "broken: frame 000" in capsys.readouterr().out
