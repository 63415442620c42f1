from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.simulation.sensors import (
    DISPARITY_STEP_PX,
    MAX_DEPTH_M,
    MIN_DEPTH_M,
    RgbSensor,
    StereoSensor,
    ThermalField,
    ThermalSensor,
    emissivity_loss,
)
from gemini_ros.simulation.textures import KINDS, make_texture, value_noise

SHAPE = (90, 160)
STEREO = StereoSensor(focal_baseline=30.0, noise_px=0.1, max_depth=MAX_DEPTH_M, blob_share=0.0)
CAMERA = RgbSensor(0.22, max_gain=5.0, full_well=4000, read_noise=5, tint=(1, 1, 1), blur_px=0.0)


def rng():
    return np.random.default_rng(0)


def flat(metres):
    return np.full(SHAPE, metres, np.float32)


def test_depth_noise_grows_with_the_square_of_the_distance():
    spread = [float(np.nanstd(STEREO.measure(flat(z), rng()))) for z in (2.0, 4.0)]
    assert spread[1] / spread[0] == pytest.approx(4.0, rel=0.25)
    assert abs(np.nanmean(STEREO.measure(flat(2.0), rng())) - 2.0) < 0.01


def test_depth_is_that_of_whole_disparity_steps():
    measured = STEREO.measure(flat(3.0), rng())
    steps = 30.0 / measured[np.isfinite(measured)] / DISPARITY_STEP_PX
    np.testing.assert_allclose(steps, np.round(steps), atol=2e-3)
    assert len(np.unique(np.round(steps))) > 2


@pytest.mark.parametrize("metres", [0.5 * MIN_DEPTH_M, 1.3 * MAX_DEPTH_M])
def test_no_depth_out_of_range(metres):
    assert np.isnan(STEREO.measure(flat(metres), rng())).all()


def test_depth_is_lost_on_the_left_of_a_near_object_by_the_difference_of_disparities():
    scene = flat(6.0)
    scene[:, 80:] = 1.0  # disparities 5 and 30 of 640 pixels: 6.25 columns of these 160
    holes = np.isnan(STEREO.measure(scene, rng())).mean(axis=0)
    assert holes[75:79].min() > 0.9
    assert holes[40:70].max() < 0.1
    assert holes[85:120].max() < 0.1


def test_blobs_take_their_share():
    blobs = StereoSensor(30.0, 0.1, MAX_DEPTH_M, blob_share=0.2)
    assert np.isnan(blobs.measure(flat(3.0), rng())).mean() == pytest.approx(0.2, abs=0.05)


def test_exposure_brings_a_lit_picture_to_the_target_whatever_its_brightness():
    ramp = np.broadcast_to(np.linspace(20, 160, SHAPE[1])[None, :, None], (*SHAPE, 3)).astype(np.uint8)
    means = [CAMERA.capture(ramp, scale, rng()).mean() for scale in (1.0, 0.6)]
    assert means[0] == pytest.approx(means[1], abs=3)
    assert 90 < means[0] < 140


def test_gain_is_limited_so_that_little_light_is_dark_and_noisy():
    grey = np.full((*SHAPE, 3), 128, np.uint8)
    bright, dark = (CAMERA.capture(grey, scale, rng()).astype(float) for scale in (1.0, 0.01))
    assert dark.mean() < 0.4 * bright.mean()
    assert dark.std() / dark.mean() > 3 * bright.std() / bright.mean()


def test_without_light_there_is_noise_only():
    picture = np.random.default_rng(1).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
    seen = CAMERA.capture(picture, 0.0, rng())
    assert np.array_equal(seen, CAMERA.capture(255 - picture, 0.0, rng()))
    assert 0 < seen.mean() < 25


def test_thermal_noise_and_pattern_have_the_stated_size():
    pattern = np.linspace(-1, 1, 80).astype(np.float32)
    sensor = ThermalSensor(netd_k=0.1, blur_px=0.6, pattern=pattern)
    measured = sensor.measure(np.full((45, 80), 20.0, np.float32), (160, 90), rng())
    assert measured.shape == SHAPE
    np.testing.assert_allclose(measured.mean(axis=0)[::2], 20 + pattern, atol=0.06)
    assert 0.05 < (measured - measured.mean(axis=0)).std() < 0.1


def test_thermal_field_is_a_function_of_the_place():
    field = ThermalField.draw(rng())
    points = np.random.default_rng(2).uniform(-5, 5, (30, 20, 3)).astype(np.float32)
    np.testing.assert_allclose(field.offset(points)[7, 11], field.offset(points[7:8, 11:12])[0, 0], atol=1e-5)
    high = points + np.array([0, 0, 2], np.float32)
    still = ThermalField(field.waves, field.phases, 0.0, gradient=0.5)
    np.testing.assert_allclose(still.offset(high) - still.offset(points), 1.0, atol=1e-4)


def test_emissivity_is_lost_where_a_surface_is_seen_from_its_side():
    x, y = np.meshgrid(np.linspace(0.2, 12, 60, dtype=np.float32), np.linspace(-0.5, 0.5, 8, dtype=np.float32))
    floor = np.stack([x, y, np.zeros_like(x)], -1)
    loss = emissivity_loss(floor, np.array([0, 0, 1.0], np.float32))
    assert loss.shape == (8, 60)
    assert (np.diff(loss[4]) > 0).all()
    assert loss[4, 0] < 0.01 < 0.25 < loss[4, -1] < 0.45


@pytest.mark.parametrize("kind", KINDS)
def test_textures(kind):
    once, again = (make_texture(kind, np.random.default_rng(4), size=64) for _ in range(2))
    assert once.shape == (64, 64, 3)
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert once.std() > 0.5


def test_value_noise_is_periodic_and_in_range():
    noise = value_noise(np.random.default_rng(0), 64, 1, 8, 0.5)
    assert 0 <= noise.min() < noise.max() <= 1
    assert abs(noise[:, 0] - noise[:, -1]).max() < 0.2
