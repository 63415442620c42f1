"""Which calibration of a CameraInfo belongs to which image."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gemini_ros.core.camera_info import CameraCalibration
from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.core.lens import Lens

D = (-0.28, 0.07, 0.001, -0.0005, 0.0)


def camera_info(**changes: Any) -> Any:
    """640x480, 500 pixels as the sensor has it, 400 rectified."""
    fields = {
        "width": 640,
        "height": 480,
        "distortion_model": "plumb_bob",
        "d": [*D],
        "k": [500.0, 0, 330, 0, 510, 250, 0, 0, 1],
        "r": [*np.eye(3).ravel()],
        "p": [400.0, 0, 319.5, 0, 0, 401, 239.5, 0, 0, 0, 1, 0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False),
    }
    return SimpleNamespace(**{**fields, **changes})


def roi(x: int, y: int, width: int, height: int) -> Any:
    return SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height, do_rectify=False)


def camera(rectified: bool = False, size: tuple[int, int] | None = None, **changes: Any) -> Intrinsics:
    return CameraCalibration.of(camera_info(**changes)).intrinsics(rectified=rectified, image_size=size)


def test_raw_images_have_k_and_d_and_rectified_ones_p():
    assert camera() == Intrinsics(640, 480, 500, 510, 330, 250, Lens("plumb_bob", D))
    assert camera(rectified=True) == Intrinsics(640, 480, 400, 401, 319.5, 239.5)


@pytest.mark.parametrize(("of", "size"), [((400, 0, 300, 200), (300, 200)), ((0, 400, 100, 100), None)])
def test_a_region_that_reaches_out_of_its_image_is_refused(of, size):
    x, y, width, height = of
    with pytest.raises(FrameError, match=f"roi {width}x{height} at {x}, {y} reaches out of 640x480: publish"):
        camera(roi=roi(*of), size=size)
    assert camera(roi=roi(*of), size=(640, 480)) == camera()


@pytest.mark.parametrize("model", ["plumb_bob", "", "none", "of_a_vendor"])
@pytest.mark.parametrize("d", [(), (0.0,) * 5, (0.0,) * 8])
def test_without_distortion_any_model_is_a_pinhole(model: str, d: tuple[float, ...]):
    assert camera(distortion_model=model, d=d) == Intrinsics(640, 480, 500, 510, 330, 250)


def test_equidistant_without_coefficients_is_still_a_fisheye():
    assert camera(distortion_model="equidistant", d=(0.0,) * 4).lens == Lens("equidistant", (0.0,) * 4)


def test_a_rotation_turns_raw_rays_into_the_rectified_frame():
    r = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert camera(r=r).lens == Lens("plumb_bob", D, r)
    assert camera(r=r, d=()).lens == Lens("plumb_bob", (), r)
    assert camera(rectified=True, r=r).lens is None
    assert camera(r=(0.0,) * 9) == camera()  # left out


def test_p_of_zeros_means_k_where_the_lens_is_straight():
    assert camera(rectified=True, p=(0.0,) * 12, d=()) == Intrinsics(640, 480, 500, 510, 330, 250)
    with pytest.raises(FrameError, match="P is zero"):
        camera(rectified=True, p=(0.0,) * 12)


@pytest.mark.parametrize("rectified", [False, True])
def test_binning_joins_pixels_and_keeps_the_rays(rectified: bool):
    full = camera(rectified)
    binned = camera(rectified, binning_x=2, binning_y=4)
    assert (binned.width, binned.height, binned.fx, binned.fy) == (320, 120, full.fx / 2, full.fy / 4)
    # The centre of a joined pixel is that of the pixels in it.
    assert (10 - binned.cx) / binned.fx == pytest.approx((20.5 - full.cx) / full.fx)
    assert (10 - binned.cy) / binned.fy == pytest.approx((41.5 - full.cy) / full.fy)
    assert binned.lens == full.lens


@pytest.mark.parametrize("rectified", [False, True])
def test_a_region_of_interest_is_cut_out(rectified: bool):
    full = camera(rectified)
    part = camera(rectified, roi=roi(100, 60, 200, 120))
    assert (part.width, part.height, part.fx, part.cx, part.cy) == (200, 120, full.fx, full.cx - 100, full.cy - 60)
    both = camera(rectified, roi=roi(100, 60, 200, 120), binning_x=2, binning_y=2)
    assert (both.width, both.height, both.fx) == (100, 60, full.fx / 2)
    assert (0 - both.cx) / both.fx == pytest.approx((100.5 - full.cx) / full.fx)


def test_an_image_of_the_full_resolution_is_not_binned_again():
    assert camera(size=(640, 480), binning_x=2, binning_y=2) == camera()
    assert camera(size=(640, 480), roi=roi(1, 2, 30, 40)) == camera()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "camera_info of 640x480, the images are 320x200: publish the camera_info of the images as they are sent"),
        ({"binning_x": 2, "binning_y": 2}, "640x480, 320x240 by its roi and binning, the images are 320x200"),
        ({"roi": roi(0, 0, 300, 200)}, "300x200 by its roi"),
    ],
)
def test_of_another_size_is_refused(changes: dict[str, Any], said: str):
    with pytest.raises(FrameError, match=said) as caught:
        camera(size=(320, 200), **changes)
    assert caught.value.cause == "wrong_size"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"distortion_model": "fov"}, "distortion_model 'fov' with D .*expected plumb_bob of at most 14, rational"),
        ({"distortion_model": "equidistant"}, "equidistant of at most 4"),
        ({"d": [np.nan, 0, 0, 0, 0]}, "finite"),
        ({"d": [0.1] * 14}, "without a tilted sensor"),
        ({"r": [1.0] * 9}, "expected a rotation"),
        ({"k": [0.0] * 9}, "K: intrinsics: fx 0.0"),
        ({"width": 0}, "size 0x480"),
        ({"roi": roi(0, 0, 1, 1), "binning_x": 2, "binning_y": 2}, "0x0 pixels are left"),
    ],
)
def test_what_is_no_calibration_is_told(changes: dict[str, Any], said: str):
    with pytest.raises(FrameError, match=said):
        camera(**changes)


@pytest.mark.parametrize("rows, up", [(2, 0), (-2, 2)])
def test_rows_that_are_cut_off_move_the_centre(rows: int, up: int):
    calibration = CameraCalibration.of(camera_info()).without_rows(rows)
    for rectified in (False, True):
        cut, full = calibration.intrinsics(rectified=rectified), camera(rectified)
        assert (cut.height, cut.cy, cut.fy) == (478, full.cy - up, full.fy)


def test_equal_messages_are_equal_even_with_nan():
    assert CameraCalibration.of(camera_info(p=[np.nan] * 12)) == CameraCalibration.of(camera_info(p=[np.nan] * 12))
