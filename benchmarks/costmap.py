"""What the costmap costs per frame on one thread, and clouds and scan beside it: the numba kernels against the numpy
paths, alternating in one run.

    python benchmarks/costmap.py [--size 640x480] [--frames 200] [--json FILE]

A hall with a floor, a wall and a few boxes, with noise and holes as a stereo camera has them, seen by a turning robot.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy loads a BLAS

import numpy as np

from gemini_ros.core.clouds import CloudMaker
from gemini_ros.core.costmap import CostmapConfig, SemanticCostmap
from gemini_ros.core.costmap.scan import Scanner
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.transforms import Matrix, camera_in_base, from_xyz_rpy
from gemini_ros.pipeline.settings import DEFAULTS

BASE_FROM_CAMERA = camera_in_base([0.2, 0.0, 0.6, 0.0, 0.15, 0.0])
PERIOD_NS = 100_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x480", help="image size, WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    result = {
        "size": options.size,
        "cpu": platform.processor() or platform.machine(),
        **measure(width, height, options.frames),
    }
    print(f"update + render, {options.size}, {options.frames} frames, one thread, median ms of CPU")
    for name in ("numpy", "numba"):
        print(f"  {name:6s} {result[f'{name}_ms']:.2f}" if result[f"{name}_ms"] else f"  {name:6s} not installed")
    for part in ("clouds", "scan"):
        spent = (f"{name} {result[f'{part}_{name}_ms']:.2f}" for name in ("numpy", "numba") if result["numba_ms"])
        print(f"  {part:6s} {', '.join(spent)}")
    if result["ratio"]:
        print(f"  numpy / numba {result['ratio']:.2f}; first load of the kernel {result['warm_up_ms']:.0f} ms")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(width: int, height: int, frames: int) -> dict[str, float | None]:
    labels = load_label_set("warehouse")
    intrinsics = Intrinsics(width, height, 0.82 * width, 0.82 * width, (width - 1) / 2, (height - 1) / 2)
    segmentation, depth = hall(intrinsics, labels)
    maps = {"numpy": SemanticCostmap(CostmapConfig(), labels), "numba": SemanticCostmap(CostmapConfig(), labels)}
    start = time.perf_counter()
    if maps["numba"].warm_up() != "numba":
        del maps["numba"]
    warm_up_ms = 1e3 * (time.perf_counter() - start)
    times: dict[str, list[float]] = {name: [] for name in maps}
    nav = {name: Nav(costmap, numba=name == "numba") for name, costmap in maps.items()}
    for frame in range(frames):
        pose = from_xyz_rpy(0.03 * frame, 0, 0, 0, 0, 0.01 * frame)
        drawn = []
        for name, costmap in maps.items():
            times[name].append(timed(lambda: step(costmap, segmentation, depth, intrinsics, pose, frame)))  # noqa: B023
            drawn.append(costmap.render(frame * PERIOD_NS, (pose[0, 3], pose[1, 3])).data)
            nav[name].step(segmentation, depth, intrinsics, pose, frame)
        if not all(np.array_equal(drawn[0], other) for other in drawn[1:]):
            raise SystemExit(f"frame {frame}: the maps of {' and '.join(maps)} differ")
    parts = {
        f"{part}_{name}_ms": 1e3 * float(np.median(spent))
        for name, of in nav.items()
        for part, spent in of.times.items()
    }
    medians = {f"{name}_ms": 1e3 * float(np.median(spent)) for name, spent in times.items()}
    numba_ms = medians.get("numba_ms")
    return {
        **parts,
        "numpy_ms": medians["numpy_ms"],
        "numba_ms": numba_ms,
        "ratio": medians["numpy_ms"] / numba_ms if numba_ms else None,
        "warm_up_ms": warm_up_ms if numba_ms else None,
    }


class Nav:
    """Clouds and scan of each frame, with their times in seconds."""

    def __init__(self, costmap: SemanticCostmap, numba: bool) -> None:
        self._costmap, config = costmap, costmap.config
        self._clouds, self._scanner = CloudMaker(DEFAULTS.voxel_m, config.range_m), Scanner(config)
        self.times: dict[str, list[float]] = {"clouds": [], "scan": []}
        if numba:
            self._clouds.warm_up()
            self._scanner.warm_up()

    def step(
        self, segmentation: Segmentation, depth: np.ndarray, intrinsics: Intrinsics, pose: Matrix, frame: int
    ) -> None:
        costmap, robot = self._costmap, (pose[0, 3], pose[1, 3], 0.01 * frame)
        occupancy = costmap.render(frame * PERIOD_NS, robot[:2])
        images = segmentation, depth, costmap.levels, intrinsics, costmap.reader
        self.times["clouds"].append(timed(lambda: self._clouds.make(*images)))
        self.times["scan"].append(timed(lambda: self._scanner.scan(occupancy, robot, intrinsics, BASE_FROM_CAMERA)))


def step(
    costmap: SemanticCostmap,
    segmentation: Segmentation,
    depth: np.ndarray,
    intrinsics: Intrinsics,
    pose: Matrix,
    frame: int,
) -> None:
    costmap.update(segmentation, depth, intrinsics, pose @ BASE_FROM_CAMERA, frame * PERIOD_NS)
    costmap.render(frame * PERIOD_NS, (pose[0, 3], pose[1, 3]))


def timed(call: Callable[[], object]) -> float:
    """Seconds of CPU this thread spent: other work on the machine does not count."""
    start = time.thread_time()
    call()
    return time.thread_time() - start


def hall(intrinsics: Intrinsics, label_set: LabelSet) -> tuple[Segmentation, np.ndarray]:
    """Labels with confidence, and noisy depth float32 with 5 % holes, of a floor, a wall 6 m ahead and three boxes."""
    random = np.random.default_rng(0)
    u, v = np.meshgrid(np.arange(intrinsics.width), np.arange(intrinsics.height))
    optical = np.stack(
        [(u - intrinsics.cx) / intrinsics.fx, (v - intrinsics.cy) / intrinsics.fy, np.ones(u.shape)], axis=-1
    )
    down = optical @ -BASE_FROM_CAMERA[2, :3]
    to_floor = np.full(u.shape, np.inf)
    np.divide(BASE_FROM_CAMERA[2, 3], down, out=to_floor, where=down > 0)
    depth = np.minimum(to_floor, 6.0)
    labels = np.where(to_floor < 6.0, label_set.names.index("floor"), label_set.names.index("wall")).astype(np.uint8)
    for left, distance in ((0.1, 2.0), (0.45, 4.0), (0.7, 3.0)):
        inside = (abs(u / intrinsics.width - left - 0.08) < 0.08) & (abs(v / intrinsics.height - 0.5) < 0.15)
        depth[inside], labels[inside] = distance, label_set.names.index("box")
    depth += random.normal(0, 0.002, depth.shape) * depth**2
    depth[random.random(depth.shape) < 0.05] = np.nan
    confidence = random.integers(100, 256, depth.shape).astype(np.uint8)
    return Segmentation(labels, confidence), depth.astype(np.float32)


if __name__ == "__main__":
    main()
