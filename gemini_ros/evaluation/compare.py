"""Two evaluations of the same bags beside each other: what differs beyond chance, where, and how long each took."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.core.documents import one_line, parse_json
from gemini_ros.core.files import atomic_path
from gemini_ros.core.intervals import FEWEST
from gemini_ros.core.paired import Difference
from gemini_ros.evaluation.conditions import STREAMS
from gemini_ros.evaluation.differences import change_sentences, compared, rounded, scored
from gemini_ros.evaluation.disagreement import Pair, disagreement
from gemini_ros.evaluation.results import TIMES, label_set_of, latencies, model_classes
from gemini_ros.evaluation.rules import PASS, Rule, judged, overall, points, require_rules
from gemini_ros.evaluation.scores import BLOCK_S, ScoreReader, Selection, Tallies, TallyForm, Values, things_of
from gemini_ros.evaluation.store import JSON_KEYS, STORE, Store

COMPARE, FORMAT = "compare.json", 1
_EVERY = Selection()
SIDES = ("a", "b")


@dataclass(frozen=True)
class Comparison:
    """``data`` is ``compare.json``; ``times`` is what differs between two runs, ``times.json``."""

    data: Mapping[str, Any]
    times: Mapping[str, Any]

    @property
    def status(self) -> int:
        """The exit status: 2 where a bag could not be used, 0 where there is no rule, or all pass."""
        return 2 if self.data["not_used"] else int(self.data["verdict"] not in (None, PASS))

    def write(self, out: str | Path) -> None:
        """Write both files into a folder, each whole or not at all."""
        for name, data in ((COMPARE, self.data), (TIMES, self.times)):
            with atomic_path(Path(out) / name) as part:
                part.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def lines(self) -> list[str]:
        """The table that a user reads."""
        data, frames = self.data, self.data["frames"]
        lines = [f"{side.upper()}  {data[side]['name']}" for side in SIDES]
        alone = [f"{frames[f'only_{side}']} in {side.upper()} alone, " for side in SIDES if frames[f"only_{side}"]]
        lines.append(f"{frames['both']} frames in both, {''.join(alone)}{frames['scored']} with truth")
        lines.append(f"intervals: {data['units']}")
        lines += [f"not used: {bag}: {error}" for bag, error in data["not_used"].items()]
        width = max(map(len, data["scores"]), default=5)
        lines += ["", f"{'':{width}s}        A        B   points      95 % interval         p"]
        lines += [_row(name, found, width) for name, found in data["scores"].items() if found["a"] is not None]
        lines += ["", *change_sentences(data["scores"])]
        for name, values in data["conditions"].items():
            lines += ["", f"mIoU by {name}"]
            lines += [_row(value, found["scores"]["miou"], width) for value, found in values.items()]
        return lines + self._disagreement_lines() + self._time_lines() + self._verdict_lines()

    def _disagreement_lines(self) -> list[str]:
        data, lines = self.data["disagreement"], []
        for what in ("pixels", "cells"):
            if found := data[what]:
                share = 100 * found["differing"] / found["compared"]
                pairs = ", ".join(f"{p['a']} / {p['b']} {p['count']}" for p in found["pairs"][:3])
                lines.append(f"{what:9s} {share:.3f} % differ (A / B): {pairs or 'none'}")
        moved = sorted((-abs(each["b"] - each["a"]), name) for name, each in data["classes"].items())
        lines += [
            f"classes   {name} {100 * each['a']:.2f} % of the pixels in A, {100 * each['b']:.2f} % in B"
            for name, each in ((name, data["classes"][name]) for change, name in moved[:1] if change)
        ]
        worst = [frame for frame in data["frames"][:1] if frame["differing"]]
        lines += [
            f"most in   {w['bag']} at {w['stamp_ns']} ns, {100 * w['differing']:.2f} % of the pixels" for w in worst
        ]
        lines += [f"note      {note}" for note in data["notes"][:3]]
        return ["", *lines] if lines else []

    def _time_lines(self) -> list[str]:
        rows = [
            f"{stage:12s}" + "".join(f" {found[side][q]:9.2f}" for side in SIDES for q in ("p50", "p99"))
            for stage, found in self.times["latency_ms"].items()
            if all(found[side][q] is not None for side in SIDES for q in ("p50", "p99"))
        ]
        return ["", "milliseconds     A p50     A p99     B p50     B p99", *rows] if rows else []

    def _verdict_lines(self) -> list[str]:
        verdicts = self.data["fail_if"]
        return ["", *(f"{each['verdict']:9s} fail if {each['rule']}" for each in verdicts)] if verdicts else []


def compare_results(
    first: str | Path, second: str | Path, rules: Sequence[Rule] = (), names: tuple[str, str] | None = None
) -> Comparison:
    """Compare two folders of ``evaluate``, or store files, over the frames that both have.

    ``names`` are what the two are called, by default their paths.
    Raises ``ValueError``, with the lists, where they are of other bags, of other classes or of other truth.
    """
    with Store(_store_in(first)) as a, Store(_store_in(second)) as b:
        form = TallyForm(_common_classes(a, b), _common_things(a, b))
        require_rules(rules, form.score_names)
        try:
            return _compare(a, b, form, rules, names or (str(first), str(second)))
        except (TypeError, LookupError, AttributeError, ArithmeticError) as error:
            where = f"{a.path}, {b.path}"
            raise ValueError(f"{where}: not as `gemini-ros evaluate` writes them: {one_line(error)}") from error


def _compare(a: Store, b: Store, form: TallyForm, rules: Sequence[Rule], called: tuple[str, str]) -> Comparison:
    pairs, frames = _common_frames(a, b)
    readers = (
        ScoreReader(a, form.names, {pair.first: pair.stamps for pair in pairs}, form.things),
        ScoreReader(b, form.names, {pair.second: pair.stamps for pair in pairs}, form.things),
    )
    conditions = _common_conditions(*readers)
    selections = {(name, value): Selection(((name, value),)) for name, values in conditions.items() for value in values}
    tallies = [reader.tallies([_EVERY, *selections.values()]) for reader in readers]

    def differences(selection: Selection) -> dict[str, Difference]:
        return compared(*_units(pairs, tallies[0][selection], tallies[1][selection], form), form)

    every = differences(_EVERY)
    labels = model_classes(a).names
    found = disagreement(a, b, pairs, len(labels))
    verdicts = judged(rules, every)
    data = {
        "format": FORMAT,
        "a": {"name": called[0], "run": _run(a)},
        "b": {"name": called[1], "run": _run(b)},
        "units": _units_text(len(pairs)),
        "not_used": {bag: error for store in (a, b) for bag, (_, error) in store.bags().items() if error is not None},
        "frames": frames | {"scored": readers[0].count(tallies[0][_EVERY], "scored_frames")},
        "scores": scored(every),
        "bags": {
            pair.first: {
                "frames": len(pair.stamps),
                "differing": rounded(found.bags.get(pair.first)),
                "scores": _of_bag(pair, tallies[0][_EVERY], tallies[1][_EVERY], form),
            }
            for pair in pairs
        },
        "conditions": {
            name: {
                value: {
                    "frames": readers[0].count(tallies[0][selections[name, value]]),
                    "scores": scored(differences(selections[name, value])),
                }
                for value in values
            }
            for name, values in conditions.items()
        },
        "disagreement": found.to_dict(labels),
        "fail_if": verdicts,
        "verdict": overall(verdicts),
    }
    stages = latencies(a), latencies(b)
    times = {"latency_ms": {stage: dict(zip(SIDES, (s[stage] for s in stages), strict=True)) for stage in stages[0]}}
    return Comparison(data, times)


def require_results(given: str | Path) -> Path:
    """``given`` as a path, if it is what ``compare_results`` takes. Raises ``ValueError`` and ``OSError``."""
    Store(_store_in(given)).close()
    return Path(given)


def _store_in(given: str | Path) -> Path:
    path = Path(given)
    return path / STORE if path.is_dir() else path


def _common_classes(a: Store, b: Store) -> tuple[str, ...]:
    first, second = (model_classes(store).names for store in (a, b))
    if first != second:
        raise ValueError(
            f"the classes differ: {a.path} has {', '.join(first)}; {b.path} has {', '.join(second)}: scores of other "
            "classes cannot be compared"
        )
    if a.run.get("truth_map") != b.run.get("truth_map"):
        raise ValueError(
            f"the truth differs: --map of {a.path} {a.run.get('truth_map')!s:.200}, of {b.path} "
            f"{b.run.get('truth_map')!s:.200}: evaluate both with one --map"
        )
    return tuple(label_set_of(a).names)


def _common_things(a: Store, b: Store) -> tuple[str, ...]:
    """The classes whose boxes both have scores of."""
    first, second = (things_of(label_set_of(store)) for store in (a, b))
    return tuple(name for name in first if name in second)


def _common_frames(a: Store, b: Store) -> tuple[list[Pair], dict[str, int]]:
    """The bags, which must be the same by their content, with the stamps in both, and how many frames those are."""
    by_sum = [{sha256: name for name, (sha256, error) in store.bags().items() if error is None} for store in (a, b)]
    if not by_sum[0] and not by_sum[1]:
        errors = [f"{bag}: {error}" for bag, (_, error) in a.bags().items()]
        raise ValueError(f"no bag could be used, expected one at least: {'; '.join(errors)!s:.400}")
    if by_sum[0].keys() != by_sum[1].keys():
        alone = [
            f"{store.path} alone has {', '.join(sorted(own[s] for s in own.keys() - others.keys())) or 'none'}"
            for store, own, others in ((a, by_sum[0], by_sum[1]), (b, by_sum[1], by_sum[0]))
        ]
        raise ValueError(f"not the same bags: {'; '.join(alone)}: evaluate both on the same ones")
    pairs, counts = [], {"both": 0, "only_a": 0, "only_b": 0}
    for sha256, name in sorted(by_sum[0].items(), key=lambda item: item[1]):
        other = by_sum[1][sha256]
        own, others = (
            frozenset(stamp for (stamp,) in store.rows("frames", "stamp_ns", "bag = ?", [bag]))
            for store, bag in ((a, name), (b, other))
        )
        pairs.append(Pair(name, other, own & others))
        for key, stamps in (("both", own & others), ("only_a", own - others), ("only_b", others - own)):
            counts[key] += len(stamps)
    if not counts["both"]:
        raise ValueError(f"{a.path} and {b.path} have no frame in common, expected some: nothing can be compared")
    return pairs, counts


def _common_conditions(a: ScoreReader, b: ScoreReader) -> dict[str, list[str]]:
    """Conditions that both have. Which streams a frame has is not one: parameters may change it."""
    first, second = a.conditions(), b.conditions()
    return {
        name: [value for value in values if value in second[name]]
        for name, values in first.items()
        if name in second and name != STREAMS and len(values) > 1
    }


def _units(pairs: Sequence[Pair], a: Tallies, b: Tallies, form: TallyForm) -> tuple[Values, Values]:
    """The tallies (n, k) of each bag, or of a single bag those of each two seconds."""
    none = np.zeros(form.size)
    if len(pairs) > 1:
        found = [[tallies.bags.get(name, none) for name in of] for tallies, of in _by_side(pairs, a, b)]
    else:
        blocks = a.blocks or {}, b.blocks or {}
        found = [[own.get(i, none) for i in sorted(blocks[0].keys() | blocks[1].keys())] for own in blocks]
    return np.array(found[0]).reshape(-1, form.size), np.array(found[1]).reshape(-1, form.size)


def _by_side(pairs: Sequence[Pair], a: Tallies, b: Tallies) -> tuple[tuple[Tallies, list[str]], ...]:
    return (a, [pair.first for pair in pairs]), (b, [pair.second for pair in pairs])


def _units_text(bags: int) -> str:
    """What the test and its intervals flip the signs of."""
    if bags == 1:
        return f"exact sign-flip over blocks of {BLOCK_S:g} s of one bag: they say nothing of another drive"
    return f"exact sign-flip over {bags} bags" if bags >= FEWEST else f"none: {bags} bags, {FEWEST} are needed"


def _of_bag(pair: Pair, a: Tallies, b: Tallies, form: TallyForm) -> dict[str, Any]:
    """The scores of one bag in both; without an interval, for a bag is one unit."""
    none = np.zeros(form.size)
    values = form.of(np.stack([a.bags.get(pair.first, none), b.bags.get(pair.second, none)]))
    return {
        name: {"a": rounded(first), "b": rounded(second), "difference": rounded(second - first)}
        for name, (first, second) in values.items()
    }


def _run(store: Store) -> dict[str, Any]:
    return {
        key: parse_json(text, f"{store.path}: {key}") if key in JSON_KEYS else text
        for key, text in store.run.items()
        if key != "format"
    }


def _row(name: str, found: Mapping[str, Any], width: int) -> str:
    digits = 0 if name == "map_known" else 4
    a, b = ("-" if found[side] is None else f"{found[side]:.{digits}f}" for side in SIDES)
    line = f"{name:{width}s} {a:>8s} {b:>8s}"
    if found["difference"] is not None:
        line += f" {points(name, found['difference']):+8.2f}"
    if found["low"] is not None:
        low, high = (f"{points(name, found[end]):+.2f}" for end in ("low", "high"))
        line += f"  {f'{low} to {high}':>18s}  {found['p']:8.4f}  {found['change'] or ''}"
    return line.rstrip()
