"""Bags of three streams: any of them missing for a while, and streams under names that only a model's file knows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("onnx")

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.writer import BagWriter
from gemini_ros.core.frames import Intrinsics
from gemini_ros.evaluation.pipeline import evaluate_bag
from gemini_ros.pipeline.bag_walk import BagWalk
from gemini_ros.pipeline.settings import make_settings
from test.evaluation.drive import MOUNTING, write_drive
from test.inference.small_model import small_model

THREE = ("rgb", "depth", "thermal")
FURTHER = ("event", "rgb", "radar")
FRAMES, GONE = 32, range(10, 22)
MS = 1_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("model") / "three.onnx", modalities=THREE)


@pytest.mark.parametrize("missing", [m for n in range(4) for m in combinations(THREE, n)], ids="+".join)
def test_any_of_three_missing_for_a_while(model, missing, tmp_path):
    bag = write_drive(
        tmp_path / "drive.mcap",
        frames=FRAMES,
        tamper=lambda stream, i, message: None if stream in missing and i in GONE else message,
    )
    summary = evaluate_bag(bag, model, tmp_path, make_settings({"camera.in_base": MOUNTING}), threads=1)
    assert summary.check() == []
    modes = [change.mode for change in summary.mode_changes]
    if not missing:
        assert modes == ["normal"] and (summary.pairs, summary.singles) == (FRAMES, 0)
        return
    assert modes[:2] == ["normal", f"degrade:{'+'.join(missing)}"] and modes[-1] == "normal"
    lost = FRAMES - summary.pairs - summary.singles
    assert summary.singles >= 10 if len(missing) < 3 else lost >= len(GONE)
    for name, counts in summary.frames.items():
        assert counts.received == FRAMES - len(GONE) * (name in missing)
        assert (counts.singles >= 10) == (name not in missing and len(missing) < 3)
    if "rgb" not in missing and len(missing) < 3:
        assert lost == 0 and summary.scored_frames == FRAMES


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Twenty instants at 10 Hz; the event camera's clock is 300 ms ahead, radar is 16 bits."""
    path = tmp_path_factory.mktemp("bag") / "further.mcap"
    random = np.random.default_rng(0)
    with BagWriter(path) as writer:
        writer.write("/event/camera_info", messages.camera_info(Intrinsics(48, 32, 40, 40, 24, 16), 1, "camera"), 1)
        for stamp in range(10**9, 3 * 10**9, 100 * MS):
            rgb = random.integers(0, 256, (32, 48, 3), np.uint8)
            event = random.normal(size=(32, 48)).astype(np.float32)
            radar = random.integers(0, 5, (32, 48)).astype(np.uint16)
            writer.write("/camera/color/image_raw", messages.image(rgb, "rgb8", stamp, "camera"), stamp)
            writer.write("/event/image", messages.image(event, "32FC1", stamp + 300 * MS, "camera"), stamp + 1)
            writer.write("/front_radar/image", messages.png_image(radar, "mono16", stamp, "camera"), stamp + 2)
    return path


def test_modalities_under_names_of_their_own(bag, tmp_path):
    model = small_model(tmp_path / "further.onnx", modalities=FURTHER)
    summary = evaluate_bag(bag, model, tmp_path, make_settings({"sync.offset_s.event": -0.3}), threads=1)
    assert summary.check() == []
    assert (summary.pairs, summary.singles, summary.inferences) == (20, 0, 20)
    assert [change.mode for change in summary.mode_changes] == ["normal"] and set(summary.frames) == set(FURTHER)
    unpaired = evaluate_bag(bag, model, tmp_path, threads=1)
    assert [change.mode for change in unpaired.mode_changes] == ["normal", "degrade:event"]
    assert any("set sync.offset_s.event to -0.3 if their clocks differ" in note for note in unpaired.notes)
    left = evaluate_bag(bag, model, tmp_path, make_settings({"modalities": ["rgb", "radar"]}), threads=1)
    assert left.pairs == 20 and set(left.frames) == {"rgb", "radar"}


def test_their_images_are_numbers_and_their_camera_counts(bag):
    with BagReader(bag) as reader:
        walk = BagWalk(reader, FURTHER, make_settings({"sync.offset_s.event": -0.3}))
        frames = [step.frame for step in walk.frames()]
    random = np.random.default_rng(0)
    for frame in frames:
        np.testing.assert_array_equal(frame.rgb, random.integers(0, 256, (32, 48, 3), np.uint8))
        np.testing.assert_array_equal(frame.image("event"), random.normal(size=(32, 48)).astype(np.float32))
        np.testing.assert_array_equal(frame.image("radar"), random.integers(0, 5, (32, 48)).astype(np.float32))
        assert frame.intrinsics is not None and frame.intrinsics.fx == 40
    assert len(frames) == 20


def test_what_is_no_stream_is_told(bag):
    with BagReader(bag) as reader:
        with pytest.raises(BagError, match="no topic of sonar, which the model takes"):
            BagWalk(reader, ("rgb", "sonar"))
        with pytest.raises(ValueError, match=r"sync\.offset_s\.evnt is set, there is no stream evnt; did you mean event"):
            BagWalk(reader, FURTHER, make_settings({"sync.offset_s.evnt": 1.0}))
        walk = BagWalk(reader, FURTHER, make_settings({"sync.offset_s.polarised": 1.0}))
    (note,) = walk.faults
    assert "there is no stream polarised: the model takes event, rgb, radar" in note
