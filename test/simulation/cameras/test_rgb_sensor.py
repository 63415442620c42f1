from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.simulation.cameras.rgb_sensor import RgbSensor

SHAPE = (90, 160)
CAMERA = RgbSensor(0.22, max_gain=5.0, full_well=4000, read_noise=5, tint=(1, 1, 1), blur_px=0.0)


def rng():
    return np.random.default_rng(0)


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
