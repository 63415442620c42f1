"""The differences of scores between two systems over the same bags, as JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gemini_ros.core.paired import Difference, holm, paired_differences
from gemini_ros.evaluation.scores import CORRIDOR_EVENTS, FALSE_FLOOR, TallyForm, Values

_LOWER_IS_BETTER = ("calibration_error", "flicker", *CORRIDOR_EVENTS, *FALSE_FLOOR)
_NEITHER = ("confidence", "map_known")
_BEYOND_CHANCE, _DIGITS = 0.05, 6
_NEGLIGIBLE = 0.0005  # 0.05 points: the mIoU of a model that is exported again moves less, but alike in each bag


def compared(first: Values, second: Values, form: TallyForm) -> dict[str, Difference]:
    """The differences of all scores between tallies (n, k) of the same units."""
    return paired_differences(first, second, form.of)


def scored(differences: Mapping[str, Difference]) -> dict[str, Any]:
    """Differences as JSON holds them. The p of the classes are those of one family (``core.paired.holm``)."""
    p = {name: each.p for name, each in differences.items() if each.p is not None}
    classes = holm({name: value for name, value in p.items() if name.startswith("iou.")})
    return {
        name: {
            "a": rounded(each.first),
            "b": rounded(each.second),
            "difference": rounded(each.value),
            "low": rounded(each.low),
            "high": rounded(each.high),
            "p": rounded(classes.get(name, p.get(name))),
            "units": each.units,
            "change": _change(name, each.value, classes.get(name, p.get(name))),
        }
        for name, each in differences.items()
    }


def _change(name: str, value: float, p: float | None) -> str | None:
    """``better``, ``worse`` or ``other`` where there is a difference beyond chance of at least 0.05 points."""
    if p is None or p >= _BEYOND_CHANCE or abs(value) < _NEGLIGIBLE:
        return None
    if name in _NEITHER:
        return "other"
    return "better" if (value > 0) != (name in _LOWER_IS_BETTER) else "worse"


def rounded(value: float | None) -> float | None:
    """What JSON can hold of a number: ``None`` for NaN."""
    return None if value is None or not math.isfinite(value) else round(value, _DIGITS) + 0.0
