"""Whether two systems that saw the same units, such as bags, differ: an exact test and the interval that belongs to it.

The test flips signs: if there is no difference, each unit's is as likely to have the other sign (Fisher, The Design of
Experiments, 1935, section 21). The interval holds the centres that the test does not reject. Its ends are order
statistics of the means of subsets of the units (Hartigan, Journal of the American Statistical Association 64, 1969).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gemini_ros.core.intervals import FEWEST, Scores, Values

_EXACT = 12  # units up to which all subsets are taken: 4096 of them
_VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Difference:
    """A score of the ``first`` and the ``second`` system, NaN where there is nothing to read it off.

    ``low`` and ``high`` limit ``second - first`` with 95 % confidence, ``p`` is that of no difference; ``None`` where
    fewer than ``FEWEST`` of the ``units`` say something about the score.
    """

    first: float
    second: float
    units: int
    low: float | None = None
    high: float | None = None
    p: float | None = None

    @property
    def value(self) -> float:
        """How much higher the second is."""
        return self.second - self.first


def paired_differences(first: Values, second: Values, scores: Scores) -> dict[str, Difference]:
    """The difference of each score between two systems over the same n units.

    ``first`` and ``second`` (n, k) hold what is counted of each unit, in one order. It is pooled before it is scored:
    ``scores`` makes of (..., k) an array (...) for each name. The share of a unit in the pooled difference is taken
    from the jackknife. Raises ``ValueError`` where the shapes differ.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"counts {first.shape} and {second.shape}, expected (n, k) of the same units, in one order")
    whole, without, alone = [], [], []
    for units in (first, second):
        pooled = units.sum(axis=0)
        whole.append(scores(pooled))
        without.append(scores(pooled - units))
        alone.append(scores(units))
    found = {}
    for name in whole[0]:
        ends = float(whole[0][name]), float(whole[1][name])
        told = np.isfinite(alone[0][name]) | np.isfinite(alone[1][name])
        count = int(told.sum())
        left = (without[1][name] - without[0][name])[told]
        value = ends[1] - ends[0]
        if count < FEWEST or not np.isfinite(value) or not np.isfinite(left).all():
            found[name] = Difference(*ends, count)
            continue
        shares = value + (count - 1) * (left.mean() - left)
        found[name] = Difference(*ends, count, *sign_flip_interval(shares), sign_flip_p(shares))
    return found


def sign_flip_p(differences: npt.ArrayLike) -> float:
    """The probability of a sum at least as far from 0 as that of ``differences`` (n,), were their signs random.

    All signs are tried with up to 12 differences, with more 4096 of them, the same each time.
    """
    values = np.asarray(differences, np.float64)
    whole, scale = values.sum(), np.abs(values).sum()
    # Flipping a subset takes twice its sum away. Sums that are equal but for rounding count as equal.
    sums = np.concatenate([[0.0], *(subsets @ values for subsets in _subsets(len(values)))])
    return float((np.abs(whole - 2 * sums) >= np.abs(whole) - 1e-12 * scale).mean())


def sign_flip_interval(differences: npt.ArrayLike) -> tuple[float, float]:
    """The 95 % interval of the centre of ``differences`` (n,), at least ``FEWEST`` of them.

    It holds the centre with at least that probability, whatever their distribution, if it is symmetric.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < FEWEST:
        raise ValueError(f"{len(values)} differences, expected at least {FEWEST}")
    means = np.sort(np.concatenate([subsets @ values / subsets.sum(1) for subsets in _subsets(len(values))]))
    outside = int(0.025 * (len(means) + 1))
    return float(means[outside - 1]), float(means[-outside])


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """The p of each of several tests, such that at most one family in 20 has one below 0.05 by chance (Holm, 1979)."""
    ordered, least, found = sorted(p, key=lambda name: (p[name], name)), 0.0, {}
    for i, name in enumerate(ordered):
        least = max(least, min(1.0, p[name] * (len(ordered) - i)))
        found[name] = least
    return {name: found[name] for name in p}


@lru_cache(maxsize=8)
def _subsets(n: int) -> tuple[Values, ...]:
    """Subsets of n units in blocks (m, n) of 0 and 1, none empty: all of them, or as many as 12 units have."""
    step = max(1, _VALUES_AT_ONCE // n)
    rng = np.random.default_rng(0)
    numbers = np.arange(1, 1 << min(n, _EXACT))
    blocks = [numbers[start : start + step, None] for start in range(0, len(numbers), step)]
    if n <= _EXACT:
        return tuple((block >> np.arange(n) & 1).astype(np.float64) for block in blocks)
    drawn = (rng.integers(0, 2, (len(block), n)).astype(np.float64) for block in blocks)
    return tuple(block[block.any(axis=1)] for block in drawn)  # of 13 units one in 8192 is empty
