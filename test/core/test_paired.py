"""Paired differences: exact tests by hand, how often the interval holds the truth, and what has none."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.core.intervals import FEWEST
from gemini_ros.core.paired import holm, paired_differences, sign_flip_interval, sign_flip_p


def share(units: np.ndarray) -> dict[str, np.ndarray]:
    with np.errstate(invalid="ignore"):
        return {"share": units[..., 0] / units[..., 1]}


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1.0, 2.0, 3.0], 2 / 8),  # only all signs together reach 6
        ([1.0, 2.0, -3.0], 8 / 8),  # the sum is 0: every choice of signs is as far off
        ([3.0, 1.0, -1.0], 6 / 8),  # |sum| 3: +++ 3, ++- 5, +-+ 1, +-- 3 and their opposites
        ([1.0, 1.0, 1.0, 1.0, 1.0, -1.0], 14 / 64),  # 4 or more: one of six differs, or none
        ([0.0, 0.0, 0.0, 2.0], 1.0),
        ([0.1] * 6, 2 / 64),
        ([0.1] * 5, 2 / 32),
    ],
)
def test_signs_are_flipped_as_by_hand(differences, p):
    assert sign_flip_p(differences) == p
    assert sign_flip_p([-value for value in differences]) == p


def test_the_interval_holds_what_the_test_does_not_reject():
    rng = np.random.default_rng(3)
    for n in (6, 9, 12):
        values = rng.normal(0.3, 1.0, n)
        low, high = sign_flip_interval(values)
        for centre, rejected in ((low - 1e-6, True), (low + 1e-6, False), (high - 1e-6, False), (high + 1e-6, True)):
            assert (sign_flip_p(values - centre) < 0.05) == rejected
    assert sign_flip_interval([1, 2, 3, 4, 5, 6]) == (1, 6)  # of six units all 62 of the 64 subsets
    assert sign_flip_interval(np.zeros(8)) == (0, 0)


@pytest.mark.parametrize("n", [8, 16])
def test_it_holds_the_truth_as_often_as_it_says(n: int):
    rng = np.random.default_rng(n)
    held = []
    for _ in range(150):
        low, high = sign_flip_interval(0.4 + rng.standard_t(3, n))
        held.append(low <= 0.4 <= high)
    assert 0.9 <= np.mean(held) <= 0.995


def test_pooled_shares_of_the_same_units():
    rng = np.random.default_rng(1)
    pixels = rng.integers(500, 1500, 12).astype(float)
    first = np.stack([pixels * rng.beta(7, 3, 12), pixels], 1)
    second = first - [[20.0, 0.0]]
    found = paired_differences(first, second, share)["share"]
    assert found.value == pytest.approx(-20 * 12 / pixels.sum()) and found.units == 12
    assert found.low is not None and found.high is not None and found.p == 2 / 4096
    assert found.low < found.value < found.high < 0
    assert found.high - found.low < 0.02  # the bags differ much more among themselves
    same = paired_differences(first, first, share)["share"]
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_what_too_few_units_tell_has_no_interval():
    first = np.ones((9, 2))
    first[:4] = 0  # nothing counted
    found = paired_differences(first, first, share)["share"]
    assert (found.units, found.low, found.p, found.value) == (9 - 4, None, None, 0)
    none = paired_differences(first * 0, first * 0, share)["share"]
    assert none.units == 0 and np.isnan(none.value) and none.low is None
    with pytest.raises(ValueError, match=r"\(9, 2\) and \(8, 2\), expected \(n, k\) of the same units"):
        paired_differences(first, first[1:], share)
    with pytest.raises(ValueError, match=f"expected at least {FEWEST}"):
        sign_flip_interval(np.ones(FEWEST - 1))


def test_many_tests_are_held_to_one_level():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.02}) == {"a": 0.03, "b": 0.04, "c": 0.04}
    assert holm({"a": 0.6, "b": 0.5}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
