"""Clock offsets and shifts of two streams whose truth is known, and what cannot be told."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gemini_ros.core.calibration import (
    MAX_OFFSET_WIDTH_S,
    CannotTellError,
    ImageTrack,
    clock_offset,
    onto_grid,
    pixel_shift,
)
from gemini_ros.core.edge_fields import edge_field, plane
from gemini_ros.core.frames import Intrinsics
from test.moving_scene import SIZE, MovingScene, still

RATES = {"rgb": 20.0, "depth": 15.0, "thermal": 9.0}


def times(modality: str, seconds: float = 3.0, dropped: float = 0.1) -> np.ndarray:
    """Instants of a camera that loses some of its images."""
    every = np.arange(0.0, seconds, 1 / RATES[modality])
    return every[np.random.default_rng(1).random(len(every)) >= dropped]


def track(scene: MovingScene, modality: str, stamped_s: float = 0.0, shift=(0, 0), seconds: float = 3.0) -> ImageTrack:
    found = ImageTrack(modality, SIZE)
    for stamp_ns, image in scene.images(modality, times(modality, seconds), stamped_s, shift=shift):
        found.add(image, stamp_ns)
    return found


@pytest.fixture(scope="module")
def scene() -> MovingScene:
    return MovingScene()


@pytest.fixture(scope="module")
def rgb(scene: MovingScene) -> ImageTrack:
    """Its flow is computed once."""
    return track(scene, "rgb")


@pytest.mark.parametrize(
    ("modality", "late_s", "shift"), [("depth", 0.037, (3, -2)), ("thermal", -0.412, (-7, 5))], ids=["depth", "thermal"]
)
def test_offset_and_shift_of_streams_of_other_rates_with_lost_images(scene, rgb, modality, late_s, shift) -> None:
    other = track(scene, modality, late_s, shift)
    clock = clock_offset(rgb, other)
    assert clock.offset_s == pytest.approx(-late_s, abs=0.005)
    assert clock.low_s <= clock.offset_s <= clock.high_s
    assert clock.high_s - clock.low_s < 2 * MAX_OFFSET_WIDTH_S
    depth = other if modality == "depth" else track(scene, "depth")
    found = pixel_shift(rgb, other, clock.offset_s, 0.002, depth)
    for each in ((found.x, found.y), found.near):
        assert each == pytest.approx((-shift[0], -shift[1]), abs=0.5)


@pytest.mark.slow
def test_a_smaller_camera_that_is_not_registered_tells_the_offset(scene: MovingScene, rgb: ImageTrack) -> None:
    size = (SIZE[0] // 2, SIZE[1] // 2)
    other = ImageTrack("thermal", SIZE, onto_grid(size, None, SIZE, None))
    for stamp_ns, image in scene.images("thermal", times("thermal"), 0.2, shift=(6, 4)):
        other.add(cv2.resize(image, size, interpolation=cv2.INTER_AREA), stamp_ns)
    assert clock_offset(rgb, other).offset_s == pytest.approx(-0.2, abs=0.006)


def test_a_camera_that_stands_tells_no_offset() -> None:
    scene = MovingScene(path=still)
    with pytest.raises(CannotTellError, match="nothing moves"):
        clock_offset(track(scene, "rgb"), track(scene, "depth"))


def test_images_that_cannot_tell_an_offset(scene: MovingScene, rgb: ImageTrack) -> None:
    with pytest.raises(CannotTellError, match="the edges of depth and rgb have nothing in common"):
        clock_offset(rgb, track(MovingScene(2), "depth"))
    with pytest.raises(CannotTellError, match="the rgb images have next to no edges"):
        clock_offset(track(MovingScene(textured=False), "rgb"), track(scene, "depth"))
    with pytest.raises(CannotTellError, match="19 rgb and 14 depth images, expected 20 of each"):
        clock_offset(track(scene, "rgb", seconds=1.0), track(scene, "depth", seconds=1.0))
    jumps = MovingScene(path=lambda t: tuple(np.random.default_rng(round(t * 1000)).uniform(-200, 200, 2)))
    with pytest.raises(CannotTellError, match="the rgb images do not follow each other"):
        clock_offset(track(jumps, "rgb"), track(jumps, "depth"))


def test_a_shift_needs_no_motion_but_a_scene(scene: MovingScene, rgb: ImageTrack) -> None:
    standing = MovingScene(path=still)
    ours, theirs = track(standing, "rgb", seconds=0.7), track(standing, "depth", shift=(4, 6), seconds=0.7)
    found = pixel_shift(ours, theirs, 0.0)
    assert (found.x, found.y) == pytest.approx((-4, -6), abs=0.5)
    with pytest.raises(CannotTellError, match="the edges of thermal and rgb have nothing in common"):
        pixel_shift(rgb, track(MovingScene(2), "thermal"), 0.0)
    with pytest.raises(CannotTellError, match="the rgb images have next to no edges"):
        pixel_shift(track(MovingScene(textured=False, path=still), "rgb", seconds=0.7), theirs, 0.0)
    with pytest.raises(CannotTellError, match="0 images of both at one instant, expected 5"):
        pixel_shift(ours, theirs, 5.0)


def test_an_edge_is_the_same_from_dark_to_bright_and_back() -> None:
    image = np.zeros((40, 40), np.float32)
    image[10:30, 12:28] = 3.0
    assert np.allclose(edge_field(image), edge_field(-image), atol=1e-5)
    assert np.abs(edge_field(np.full((20, 20), 7, np.float32))).max() == 0


def test_holes_of_depth_belong_to_what_lies_behind() -> None:
    depth = np.full((60, 80), 4, np.float32)
    depth[20:40, 30:50] = 1.0
    depth[20:40, 26:30] = np.nan
    filled = plane(depth, "depth")
    assert np.allclose(filled[20:40, 26:30], np.log(4)) and np.isfinite(filled).all()
    depth[:, :] = np.nan
    assert np.isnan(plane(depth, "depth")).all() and np.abs(edge_field(plane(depth, "depth"))).max() == 0


def test_onto_the_grid_of_another_camera() -> None:
    wide, grid = Intrinsics(80, 60, 40, 40, 39.5, 29.5), Intrinsics(160, 120, 160, 160, 79.5, 59.5)
    assert onto_grid((80, 60), wide, (160, 120), grid) @ (39.5, 29.5, 1) == pytest.approx((79.5, 59.5))
    assert onto_grid((80, 60), wide, (160, 120), grid)[0, 0] == 4
    assert onto_grid((80, 60), None, (160, 120), grid) @ (39.5, 29.5, 1) == pytest.approx((79.5, 59.5))
