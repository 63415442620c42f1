import pytest

from gemini_ros.simulation.scenes.people import Posture


def test_hip_height_of_straight_legs():
    assert Posture().hip_height(1.0) == pytest.approx(0.925)
    assert Posture(hip=(0.5, 0.0)).hip_height(2.0) == pytest.approx(1.85)
