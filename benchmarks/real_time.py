"""How many frames a second the running node labels, and how old the labels are: variants in turn, in one run.

    python -m benchmarks.real_time [--variant NAME[@CHECKOUT][,PARAMETER=VALUE...]]... [--model MODEL] [--rate 30]
        [--seconds 20] [--rounds 3] [--busy] [--json FILE]

The node is a process on all cores that this one may use. Raw rgb8 and 16UC1 images of 640x480 come from this process,
which subscribes to labels, confidence and costmap; its own CPU time is told apart. The age of labels is taken here,
at their receipt, from the stamp that the images left with. ``@CHECKOUT`` runs the package of another directory, and
``--busy`` lets another process compute beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.node_overhead import ROOT, Cameras, assignment, cpu_seconds, resident_mb, segmenter
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.resources import find_model
from gemini_ros.nodes.tool import tool_node

WARM_UP_S = 3.0


@dataclass(frozen=True)
class Variant:
    """A node to measure: its name, where its package lies, and its parameters."""

    name: str
    checkout: Path
    parameters: Mapping[str, str] = field(default_factory=dict)


class Watch(Cameras):
    """Cameras that note how old each label image is when it comes back."""

    def __init__(self, node: Any) -> None:
        super().__init__(node, 640, 480)
        self.ages_ms: list[float] = []
        self.stamps: list[int] = []

    def _count(self, message: Any) -> None:
        super()._count(message)
        self.stamps.append(stamp_ns(message))
        self.ages_ms.append((time.time_ns() - self.stamps[-1]) / 1e6)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", action="append", type=variant, help="by default the node of this checkout")
    parser.add_argument("--model", type=find_model, default="warehouse_rgbd_nano", help="ONNX file, or a shipped model")
    parser.add_argument("--rate", type=float, default=30.0, help="images a second of each stream")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured in each round, after 3 for warming up")
    parser.add_argument("--rounds", type=int, default=3, help="of all variants in turn; medians are printed")
    parser.add_argument("--busy", action="store_true", help="let another process compute beside the node")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args()
    variants = options.variant or [Variant("this", ROOT)]
    rounds: dict[str, list[dict[str, float]]] = {each.name: [] for each in variants}
    for _ in range(options.rounds):
        for each in variants:
            with busy(options.busy):
                rounds[each.name].append(measure(each, options))
    result = {name: {key: float(np.median([r[key] for r in many])) for key in many[0]} for name, many in rounds.items()}
    report(result, variants[0].name)
    if options.json:
        told = {"rate_hz": options.rate, "model": options.model.name, "cores": len(os.sched_getaffinity(0))}
        told |= {"busy": options.busy, "medians": result, "rounds": rounds}
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return 0


def variant(text: str) -> Variant:
    head, *parameters = text.split(",")
    name, _, checkout = head.partition("@")
    return Variant(name, Path(checkout).resolve() if checkout else ROOT, dict(map(assignment, parameters)))


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """A process that computes without end on one core."""
    process = subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"]) if wanted else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def measure(of: Variant, options: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, tool_node("cameras") as node:
        statistics = Path(folder) / "statistics.json"
        cores = os.sched_getaffinity(0)
        with segmenter(options.model, statistics, cores, of.checkout, **of.parameters) as process:
            cameras = Watch(node)
            cameras.change("configure")
            cameras.until(lambda: cameras.mode.endswith("configured, not active"))
            cameras.activate()
            cameras.send(round(WARM_UP_S * options.rate), options.rate)
            cameras.change("deactivate")
            cameras.activate()
            cameras.ages_ms, cameras.stamps = [], []
            cpu_s, own_s, start = cpu_seconds(process.pid).sum(), time.process_time(), time.monotonic()
            cameras.send(round(options.seconds * options.rate), options.rate)
            # send() waits for late labels at the end, when the node rests: the time of that counts no frames.
            cpu_s, own_s = cpu_seconds(process.pid).sum() - cpu_s, time.process_time() - own_s
            memory_mb, elapsed_s = resident_mb(process.pid), time.monotonic() - start
            cameras.change("deactivate")
            cameras.close()
        told = json.loads(statistics.read_text(encoding="utf-8"))
    if cameras.stamps != sorted(cameras.stamps):
        raise SystemExit(f"{of.name}: labels came out of order")
    p50, p99 = np.percentile(cameras.ages_ms, (50, 99))
    return {
        "labels_per_s": len(cameras.ages_ms) / options.seconds,
        "replaced_per_s": told["dropped_pairs"].get("replaced", 0) / options.seconds,
        "age_p50_ms": p50,
        "age_p99_ms": p99,
        "network_p50_ms": told["latency_ms"]["network"]["p50"],
        "overhead_p50_ms": told["overhead_ms"]["p50"],
        "cpu_cores": cpu_s / options.seconds,
        "publisher_cores": own_s / elapsed_s,
        "memory_mb": memory_mb,
    }


def report(result: dict[str, dict[str, float]], first: str) -> None:
    names = list(next(iter(result.values())))
    print(f"{'':18s}" + "".join(f"{name:>20s}" for name in result))
    for key in names:
        print(f"{key:18s}" + "".join(f"{values[key]:20.2f}" for values in result.values()))
    base = result[first]["labels_per_s"]
    print(f"{'labels, ratio':18s}" + "".join(f"{values['labels_per_s'] / base:20.2f}" for values in result.values()))


if __name__ == "__main__":
    sys.exit(main())
