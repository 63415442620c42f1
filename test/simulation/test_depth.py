"""Structured light and in-filled depth on exact scenes."""

import numpy as np
import pytest

from gemini_ros.simulation.depth import Filled, StructuredLight, fill_holes

SENSOR = StructuredLight(260.0, 0.1, 0.5, 6.0, 0.1, 4.0, 0.0)


def measure(depth, sensor=SENSOR):
    return sensor.measure(np.asarray(depth, np.float32), np.random.default_rng(0))


def test_noise_grows_with_the_square_of_the_distance():
    errors = [np.nanstd(measure(np.full((90, 120), z)) - z) for z in (1.0, 2.0, 4.0)]
    assert errors[1] / errors[0] == pytest.approx(4, rel=0.5)
    assert errors[2] / errors[1] == pytest.approx(4, rel=0.5)


def test_what_is_too_near_or_too_far_or_seen_edge_on_is_a_hole():
    assert np.isnan(measure(np.full((30, 40), 0.4))).all()
    assert np.isnan(measure(np.full((30, 40), 6.5))).all()
    slope = 1 + np.arange(40) * 0.1 * np.ones((30, 1))  # 0.1 m a pixel: cosine 0.1 at 2.6 m
    holes = np.isnan(measure(slope)).all(0)
    assert holes[2:12].all()
    assert not holes[24:38].any()
    assert np.isfinite(measure(np.full((30, 40), 2.0))).all()


def test_an_edge_throws_a_shadow():
    step = np.full((30, 40), 3.0)
    step[:, 20:] = 1.0
    holes = np.isnan(measure(step)).any(0)
    assert holes[18:22].any()
    assert not holes[:10].any()
    assert not holes[30:].any()


def test_filling_keeps_what_is_known_and_takes_the_rest_from_around():
    depth = np.full((21, 33), 2.0, np.float32)
    depth[:, 20:] = 4.0
    holed = depth.copy()
    holed[5:9, 3:9] = np.nan
    filled = fill_holes(holed)
    known = np.isfinite(holed)
    np.testing.assert_array_equal(filled[known], depth[known])
    np.testing.assert_allclose(filled[~known], 2.0, atol=0.2)
    assert (fill_holes(np.full((5, 7), np.nan, np.float32)) == 10).all()


def test_in_filled_depth_comes_in_steps_and_has_no_holes():
    step = np.full((60, 80), 3.0)
    step[:, 40:] = 1.0
    found = measure(step, Filled(SENSOR, 4.0, 0.0392))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found / 0.0392, np.round(found / 0.0392), atol=1e-3)
    assert ((found > 1.3) & (found < 2.7)).any()  # smeared across the edge
