"""What a frame accepts, what it refuses, and how a camera looks through a resized image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros.core.frames import Frame, FrameError, Intrinsics

RGB = np.zeros((4, 6, 3), np.uint8)
DEPTH = np.ones((4, 6), np.float32)


def test_a_frame_has_a_size_and_the_images_that_are_there():
    frame = Frame(5, "camera", rgb=RGB, thermal=DEPTH)
    assert frame.size == (6, 4)
    assert list(frame.images()) == ["rgb", "thermal"]
    assert Frame(5, "camera", depth=DEPTH).size == (6, 4)


@pytest.mark.parametrize(
    ("images", "message", "cause"),
    [
        ({}, "without any image", "invalid"),
        ({"rgb": RGB[..., 0]}, r"rgb: uint8 \(4, 6\), expected uint8 \(H, W, 3\)", "invalid"),
        ({"rgb": RGB.astype(np.float32)}, "rgb: float32", "invalid"),
        ({"rgb": np.zeros((4, 6, 4), np.uint8)}, r"rgb: uint8 \(4, 6, 4\)", "invalid"),
        ({"depth": DEPTH.astype(np.uint16)}, r"depth: uint16 \(4, 6\), expected float32", "invalid"),
        ({"thermal": DEPTH[None]}, r"thermal: float32 \(1, 4, 6\)", "invalid"),
        ({"rgb": RGB, "depth": DEPTH[:3]}, "rgb 6x4, depth 6x3: enable align_depth", "wrong_size"),
    ],
)
def test_what_is_no_frame_is_named_with_its_cause(images, message, cause):
    with pytest.raises(FrameError, match=message) as caught:
        Frame(0, "camera", **images)
    assert caught.value.cause == cause


@pytest.mark.parametrize(
    "values",
    [
        (0, 4, 1, 1, 0, 0),
        (6, -4, 1, 1, 0, 0),
        (6, 4, 0, 1, 0, 0),
        (6, 4, 1, -1, 0, 0),
        (6, 4, np.nan, 1, 0, 0),
        (6, 4, 1, np.inf, 0, 0),
        (6, 4, 1, 1, np.nan, 0),
    ],
)
def test_a_camera_that_cannot_project_is_refused(values):
    with pytest.raises(ValueError, match="intrinsics"):
        Intrinsics(*values)


@given(st.integers(1, 2000), st.integers(1, 2000), st.floats(-1, 1), st.floats(-1, 1))
def test_a_resized_image_shows_the_same_rays(width, height, x, y):
    """A ray meets the same relative place of both images, pixel centres counted at half integers."""
    camera = Intrinsics(640, 480, 520.0, 510.0, 325.0, 241.0)
    scaled = camera.scaled(width, height)
    u, v = camera.fx * x + camera.cx, camera.fy * y + camera.cy
    u_scaled, v_scaled = scaled.fx * x + scaled.cx, scaled.fy * y + scaled.cy
    assert (u_scaled + 0.5) / width == pytest.approx((u + 0.5) / 640, abs=1e-9)
    assert (v_scaled + 0.5) / height == pytest.approx((v + 0.5) / 480, abs=1e-9)
