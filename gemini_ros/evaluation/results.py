"""The results of a run, read off its store: ``results.json``, ``times.json``, and the page that a user reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.core.documents import one_line, parse_json
from gemini_ros.core.files import atomic_path
from gemini_ros.core.labels import LabelSet, label_set_from_dict
from gemini_ros.evaluation import box_tally, completion, robustness_results
from gemini_ros.evaluation.criteria import Criterion, Verdict, judge, require_scores
from gemini_ros.evaluation.robustness_results import robustness_of
from gemini_ros.evaluation.scores import (
    CORRIDOR_EVENTS,
    FALSE_FLOOR,
    ScoreReader,
    Selection,
    Tallies,
    TallyForm,
    things_of,
)
from gemini_ros.evaluation.store import FORMAT, JSON_KEYS, Store
from gemini_ros.pipeline.statistics import STAGES
from gemini_ros.pipeline.summary import summary_from_json

RESULTS, TIMES = "results.json", "times.json"
_UNTIMED = {"latency_ms": dict.fromkeys(STAGES), "overhead_ms": {}}
_EVERY = Selection()


@dataclass(frozen=True)
class Results:
    """What a store says of all its bags. ``data`` is ``results.json``, ``times`` what differs between two runs.

    ``failures`` has what is wrong with each bag, ``broken`` those that could not be used, ``verdicts`` the criteria.
    """

    data: Mapping[str, Any]
    times: Mapping[str, Any]
    failures: Mapping[str, Sequence[str]]
    broken: frozenset[str]
    verdicts: tuple[Verdict, ...]

    @property
    def status(self) -> int:
        """The exit status: 2 where a bag could not be used, 1 where a check failed."""
        if self.broken:
            return 2
        return int(any(self.failures.values()) or any(verdict.failure for verdict in self.verdicts))

    def sentences(self) -> list[str]:
        """Everything that failed."""
        found = [f"{bag}: {failure}" for bag, failures in self.failures.items() for failure in failures]
        return found + [f"criterion failed: {verdict.failure}" for verdict in self.verdicts if verdict.failure]

    def write(self, out: str | Path) -> None:
        """Write ``results.json`` and ``times.json`` into a folder, each whole or not at all."""
        for name, data in ((RESULTS, self.data), (TIMES, self.times)):
            with atomic_path(Path(out) / name) as part:
                part.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def lines(self) -> list[str]:
        """The page: a headline, the classes, each bag, each condition, and the criteria."""
        data, lines = self.data, self._headline()
        width = max(map(len, data["bags"]), default=3)
        lines += ["", f"{'bag':{width}s}  frames  scored   mIoU  flicker  false floor at 0.8"]
        for name, bag in data["bags"].items():
            if bag["error"] is not None:
                lines.append(f"{name:{width}s}  not used: {bag['error']}")
                continue
            lines.append(f"{name:{width}s} {bag['frames']:7d} {bag['scored_frames']:7d} {_row(bag['scores'])}")
        for name, values in data["conditions"].items():
            lines += ["", f"{name}"]
            for value, found in values.items():
                scores = {score: each["value"] for score, each in found["scores"].items()}
                lines.append(f"{value:{width}s} {found['frames']:7d} {found['scored_frames']:7d} {_row(scores)}")
        return lines + self.completion_lines() + self.robustness_lines() + self.criteria_lines()

    def completion_lines(self) -> list[str]:
        """How well depth was completed; nothing where no model did."""
        return ["", *completion.lines(self.data[completion.KEY])] if completion.KEY in self.data else []

    def robustness_lines(self) -> list[str]:
        """What the robustness protocol found; nothing where it was not run."""
        return ["", *robustness_results.lines(self.data["robustness"])] if "robustness" in self.data else []

    def criteria_lines(self) -> list[str]:
        """What became of each criterion; nothing where there are none."""
        lines = []
        if self.verdicts:
            lines += ["", "criteria"]
            lines += [
                f"{'failed' if verdict.failure else 'passed'}  {verdict.failure or verdict.criterion}"
                for verdict in self.verdicts
            ]
        return lines

    def _headline(self) -> list[str]:
        data, scores = self.data, self.data["scores"]
        used = len(data["bags"]) - len(self.broken)
        lines = [f"{data['run']['model']} on {used} bags, {data['frames']} frames, {data['scored_frames']} with truth"]
        if scores["miou"]["value"] is not None:
            lines.append(f"mIoU {_told(scores['miou'])}; intervals {data['intervals']}")
            classes = {name[4:]: each for name, each in scores.items() if name.startswith("iou.")}
            known = sorted((each["value"], name) for name, each in classes.items() if each["value"] is not None)
            lines.append("IoU  " + ", ".join(f"{name} {value:.3f}" for value, name in known))
            floor = ", ".join(f"{_percent(scores[name]['value'])} at 0.{name.split('_')[2]}" for name in FALSE_FLOOR)
            lines.append(f"calibration error {_percent(scores['calibration_error']['value'])}; false floor {floor}")
        false_free, false_lethal, free = (scores[name] for name in (*CORRIDOR_EVENTS, "corridor_free_recall"))
        if false_free["value"] is not None:
            lines.append(
                f"on the robot's way, events in 100 m: {_told(false_free)} falsely free, {_told(false_lethal)} falsely "
                f"lethal; {_percent(free['value'])} of the floor there free"
            )
        lines += box_tally.lines(scores, box_tally.things_in(scores))
        if self.times["bag_seconds_per_second"]:
            lines.append(f"{self.times['bag_seconds_per_second']:.2f} seconds of bag in a second of each worker")
        return lines


def read_results(store: Store, criteria: Sequence[Criterion] = ()) -> Results:
    """Everything that a store says.

    Raises ``ValueError`` for a criterion on a score that there is not, and for a store of another form.
    """
    classes = label_set_of(store)
    reader = ScoreReader(store, classes.names, things=things_of(classes))
    require_scores(criteria, reader.score_names)
    try:
        return _read(store, reader, criteria)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{store.path}: not as `gemini-ros evaluate` writes it: {one_line(error)}") from error


def _read(store: Store, reader: ScoreReader, criteria: Sequence[Criterion]) -> Results:
    by_condition = {
        name: {value: Selection(((name, value),)) for value in values} for name, values in reader.conditions().items()
    }
    wanted = [_EVERY, *(s for values in by_condition.values() for s in values.values())]
    tallies = reader.tallies([*wanted, *(criterion.selection for criterion in criteria)])
    failures, bags = {}, {}
    for name, sha256, duration_ns, summary, error in store.rows("bags", "bag, sha256, duration_ns, summary, error"):
        failures[name] = [error] if error is not None else _failures(summary)
        bags[name] = {"sha256": sha256, "error": error}
        if error is None:
            found = tallies[_EVERY].bags
            own = Tallies({name: found[name]} if name in found else {})
            bags[name] |= {
                "seconds": duration_ns / 1e9,
                "frames": reader.count(own),
                "scored_frames": reader.count(own, "scored_frames"),
                "failures": failures[name],
                "scores": reader.values(own),
            }
    verdicts = tuple(judge(criterion, tallies[criterion.selection], reader) for criterion in criteria)
    conditions = {
        name: {value: _scored(reader, tallies[selection]) for value, selection in values.items()}
        for name, values in by_condition.items()
    }
    data = {
        "format": FORMAT,
        "run": {
            key: parse_json(text, f"{store.path}: {key}") if key in JSON_KEYS else text
            for key, text in store.run.items()
            if key != "format"
        },
        "intervals": reader.units(tallies[_EVERY]),
        **_scored(reader, tallies[_EVERY]),
        "bags": bags,
        "conditions": conditions,
        "criteria": [verdict.to_dict() for verdict in verdicts],
    }
    if (robustness := robustness_of(store, TallyForm(reader.names))) is not None:
        data["robustness"] = robustness
    if (completed := completion.completion_of(store)) is not None:
        data[completion.KEY] = completed
    broken = frozenset(name for name, bag in bags.items() if bag["error"] is not None)
    return Results(data, _times(store), failures, broken, verdicts)


def label_set_of(store: Store) -> LabelSet:
    """The classes that a store has scores of: the model's, or those that some of them were merged to."""
    return _label_set(store, "scored_label_set" if "scored_label_set" in store.run else "label_set")


def model_classes(store: Store) -> LabelSet:
    """The label set of the model that a store is of."""
    return _label_set(store, "label_set")


def _label_set(store: Store, key: str) -> LabelSet:
    where = f"{store.path}: {key}"
    return label_set_from_dict(parse_json(store.run.get(key, ""), where), where)


def _scored(reader: ScoreReader, tallies: Tallies) -> dict[str, Any]:
    limits = reader.intervals(tallies)
    scores = {
        name: {"value": value, "low": limits.get(name, (None, None))[0], "high": limits.get(name, (None, None))[1]}
        for name, value in reader.values(tallies).items()
    }
    return {
        "frames": reader.count(tallies),
        "scored_frames": reader.count(tallies, "scored_frames"),
        "scores": scores,
        "reliability": reader.reliability(tallies),
    }


def _failures(text: str) -> list[str]:
    """What is wrong with a bag by its summary."""
    summary = summary_from_json(json.dumps(json.loads(text) | _UNTIMED), "summary in the store")
    return [f"broken identity: {sentence}" for sentence in summary.check()] + summary.failures()


def latencies(store: Store) -> dict[str, dict[str, float | None]]:
    """p50 and p99 of each stage over all frames, in milliseconds; ``None`` where nothing was measured."""
    columns = ", ".join(f"{stage}_ns" for stage in STAGES)
    ns = np.array(store.rows("times", columns), np.float64).reshape(-1, len(STAGES))
    stages = {}
    for stage, values in zip(STAGES, ns.T, strict=True):
        known = values[np.isfinite(values)] / 1e6
        stages[stage] = {f"p{q}": float(np.percentile(known, q)) if known.size else None for q in (50, 99)}
    return stages


def _times(store: Store) -> dict[str, Any]:
    elapsed = {str(bag): float(seconds) for bag, seconds in store.rows("elapsed", "bag, seconds")}
    durations = {bag: ns / 1e9 for bag, ns in store.rows("bags", "bag, duration_ns") if bag in elapsed}
    spent = sum(elapsed.values())
    return {
        "latency_ms": latencies(store),
        "seconds": elapsed,
        "bag_seconds_per_second": sum(durations.values()) / spent if spent else None,
    }


def _row(scores: Mapping[str, float | None]) -> str:
    miou, flicker = scores["miou"], scores["flicker"]
    return (
        f"{'-' if miou is None else f'{miou:.3f}':>6s} {_percent(flicker):>8s} {_percent(scores[FALSE_FLOOR[1]]):>8s}"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _told(score: Mapping[str, float | None]) -> str:
    value, low, high = score["value"], score["low"], score["high"]
    return f"{value:.4f}" + ("" if low is None else f" ({low:.4f} to {high:.4f})")
