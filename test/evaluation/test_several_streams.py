"""Bags of three streams: any of them missing for a while, and streams under names that only a model's file knows."""

from __future__ import annotations

from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.writer import BagWriter
from gemini_ros.cli import main
from gemini_ros.core.frames import Intrinsics
from gemini_ros.evaluation.pipeline import evaluate_bag
from gemini_ros.inference import Segmenter, load_segmenter
from gemini_ros.pipeline.bag_walk import BagRun, BagWalk
from gemini_ros.pipeline.settings import make_settings
from gemini_ros.pipeline.streams import StreamChoice, find_topics, stream_topics
from test.evaluation.drive import MOUNTING, write_drive
from test.inference.small_model import small_model

THREE = ("rgb", "depth", "thermal")
FURTHER = ("event", "rgb", "radar")
FRAMES, GONE = 32, range(10, 22)
MS = 1_000_000


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    path = small_model(tmp_path_factory.mktemp("model") / "three.onnx", modalities=THREE)
    with closing(load_segmenter(path, backend="onnxruntime", threads=1)) as loaded:
        yield loaded


def run_of(bag: Path, segmenter: Segmenter, **values: Any) -> BagRun:
    """A bag walked to its end, with everything accounted for."""
    settings = make_settings({name.replace("__", "."): value for name, value in values.items()})
    with BagReader(bag) as reader:
        run = BagRun(reader, segmenter, segmenter.info.label_set, settings)
        assert sum(1 for _ in run.results()) == run.pipeline.counters.inferences
    assert run.pipeline.counters.identities(run.walk.intake.matcher.counts) == []
    return run


def modes_of(run: BagRun) -> list[str]:
    return [mode for _, mode in run.walk.intake.matcher.mode_changes]


@pytest.mark.parametrize("missing", [m for n in range(4) for m in combinations(THREE, n)], ids="+".join)
def test_any_of_three_missing_for_a_while(segmenter, missing, tmp_path):
    bag = write_drive(
        tmp_path / "drive.mcap",
        frames=FRAMES,
        tamper=lambda stream, i, message: None if stream in missing and i in GONE else message,
    )
    run = run_of(bag, segmenter, camera__in_base=MOUNTING, presence__repeated="accept")
    modes, counters, counts = modes_of(run), run.pipeline.counters, run.walk.intake.matcher.counts
    if not missing:
        assert modes == ["normal"] and (counters.pairs, counters.singles) == (FRAMES, 0)
        return
    # One by one they go missing, in the order in which their last images were received.
    assert modes[0] == modes[-1] == "normal" and f"degrade:{'+'.join(missing)}" in modes
    goes_on = len(missing) < 3
    for name in THREE:
        assert counts[name].received == FRAMES - len(GONE) * (name in missing)
        assert (counts[name].singles >= 10) == (name not in missing and goes_on)
    if goes_on:
        assert counters.inferences >= FRAMES - 3
    if "rgb" not in missing and goes_on:
        assert counters.inferences == FRAMES


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Twenty instants at 10 Hz; the event camera's clock is 350 ms ahead, radar is 16 bits."""
    path = tmp_path_factory.mktemp("bag") / "further.mcap"
    random = np.random.default_rng(0)
    with BagWriter(path) as writer:
        writer.write("/event/camera_info", messages.camera_info(Intrinsics(48, 32, 40, 40, 24, 16), 1, "camera"), 1)
        for stamp in range(10**9, 3 * 10**9, 100 * MS):
            rgb = random.integers(0, 256, (32, 48, 3), np.uint8)
            event = random.normal(size=(32, 48)).astype(np.float32)
            radar = random.integers(0, 5, (32, 48)).astype(np.uint16)
            writer.write("/camera/color/image_raw", messages.image(rgb, "rgb8", stamp, "camera"), stamp)
            writer.write("/event/image", messages.image(event, "32FC1", stamp + 350 * MS, "camera"), stamp + 1)
            writer.write("/front_radar/image", messages.png_image(radar, "mono16", stamp, "camera"), stamp + 2)
    return path


def test_modalities_under_names_of_their_own(bag, tmp_path):
    path = small_model(tmp_path / "further.onnx", modalities=FURTHER)
    with closing(load_segmenter(path, backend="onnxruntime", threads=1)) as further:
        mended = run_of(bag, further, sync__offset_s__event=-0.35)
        unpaired = run_of(bag, further)
        left = run_of(bag, further, modalities=["rgb", "radar"])
    assert (mended.pipeline.counters.pairs, modes_of(mended)) == (20, ["normal"])
    assert modes_of(unpaired) == ["normal", "degrade:event"]
    (note,) = [text for text in unpaired.pipeline.notes() if "not paired" in text]
    assert "rgb and event have not paired" in note and "sync.offset_s.event" in note
    assert left.pipeline.counters.pairs == 20 and set(left.walk.intake.streams) == {"rgb", "radar"}


NEAR_IR = "near_ir: {image: /left/frames, camera_info: /left/optics, image_transport: raw, aligned: true}"


@pytest.fixture
def near_ir_bag(tmp_path):
    """Twenty instants; no topic is called like the stream, and its frame_id is another than that of RGB."""
    path, random = tmp_path / "near_ir.mcap", np.random.default_rng(0)
    with BagWriter(path) as writer:
        writer.write("/left/optics", messages.camera_info(Intrinsics(48, 32, 40, 40, 24, 16), 1, "left"), 1)
        for stamp in range(10**9, 3 * 10**9, 100 * MS):
            rgb, numbers = random.integers(0, 256, (32, 48, 3), np.uint8), random.integers(0, 9, (32, 48), np.uint16)
            writer.write("/camera/color/image_raw", messages.image(rgb, "rgb8", stamp, "camera"), stamp)
            writer.write("/left/frames", messages.image(numbers, "mono16", stamp, "left"), stamp + 1)
    return path


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (NEAR_IR, 0, "near_ir  20 received, 20 in pairs, "),
        (NEAR_IR.replace("/left/frames", "/right/frames"), 2, "no topic of near_ir, which the model takes"),
        (NEAR_IR.replace("image_transport: raw, ", ""), 2, "near_ir needs image, camera_info and image_transport"),
    ],
)
def test_a_camera_file_says_where_they_are(near_ir_bag, tmp_path, capsys, content, status, said):
    model = small_model(tmp_path / "near_ir.onnx", modalities=("rgb", "near_ir"))
    camera = tmp_path / "camera.yaml"
    rgb = "rgb: {image: /camera/color/image_raw, camera_info: /camera/color/camera_info, image_transport: raw}"
    camera.write_text(f"{rgb}\n{content}\n")
    words = ["evaluate", str(near_ir_bag), "--model", str(model), "--out", str(tmp_path / "out")]
    assert main([*words, "--camera", str(camera)]) == status
    out, err = capsys.readouterr()
    assert said in (err if status else out)
    if status == 0:
        assert main(words) == 2, "the file alone says which topic it is"
        choice = StreamChoice(str(camera))
        with BagReader(near_ir_bag) as reader:
            topics = find_topics(reader, choice)
            assert stream_topics(reader, topics, "near_ir", choice) == ("/left/frames", "/left/optics")
            assert topics.images() == {"rgb": "/camera/color/image_raw"}


def test_a_summary_of_them(bag, tmp_path):
    path = small_model(tmp_path / "further.onnx", modalities=FURTHER)
    summary = evaluate_bag(bag, path, tmp_path, make_settings({"sync.offset_s.event": -0.35}), threads=1)
    assert summary.check() == [] and (summary.pairs, set(summary.frames)) == (20, set(FURTHER))


def test_their_images_are_numbers_and_their_camera_counts(bag):
    with BagReader(bag) as reader:
        walk = BagWalk(reader, FURTHER, make_settings({"sync.offset_s.event": -0.35}))
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
        with pytest.raises(
            ValueError, match=r"sync\.offset_s\.evnt .*is set, there is no stream evnt; did you mean event"
        ):
            BagWalk(reader, FURTHER, make_settings({"sync.offset_s.evnt": 1.0}))
        walk = BagWalk(reader, FURTHER, make_settings({"sync.offset_s.polarised": 1.0}))
    (note,) = walk.faults
    assert "there is no stream polarised: the model takes event, rgb, radar" in note
