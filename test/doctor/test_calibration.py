"""``gemini-ros calibrate``: bags in, a parameter file and a table out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import COLOR_FRAME, DEFAULT_TOPICS
from gemini_ros.bags.writer import BagWriter
from gemini_ros.cli import main
from gemini_ros.core.calibration import ImageTrack, pixel_shift
from gemini_ros.core.frames import Intrinsics
from gemini_ros.pipeline.bag_walk import BagWalk
from gemini_ros.pipeline.settings import make_settings, read_parameter_file
from test.moving_scene import SIZE, START_NS, MovingScene, even

WRITE = {"rgb": messages.compressed_rgb, "depth": messages.compressed_depth, "thermal": messages.compressed_thermal}


def write_bag(
    path: Path,
    scene: MovingScene,
    late_s: float,
    shift=(0, 0),
    frame: str = COLOR_FRAME,
    streams=("depth",),
    infos: bool = False,
):
    """RGB and others, ``late_s`` by their stamps and ``shift`` by what they show; ``infos``: with their camera_info."""
    instants = {"rgb": np.arange(50) / 20, "depth": np.arange(34) / 14, "thermal": np.arange(24) / 9.5}
    images = [(*one, "rgb", COLOR_FRAME) for one in scene.images("rgb", instants["rgb"])]
    for stream in streams:
        images += [(*one, stream, frame) for one in scene.images(stream, instants[stream], late_s, shift=shift)]
    with BagWriter(path) as bag:
        camera = Intrinsics(*SIZE, 100.0, 100.0, SIZE[0] / 2, SIZE[1] / 2)
        for stream, of in (("rgb", COLOR_FRAME), *((stream, frame) for stream in streams)) if infos else ():
            topic = getattr(DEFAULT_TOPICS, f"{stream}_info")
            bag.write(topic, messages.camera_info(camera, START_NS, of), START_NS)
        for stamp, image, stream, of in sorted(images, key=lambda one: one[0]):
            bag.write(getattr(DEFAULT_TOPICS, stream), WRITE[stream](image, stamp, of), stamp)
    return path


def calibrate(bag: Path, *words: object) -> int:
    return main(["calibrate", str(bag), "--out", str(bag.with_suffix(".yaml")), *map(str, words)])


def test_a_bag_becomes_a_parameter_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "late.mcap", MovingScene(), 0.06, (5, -3))
    assert calibrate(bag) == 0
    out, err = capsys.readouterr()
    assert err == "" and "clock offset" in out and "shift x, y" in out and f"wrote    {bag.with_suffix('.yaml')}" in out
    values = read_parameter_file(bag.with_suffix(".yaml"))
    assert values["sync.offset_s.depth"] == pytest.approx(-0.06, abs=0.005)
    assert values["registration.depth.shift_px"] == pytest.approx([-5, 3], abs=1)
    assert make_settings(values).offsets_ns["depth"] == pytest.approx(-60e6, abs=5e6)


def test_a_shift_is_in_pixels_of_the_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is written and shown is what the node adds on ``camera.grid``, here of other proportions too."""
    bag = write_bag(tmp_path / "grid.mcap", MovingScene(), 0.0, (5, -3))
    assert calibrate(bag, "--set", f"camera.grid={2 * SIZE[0]}x{3 * SIZE[1]}") == 0
    values = read_parameter_file(bag.with_suffix(".yaml"))
    x, y = values["registration.depth.shift_px"]
    assert (x, y) == pytest.approx((-10, 9), abs=2)
    assert f"{x:+.1f}, {y:+.1f} px" in capsys.readouterr().out
    assert values["sync.offset_s.depth"] == pytest.approx(0, abs=0.005)


def test_an_offset_that_is_set_for_the_reference_stays_beside_what_is_found(tmp_path: Path) -> None:
    """The node adds both: what is written for depth is beside RGB as it is moved."""
    bag = write_bag(tmp_path / "late.mcap", MovingScene(), 0.06)
    assert calibrate(bag, "--set", "sync.offset_s.rgb=0.1", "--modalities", "depth") == 0
    assert read_parameter_file(bag.with_suffix(".yaml"))["sync.offset_s.depth"] == pytest.approx(0.04, abs=0.005)


def test_what_cannot_be_told_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "even.mcap", MovingScene(path=even), 0.0)
    assert calibrate(bag) == 1
    err = capsys.readouterr().err
    assert err.startswith(
        f"gemini-ros: {bag}: the clock offset of depth cannot be told: the motion is too slow or too even"
    )
    file = bag.with_suffix(".yaml")
    assert "sync.offset_s.depth" not in (read_parameter_file(file) if file.exists() else {})


def test_of_images_on_another_grid_the_clock_alone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "grid.mcap", MovingScene(), -0.1, frame="thermal_frame", streams=("thermal",))
    assert calibrate(bag, "--set", "sync.offset_s.thermal=0.08") == 1
    assert "the shift of thermal cannot be told: frame_id 'thermal_frame' is not that of RGB" in capsys.readouterr().err
    values = read_parameter_file(bag.with_suffix(".yaml"))
    assert values == {"sync.offset_s.thermal": pytest.approx(0.1, abs=0.006)}


def test_a_registered_camera_is_compared_on_the_grid_and_moved_there(tmp_path: Path) -> None:
    """A thermal camera at the place of RGB by what is set, and in truth some pixels off."""
    bag = write_bag(tmp_path / "off.mcap", MovingScene(), 0.0, (5, -3), "thermal_frame", ("thermal",), infos=True)
    in_rgb = "registration.thermal.in_rgb=[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]"
    assert calibrate(bag, "--set", in_rgb) == 0
    values = read_parameter_file(bag.with_suffix(".yaml"))
    assert values["registration.thermal.shift_px"] == pytest.approx([-5, 3], abs=1)
    again = {"registration.thermal.in_rgb": [0.0] * 6, "sync.slop_s": 0.03, **values}
    tracks = {stream: ImageTrack(stream, SIZE) for stream in ("rgb", "thermal")}
    with BagReader(bag) as reader:
        for step in BagWalk(reader, tuple(tracks), make_settings(again)).frames():
            for stream, track in tracks.items():
                track.add(step.frame.image(stream), step.frame.stamp_ns)
    left = pixel_shift(tracks["rgb"], tracks["thermal"], 0.0)
    assert (left.x, left.y) == pytest.approx((0, 0), abs=1)


@pytest.mark.slow
def test_images_that_are_said_to_be_aligned_are_compared(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "grid.mcap", MovingScene(), 0.0, (2, 3), "thermal_frame", ("thermal", "depth"))
    told = [f"registration.{stream}.aligned=true" for stream in ("depth", "thermal")]
    assert calibrate(bag, *(word for text in told for word in ("--set", text))) == 0
    assert len(read_parameter_file(bag.with_suffix(".yaml"))) == 4


def test_a_bag_of_one_stream_and_a_stream_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "one.mcap", MovingScene(), 0.0, streams=())
    assert calibrate(bag) == 2
    assert "only rgb images, expected two streams to compare" in capsys.readouterr().err
    assert calibrate(bag, "--modalities", "thermal") == 2
    assert "no topic of thermal" in capsys.readouterr().err
    assert not bag.with_suffix(".yaml").exists()
