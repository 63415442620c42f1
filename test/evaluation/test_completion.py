"""Completed depth of a bag: scored on what was held out, written as the node would publish it, and on the report."""

import json
import re

import numpy as np
import pytest

from gemini_ros.bags.reader import BagReader
from gemini_ros.cli import main
from gemini_ros.core.encodings import decode_image, stamp_ns
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.evaluation.completion import CompletionRecorder, completion_of, held_out, lines
from gemini_ros.evaluation.store import BagRecord, Store, write_store
from gemini_ros.pipeline.settings import make_settings
from gemini_ros.pipeline.translations import Translations
from test.evaluation.drive import START_NS, write_drive
from test.evaluation.test_pipeline import MODELS, RGB_DEPTH
from test.evaluation.test_store import RUN

TO_DEPTH, TO_RGB = MODELS / "tiny_to_depth.onnx", MODELS / "tiny_to_rgb.onnx"


def test_held_out_pixels_were_measured_and_depend_on_bag_and_stamp_alone():
    depth = np.random.default_rng(0).uniform(1, 5, (60, 80)).astype(np.float32)
    depth[:, 70:] = np.nan
    held = held_out(depth, "a", 1)
    assert not held[:, 70:].any()
    assert held[:, :10].all()  # the mirrored hole
    assert 0.05 < held[:, 10:70].mean() < 0.15
    assert np.array_equal(held, held_out(depth, "a", 1))
    assert not np.array_equal(held, held_out(depth, "a", 2))
    assert not np.array_equal(held, held_out(depth, "b", 1))


def test_each_way_is_scored_on_the_same_pixels(tmp_path):
    models = Translations(make_settings({"depth_completed.model": str(TO_DEPTH)}))
    models.load(threads=1)
    record = BagRecord("bag")
    record.add("bags", "sha", 0, 1, "{}", "{}", None)
    recorder = CompletionRecorder(record, models, "sha")
    depth = np.full((48, 64), 3.0, np.float32)
    depth[:, 50:] = np.nan
    frame = Frame(5, "camera", np.zeros((48, 64, 3), np.uint8), depth)
    said = Segmentation(np.zeros((48, 64), np.uint8), np.zeros((48, 64), np.uint8))
    recorder.add(0, frame, said)
    recorder.add(1, Frame(6, "camera", frame.rgb, depth), said)  # in the same second
    recorder.add(2, Frame(2_000_000_000, "camera", frame.rgb, None), said)
    write_store(tmp_path / "s.sqlite", RUN, [record])
    with Store(tmp_path / "s.sqlite") as store:
        found = completion_of(store)
    assert found["frames"] == 1
    assert found["held_out_pixels"] == held_out(depth, "sha", 5).sum()
    assert list(found["ways"]) == ["network", "bilinear", "joint bilateral", "nearest"]
    for way in ("nearest", "bilinear", "joint bilateral"):
        assert found["ways"][way]["abs_error_m"] == pytest.approx(0, abs=1e-5)  # a wall at one distance
        assert found["ways"][way]["by_confidence"] == {}
    network = found["ways"]["network"]
    assert network["coverage"] == 1
    assert network["abs_error_m"] > 0.1
    assert list(network["by_confidence"]) == ["0.25", "0.5", "0.75"]
    assert lines(found)[0] == f"completed depth, on {found['held_out_pixels']} held-out pixels of 1 frame"


def test_evaluate_reports_and_writes_completed_depth(tmp_path, capsys):
    bag, out = write_drive(tmp_path / "drive.mcap"), tmp_path / "out"
    words = ["evaluate", bag, "--model", RGB_DEPTH, "--out", out, "--write", "depth_completed,night_view"]
    words += ["--set", f"depth_completed.model={TO_DEPTH}", "--set", f"night_view.model={TO_RGB}"]
    words += ["--set", "costmap.completed_confidence=0.01", "--set", "costmap.completed_depth=true"]
    assert main([str(word) for word in words]) == 0
    assert "held-out pixels of 2 frames" in capsys.readouterr().out
    found = json.loads((out / "results.json").read_text())
    assert found["completed_depth"]["frames"] == 2
    assert set(found["run"]["translations"]) == {"depth_completed", "night_view"}
    page = re.sub(r"\s+", " ", (out / "report.html").read_text())
    assert "Completed depth" in page
    assert "joint bilateral" in page
    with BagReader(out / "drive.outputs.mcap") as made:
        (first,) = list(map(made.deserialize, made.messages(["/segmenter/depth_completed"])))[:1]
        views = [made.deserialize(m) for m in made.messages(["/segmenter/night_view"])]
    assert len(views) == 12
    assert (views[0].encoding, first.encoding) == ("rgb8", "16UC1")
    assert stamp_ns(first) == START_NS
    depth = decode_image(first, "depth")
    assert np.isfinite(depth).all()


def test_an_output_without_a_model_is_refused(tmp_path, capsys):
    bag = write_drive(tmp_path / "drive.mcap", frames=2)
    words = ["evaluate", bag, "--model", RGB_DEPTH, "--out", tmp_path / "out", "--write", "night_view"]
    assert main([str(word) for word in words]) == 2
    assert "outputs night_view: night_view.model is empty: name a model with --set" in capsys.readouterr().err
