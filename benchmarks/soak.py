"""The segmenter for a long time under random faults: memory, overhead by minute, and whether every promise holds.

    python -m benchmarks.soak [--minutes 30] [--rate 30] [--seed 0] [--json FILE]

The node is a process. This process is its cameras, its odometry and its judge: RGB and depth of 80x60, so that two
cores keep up with 30 pairs a second, into the tiny model of the tests. In between it inflicts the faults of
``test/faults`` in random order at random times; after each, the map must be honest and the node must have spoken and
recovered. Faults of a simulated clock and of compressed images need other nodes and are not among them.

Each fault comes once during the warm-up, for at most a third of the run. Memory (RSS and PSS, in MB) is fitted by a
line after it: it must be flat within 5 MB. Overhead is the node's own (total - queue - network): the p99 of the last
third of the minutes must not exceed that of the first third by more than half. Exit status 1 where anything failed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from test.conftest import private_ros
from test.faults.faults import FAULTS, inflict
from test.faults.world import World, world
from test.nodes.rig import HEIGHT, WIDTH, robot

LIMITS = {"rss_growth_mb": 5.0, "pss_growth_mb": 5.0, "overhead_p99_ratio": 1.5}
_SAMPLE_S = 5.0
_PAUSE_S = 5.0  # between two faults, on average
_WARM_UP_PAUSE_S = 0.5
Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=30.0, help="pairs a second between the faults")
    parser.add_argument("--seed", type=int, default=0, help="of the order and the times of the faults")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        result = soak(options, Path(folder))
    result["failed"] = judge(result)
    report(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if result["failed"] else 0


def soak(options: argparse.Namespace, folder: Path) -> Row:
    statistics = folder / "statistics.json"
    result: Row = {"size": f"{WIDTH}x{HEIGHT}", "rate_hz": options.rate, "seed": options.seed, "ended": ""}
    run = Soak(options)
    result |= run.rows
    try:
        with (
            private_ros(folder) as environment,
            robot(("labels",)) as r,
            world(environment, folder, r, statistics_file=str(statistics)) as made,
        ):
            run.go(made)
    except AssertionError as error:
        result["ended"] = str(error)
    result |= {"seconds": run.now(), "warm_up_s": run.warm_up_s, "pairs_sent": run.sent, "labels_heard": run.labels}
    result["at_exit"] = json.loads(statistics.read_text(encoding="utf-8")) if statistics.exists() else {}
    return result


class Soak:
    """One run; ``rows`` hold what was seen over time, ``s`` being seconds since the start."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._duration_s, self._rate_hz = 60 * options.minutes, options.rate
        self._random = random.Random(options.seed)
        self._start = self._sampled = time.monotonic()
        self._minutes = 0
        self.warm_up_s = self._duration_s / 3
        self.sent = self.labels = 0
        self.rows: dict[str, list[Row]] = {"memory": [], "overhead": [], "faults": []}

    def now(self) -> float:
        return round(time.monotonic() - self._start, 2)

    def go(self, w: World) -> None:
        self._start = time.monotonic()
        for name in self._names():
            warm = self.now() > self.warm_up_s
            self._drive(w, self._random.expovariate(1 / _PAUSE_S) if warm else _WARM_UP_PAUSE_S)
            if self.now() > self._duration_s:
                return
            self._inflict(w, name)

    def _names(self) -> Iterator[str]:
        """All faults in random order, again and again; after the first round the warm-up is over."""
        while True:
            yield from self._random.sample(sorted(FAULTS), len(FAULTS))
            self.warm_up_s = min(self.warm_up_s, self.now())

    def _inflict(self, w: World, name: str) -> None:
        row: Row = {"s": self.now(), "name": name}
        try:
            row["recovery_s"] = round(inflict(w, FAULTS[name]), 3)
        except AssertionError as error:
            row["failure"] = str(error)
            print(f"{row['s']:7.1f} s {name}: {error}", flush=True)
            assert w.running.poll() is None, f"the node ended with {w.running.returncode} in {name}"
            w.good(3)
        self.rows["faults"].append(row)
        w.forget()

    def _drive(self, w: World, seconds: float) -> None:
        """Good pairs at the rate, judged at the end."""
        heard, start = w.robot.heard["labels"], time.monotonic()
        heard.clear()
        for i in range(max(round(seconds * self._rate_hz), 1)):
            while (left_s := start + i / self._rate_hz - time.monotonic()) > 0:
                w.robot.executor.spin_once(timeout_sec=left_s)
            w.robot.send("rgb", "depth", stamp_ns=w.now())
            w.seen.good.append(time.monotonic())
            self.sent += 1
            self._sample(w)
        self.labels += len(heard)
        try:
            w.check()
        except AssertionError as error:
            self.rows["faults"].append({"s": self.now(), "name": "none", "failure": str(error)})

    def _sample(self, w: World) -> None:
        if time.monotonic() - self._sampled >= _SAMPLE_S:
            self._sampled = time.monotonic()
            self.rows["memory"].append({"s": self.now(), **memory_mb(w.running.pid)})
        if self.now() >= 60 * (self._minutes + 1):
            self._minutes += 1
            figures = w.robot.figures("latency")
            overhead = {f"p{q}": figures.get(f"overhead_last_minute_p{q}") for q in (50, 99)}
            row = {"s": self.now(), **{name: float(ms) if ms else None for name, ms in overhead.items()}}
            self.rows["overhead"].append(row)
            print(row, self.rows["memory"][-1], f"{len(self.rows['faults'])} faults", flush=True)


def memory_mb(pid: int) -> Row:
    """Resident and proportional memory of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return {name: round(int(text.partition(f"\n{name.title()}:")[2].split()[0]) / 1024, 2) for name in ("rss", "pss")}


def growth_mb(rows: list[Row], kind: str, from_s: float) -> float | None:
    """By how much a line through the memory grows from ``from_s`` to the end."""
    seconds, values = np.array([(row["s"], row[kind]) for row in rows if row["s"] >= from_s]).reshape(-1, 2).T
    if len(seconds) < 3:
        return None
    return float(np.polyfit(seconds, values, 1)[0] * (seconds[-1] - seconds[0]))


def p99_ratio(rows: list[Row], from_s: float) -> float | None:
    """The median p99 of the last third of the minutes after ``from_s`` over that of the first third."""
    values = [row["p99"] for row in rows if row["s"] >= from_s + 60 and row["p99"]]
    third = len(values) // 3
    return float(np.median(values[-third:]) / np.median(values[:third])) if third else None


def judge(result: Row) -> list[str]:
    """What failed; the figures that are judged are added to ``result``."""
    memory, from_s = result["memory"], result["warm_up_s"]
    result["rss_growth_mb"], result["pss_growth_mb"] = (growth_mb(memory, kind, from_s) for kind in ("rss", "pss"))
    result["overhead_p99_ratio"] = p99_ratio(result["overhead"], from_s)
    failed = ["no fault was inflicted"] if not result["faults"] else []
    failed += ["no memory was measured"] if not memory else []
    failed += [
        f"{name} {result[name]:.2f}, limit {limit:g}" for name, limit in LIMITS.items() if (result[name] or 0) > limit
    ]
    failed += [f"{row['name']} at {row['s']} s: {row['failure']}" for row in result["faults"] if "failure" in row]
    failed += result["at_exit"].get("identities", ["no statistics at exit"])
    return failed + ([result["ended"]] if result["ended"] else [])


def report(result: Row) -> None:
    faults = [row for row in result["faults"] if row["name"] != "none"]
    recoveries = [row["recovery_s"] for row in faults if "recovery_s" in row]
    print(f"{result['seconds'] / 60:.1f} minutes, {len(faults)} faults, {result['pairs_sent']} pairs sent between them")
    if recoveries:
        print(f"  recovery   median {np.median(recoveries):.2f} s, longest {max(recoveries):.2f} s")
    for name, limit in LIMITS.items():
        print(f"  {name:20s} {'-' if result[name] is None else format(result[name], '+.2f')} (limit {limit:g})")
    for row in result["overhead"]:
        print(f"  overhead to {row['s']:6.0f} s  p50 {row['p50']} ms  p99 {row['p99']} ms")
    print("  all promises held" if not result["failed"] else "\n".join(("  failed:", *result["failed"])))


if __name__ == "__main__":
    sys.exit(main())
