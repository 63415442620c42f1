"""Streams onto the grid of RGB: which lie on it, which are registered, which are refused and why."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from gemini_ros.core.frames import FrameError, Segmentation
from gemini_ros.core.registration import DepthRegistration, ImageRegistration, warm_up
from gemini_ros.core.transforms import from_xyz_rpy
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.intake import Intake, Received
from gemini_ros.pipeline.onto_grid import OntoGrid, View
from gemini_ros.pipeline.settings import DEFAULTS, make_settings
from gemini_ros.pipeline.statistics import StageTimer
from gemini_ros.pipeline.sync import Match
from test.beside import FRAMES, PLACES, START_NS, camera, camera_info, depth_at, shots, warmth_at

SCALE = 0.25
RGB = View(FRAMES["rgb"], (320, 180), camera("rgb", SCALE))
DEPTH = View(FRAMES["depth"], (212, 120), camera("depth", SCALE))
BY_TF = {"registration.depth.in_rgb": (-0.059, 0.0, 0.0, 0.0, 0.003, 0.002)}


@pytest.fixture(autouse=True, scope="module")
def fast():
    warm_up()


def transforms(target: str, source: str, stamp: int) -> np.ndarray:
    places = {FRAMES[stream]: place for stream, place in PLACES.items()}
    if target != FRAMES["rgb"] or source not in places:
        raise LookupError(f"/tf_static have no frame {source}")
    return places[source]


def test_images_of_rgbs_frame_and_size_lie_on_its_grid():
    grid = OntoGrid(DEFAULTS, (), transforms)
    for frame in (FRAMES["rgb"], ""):
        assert grid.way("depth", View(frame, RGB.size, None, "no camera_info"), RGB, 0) is None
    set_by_hand = OntoGrid(make_settings(BY_TF), (), None)
    np.testing.assert_allclose(
        set_by_hand.way("depth", View(FRAMES["rgb"], RGB.size, RGB.camera), RGB, 0), PLACES["depth"], atol=1e-12
    )


def test_extrinsics_are_the_setting_the_one_frame_or_tf():
    by_tf, by_hand = OntoGrid(DEFAULTS, (), transforms), OntoGrid(make_settings(BY_TF), (), None)
    np.testing.assert_array_equal(by_tf.way("depth", DEPTH, RGB, 0), PLACES["depth"])
    np.testing.assert_allclose(by_hand.way("depth", DEPTH, RGB, 0), PLACES["depth"], atol=1e-12)
    smaller = View(FRAMES["rgb"], (160, 90), camera("rgb", SCALE / 2))
    np.testing.assert_array_equal(by_hand.way("thermal", smaller, RGB, 0), np.eye(4))


OTHER = replace(RGB.camera, fx=0.7 * RGB.camera.fx, fy=0.7 * RGB.camera.fy)


def test_another_camera_of_rgbs_frame_and_size_is_registered():
    grid = OntoGrid(DEFAULTS)
    np.testing.assert_array_equal(grid.way("depth", View(RGB.frame, RGB.size, OTHER), RGB, 0), np.eye(4))
    rounded = replace(RGB.camera, fx=round(RGB.camera.fx, 1), cy=round(RGB.camera.cy))
    assert rounded != RGB.camera and grid.way("depth", View(RGB.frame, RGB.size, rounded), RGB, 0) is None
    assert grid.assumed("depth", View(RGB.frame, RGB.size, OTHER), RGB) == ""
    with pytest.raises(FrameError, match=r"another camera than that of RGB: .*a frame_id is empty.*aligned: true") as e:
        grid.way("depth", View("", RGB.size, OTHER), RGB, 0)
    assert e.value.cause == "wrong_frame"


def test_what_is_said_to_be_aligned_is_told_where_its_camera_is_another():
    values = make_settings({"registration.depth.aligned": True})
    grid = OntoGrid(values)
    for camera_of_depth, said in ((OTHER, "with a camera_info other than that of RGB, is taken to lie"), (None, "")):
        view = View(RGB.frame, RGB.size, camera_of_depth)
        assert grid.way("depth", view, RGB, 0) is None
        assert said in grid.assumed("depth", view, RGB) and bool(said) == bool(grid.assumed("depth", view, RGB))
    intake = Intake(("rgb", "depth"), (), values)
    intake.take_info("rgb", camera_info("rgb", SCALE, 0))
    other = camera_info("rgb", SCALE, 0)
    other.k[0] *= 0.7
    intake.take_info("depth", other)
    rgb = next(shots("rgb", 1, SCALE))
    depth = SimpleNamespace(
        image=np.ones((180, 320), np.uint16), stamp_ns=rgb.stamp_ns, stream="depth", encoding="16UC1"
    )
    for stream, shot in (("rgb", rgb), ("depth", depth)):
        intake.take(stream, message(shot, FRAMES["rgb"]), lambda: 1, 1, Instant.of(1))
    (said,) = intake.assumptions()
    assert said.startswith("depth: ") and "with a camera_info other than that of RGB" in said


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize(
    ("frame", "rgb_frame", "unnamed"),
    [("", RGB.frame, "depth"), (RGB.frame, "", "rgb"), ("", "", "depth and rgb"), (RGB.frame, RGB.frame, "")],
)
def test_an_empty_frame_id_is_an_assumption_that_is_told(said, frame, rgb_frame, unnamed):
    grid = OntoGrid(make_settings({"registration.depth.aligned": said}), (), transforms)
    view, rgb = View(frame, RGB.size, None), View(rgb_frame, RGB.size, RGB.camera)
    assert grid.way("depth", view, rgb, 0) is None
    told = grid.assumed("depth", view, rgb)
    assert bool(told) == bool(unnamed) and grid.assumed("rgb", rgb, rgb) == ""
    if unnamed and said:
        assert f"frame_id {frame!r} is taken to lie on the grid of RGB, {rgb_frame!r}, as it is said" in told
    elif unnamed:
        assert told.startswith("depth: ") and f"as the frame_id of {unnamed} is empty; let the driver fill" in told
    for of in ((View("", (0, 0), None), RGB), (view, View("", (0, 0), None))):  # one of the two has not come yet
        assert grid.assumed("depth", *of) == ""
    smaller = View("", (160, 90), camera("rgb", SCALE / 2))
    assert grid.assumed("thermal", smaller, RGB) == ""  # it is refused


def test_an_intake_tells_an_empty_frame_id_once_images_came():
    intake = Intake(("rgb", "depth"), (), DEFAULTS)
    assert intake.assumptions() == []
    rgb = next(shots("rgb", 1, SCALE))
    depth = SimpleNamespace(
        image=np.ones((180, 320), np.uint16), stamp_ns=rgb.stamp_ns, stream="depth", encoding="16UC1"
    )
    for stream, shot, frame in (("rgb", rgb, FRAMES["rgb"]), ("depth", depth, "")):
        assert intake.assumptions() == []
        sent = message(shot)
        sent.header.frame_id = frame
        intake.take(stream, sent, lambda: 1, 1, Instant.of(1))
    assert intake.assumptions() == [
        "depth: images of RGB's size are taken to lie on the grid of RGB, as the frame_id of depth is empty; let the "
        "driver fill it in"
    ]


LOST = View("camera_depth_optical_frame", DEPTH.size, None, "no camera_info")
TURNED = {"registration.depth.in_rgb": (0.0, 0.0, 0.0, 0.0, 3.14159, 0.0)}
MILLIMETRES = {"registration.depth.in_rgb": (-59.0, 0.0, 0.0, 0.0, 0.0, 0.0)}


@pytest.mark.parametrize(
    ("values", "tf", "view", "rgb", "said"),
    [
        ({}, transforms, LOST, RGB, "cannot be registered: depth: no camera_info"),
        ({}, transforms, DEPTH, View(RGB.frame, RGB.size, None, "no camera_info"), "registered: rgb: no camera_info"),
        (
            {},
            transforms,
            View("arm", DEPTH.size, DEPTH.camera),
            RGB,
            "/tf_static have no frame arm. Publish the transf",
        ),
        ({}, None, DEPTH, RGB, "TF is not known. Publish the transform from camera_color_optical_frame to camera_dep"),
        ({}, None, DEPTH, RGB, "or set registration.depth.in_rgb"),
        (TURNED, None, DEPTH, RGB, "its camera sees nothing of what RGB sees"),
        (
            MILLIMETRES,
            None,
            DEPTH,
            RGB,
            "it lies at -59 0 0 m and looks 0 degrees aside. Check the extrinsics, which are",
        ),
    ],
)
def test_what_cannot_be_registered_is_refused_with_what_is_missing(values, tf, view, rgb, said):
    grid = OntoGrid(make_settings(values), (), tf)
    for _ in range(2):  # the second time by what was found before
        with pytest.raises(FrameError, match=re.escape(said)) as error:
            grid.way("depth", view, rgb, 0)
        assert error.value.cause == "wrong_frame"
        assert "registration.depth.aligned: true" in str(error.value)


def test_a_size_that_cannot_be_registered_is_wrong_size():
    grid = OntoGrid(DEFAULTS, (), transforms)
    with pytest.raises(
        FrameError, match=r"depth 160x90, rgb 320x180: .* cannot be registered: depth: no camera_info"
    ) as e:
        grid.way("depth", View(FRAMES["rgb"], (160, 90), None, "no camera_info"), RGB, 0)
    assert e.value.cause == "wrong_size"
    with pytest.raises(FrameError, match="a frame_id is empty"):
        grid.way("depth", View("", (212, 120), DEPTH.camera), RGB, 0)


# -- through the intake, as live and in bags


def message(shot: Any, frame: str | None = None) -> Any:
    """What the pipeline reads of a sensor_msgs/Image."""
    seconds, nanoseconds = divmod(shot.stamp_ns, 10**9)
    header = SimpleNamespace(
        stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds), frame_id=frame or FRAMES[shot.stream]
    )
    height, width = shot.image.shape[:2]
    return SimpleNamespace(
        header=header,
        encoding=shot.encoding,
        width=width,
        height=height,
        step=shot.image[0].nbytes,
        is_bigendian=0,
        data=shot.image.tobytes(),
    )


def intake_of(*streams: str, tf=transforms, infos: bool = True, **values: Any) -> Intake:
    intake = Intake(streams, (), make_settings({"sync.slop_s": 0.03, **values}), transforms=tf)
    for stream in streams if infos else ():
        intake.take_info(stream, camera_info(stream, SCALE, 0))
    return intake


def send(intake: Intake, *streams: str, index: int = 0) -> list[Match]:
    """Matches of the images of one instant, RGB first."""
    matches = []
    for stream in streams:
        shot = list(shots(stream, index + 1, SCALE))[index]
        now = shot.stamp_ns + 1
        matches += intake.take(stream, message(shot), lambda now=now: now, now, Instant.of(now))
    return matches


def test_depth_comes_onto_the_grid_and_the_map_gets_the_grids_camera():
    intake, timer = intake_of("rgb", "depth"), StageTimer()
    (match,) = send(intake, "rgb", "depth")
    frame = intake.assemble(match, timer)
    assert (frame.size, frame.frame_id, frame.intrinsics) == (RGB.size, FRAMES["rgb"], RGB.camera)
    measured = next(shots("depth", 1, SCALE)).image / np.float32(1000)
    expected = DepthRegistration(DEPTH.camera, RGB.camera, PLACES["depth"]).register(
        np.where(measured > 0, measured, np.nan)
    )
    np.testing.assert_allclose(frame.depth, expected, rtol=1e-6)
    truth = depth_at("rgb", SCALE, 0.0)
    known = np.isfinite(frame.depth)
    assert known.mean() > 0.8 and np.median(np.abs(frame.depth - truth)[known]) < 0.02
    assert timer.timings_ns["registration"] > 0


def test_thermal_is_registered_through_the_depth_of_the_same_match():
    intake = intake_of("rgb", "depth", "thermal")
    (match,) = send(intake, "rgb", "depth", "thermal")
    frame = intake.assemble(match)
    assert frame.thermal is not None and frame.size == RGB.size
    off = np.abs(frame.thermal - warmth_at("rgb", SCALE, 0.0))[np.isfinite(frame.thermal)]
    assert np.median(off) < 0.1 and np.quantile(off, 0.9) < 0.5
    assert 0.3 < np.isfinite(frame.thermal).mean() < 0.9  # the Boson sees less than RGB


def test_thermal_without_depth_is_left_out_unless_a_plane_is_set():
    intake = intake_of("rgb", "thermal")
    (match,) = send(intake, "rgb", "thermal")
    assert intake.assemble(match).images().keys() == {"rgb"}
    assert "no depth to register thermal by" in intake.streams["thermal"].blind
    (sentence,) = intake.left_out(match, intake.assemble(match))
    assert sentence.startswith("thermal is left out: no depth")
    assert "registration.plane_m" in intake.streams["thermal"].grid_fault
    planar = intake_of("rgb", "thermal", **{"registration.plane_m": 3.0})
    frame = planar.assemble(match)
    image = match.items["thermal"].image
    expected = ImageRegistration(camera("thermal", SCALE), RGB.camera, PLACES["thermal"]).by_plane(image, 3.0)
    np.testing.assert_array_equal(frame.thermal, expected)
    assert planar.streams["thermal"].blind == ""


def test_a_grid_of_another_size_takes_all_streams_and_the_camera():
    intake = intake_of("rgb", "depth", "thermal", **{"camera.grid": "160x90"})
    (match,) = send(intake, "rgb", "depth", "thermal")
    frame = intake.assemble(match)
    assert frame.size == (160, 90) and frame.intrinsics == RGB.camera.scaled(160, 90)
    truth = depth_at("rgb", SCALE / 2, 0.0)
    known = np.isfinite(frame.depth)
    assert np.median(np.abs(frame.depth - truth)[known]) < 0.02
    off = np.abs(frame.thermal - warmth_at("rgb", SCALE / 2, 0.0))[np.isfinite(frame.thermal)]
    assert np.median(off) < 0.1
    assert frame.rgb is not None and frame.rgb.shape == (90, 160, 3)
    assert intake.grid_of("rgb", message(next(shots("rgb", 1, SCALE)))) == (160, 90)


def test_aligned_images_are_scaled_with_rgb_and_never_registered():
    values = {"camera.grid": "160x90", "registration.depth.aligned": True}
    intake = Intake(("rgb", "depth"), (), make_settings(values))
    rgb, depth = next(shots("rgb", 1, SCALE)), next(shots("depth", 1, SCALE * 320 / 212))
    shot = SimpleNamespace(**{**vars(depth), "image": depth.image[:180, :320]})
    intake.take("rgb", message(rgb), lambda: 1, 1, Instant.of(1))
    (match,) = intake.take("depth", message(shot), lambda: 2, 2, Instant.of(2))
    frame, timer = intake.assemble(match), StageTimer()
    np.testing.assert_array_equal(frame.depth, match.items["depth"].image[1::2, 1::2])
    same = Intake(("rgb", "depth"), (), make_settings({"registration.depth.aligned": True}))
    same.take("rgb", message(rgb), lambda: 1, 1, Instant.of(1))
    assert same.assemble(match, timer).depth is match.items["depth"].image
    assert "registration" not in timer.timings_ns


def test_what_calibration_leaves_over_moves_the_image_on_the_grid():
    still, moved = (
        intake_of("rgb", "depth", "thermal"),
        intake_of("rgb", "depth", "thermal", **{"registration.thermal.shift_px": (3.0, -2.0)}),
    )
    (match,) = send(still, "rgb", "depth", "thermal")
    np.testing.assert_array_equal(still.assemble(match).thermal[2:, :-3], moved.assemble(match).thermal[:-2, 3:])
    np.testing.assert_array_equal(still.assemble(match).depth, moved.assemble(match).depth)


def test_depth_alone_stays_on_the_grid_of_the_rgb_that_was():
    intake = intake_of("rgb", "depth")
    (match,) = send(intake, "rgb", "depth")
    alone = Match(match.stamp_ns, {"depth": match.items["depth"]}, "single", ("rgb",))
    frame = intake.assemble(alone)
    np.testing.assert_array_equal(frame.depth, intake.assemble(match).depth)
    assert (frame.frame_id, frame.intrinsics) == (FRAMES["rgb"], RGB.camera)


def test_a_camera_that_tf_moves_is_followed():
    """A joint between the cameras: what counts is where it is at the stamp of the image."""

    def panned(target: str, source: str, stamp: int) -> np.ndarray:
        return PLACES["depth"] @ from_xyz_rpy(0, 0, 0, 0, 0.1 * (stamp > START_NS), 0)

    intake = intake_of("rgb", "depth", tf=panned)
    for index, angle in enumerate((0.0, 0.1)):
        (match,) = send(intake, "rgb", "depth", index=index)
        place = PLACES["depth"] @ from_xyz_rpy(0, 0, 0, 0, angle, 0)
        expected = DepthRegistration(DEPTH.camera, RGB.camera, place).register(match.items["depth"].image)
        np.testing.assert_array_equal(intake.assemble(match).depth, expected)


def test_images_without_a_way_are_counted_and_labels_go_on():
    intake = intake_of("rgb", "depth", tf=None)
    send(intake, "rgb")
    with pytest.raises(FrameError, match="TF is not known"):
        send(intake, "depth")
    assert intake.matcher.counts["depth"].dropped == {"wrong_frame": 1}


def _zero_focal(info: Any) -> None:
    info.k = np.zeros(9)
    info.p = np.zeros(12)


def _unknown_lens(info: Any) -> None:
    info.distortion_model, info.d = "fov", np.array([0.9])


def _roi_outside(info: Any) -> None:
    info.roi.x_offset, info.roi.width, info.roi.height = 100, 212, 120


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_zero_focal, "fx 0.0, fy 0.0"),
        (_unknown_lens, "distortion_model 'fov' with D"),
        (_roi_outside, "roi 212x120 at 100, 0 reaches out of 212x120"),
    ],
)
def test_a_camera_info_that_is_none_is_told_and_labels_go_on(spoil, said):
    intake = intake_of("rgb", "depth", infos=False)
    intake.take_info("rgb", camera_info("rgb", SCALE, 0))
    info = camera_info("depth", SCALE, 0)
    spoil(info)
    intake.take_info("depth", info)
    send(intake, "rgb")
    with pytest.raises(FrameError, match=re.escape(said)) as error:
        send(intake, "depth")
    assert error.value.cause == "wrong_frame" and "cannot be registered: depth: camera_info" in str(error.value)
    rgb = next(shots("rgb", 1, SCALE))
    alone = Match(rgb.stamp_ns, {"rgb": Received(rgb.image, FRAMES["rgb"], None, 1, 1)}, "single", ("depth",))
    assert intake.assemble(alone).intrinsics == RGB.camera


def test_a_mask_as_large_as_rgbs_images_is_scaled_with_them(tmp_path):
    mask = np.zeros((180, 320), np.uint8)
    mask[90:, :160] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    intake = intake_of("rgb", "depth", **{"camera.grid": "160x90", "camera.self_mask": str(tmp_path / "mask.png")})
    (match,) = send(intake, "rgb", "depth")
    frame = intake.assemble(match)
    assert frame.intrinsics is not None
    labels = np.zeros((90, 160), np.uint8)
    masked, _ = intake.without_robot(frame, Segmentation(labels, labels))
    assert np.isnan(masked.depth[45:, :80]).all() and np.isfinite(masked.depth[:45]).any()


def test_the_first_image_gives_the_grid_its_size():
    intake = intake_of("rgb", "depth", infos=False)
    assert intake.grid_of("rgb", message(next(shots("rgb", 1, SCALE)))) == (320, 180)
    assert intake.grid_of("depth", message(next(shots("depth", 1, SCALE)))) is None
    without = Intake(("depth", "thermal"), (), DEFAULTS)
    assert without.grid_of("depth", message(next(shots("depth", 1, SCALE)))) == (212, 120)
