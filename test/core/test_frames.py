"""What a frame accepts, what it refuses, and how a camera looks through a resized image."""

import dataclasses
import pickle

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


def test_further_modalities_keep_their_own_names():
    event, radar = np.full((4, 6), 2, np.float32), np.full((4, 6), 3, np.float32)
    given = {"event": event, "radar": radar}
    frame = Frame(5, "camera", rgb=RGB, others=given)
    given.clear()
    assert list(frame.images()) == ["rgb", "event", "radar"]
    assert frame.image("rgb") is RGB
    assert frame.image("radar") is radar
    assert frame.image("depth") is None
    assert frame.image("stamp_ns") is None
    assert frame.size == Frame(5, "camera", others={"event": event}).size == (6, 4)
    with pytest.raises(TypeError):
        frame.others["depth"] = DEPTH  # pyright: ignore[reportIndexIssue]
    later = dataclasses.replace(frame, stamp_ns=6)
    assert later.stamp_ns == 6 and later.image("event") is event


def test_a_frame_is_made_of_images_by_name_and_loses_some():
    camera = Intrinsics(6, 4, 5.0, 5.0, 2.5, 1.5)
    images = {"event": DEPTH + 1, "depth": DEPTH, "rgb": RGB}
    frame = Frame.from_images(9, "camera", images, camera)
    assert (frame.stamp_ns, frame.frame_id, frame.intrinsics) == (9, "camera", camera)
    assert all(frame.image(name) is image for name, image in images.items())
    left = frame.without("rgb", "event")
    assert (left.stamp_ns, left.frame_id, left.intrinsics) == (9, "camera", camera)
    assert left.images() == {"depth": DEPTH} and frame.rgb is RGB
    assert list(frame.without("depth", "thermal", "radar").images()) == ["rgb", "event"]


def test_a_frame_goes_to_another_process():
    frame = Frame(9, "camera", RGB, DEPTH, intrinsics=Intrinsics(6, 4, 5.0, 5.0, 2.5, 1.5), others={"event": DEPTH + 1})
    copy = pickle.loads(pickle.dumps(frame))
    assert (copy.stamp_ns, copy.frame_id, copy.intrinsics) == (9, "camera", frame.intrinsics)
    assert list(copy.images()) == ["rgb", "depth", "event"]
    np.testing.assert_array_equal(copy.image("event"), DEPTH + 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "modality '': expected an identifier"),
        ("2nd", "modality '2nd': expected an identifier"),
        ("near ir", "modality 'near ir': expected an identifier"),
        ("tiefe_\u00e4", "modality 'tiefe_.': expected an identifier"),
        ("x" * 65, "expected an identifier of at most 64"),
        (3, "modality 3: expected an identifier"),
        ("depth", "others: depth, expected none of rgb, depth, thermal"),
        ("present", "modality present: this name is taken"),
        ("labels", "modality labels: this name is taken"),
        ("frame_id", "modality frame_id: this name is taken"),
    ],
)
def test_a_name_that_no_modality_may_have_is_refused(name, message):
    with pytest.raises(FrameError, match=message):
        Frame(0, "camera", rgb=RGB, others={name: DEPTH})


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
        ({"others": {"event": DEPTH.astype(np.float64)}}, r"event: float64 \(4, 6\), expected float32", "invalid"),
        ({"others": {"event": DEPTH[..., None]}}, r"event: float32 \(4, 6, 1\), expected float32", "invalid"),
        ({"rgb": RGB, "others": {"event": DEPTH[:, :5]}}, "rgb 6x4, event 5x4: enable align_depth", "wrong_size"),
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
