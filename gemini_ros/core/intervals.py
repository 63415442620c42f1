"""How sure a score is: intervals over independent units, such as the bags of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

FEWEST = 6
"""Fewer units give no interval."""
_VALUES_AT_ONCE = 1 << 24

Values = npt.NDArray[np.float64]
Scores = Callable[[Values], Mapping[str, Values]]


def bootstrap_t(
    units: Values,
    scores: Scores,
    *,
    samples: int = 500,
    seed: int = 0,
    within: tuple[float, float] = (0.0, 1.0),
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each score by the bootstrap-t (Efron and Tibshirani, 1993, 12.5), cut to ``within``.

    ``units`` (n, k) add up to what ``scores`` takes: from (..., k) it makes an array (...) for each name. Units are
    drawn with replacement and pooled; the jackknife over the units drawn is the standard error of each draw. Frames of
    one drive are not independent, so that a unit is a bag. A score that is not known, or the same whatever is drawn,
    has no interval, and none has one with fewer than ``FEWEST`` units.
    """
    n = len(units)
    if n < FEWEST:
        return {}
    whole, errors = _with_errors(units, np.ones((1, n)), scores)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), samples).astype(np.float64)
    step = max(1, _VALUES_AT_ONCE // units.size)
    parts = [_with_errors(units, draws[i : i + step], scores) for i in range(0, samples, step)]
    found = {}
    for name in whole:
        value, error = float(whole[name][0]), float(errors[name][0])
        drawn, spread = (np.concatenate([part[i][name] for part in parts]) for i in (0, 1))
        usable = np.isfinite(drawn) & (spread > 0)
        if not error > 0 or usable.sum() < samples / 2:
            continue
        low, high = np.percentile((drawn[usable] - value) / spread[usable], [2.5, 97.5])
        found[name] = max(value - high * error, within[0]), min(value - low * error, within[1])
    return found


def _with_errors(units: Values, weights: Values, scores: Scores) -> tuple[Mapping[str, Values], dict[str, Values]]:
    """The scores of each row of ``weights`` (m, n), (m,), and their standard errors by the jackknife."""
    n = len(units)
    pooled = weights @ units
    without = scores(pooled[:, None, :] - units[None])
    errors = {}
    for name, values in without.items():
        known = np.where(np.isfinite(values), weights, 0.0)
        values = np.where(np.isfinite(values), values, 0.0)
        count = np.maximum(known.sum(axis=1), 1.0)
        mean = (known * values).sum(axis=1) / count
        errors[name] = np.sqrt((n - 1) / n * (known * (values - mean[:, None]) ** 2).sum(axis=1))
    return scores(pooled), errors
