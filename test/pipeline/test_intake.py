from __future__ import annotations

import struct
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from gemini_ros.core.frames import FrameError, Intrinsics, Segmentation
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


def test_labels_go_without_a_camera_info_of_another_size():
    match = Match(7, {"rgb": received(RGB)}, "pair")
    assert assemble(match, rgb_frame_id="", intrinsics=CAMERA.scaled(3, 2)).intrinsics is None


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


@pytest.mark.parametrize(("stream", "encoding", "copies"), [("rgb", "rgb8", 0), ("depth", "16UC1", 1)])
def test_an_image_is_copied_where_it_is_converted_alone(stream, encoding, copies):
    intake = Intake((stream,), (), DEFAULTS)
    assert intake.streams[stream].copies is None
    taken(intake, stream, image(5, encoding, (6, 4), "camera"), 5)
    assert intake.streams[stream].copies == copies


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
    intake = Intake(("rgb",), (), DEFAULTS)
    with pytest.raises(FrameError, match=r"encoding 'theora'") as error:
        taken(intake, "rgb", SimpleNamespace(**{**vars(image(5, "rgb8", (6, 4), "camera")), "encoding": "theora"}), 6)
    assert error.value.cause == "invalid"
    intake.refuse("rgb", FrameError("the model is not loaded yet", "not_ready"), 7)
    intake.refuse("rgb", FrameError("damaged"), 8)
    assert intake.matcher.counts["rgb"].dropped == {"not_ready": 1, "invalid": 2}
    assert [fault.split("'")[0] for fault, _ in intake.faults.most_common()] == [
        "rgb: rgb image of encoding ",
        "rgb: damaged",
    ]


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
        now = 100_000_000 * (i + 1)
        for stream, encoding in (("rgb", "rgb8"), ("depth", "16UC1")):
            message = image(now % 1_000_000_000, encoding, (6, 4), "camera")
            message.header.stamp.sec = now // 1_000_000_000
            if stream == "depth":
                values = np.full((4, 6), millimetres, np.uint16)
                values[0, 0] = i
                message.data = values.tobytes()
            else:
                message.data = bytes([i]) * len(message.data)
            with suppress(FrameError):
                pairs += len(intake.take(stream, message, lambda now=now: now, now, Instant.of(now)))
    assert intake.matcher.mode == mode
    assert pairs >= 14, "labels go on from what there is"


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
    assert intake.assumptions() == []
    take(intake, "depth", 2, "")
    assert intake.matcher.counts["depth"].dropped == {"wrong_frame": 1}
    assert len(intake.assumptions()) == 1 and "the frame_id of depth is empty" in intake.assumptions()[0]


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


def test_an_image_of_another_frame_before_the_first_of_rgb_is_left_out_of_the_frame() -> None:
    intake = Intake(("rgb", "depth"), (), DEFAULTS)
    items = {"rgb": received(RGB), "depth": received(DEPTH, "depth")}
    assert intake.assemble(Match(7, items, "pair")).images().keys() == {"rgb"}
    assert intake.streams["depth"].blind.startswith("frame_id 'depth' is not that of RGB")
    assert intake.assemble(Match(7, {"depth": received(DEPTH, "depth")}, "single")).depth is DEPTH


def filled(value: int, encoding: str, stamp_ns: int, size: tuple[int, int] = (6, 4)) -> Any:
    """An Image of one value, and of its stamp in one pixel, as no two images are equal."""
    message = image(stamp_ns, encoding, size, "camera")
    pixels = np.full(
        size[1] * size[0] * (3 if encoding == "rgb8" else 1), value, np.uint8 if encoding == "rgb8" else np.uint16
    )
    pixels[0] = stamp_ns % 200 + (1000 if encoding != "rgb8" else 0)
    message.data = pixels.tobytes()
    return message


def judged(**values: Any) -> Intake:
    settings = make_settings({"missing.timeout_s": 0.2, **{name.replace("__", "."): v for name, v in values.items()}})
    return Intake(("rgb", "depth"), (), settings, ranges={"depth": (0.1, 20.0)})


def feed(intake: Intake, colour: int, millimetres: int, frames: int, size=(40, 30), start: int = 1) -> None:
    for i in range(start, start + frames):
        at_ns = i * 50_000_000
        for stream, encoding, value in (("rgb", "rgb8", colour), ("depth", "16UC1", millimetres)):
            with suppress(FrameError):
                taken(intake, stream, filled(value, encoding, at_ns + i, size), at_ns)


def test_depth_nearer_than_the_models_range_is_missing_and_says_so():
    intake = judged()
    feed(intake, 120, 2000, 6)
    assert intake.matcher.mode == "normal"
    feed(intake, 120, 60, 12, start=7)
    assert intake.matcher.mode == "degrade:depth"
    assert intake.matcher.counts["depth"].dropped["unusable"] == 12
    (said,) = [fault for fault in intake.faults if "depth" in fault]
    assert said.startswith("depth: depth measures next to nothing, nearer than the model's range: 1 of 1200 pixels")
    assert "depth.scale" in said and intake.faults[said] == 12
    feed(intake, 120, 2000, 6, start=19)
    assert intake.matcher.mode == "normal"


@pytest.mark.parametrize("share, usable", [(0.019, False), (0.021, True), (0.039, True), (0.041, True)])
def test_the_share_of_valid_pixels_that_an_image_needs(share: float, usable: bool):
    assert [accepts(judged(), share)] == [usable]


def test_depth_is_judged_by_the_map_as_it_is_now():
    noisy, exact = (make_settings({"costmap.depth_noise_per_m": noise}) for noise in (0.002, 0.0005))
    intake = Intake(("rgb", "depth"), (), noisy)
    feed(intake, 90, 7500, 1)
    assert "farther than the map's range" in intake.streams["depth"].blind
    intake.reconfigure(exact.costmap)
    feed(intake, 90, 7500, 1, start=2)
    assert intake.streams["depth"].blind == ""


def accepts(intake: Intake, share: float, at_ns: int = 5) -> bool:
    message = image(at_ns, "16UC1", (100, 100), "camera")
    pixels = np.zeros(10_000, np.uint16)
    pixels[: round(share * 10_000)] = 2000 + at_ns
    message.data = pixels.tobytes()
    try:
        taken(intake, "depth", message, at_ns)
    except FrameError as error:
        assert error.cause == "unusable"
        return False
    return True


def test_twice_the_share_is_needed_to_come_back():
    intake = judged()
    shares = (0.03, 0.019, 0.03, 0.039, 0.041, 0.03)
    assert [accepts(intake, share, i + 1) for i, share in enumerate(shares)] == [True, False, False, False, True, True]
    intake = judged(presence__min_valid=0.2)
    shares = (0.3, 0.19, 0.3, 0.41)
    assert [accepts(intake, share, i + 1) for i, share in enumerate(shares)] == [True, False, False, True]
    assert accepts(judged(presence__min_valid=0.0), 0.0)


@pytest.mark.parametrize("colour, mode", [(3, "normal"), (0, "normal"), (120, "normal"), (255, "degrade:rgb")])
def test_dark_colours_are_used_and_told_and_saturated_ones_are_missing(colour: int, mode: str):
    intake = judged()
    feed(intake, colour, 2000, 12)
    assert intake.matcher.mode == mode
    warning = intake.streams["rgb"].image_warning
    assert warning.startswith(f"dark, mean {colour}.") == (colour < 20) and bool(warning) == (colour < 20)
    told = [fault for fault in intake.faults if "rgb: dark, mean" in fault or "rgb: rgb is saturated: mean" in fault]
    assert len(told) == (colour != 120)


def test_a_stamp_of_zero_is_of_no_use():
    intake = judged()
    with pytest.raises(FrameError, match="stamp 0: the driver has to stamp"):
        taken(intake, "rgb", filled(120, "rgb8", 0), 5)
    assert intake.matcher.counts["rgb"].dropped == {"unusable": 1}


def test_the_unit_of_depth_and_the_rows_of_telemetry_are_those_of_the_settings():
    intake = Intake(
        ("depth", "thermal"), (), make_settings({"depth.scale": 0.25, "thermal.skip_rows": -1, "camera.grid": "6x4"})
    )
    taken(intake, "thermal", image(5, "16UC1", (6, 5), "camera"), 5)
    intake.take_info("thermal", camera_info((6, 5), "camera"))
    (match,) = taken(intake, "depth", image(5, "16UC1", (6, 4), "camera"), 6)
    np.testing.assert_allclose(match.items["depth"].image, 257 * 0.25 / 1000)
    assert match.items["thermal"].image.shape == (4, 6)
    camera = intake.streams["thermal"].intrinsics
    assert camera is not None and (camera.height, camera.cy) == (4, 0.5)


@pytest.mark.parametrize(
    "topic, setting, focal",
    [
        ("/camera/color/image_raw", "auto", 5.0),
        ("/camera/color/image_rect_color", "auto", 4.0),
        ("/left/image_rect/compressed", "auto", 4.0),
        ("/zed/rgb/color/rect/image", "auto", 4.0),
        ("/Camera/Image_Rect", "auto", 4.0),
        ("/direct/image", "auto", 5.0),
        ("/rgb/image", "rectified", 4.0),
        ("/camera/color/image_rect", "raw", 5.0),
    ],
)
def test_the_topic_tells_rectified_images_unless_it_is_set(topic: str, setting: str, focal: float):
    intake = Intake(("rgb",), (), make_settings({"camera.rectification": setting}))
    intake.streams["rgb"].topic = topic
    intake.take_info("rgb", rectifying((6, 4)))
    assert intake.streams["rgb"].intrinsics.fx == focal


def rectifying(size: tuple[int, int]) -> Any:
    message = camera_info(size, "camera")
    message.d, message.distortion_model = [-0.2, 0.04, 0.0, 0.0, 0.0], "plumb_bob"
    message.p = [4.0, 0, 2.5, 0, 0, 4.0, 1.5, 0, 0, 0, 1, 0]
    return message


def test_a_camera_info_of_another_size_is_told_once_and_comes_right_with_the_images():
    intake = Intake(("rgb",), (), DEFAULTS)
    intake.take_info("rgb", camera_info((6, 4), "camera"))
    for i in range(3):
        (match,) = taken(intake, "rgb", image(5 + i, "rgb8", (3, 2), "camera"), 5 + i)
        assert intake.assemble(match).intrinsics is None
    assert intake.grid_fault == intake.camera_fault("rgb")
    assert intake.grid_fault.startswith("camera_info of 6x4, the images are 3x2")
    assert [count for fault, count in intake.faults.items() if "camera_info of 6x4" in fault] == [1]
    (match,) = taken(intake, "rgb", image(50, "rgb8", (6, 4), "camera"), 50)
    assert intake.assemble(match).intrinsics is not None and intake.grid_fault == ""


def test_a_camera_info_that_changes_is_believed_when_it_stays():
    intake = Intake(("rgb",), (), DEFAULTS)
    rgb, at_ns = intake.streams["rgb"], 5
    intake.take_info("rgb", camera_info((6, 4), "camera"))
    other = camera_info((6, 4), "camera")
    other.k = [4.0, 0, 2.5, 0, 4.0, 1.5, 0, 0, 1]
    known = []
    for message in (camera_info((6, 4), "camera"), other, other, other, other):
        intake.take_info("rgb", message)
        at_ns += 1
        taken(intake, "rgb", image(at_ns, "rgb8", (6, 4), "camera"), at_ns)
        known.append(rgb.intrinsics and rgb.intrinsics.fx)
    assert known == [5.0, None, None, 4.0, 4.0]
    for message in 3 * (camera_info((6, 4), "camera"), other):
        intake.take_info("rgb", message)
        at_ns += 1
        taken(intake, "rgb", image(at_ns, "rgb8", (6, 4), "camera"), at_ns)
        assert rgb.intrinsics is None and rgb.camera_fault.startswith("camera_info changed: the map waits")
    assert [count for fault, count in intake.faults.items() if "camera_info changed" in fault] == [2]


def test_one_camera_info_serves_all_streams():
    intake = Intake(("rgb", "depth"), (), DEFAULTS)
    assert intake.camera_fault("rgb") == intake.camera_fault("depth") == "no camera_info"
    intake.take_info("rgb", camera_info((6, 4), "camera"))
    assert intake.camera_fault("rgb") == intake.camera_fault("depth") == ""


@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "colour"])
def test_the_robots_own_body_has_no_label_and_no_depth(tmp_path, channels: tuple[int, ...]):
    mask = np.zeros((4, 6, *channels), np.uint8)
    mask[2:, 1:3] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    intake = Intake(("rgb", "depth"), (), make_settings({"camera.self_mask": str(tmp_path / "mask.png")}))
    frame = intake.assemble(Match(7, {"rgb": received(RGB), "depth": received(DEPTH)}, "pair"))
    labels = np.ones((4, 6), np.uint8)
    masked, segmentation = intake.without_robot(frame, Segmentation(labels, 9 * labels))
    body = mask.reshape(4, 6, -1)[..., 0] > 0
    np.testing.assert_array_equal(segmentation.labels, np.where(body, 255, 1))
    np.testing.assert_array_equal(segmentation.confidence, np.where(body, 0, 9))
    np.testing.assert_array_equal(masked.depth, np.where(body, np.nan, DEPTH))
    assert masked.rgb is RGB and frame.depth is DEPTH and (labels == 1).all()
    other = intake.assemble(Match(7, {"rgb": received(RGB[:2, :3].copy(), intrinsics=CAMERA.scaled(3, 2))}, "pair"))
    assert other.intrinsics is None and other.rgb is not None, "labels go on, the map does not"
    assert intake.grid_fault.startswith("camera.self_mask is 6x4, the images are 3x2")
    unmasked = Segmentation(np.ones((2, 3), np.uint8), np.ones((2, 3), np.uint8))
    assert intake.without_robot(other, unmasked) == (other, unmasked)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_bytes(b"no picture"), "expected JPEG, PNG or TIFF"),
        (lambda path: cv2.imwrite(str(path), np.zeros((4, 6), np.uint16)), "uint16 .*expected 8 bits"),
        (lambda path: cv2.imwrite(str(path), np.zeros((4, 6, 4), np.uint8)), "expected 8 bits, grey or colour"),
    ],
)
def test_a_mask_that_is_none_is_refused_at_once(tmp_path, write, said: str):
    path = tmp_path / "mask.png"
    write(path)
    with pytest.raises(ValueError, match=rf"camera\.self_mask: .*mask\.png: .*{said}"):
        Intake(("rgb",), (), make_settings({"camera.self_mask": str(path)}))
