"""How much worse the second of two models may be: rules such as ``miou<-0.5``, and what an interval says of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gemini_ros.core.paired import Difference
from gemini_ros.evaluation.box_tally import SWITCHES
from gemini_ros.evaluation.scores import CORRIDOR_EVENTS

PASS, FAIL, UNDECIDED = "pass", "fail", "undecided"
COUNTED = ("map_known", *CORRIDOR_EVENTS, SWITCHES)
"""Scores that are no share: cells, and events in 100 m. A point of an error in metres is 1 cm."""
_POINTS = 100  # of a share


@dataclass(frozen=True)
class Rule:
    """Fail where ``score`` changes by less than ``limit`` (``sign`` "<"), or by more (">"), in points of 100."""

    score: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.score}{self.sign}{self.limit:g}"

    def judge(self, difference: Difference) -> str:
        """What the interval of a difference says: ``undecided`` where it holds the limit, or where there is none."""
        if difference.low is None or difference.high is None:
            return UNDECIDED
        low, high = points(self.score, difference.low), points(self.score, difference.high)
        if self.sign == ">":
            low, high, limit = -high, -low, -self.limit
        else:
            limit = self.limit
        return FAIL if high < limit else PASS if low >= limit else UNDECIDED


def parse_rule(text: str) -> Rule:
    """``SCORE<LIMIT`` or ``SCORE>LIMIT``. Raises ``ValueError``."""
    match = re.fullmatch(r"\s*(\S.*?)\s*([<>])\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*", text)
    if not match:
        raise ValueError(f"fail-if {text!r:.80}, expected SCORE<POINTS or SCORE>POINTS such as miou<-0.5")
    return Rule(match[1], match[2], float(match[3]))


def require_rules(rules: Sequence[Rule], names: Sequence[str]) -> None:
    """Raises ``ValueError`` for a rule on a score that there is not."""
    for rule in rules:
        if rule.score not in names:
            raise ValueError(f"fail-if {rule}: score {rule.score!r:.80}, expected one of {', '.join(names)}")


def judged(rules: Iterable[Rule], differences: Mapping[str, Difference]) -> list[dict[str, Any]]:
    """What became of each rule, as JSON can hold it."""
    return [{"rule": str(rule), "verdict": rule.judge(differences[rule.score])} for rule in rules]


def overall(verdicts: Sequence[Mapping[str, Any]]) -> str | None:
    """``fail`` before ``undecided`` before ``pass``; ``None`` without rules."""
    found = {verdict["verdict"] for verdict in verdicts}
    return next((word for word in (FAIL, UNDECIDED, PASS) if word in found), None)


def points(score: str, value: float) -> float:
    """A difference in points of 100, but for what is ``COUNTED``."""
    return value if score in COUNTED else _POINTS * value
