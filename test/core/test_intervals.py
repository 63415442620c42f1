"""Intervals over bags: how often they hold the true value, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.core.intervals import FEWEST, bootstrap_t


def share(units: np.ndarray) -> dict[str, np.ndarray]:
    with np.errstate(invalid="ignore"):
        return {"share": units[..., 0] / units[..., 1]}


def drives(rng: np.random.Generator, count: int) -> np.ndarray:
    """Right and all pixels of drives that are each good or bad as a whole: 0.7 of them are right in the mean."""
    pixels = rng.integers(500, 1500, count)
    return np.stack([pixels * rng.beta(7, 3, count), pixels], 1)


def test_twelve_bags_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    limits = [bootstrap_t(drives(rng, 12), share, samples=200)["share"] for _ in range(150)]
    held = np.mean([low <= 0.7 <= high for low, high in limits])
    assert 0.88 <= held <= 0.99
    assert np.median([high - low for low, high in limits]) < 0.3


def test_many_bags_give_a_narrow_interval_the_same_each_time():
    units = drives(np.random.default_rng(2), 300)
    low, high = bootstrap_t(units, share)["share"]
    assert 0.02 < high - low < 0.06
    assert bootstrap_t(units, share)["share"] == (low, high)


@pytest.mark.parametrize("units", [np.ones((FEWEST - 1, 2)), np.ones((9, 2)), np.zeros((9, 2))])
def test_few_bags_or_equal_ones_give_none(units):
    assert bootstrap_t(units, share) == {}
