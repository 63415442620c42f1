"""What several cameras on one machine cost: a segmenter for each, the cores shared as ``multi_camera.launch.py`` does.

    python -m benchmarks.several_cameras [--cameras 1 2 3] [--model MODEL] [--rate 10] [--seconds 20]
        [--set NAME=VALUE]... [--json FILE]

Each camera is raw RGB-D of 640x480 from this process, whose own CPU time is told apart. ``memory`` is the proportional
share (PSS): pages that the nodes have in common are counted once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.node_overhead import assignment, cpu_seconds, segmenter
from benchmarks.real_time import Watch
from gemini_ros.core.resources import find_model
from gemini_ros.nodes.tool import tool_node

WARM_UP_S = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 3], metavar="N")
    parser.add_argument("--model", type=find_model, default="warehouse_rgbd_nano", help="ONNX file, or a shipped model")
    parser.add_argument("--rate", type=float, default=10.0, help="images a second of each stream")
    parser.add_argument("--seconds", type=float, default=20.0, help="measured, after 3 for warming up")
    parser.add_argument("--set", type=assignment, action="append", default=[], metavar="NAME=VALUE", help="parameters")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args()
    rows = [measure(count, options) for count in options.cameras]
    for key in rows[0]:
        print(f"{key:22s}" + "".join(f"{row[key]:10.1f}" for row in rows))
    if options.json:
        told = {"rate_hz": options.rate, "model": options.model.name, "cores": len(os.sched_getaffinity(0))}
        options.json.write_text(json.dumps({**told, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(count: int, options: argparse.Namespace) -> dict[str, float]:
    """``count`` cameras and nodes at once; labels and ages are those of all of them."""
    cores = os.sched_getaffinity(0)
    parameters = {"threads": max(len(cores) // count, 1), **dict(options.set)}
    names = [f"camera_{number}" for number in range(count)]
    with ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        processes = [
            stack.enter_context(segmenter(options.model, folder / name, cores, namespace=name, **parameters))
            for name in names
        ]
        cameras = [Watch(stack.enter_context(tool_node("cameras", name))) for name in names]
        list(pool.map(begin, cameras))
        run(pool, cameras, WARM_UP_S, options.rate)
        for camera in cameras:
            camera.ages_ms = []
        pids = [process.pid for process in processes]
        before_s, own_s, start = used_s(pids), time.process_time(), time.monotonic()
        run(pool, cameras, options.seconds, options.rate)
        spent_s, own_s, elapsed_s = used_s(pids) - before_s, time.process_time() - own_s, time.monotonic() - start
        memory_mb = sum(map(shared_mb, pids))
        for camera in cameras:
            camera.change("deactivate")
            camera.close()
    ages_ms = [age for camera in cameras for age in camera.ages_ms]
    p50, p99 = np.percentile(ages_ms, (50, 99))
    return {
        "cameras": count,
        "labels_per_s_of_each": len(ages_ms) / options.seconds / count,
        "age_p50_ms": p50,
        "age_p99_ms": p99,
        "cpu_cores": spent_s / options.seconds,
        "publisher_cores": own_s / elapsed_s,
        "memory_mb": memory_mb,
    }


def begin(camera: Watch) -> None:
    camera.change("configure")
    camera.until(lambda: camera.mode.endswith("configured, not active"))
    camera.activate()


def run(pool: ThreadPoolExecutor, cameras: Sequence[Watch], seconds: float, rate_hz: float) -> None:
    list(pool.map(lambda camera: camera.send(round(seconds * rate_hz), rate_hz), cameras))


def used_s(pids: Sequence[int]) -> float:
    return sum(float(cpu_seconds(pid).sum()) for pid in pids)


def shared_mb(pid: int) -> float:
    """Proportional set size of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return int(text.partition("\nPss:")[2].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
