"""A D455 with unaligned depth and a Boson beside it: labels and a map from a bag, with one camera file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.bags.reader import BagReader
from gemini_ros.cli import main
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.resources import find_model
from gemini_ros.inference import read_model_info
from gemini_ros.inference.onnx import OnnxSegmenter
from gemini_ros.pipeline.bag_walk import BagRun
from gemini_ros.pipeline.cameras import read_camera
from gemini_ros.pipeline.settings import make_settings, values_of_camera
from gemini_ros.pipeline.streams import StreamChoice
from test.beside import BASE_FROM_RGB, FLOOR_M, camera, depth_at, warmth_at, write_bag

CAMERA = "realsense_boson"
COUNT = 3


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    return write_bag(tmp_path_factory.mktemp("beside") / "drive.mcap", COUNT)


class Knowing(OnnxSegmenter):
    """Calls what lies lower than 5 cm floor and all else box: no network has learnt this world."""

    def segment(self, frame: Frame) -> Segmentation:
        assert frame.depth is not None and frame.intrinsics is not None
        down = (np.arange(frame.depth.shape[0])[:, None] - frame.intrinsics.cy) / frame.intrinsics.fy
        stands = np.nan_to_num(FLOOR_M - down * frame.depth, nan=1.0) > 0.05
        floor, box = (self.info.label_set.names.index(name) for name in ("floor", "box"))
        labels = np.where(stands, np.uint8(box), np.uint8(floor))
        return Segmentation(labels, np.full_like(labels, 255))


def results_of(bag: Path, model: str, kind: type[OnnxSegmenter] = OnnxSegmenter, **values):
    settings = make_settings(values_of_camera(read_camera(CAMERA)) | values)
    with BagReader(bag) as reader:
        segmenter = kind(find_model(model), read_model_info(find_model(model)), "", None, 1)
        run = BagRun(reader, segmenter, segmenter.info.label_set, settings, StreamChoice(CAMERA))
        found = list(run.results())
    assert run.pipeline.counters.identities(run.walk.intake.matcher.counts) == []
    return found, run


def test_one_camera_file_gives_labels_and_a_map(drive):
    found, run = results_of(drive, "warehouse_rgbt_nano")
    assert len(found) == COUNT and run.pipeline.counters.pairs == COUNT
    for i, result in enumerate(found):
        frame = result.frame
        assert frame.size == (640, 360) and frame.intrinsics == camera("rgb", 0.5)
        assert frame.depth is not None and frame.thermal is not None
        known = np.isfinite(frame.depth)
        assert np.median(np.abs(frame.depth - depth_at("rgb", 0.5, 0.05 * i))[known]) < 0.01
        off = np.abs(frame.thermal - warmth_at("rgb", 0.5, 0.05 * i))[np.isfinite(frame.thermal)]
        assert np.median(off) < 0.1 and np.quantile(off, 0.95) < 0.6
    assert (found[-1].occupancy.data == 100).sum() > 20
    assert run.costmap.fault == "" and run.pipeline.latencies.count("registration") == COUNT


def test_the_map_of_registered_depth_is_where_things_are(drive):
    """The box that begins 1.6 m ahead of RGB, 20 to 70 cm to the left, and nothing nearer in the way."""
    found, _ = results_of(drive, "warehouse_rgbt_nano", Knowing)
    occupancy = found[-1].occupancy
    rows, columns = np.nonzero(occupancy.data == 100)
    x = occupancy.origin_xy[0] + (columns + 0.5) * occupancy.resolution_m
    y = occupancy.origin_xy[1] + (rows + 0.5) * occupancy.resolution_m
    front = BASE_FROM_RGB[0, 3] + 1.6
    box = (y > 0.2) & (y < 0.7) & (abs(x - front) < 0.11)
    assert box.sum() >= 8
    assert not (x < BASE_FROM_RGB[0, 3] + 1.2 - 0.11).any()


@pytest.mark.slow
def test_the_cameras_in_their_own_sizes(tmp_path):
    found, _ = results_of(write_bag(tmp_path / "drive.mcap", 2, 1.0), "warehouse_rgbt_nano")
    for i, result in enumerate(found):
        frame = result.frame
        assert frame.size == (640, 360) and frame.intrinsics == camera("rgb", 1.0).scaled(640, 360)
        known = np.isfinite(frame.depth)
        assert np.median(np.abs(frame.depth - depth_at("rgb", 0.5, 0.05 * i))[known]) < 0.01


def test_without_extrinsics_labels_go_on_and_the_note_names_what_is_missing(drive, tmp_path, capsys):
    bag = write_bag(tmp_path / "drive.mcap", COUNT, tf=())
    command = ["evaluate", str(bag), "--model", "warehouse_rgbt_nano", "--camera", CAMERA, "--out", str(tmp_path)]
    assert main(command) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["labels_published"] == COUNT
    assert summary["frames"]["depth"]["dropped"] == {"wrong_frame": COUNT}
    said = "\n".join(summary["notes"])
    assert "/tf_static have no frame camera_depth_optical_frame" in said
    assert "or set registration.depth.in_rgb" in said and "thermal is left out: no depth to register thermal by" in said
    assert main([*command, "--set", "registration.depth.in_rgb=[-0.059, 0, 0, 0, 0.003, 0.002]"]) == 0
    capsys.readouterr()


def test_extrinsics_in_millimetres_are_told(drive, tmp_path):
    values = {"registration.depth.in_rgb": (-59.0, 0.0, 0.0, 0.0, 0.0, 0.0)}
    found, run = results_of(drive, "warehouse_rgbt_nano", **values)
    assert len(found) == COUNT and found[0].frame.images().keys() == {"rgb"}
    assert any("its camera sees nothing of what RGB sees" in note for note in run.pipeline.notes())
