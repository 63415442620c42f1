"""Stereo, structured light and in-filled depth on exact scenes."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.simulation.cameras.depth_sensors import (
    STEREO_MAX_M,
    STEREO_MIN_M,
    STEREO_STEP_PX,
    Filled,
    StereoSensor,
    StructuredLight,
    fill_holes,
)

SHAPE = (90, 160)
STEREO = StereoSensor(focal_baseline=30.0, noise_px=0.1, max_depth=STEREO_MAX_M, blob_share=0.0)
SENSOR = StructuredLight(260.0, 0.1, 0.5, 6.0, 0.1, 4.0, 0.0)


def rng():
    return np.random.default_rng(0)


def flat(metres):
    return np.full(SHAPE, metres, np.float32)


def measure(depth, sensor=SENSOR):
    return sensor.measure(np.asarray(depth, np.float32), np.random.default_rng(0))


def test_structured_light_noise_grows_with_the_square_of_the_distance():
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


def test_stereo_depth_noise_grows_with_the_square_of_the_distance():
    spread = [float(np.nanstd(STEREO.measure(flat(z), rng()))) for z in (2.0, 4.0)]
    assert spread[1] / spread[0] == pytest.approx(4.0, rel=0.25)
    assert abs(np.nanmean(STEREO.measure(flat(2.0), rng())) - 2.0) < 0.01


def test_stereo_depth_is_that_of_whole_disparity_steps():
    measured = STEREO.measure(flat(3.0), rng())
    steps = 30.0 / measured[np.isfinite(measured)] / STEREO_STEP_PX
    np.testing.assert_allclose(steps, np.round(steps), atol=2e-3)
    assert len(np.unique(np.round(steps))) > 2


@pytest.mark.parametrize("metres", [0.5 * STEREO_MIN_M, 1.3 * STEREO_MAX_M])
def test_no_stereo_depth_out_of_range(metres):
    assert np.isnan(STEREO.measure(flat(metres), rng())).all()


def test_stereo_depth_is_lost_on_the_left_of_a_near_object_by_the_difference_of_disparities():
    scene = flat(6.0)
    scene[:, 80:] = 1.0  # disparities 5 and 30 of 640 pixels: 6.25 columns of these 160
    holes = np.isnan(STEREO.measure(scene, rng())).mean(axis=0)
    assert holes[75:79].min() > 0.9
    assert holes[40:70].max() < 0.1
    assert holes[85:120].max() < 0.1


def test_stereo_blobs_take_their_share():
    blobs = StereoSensor(30.0, 0.1, STEREO_MAX_M, blob_share=0.2)
    assert np.isnan(blobs.measure(flat(3.0), rng())).mean() == pytest.approx(0.2, abs=0.05)
