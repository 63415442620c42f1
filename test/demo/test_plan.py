"""What a demonstration makes of a bag and a model before anything starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros.core.transforms import camera_in_base
from gemini_ros.demo.plan import DemoOptions, make_plan, mounting_values
from test.drives import MOUNTING, write_drive

RGBD, RGB = (Path(__file__).parents[1] / f"fixtures/tiny_{name}.onnx" for name in ("rgb_depth", "rgb"))


def test_the_plan_follows_the_bag(tmp_path):
    drive = write_drive(tmp_path / "drive.mcap", 3.0)
    plan = make_plan(DemoOptions(bag=drive, model=RGB, faults=True))
    assert plan.streams == ("rgb", "depth")
    assert plan.drop == ("depth", 0.9, 1.5)
    assert plan.mounting == pytest.approx(MOUNTING, abs=1e-6)
    assert plan.duration_s == pytest.approx(3.0, abs=0.05)
    parameters = plan.parameters(Path("/x.json"))["segmenter"]["ros__parameters"]
    assert parameters["rgb.image_transport"] == "compressed"
    assert "rgb/image:=/camera/color/image_raw" in plan.remappings()
    assert make_plan(DemoOptions(bag=drive, model=RGBD, faults=True)).drop == ("depth", 0.9, 1.5)


angles = st.floats(-1.5, 1.5)


@given(st.tuples(*[st.floats(-5, 5)] * 3, angles, angles, angles))
def test_mounting_values_are_the_inverse_of_camera_in_base(values):
    np.testing.assert_allclose(mounting_values(camera_in_base(values)), values, atol=1e-6)
