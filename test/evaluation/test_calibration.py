"""camera_info through the walk of a bag: the same map from every true calibration, and labels without any."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemini_ros.bags.reader import BagReader
from gemini_ros.inference import load_segmenter
from gemini_ros.pipeline.bag_walk import BagRun
from gemini_ros.pipeline.settings import make_settings
from test.evaluation.drive import CAMERA, write_drive

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
K = [150.0, 0, 40.0, 0, 151.0, 30.0, 0, 0, 1]
P = [CAMERA.fx, 0, CAMERA.cx, 0, 0, CAMERA.fy, CAMERA.cy, 0, 0, 0, 1, 0]


@pytest.fixture(scope="module")
def segmenter():
    with closing(load_segmenter(MODEL)) as loaded:
        yield loaded


def run_of(segmenter: Any, tmp_path: Path, change: Any = lambda message, index: message, **settings: Any):
    """Known cells of every map, the maps, and the run."""
    bag = write_drive(tmp_path / "d.mcap", tamper=lambda stream, i, m: change(m, i) if stream == "info" else m)
    with BagReader(bag) as reader:
        settings = make_settings({name.replace("__", "."): value for name, value in settings.items()})
        run = BagRun(reader, segmenter, segmenter.info.label_set, settings)
        maps = [result.occupancy.data for result in run.results()]
    assert run.pipeline.counters.labels_published == len(maps) == 12
    return [int((data >= 0).sum()) for data in maps], maps, run.pipeline.notes()


def with_fields(**fields: Any):
    def change(message: Any, index: int) -> Any:
        for name, value in fields.items():
            setattr(message, name, np.array(value, np.float64) if isinstance(value, list) else value)
        return message

    return change


def binned(message: Any, index: int) -> Any:
    k = [2 * CAMERA.fx, 0, 2 * CAMERA.cx + 0.5, 0, 2 * CAMERA.fy, 2 * CAMERA.cy + 0.5, 0, 0, 1]
    return with_fields(k=k, width=2 * CAMERA.width, height=2 * CAMERA.height, binning_x=2, binning_y=2)(message, index)


def cut_out(message: Any, index: int) -> Any:
    k = [CAMERA.fx, 0, CAMERA.cx + 30, 0, CAMERA.fy, CAMERA.cy + 20, 0, 0, 1]
    changed = with_fields(k=k, width=CAMERA.width + 50, height=CAMERA.height + 50)(message, index)
    roi = changed.roi
    roi.x_offset, roi.y_offset, roi.width, roi.height = 30, 20, CAMERA.width, CAMERA.height
    return changed


@pytest.mark.parametrize(
    "change, settings",
    [
        (with_fields(k=K, d=[-0.28, 0.07, 0.0, 0.0, 0.0], p=P), {"camera__rectification": "rectified"}),
        (with_fields(p=[150.0, 0, 40, 0, 0, 150, 30, 0, 0, 0, 1, 0]), {}),
        (binned, {}),
        (cut_out, {}),
        (lambda message, index: message if index == 0 else None, {}),
    ],
    ids=["rectified has P", "raw has K", "binned", "region of interest", "latched, recorded once"],
)
def test_every_true_calibration_gives_the_same_map(segmenter, tmp_path, change, settings):
    known, maps, _ = run_of(segmenter, tmp_path)
    assert min(known) > 0
    _, others, notes = run_of(segmenter, tmp_path, change, **settings)
    np.testing.assert_array_equal(np.array(others), np.array(maps))
    assert not [note for note in notes if "camera_info" in note or "intrinsics" in note]


def test_raw_images_with_a_lens_give_another_map_than_rectified_ones(segmenter, tmp_path):
    _, maps, _ = run_of(segmenter, tmp_path)
    lens = with_fields(d=[-0.28, 0.07, 0.0, 0.0, 0.0])
    known, others, _ = run_of(segmenter, tmp_path, lens)
    assert min(known) > 0 and not np.array_equal(np.array(others), np.array(maps))


@pytest.mark.parametrize(
    "change, said",
    [
        (with_fields(k=[0.0] * 9), "fx 0.0"),
        (with_fields(width=1280, height=720, k=[900.0, 0, 640, 0, 900, 360, 0, 0, 1]), "of 1280x720, the images are"),
        (with_fields(d=[0.1] * 5, distortion_model="fov"), "distortion_model 'fov'"),
        (lambda m, i: with_fields(k=[70.0 + i % 2, 0, 47, 0, 72, 31, 0, 0, 1])(m, i), "camera_info changed"),
        (lambda m, i: None, "publish a calibrated camera_info"),
    ],
    ids=["zero", "of another size", "unknown lens", "changing", "none"],
)
def test_without_a_true_calibration_labels_come_and_the_map_says_why(segmenter, tmp_path, change, said):
    known, _, notes = run_of(segmenter, tmp_path, change)
    assert known[-1] == 0  # of one that changes the first is believed, until the map has aged
    (why,) = [note for note in notes if note.startswith("costmap: nothing from") and "intrinsics are not known" in note]
    assert said in why


def test_a_map_begins_with_its_camera_info(segmenter, tmp_path):
    known, _, _ = run_of(segmenter, tmp_path, lambda message, index: message if index >= 6 else None)
    assert sum(known[:6]) == 0 and min(known[6:]) > 0
