from __future__ import annotations

import math

import numpy as np
import pytest

from gemini_ros.simulation.scenes.slalom import Slalom

WAY = Slalom((1.0, 0.3), 20.0, ((2.0, 5.0, -0.5), (9.0, 11.0, 0.4)))


def test_it_keeps_its_lines_between_the_swerves():
    np.testing.assert_allclose(WAY.y([1, 2, 5, 7, 9, 11, 20]), [0.3, 0.3, -0.5, -0.5, -0.5, 0.4, 0.4], atol=1e-12)
    assert WAY.y(3.5) == pytest.approx(-0.1)


def test_the_heading_is_that_of_the_way_and_straight_at_the_ends_of_swerves():
    for distance in np.arange(0, 18, 0.37):
        (x0, y0, yaw), (x1, y1, _) = WAY.at(distance), WAY.at(distance + 0.01)
        assert math.atan2(y1 - y0, x1 - x0) == pytest.approx(yaw, abs=0.02)
        assert math.hypot(x1 - x0, y1 - y0) == pytest.approx(0.01, rel=0.02)
    for x in (2, 5, 9, 11):
        assert WAY.at(WAY.distance_at(x))[2] == pytest.approx(0, abs=1e-3)


def test_distances_are_along_the_way():
    assert WAY.at(0)[:2] == (1.0, 0.3)
    assert WAY.at(WAY.distance_at(12.3))[0] == pytest.approx(12.3)
    assert 11.0 < WAY.distance_at(12.0) < 11.6
