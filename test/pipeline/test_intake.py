from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.intake import Intake, Received, assemble
from gemini_ros.pipeline.settings import DEFAULTS, make_settings
from gemini_ros.pipeline.sync import Match

CAMERA = Intrinsics(6, 4, 5.0, 5.0, 2.5, 1.5)


def received(image: np.ndarray, frame_id: str = "color", intrinsics: Intrinsics | None = None) -> Received:
    return Received(image, frame_id, intrinsics, received_ns=1, decode_ns=1)


RGB = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
DEPTH = np.linspace(0.5, 3, 24, dtype=np.float32).reshape(4, 6)


def test_a_pair_becomes_a_frame_of_its_stamp():
    match = Match(7, {"rgb": received(RGB), "depth": received(DEPTH, "depth")}, "pair")
    frame = assemble(match, rgb_frame_id="unused", intrinsics=CAMERA)
    assert frame.stamp_ns == 7 and frame.frame_id == "color" and frame.intrinsics == CAMERA
    assert frame.rgb is RGB and frame.depth is DEPTH and frame.thermal is None
    assert frame.size == (6, 4)


def test_without_rgb_the_frame_is_still_that_of_the_rgb_grid():
    match = Match(7, {"depth": received(DEPTH, "depth")}, "single", ("rgb",))
    assert assemble(match, rgb_frame_id="color").frame_id == "color"
    assert assemble(match, rgb_frame_id="").frame_id == "depth"  # nothing better is known


def test_intrinsics_of_an_image_serve_where_none_are_given():
    items = {"rgb": received(RGB), "depth": received(DEPTH, intrinsics=CAMERA)}
    assert assemble(Match(7, items, "pair"), rgb_frame_id="").intrinsics == CAMERA
    assert assemble(Match(7, {"rgb": received(RGB)}, "pair"), rgb_frame_id="").intrinsics is None


def test_what_is_no_modality_stays_out():
    items = {"labels": received(np.zeros((9, 9), np.uint8)), "rgb": received(RGB)}
    assert assemble(Match(7, items, "pair"), rgb_frame_id="").images().keys() == {"rgb"}


def test_images_of_different_sizes_are_refused_with_both_and_the_cure():
    items = {"rgb": received(RGB), "depth": received(DEPTH[:, :5])}
    with pytest.raises(FrameError, match=r"rgb 6x4, depth 5x4: enable align_depth") as error:
        assemble(Match(7, items, "pair"), rgb_frame_id="")
    assert error.value.cause == "wrong_size"


def test_a_camera_info_of_another_size_is_refused():
    with pytest.raises(FrameError, match=r"camera_info 3x2, rgb 6x4: publish") as error:
        assemble(Match(7, {"rgb": received(RGB)}, "pair"), rgb_frame_id="", intrinsics=CAMERA.scaled(3, 2))
    assert error.value.cause == "wrong_size"


def test_an_array_of_a_wrong_type_is_invalid():
    with pytest.raises(FrameError, match="depth: float64") as error:
        assemble(Match(7, {"depth": received(DEPTH.astype(np.float64))}, "pair"), rgb_frame_id="")
    assert error.value.cause == "invalid"


def image(stamp_ns: int, encoding: str, size: tuple[int, int], frame_id: str) -> Any:
    """What the pipeline reads of a sensor_msgs/Image full of ones."""
    width, height = size
    pixel = {"rgb8": 3, "16UC1": 2}[encoding]
    header = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=stamp_ns), frame_id=frame_id)
    data = bytes([1]) * (width * height * pixel)
    return SimpleNamespace(
        header=header, encoding=encoding, width=width, height=height, step=width * pixel, is_bigendian=0, data=data
    )


def camera_info(size: tuple[int, int], frame_id: str) -> Any:
    return SimpleNamespace(
        header=SimpleNamespace(frame_id=frame_id), width=size[0], height=size[1], k=[5.0, 0, 2.5, 0, 5.0, 1.5, 0, 0, 1]
    )


def taken(intake: Intake, stream: str, message: Any, at_ns: int):
    return intake.take(stream, message, lambda: at_ns, at_ns, Instant.of(at_ns))


def test_the_grid_is_that_of_rgb():
    """Its camera_info and frame serve the frame, whatever aligned depth says of itself; without RGB they still do."""
    values = {"missing.timeout_s": 0.1, "registration.depth.aligned": True}
    intake = Intake(("rgb", "depth"), (), make_settings(values))
    intake.take_info("rgb", camera_info((6, 4), "info_frame"))
    assert intake.streams["rgb"].frame_id == "info_frame"
    intake.take_info("depth", camera_info((6, 4), "depth_frame"))
    assert intake.streams["depth"].intrinsics is not None
    taken(intake, "rgb", image(5, "rgb8", (6, 4), "color_frame"), 5)
    (match,) = taken(intake, "depth", image(5, "16UC1", (6, 4), "depth_frame"), 6)
    frame = intake.assemble(match)
    assert (frame.frame_id, frame.size, frame.intrinsics) == ("color_frame", (6, 4), intake.streams["rgb"].intrinsics)
    alone = Match(7, {"depth": match.items["depth"]}, "single", ("rgb",))
    assert intake.assemble(alone).frame_id == "color_frame"
    assert intake.assemble(alone).intrinsics == intake.streams["rgb"].intrinsics


def test_without_an_rgb_stream_depth_is_the_grid():
    intake = Intake(("depth",), (), DEFAULTS)
    assert intake.streams["depth"].frame_id == ""
    (match,) = taken(intake, "depth", image(5, "16UC1", (6, 4), "depth_frame"), 6)
    assert intake.assemble(match).frame_id == "depth_frame"


def test_an_uncalibrated_camera_info_is_noted_and_takes_the_old_one_away():
    intake = Intake(("rgb",), (), DEFAULTS)
    assert intake.streams["rgb"].camera_fault == "no camera_info"
    intake.take_info("rgb", camera_info((6, 4), "camera"))
    assert intake.streams["rgb"].camera_fault == ""
    bad = camera_info((6, 4), "camera")
    bad.k = [0.0] * 9
    intake.take_info("rgb", bad)
    assert intake.streams["rgb"].intrinsics is None
    assert [fault.startswith("rgb camera_info: camera_info: ") for fault, _ in intake.faults.most_common()] == [True]


def test_what_is_refused_is_counted_and_noted_but_for_a_model_that_is_not_ready():
    intake = Intake(("rgb",), (), make_settings({"camera.size": "8x4"}))
    with pytest.raises(FrameError, match=r"6x4, camera.size is 8x4") as error:
        taken(intake, "rgb", image(5, "rgb8", (6, 4), "camera"), 6)
    assert error.value.cause == "wrong_size"
    intake.refuse("rgb", FrameError("the model is not loaded yet", "not_ready"), 7)
    intake.refuse("rgb", FrameError("damaged"), 8)
    assert intake.matcher.counts["rgb"].dropped == {"wrong_size": 1, "not_ready": 1, "invalid": 1}
    assert [fault.split(",")[0] for fault, _ in intake.faults.most_common()] == ["rgb: 6x4", "rgb: damaged"]


def test_thermal_scale_and_offset_are_those_of_the_settings():
    intake = Intake(("thermal",), (), make_settings({"thermal.scale": 0.5, "thermal.offset": -100.0}))
    (match,) = taken(intake, "thermal", image(5, "16UC1", (6, 4), "camera"), 6)
    assert match.items["thermal"].image[0, 0] == 257 * 0.5 - 100
    assert (match.items["thermal"].received_ns, match.items["thermal"].receipt) == (6, Instant.of(6))


def png_of(size: tuple[int, int]) -> Any:
    """A CompressedImage of a few bytes whose header claims ``size``; it can't be decoded."""
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", *size) + bytes(9)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=9), frame_id="camera")
    return SimpleNamespace(header=header, format="png", data=data)


@pytest.mark.parametrize("learnt", ["image", "camera_info"])
def test_a_size_far_beyond_what_is_known_is_refused_before_it_is_decoded(learnt):
    intake = Intake(("rgb", "depth"), (), DEFAULTS)
    if learnt == "image":
        taken(intake, "rgb", image(5, "rgb8", (6, 4), "camera"), 5)
    else:
        intake.take_info("rgb", camera_info((6, 4), "camera"))
    with pytest.raises(FrameError, match=r"^4096x4096, (the image before it|its camera_info) is 6x4: ") as error:
        taken(intake, "rgb", png_of((4096, 4096)), 6)
    assert error.value.cause == "wrong_size"
    with pytest.raises(FrameError, match="corrupt") as error:  # not too large: it is read, and found to be damaged
        taken(intake, "rgb", png_of((12, 8)), 7)
    assert error.value.cause == "invalid"
    assert intake.matcher.counts["rgb"].dropped == {"wrong_size": 1, "invalid": 1}


def test_camera_size_is_compared_before_anything_is_decoded():
    intake = Intake(("rgb",), (), make_settings({"camera.size": "640x480"}))
    with pytest.raises(FrameError, match=r"^8192x8192, camera.size is 640x480: "):
        taken(intake, "rgb", png_of((8192, 8192)), 6)


@pytest.mark.parametrize(
    ("required", "ranges", "millimetres", "mode"),
    [
        (("rgb", "depth"), {}, 2000, "normal"),
        (("rgb", "depth"), {}, 20_000, "degrade:depth"),
        (("rgb", "depth"), {"depth": (0.1, 50.0)}, 20_000, "degrade:depth"),
        (("rgb", "depth"), {"depth": (3.0, 50.0)}, 2000, "degrade:depth"),
        (("rgb",), {}, 20_000, "normal"),
    ],
    ids=["good", "beyond the map", "beyond the map alone", "not for the model", "an extra"],
)
def test_depth_that_measures_nothing_for_the_map_or_the_model_is_in_the_mode(required, ranges, millimetres, mode):
    extras = () if "depth" in required else ("depth",)
    intake = Intake(required, extras, DEFAULTS, ranges=ranges)
    pairs = 0
    for i in range(20):
        now = 100_000_000 * i
        for stream, encoding in (("rgb", "rgb8"), ("depth", "16UC1")):
            message = image(now % 1_000_000_000, encoding, (6, 4), "camera")
            message.header.stamp.sec = now // 1_000_000_000
            if stream == "depth":
                values = np.full((4, 6), millimetres, np.uint16)
                values[0, 0] = i
                message.data = values.tobytes()
            else:
                message.data = bytes([i]) * len(message.data)
            pairs += len(intake.take(stream, message, lambda now=now: now, now, Instant.of(now)))
    assert intake.matcher.mode == mode
    assert pairs >= 18, "labels go on from what there is"


def take(intake: Intake, stream: str, stamp_ns: int, frame: str, size: tuple[int, int] = (6, 4)) -> None:
    message = image(stamp_ns, "rgb8" if stream == "rgb" else "16UC1", size, frame)
    intake.take(stream, message, lambda: stamp_ns, stamp_ns, Instant.of(stamp_ns))


def test_images_of_another_frame_are_refused_with_the_cure() -> None:
    intake = Intake(("rgb", "depth"), (), DEFAULTS)
    take(intake, "rgb", 1, "color")
    with pytest.raises(
        FrameError, match=r"frame_id 'depth' is not that of RGB, 'color'.*align_depth.*registration"
    ) as e:
        take(intake, "depth", 1, "depth")
    assert e.value.cause == "wrong_frame"
    assert intake.matcher.counts["depth"].dropped == {"wrong_frame": 1}
    take(intake, "depth", 1, "/color")
    take(intake, "depth", 2, "")
    assert intake.matcher.counts["depth"].dropped == {"wrong_frame": 1}
    assert intake.assumptions() == []


@pytest.mark.parametrize("by_name", [False, True])
def test_images_that_are_said_to_be_aligned_are_taken_and_it_is_told(by_name: bool) -> None:
    settings = DEFAULTS if by_name else make_settings({"registration.thermal.aligned": True})
    intake = Intake(("rgb", "thermal"), (), settings, aligned=("thermal",) if by_name else ())
    take(intake, "rgb", 1, "color")
    take(intake, "thermal", 1, "lwir")
    assert intake.matcher.counts["thermal"].dropped == {}
    assert intake.assumptions() == [
        "thermal: frame_id 'lwir' is taken to lie on the grid of RGB, 'color', as it is said to be aligned"
    ]
    with pytest.raises(FrameError, match="thermal 3x2, rgb 6x4: the images lie on another pixel grid") as e:
        take(intake, "thermal", 2, "lwir", (3, 2))
    assert e.value.cause == "wrong_size"


def test_an_image_of_another_frame_before_the_first_of_rgb_makes_no_frame() -> None:
    intake = Intake(("rgb", "depth"), (), DEFAULTS)
    items = {"rgb": received(RGB), "depth": received(DEPTH, "depth")}
    with pytest.raises(FrameError, match=r"frame_id 'depth' is not that of RGB"):
        intake.assemble(Match(7, items, "pair"))
    assert intake.assemble(Match(7, {"depth": received(DEPTH, "depth")}, "single")).depth is DEPTH
