"""How many seconds of a bag ``gemini-ros evaluate`` does in a second of one core, the map included.

    python -m benchmarks.bag_speed [--model MODEL] [--bag BAG] [--seconds 20] [--rounds 3] [--json FILE]

The bag is a simulated drive, RGB-D of 640x480 at 10 Hz with odometry, truth and true maps, unless another is named. The
process takes one core and evaluates as a worker does: decoding, matching, network, map, scores, store and contact
sheet. A round before the ones that count compiles what is compiled once. On a busy machine look at the seconds of bag
in a second of CPU time, which also counts the loading of the model.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.core.resources import find_model
from gemini_ros.evaluation.job import Job
from gemini_ros.evaluation.many import evaluate_many
from gemini_ros.evaluation.results import read_results
from gemini_ros.evaluation.store import Store

SIZE = (640, 480)
STAGES = ("preprocess", "network", "postprocess", "costmap", "total")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=find_model, default="warehouse_rgbd_nano", help="ONNX file, or a shipped model")
    parser.add_argument("--bag", type=Path, help="bag to evaluate in the place of the simulated one")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the simulated bag")
    parser.add_argument("--rounds", type=int, default=3, help="medians are printed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        bag = options.bag or simulated(Path(folder) / "drive.mcap", options.seconds)
        os.sched_setaffinity(0, {core})
        rounds = [measure(bag, options.model, Path(folder) / str(number)) for number in range(options.rounds + 1)][1:]
    result = {key: float(np.median([each[key] for each in rounds])) for key in rounds[0]}
    for key, value in result.items():
        print(f"{key:26s}{value:10.2f}")
    if options.json:
        told = {
            "model": options.model.name,
            "bag": str(options.bag or "simulated"),
            "medians": result,
            "rounds": rounds,
        }
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return 0


def simulated(path: Path, seconds: float) -> Path:
    from gemini_ros.simulation.drive_bag import write_drive_bag

    write_drive_bag(path, seed=0, duration_s=seconds, size=SIZE, light="day")
    return path


def measure(bag: Path, model: Path, out: Path) -> dict[str, float]:
    """A round, with the time of the stages of a frame."""
    before_s = time.process_time()
    with Store(evaluate_many([bag], Job(model), out)) as store:
        cpu_s = time.process_time() - before_s
        results = read_results(store)
    if results.broken:
        raise SystemExit(f"{bag}: {results.broken}")
    times: dict[str, Any] = dict(results.times)
    speed = times["bag_seconds_per_second"]
    duration_s = speed * sum(times["seconds"].values())
    found = {"bag_seconds_per_second": speed, "bag_seconds_per_cpu_s": duration_s / cpu_s}
    found["frames"] = results.data["frames"]
    return found | {f"{stage}_p50_ms": times["latency_ms"][stage]["p50"] for stage in STAGES}


if __name__ == "__main__":
    sys.exit(main())
