from __future__ import annotations

import numpy as np

from gemini_ros.simulation.cameras.thermal_sensor import ThermalField, ThermalSensor, emissivity_loss

SHAPE = (90, 160)


def rng():
    return np.random.default_rng(0)


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
