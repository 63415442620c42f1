"""What registration costs per frame on one thread, with numba and with numpy, alternating in one run.

    python benchmarks/registration.py [--frames 100] [--json FILE]

Depth of 848x480 onto a grid of 640x360, and thermal images of 640x512 through that depth and by a plane; each through a
pinhole and through a lens. The floor, a wall and boxes, with noise and holes.
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

from gemini_ros.core import reprojection
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.lens import Lens
from gemini_ros.core.registration import DepthRegistration, ImageRegistration
from gemini_ros.core.reprojection import NUMPY, Kernels
from gemini_ros.core.transforms import from_xyz_rpy

GRID = Intrinsics(640, 360, 322.0, 322.0, 319.5, 179.5)  # a D455's colour camera at half its size, and its depth
STEREO = Intrinsics(848, 480, 425.0, 425.0, 423.5, 239.5)
BOSON = Intrinsics(640, 512, 686.0, 686.0, 319.5, 255.5)
BARREL = Lens("plumb_bob", (-0.35, 0.15, 0.001, 0.0005, 0.0))
RAW = Lens("plumb_bob", (-0.05, 0.06, 0.001, -0.0005, -0.02))
FISHEYE = Intrinsics(640, 512, 330.0, 330.0, 319.5, 255.5).through(Lens("equidistant", (-0.02, 0.01, -0.005, 0.001)))
CASES = {"pinhole": (GRID, BOSON), "lenses": (GRID.through(RAW), BOSON.through(BARREL)), "fisheye": (GRID, FISHEYE)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args()
    kernels = {"numba": reprojection.compiled(), "numpy": NUMPY}
    if kernels["numba"] is NUMPY:
        del kernels["numba"]
    result = {"cpu": platform.processor() or platform.machine(), "frames": options.frames}
    result |= {name: measure(*cameras, kernels, options.frames) for name, cameras in CASES.items()}
    print(f"median ms of CPU of one thread, {options.frames} frames")
    for name in CASES:
        for step, spent in result[name].items():
            print(f"  {name:8s} {step:22s} " + "  ".join(f"{way} {ms:.2f}" for way, ms in spent.items()))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(
    grid: Intrinsics, thermal: Intrinsics, kernels: dict[str, Kernels], frames: int
) -> dict[str, dict[str, float]]:
    """Milliseconds by step and kernel."""
    beside = from_xyz_rpy(0.06, 0.02, 0.01, 0.01, -0.02, 0.01)
    depths, image = hall(STEREO), np.full((thermal.height, thermal.width), 20, np.float32)
    times: dict[str, dict[str, list[float]]] = {}
    made = {
        way: (DepthRegistration(STEREO, grid, beside, of), ImageRegistration(thermal, grid, beside, of))
        for way, of in kernels.items()
    }
    for frame in range(frames):
        for way, (depth, through) in made.items():
            if way == "numpy" and frame >= max(frames // 10, 1):
                continue
            registered = depth.register(depths)
            for step, call in {
                "depth onto the grid": lambda: depth.register(depths),  # noqa: B023
                "thermal through depth": lambda: through.through(image, registered),  # noqa: B023
                "thermal by a plane": lambda: through.by_plane(image, 2.0),  # noqa: B023
            }.items():
                times.setdefault(step, {}).setdefault(way, []).append(timed(call))
    return {step: {way: 1e3 * float(np.median(s)) for way, s in of.items()} for step, of in times.items()}


def timed(call: Callable[[], object]) -> float:
    """Seconds of CPU this thread spent: other work on the machine does not count."""
    start = time.thread_time()
    call()
    return time.thread_time() - start


def hall(camera: Intrinsics) -> np.ndarray:
    """Noisy depth float32 with 5 % holes of a floor 60 cm below, a wall 6 m ahead and three boxes."""
    random = np.random.default_rng(0)
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    down = (v - camera.cy) / camera.fy
    depth = np.minimum(np.where(down > 0, 0.6 / np.maximum(down, 1e-6), 6.0), 6.0)
    for left, distance in ((0.1, 2.0), (0.45, 4.0), (0.7, 3.0)):
        inside = (abs(u / camera.width - left - 0.08) < 0.08) & (abs(v / camera.height - 0.5) < 0.15)
        depth[inside] = distance
    depth += random.normal(0, 0.002, depth.shape) * depth**2
    depth[random.random(depth.shape) < 0.05] = np.nan
    return depth.astype(np.float32)


if __name__ == "__main__":
    main()
