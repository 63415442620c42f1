from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.pipeline.intake import Received, assemble
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
