"""The differences of scores between two systems over the same bags, as JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gemini_ros.core.paired import Difference, holm, paired_differences
from gemini_ros.evaluation import box_tally
from gemini_ros.evaluation.rules import points
from gemini_ros.evaluation.scores import CORRIDOR_EVENTS, FALSE_FLOOR, TallyForm, Values

_LOWER_IS_BETTER = ("calibration_error", "flicker", *CORRIDOR_EVENTS, *FALSE_FLOOR, *box_tally.LOWER_IS_BETTER)
_NEITHER = ("confidence", "map_known")
_BEYOND_CHANCE, _DIGITS = 0.05, 6
SMALLEST = 0.1
"""Points (``rules.points``) that a change must surely exceed to be told as one.

A model that is exported again differs by really less, but alike in each bag, so that no test calls it chance.
"""


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
            "change": _change(name, each, classes.get(name, p.get(name))),
        }
        for name, each in differences.items()
    }


def _change(name: str, found: Difference, p: float | None) -> str | None:
    """``better``, ``worse`` or ``other``: beyond chance, and the whole interval beyond ``SMALLEST``."""
    if p is None or p >= _BEYOND_CHANCE or found.low is None or found.high is None:
        return None
    if points(name, found.low) <= SMALLEST and points(name, found.high) >= -SMALLEST:
        return None
    if name in _NEITHER:
        return "other"
    return "better" if (found.value > 0) != name.startswith(_LOWER_IS_BETTER) else "worse"


def change_sentences(scores: Mapping[str, Any]) -> Iterator[str]:
    """Which scores of ``scored`` differ beyond chance, and by how many points."""
    least = f"{SMALLEST:g} points"
    if all(found["p"] is None for found in scores.values()):
        yield "There are too few bags, or blocks of the one bag, to tell a difference from chance."
        return
    for change in ("worse", "better"):
        if told := [_sized(name, found) for name, found in scores.items() if found["change"] == change]:
            yield f"Surely {change} by more than {least}: {', '.join(told)}."
    if not any(found["change"] for found in scores.values()):
        yield f"No score surely differs by more than {least}."
    sure = [name for name, each in scores.items() if each["p"] is not None and each["p"] < _BEYOND_CHANCE]
    if small := [_sized(name, scores[name]) for name in sure if not scores[name]["change"]]:
        yield f"Beyond chance, but perhaps by less: {', '.join(small)}."


def _sized(name: str, found: Mapping[str, Any]) -> str:
    return f"{name} {points(name, found['difference']):+.2f}"


def rounded(value: float | None) -> float | None:
    """What JSON can hold of a number: ``None`` for NaN."""
    return None if value is None or not math.isfinite(value) else round(value, _DIGITS) + 0.0
