"""Other cameras on a simulated robot, and odometry that drifts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gemini_ros.core.transforms import BODY_FROM_OPTICAL, camera_in_base, require_rigid
from gemini_ros.simulation.cameras.depth_sensors import StereoSensor, StructuredLight
from gemini_ros.simulation.cameras.viewpoint import Base
from gemini_ros.simulation.odometry import YAW_RAD_M, Odometry
from gemini_ros.simulation.rig import Rig

DRAWN = camera_in_base((0.1, 0.0, 0.6, 0.02, 0.05, 0.3))


def test_a_rig_without_wishes_is_the_one_that_was_drawn():
    np.testing.assert_array_equal(Rig().mounted(DRAWN), DRAWN)


def test_height_and_pitch_replace_those_that_were_drawn():
    found = Rig(1.2, 20.0).mounted(DRAWN)
    require_rigid(found, "mounting")
    np.testing.assert_allclose(found[:3, 3], (0.1, 0.0, 1.2))
    ahead = (found @ BODY_FROM_OPTICAL.T)[:3, 0]
    assert -math.asin(ahead[2]) == pytest.approx(math.radians(20))
    assert math.atan2(ahead[1], ahead[0]) == pytest.approx(0.3)
    np.testing.assert_allclose(Rig(pitch_deg=20.0).mounted(camera_in_base((0, 0, 0.6, 0, 0, 0))),
                               camera_in_base((0, 0, 0.6, 0, math.radians(20), 0)), atol=1e-12)  # fmt: skip


def test_a_sensor_stays_with_its_seed():
    stereo = StereoSensor(30.0, 0.1, 9.0, 0.0)
    assert Rig().sensor((1, 2), stereo, 200.0) is stereo
    wanted = Rig(depth_sensor="structured")
    first, again, other = (wanted.sensor(seed, stereo, 200.0) for seed in ((1, 2), (1, 2), (1, 3)))
    assert isinstance(first, StructuredLight)
    assert first == again != other


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"height_m": 3.0}, "camera height 3, expected 0.1 to 2 m"),
        ({"pitch_deg": 80.0}, "camera pitch 80, expected -30 to 60 degrees"),
        ({"depth_sensor": "sonar"}, "depth sensor 'sonar', expected one of stereo, structured"),
    ],
)
def test_an_impossible_rig_is_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        Rig(**wrong)


def test_odometry_drifts_by_its_share_of_the_way():
    base = Base(1.0, 2.0, 0.5)
    assert Odometry(z_drift=0.01).reported(base, 10.0) == Base(1.0, 2.0, 0.5, 0.1)
    found = Odometry(pose_drift=0.05, seed=3).reported(base, 20.0)
    assert math.hypot(found.x - 1, found.y - 2) == pytest.approx(1.0)
    assert abs(found.yaw - 0.5) == pytest.approx(YAW_RAD_M)
    assert found == Odometry(pose_drift=0.05, seed=3).reported(base, 20.0)
    assert found != Odometry(pose_drift=0.05, seed=4).reported(base, 20.0)
    with pytest.raises(ValueError, match=r"drift of the pose by 0.5 m a metre, expected at most 0.1"):
        Odometry(pose_drift=0.5)
