"""What a model has to reach to ship: criteria in a YAML file, and the verdicts as JUnit reads them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemini_ros.core.documents import read_yaml
from gemini_ros.core.entries import require_entries
from gemini_ros.core.files import atomic_path
from gemini_ros.evaluation.scores import ScoreReader, Selection, Tallies

_KEYS = {"score"}, {"at_least", "at_most", "condition", "bags"}


@dataclass(frozen=True)
class Criterion:
    """A score over the frames of ``selection`` must be ``at_least``, and ``at_most``; one of them may be ``None``."""

    score: str
    selection: Selection
    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        limits = [
            f"{words} {limit:g}"
            for words, limit in (("at least", self.at_least), ("at most", self.at_most))
            if limit is not None
        ]
        said = [f"{self.score} {' and '.join(limits)}"]
        said += [
            f"{name} {value if isinstance(value, str) else f'{value[0]:g} to {value[1]:g}'}"
            for name, value in self.selection.condition
        ]
        if self.selection.bags != ("*",):
            said.append(f"bags {', '.join(self.selection.bags)}")
        return "; ".join(said)


@dataclass(frozen=True)
class Verdict:
    """What a criterion found: ``value`` over ``frames`` of ``bags``. ``failure`` says why it failed."""

    criterion: Criterion
    value: float | None
    frames: int
    bags: int
    failure: str

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "criterion": str(self.criterion),
            "value": self.value,
            "frames": self.frames,
            "bags": self.bags,
            "passed": not self.failure,
        }


def read_criteria(path: str | Path) -> tuple[Criterion, ...]:
    """A YAML list of mappings with ``score``, ``at_least`` or ``at_most`` or both, ``condition`` and ``bags``.

    ``condition`` is a mapping (``light: dark``, ``streams: rgb``, ``time: NAME``, ``seconds: [2, 5]``, a topic and what
    it says), ``bags`` a name or pattern such as ``night_*``, or a list of them. Raises ``ValueError``.
    """
    entries = read_yaml(path, f"criteria {path}")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"criteria {path}: {entries!r:.80}, expected a list with a score in each entry")
    return tuple(_criterion(entry, f"criteria {path}: entry {i + 1}") for i, entry in enumerate(entries))


def require_scores(criteria: Sequence[Criterion], names: Sequence[str]) -> None:
    """Raises ``ValueError`` for a criterion on a score that there is not."""
    for criterion in criteria:
        if criterion.score not in names:
            raise ValueError(f"criteria: score {criterion.score!r:.80}, expected one of {', '.join(names)}")


def judge(criterion: Criterion, tallies: Tallies, reader: ScoreReader) -> Verdict:
    """Hold a criterion against the frames of its selection; one that measures nothing fails."""
    value, frames, bags = reader.values(tallies)[criterion.score], reader.count(tallies), len(tallies.bags)
    low, high = criterion.at_least, criterion.at_most
    if value is None:
        failure = f"{criterion}: nothing to measure in {frames} frames of {bags} bags"
    elif (low is not None and value < low) or (high is not None and value > high):
        failure = f"{criterion}: found {value:.4f} over {frames} frames of {bags} bags"
    else:
        failure = ""
    return Verdict(criterion, value, frames, bags, failure)


def write_junit(path: str | Path, bags: Mapping[str, Sequence[str]], verdicts: Sequence[Verdict]) -> None:
    """A JUnit file, whole or not at all: a test case for each bag, with what is wrong with it, and each criterion."""
    cases = {"bags": {bag: list(failures) for bag, failures in bags.items()}}
    if verdicts:
        cases["criteria"] = {str(verdict.criterion): [verdict.failure] * bool(verdict.failure) for verdict in verdicts}
    root = ElementTree.Element("testsuites", name="gemini-ros evaluate")
    for suite, found in cases.items():
        failed = sum(bool(failures) for failures in found.values())
        below = ElementTree.SubElement(root, "testsuite", name=suite, tests=str(len(found)), failures=str(failed))
        for name, failures in found.items():
            case = ElementTree.SubElement(below, "testcase", classname=f"evaluate.{suite}", name=name)
            if failures:
                ElementTree.SubElement(case, "failure", message=_printable(failures[0])).text = _printable(
                    "\n".join(failures)
                )
    ElementTree.indent(root)
    with atomic_path(path) as part:
        ElementTree.ElementTree(root).write(part, encoding="utf-8", xml_declaration=True)


def _criterion(entry: object, where: str) -> Criterion:
    data = require_entries(entry, *_KEYS, where)
    if not isinstance(data["score"], str):
        raise ValueError(f"{where}: score {data['score']!r:.80}, expected the name of a score such as miou")
    limits = {key: data[key] for key in ("at_least", "at_most") if key in data}
    for key, limit in limits.items():
        if type(limit) not in (int, float) or not math.isfinite(limit):
            raise ValueError(f"{where}: {key} {limit!r:.80}, expected a number")
    if not limits:
        raise ValueError(f"{where}: no limit, expected at_least or at_most")
    if len(limits) == 2 and limits["at_least"] > limits["at_most"]:
        raise ValueError(f"{where}: at_least {limits['at_least']} is above at_most {limits['at_most']}")
    bags = data.get("bags", "*")
    bags = (bags,) if isinstance(bags, str) else tuple(bags) if isinstance(bags, list) else ()
    if not bags or not all(isinstance(pattern, str) for pattern in bags):
        raise ValueError(f"{where}: bags {data['bags']!r:.80}, expected names or patterns such as night_*")
    return Criterion(data["score"], Selection(_condition(data.get("condition", {}), where), bags), **limits)


def _condition(data: object, where: str) -> tuple[tuple[str, Any], ...]:
    if not isinstance(data, dict):
        raise ValueError(f"{where}: condition {data!r:.80}, expected a mapping such as light: dark")
    found = []
    for name, value in data.items():
        if name == "seconds":
            numbers = isinstance(value, list) and [type(v) in (int, float) for v in value] == [True, True]
            if not numbers or not value[0] < value[1]:
                raise ValueError(f"{where}: seconds {value!r:.80}, expected the first and the last second: [2, 5]")
            value = tuple(value)
        elif type(value) not in (str, int, bool):
            raise ValueError(f"{where}: condition {name!s:.80}: {value!r:.80}, expected a word or a whole number")
        found.append((str(name), value if isinstance(value, tuple) else str(value)))
    return tuple(sorted(found))


def _printable(text: str) -> str:
    """What XML can hold."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)
