"""What registration costs in mIoU: simulated cameras 5 cm beside RGB, against ones that see what RGB sees.

    python benchmarks/registration_miou.py [--scenes 30] [--views 4] [--json FILE]

Warehouses of a seed that no shipped model was trained on. Depth is measured by a stereo camera on one side of RGB, the
thermal camera is on the other side; all have RGB's size and lens, so that 5 cm is all that is between them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gemini_ros.core.frames import Frame
from gemini_ros.core.metrics import Scores
from gemini_ros.core.registration import DepthRegistration, ImageRegistration, warm_up
from gemini_ros.core.resources import find_model
from gemini_ros.core.transforms import from_xyz_rpy
from gemini_ros.inference import load_segmenter
from gemini_ros.simulation.cameras.lighting import draw_light
from gemini_ros.simulation.cameras.scene_camera import SceneCamera
from gemini_ros.simulation.cameras.viewpoint import draw_base, draw_stands, reason_to_reject
from gemini_ros.simulation.scenes.warehouses import generate_scene

SEED = 990_017
LIGHTS = ("day", "dim", "dark")
PLANES_M = (2.0, 4.0)
MODELS = {"depth": "warehouse_rgbd_nano", "thermal": "warehouse_rgbt_nano"}
Case = tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--baseline-m", type=float, default=0.05)
    parser.add_argument("--size", default="320x240", help="image size, WIDTHxHEIGHT")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args()
    warm_up()
    width, height = map(int, options.size.split("x"))
    segmenters = {
        stream: load_segmenter(find_model(model), backend="onnxruntime", threads=1) for stream, model in MODELS.items()
    }
    scores: dict[Case, Scores] = {}
    count = 0
    for scene in range(options.scenes):
        for cases, labels in views(scene, options.views, (width, height), options.baseline_m):
            count += 1
            for case, frame in cases.items():
                segmenter = segmenters[case[0]]
                found = segmenter.segment(frame)
                of_case = scores.setdefault(case, Scores(len(segmenter.info.label_set)))
                of_case.update(labels, found.labels, found.confidence)
    result = {
        "baseline_m": options.baseline_m,
        "size": options.size,
        "views": count,
        "miou": {f"{stream}, {way}": of_case.confusion.miou() for (stream, way), of_case in scores.items()},
    }
    print(f"mIoU over {count} views of {options.scenes} warehouses, {100 * options.baseline_m:g} cm")
    for case, miou in result["miou"].items():
        print(f"  {case:28s} {miou:.4f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def views(
    number: int, count: int, size: tuple[int, int], baseline_m: float
) -> Iterator[tuple[dict[Case, Frame], np.ndarray]]:
    """Frames by stream and way of registration, and the true labels, of some views of a warehouse."""
    scene = generate_scene(SEED, number)
    rng = np.random.default_rng([SEED, number])
    camera = SceneCamera(scene, size)
    mounting = camera.base_from_camera
    to_left, to_right = (from_xyz_rpy(x, 0, 0, 0, 0, 0) for x in (-baseline_m, baseline_m))
    depth = DepthRegistration(camera.intrinsics, camera.intrinsics, to_left)
    thermal = ImageRegistration(camera.intrinsics, camera.intrinsics, to_right)
    try:
        found = 0
        for _ in range(60 * count):
            base = draw_base(scene, rng)
            stands = draw_stands(scene, base, rng)
            camera.base_from_camera = mounting
            camera.look(base, stands)
            labels, instances, true_depth = camera.truth()
            if reason_to_reject(labels, instances, true_depth, camera.label_set):
                continue
            light, noise = LIGHTS[found % len(LIGHTS)], [SEED, number, found]
            found += 1
            frame = camera.capture(draw_light(rng, light), light, found, np.random.default_rng(noise)).frame
            camera.base_from_camera = mounting @ to_left
            camera.look(base, stands)
            measured = camera.depth.measure(camera.truth()[2], np.random.default_rng(noise))
            camera.base_from_camera = mounting @ to_right
            camera.look(base, stands)
            seen = camera.temperature(np.random.default_rng(noise))
            registered = depth.register(measured)
            assert frame.rgb is not None and frame.depth is not None and frame.thermal is not None
            ways = {
                ("depth", "aligned"): frame.depth,
                ("depth", "registered"): registered,
                ("depth", "not registered"): measured,
                ("thermal", "aligned"): frame.thermal,
                ("thermal", "through depth"): thermal.through(seen, registered),
                **{("thermal", f"by a plane at {at:g} m"): thermal.by_plane(seen, at) for at in PLANES_M},
                ("thermal", "not registered"): seen,
            }
            yield {case: Frame.from_images(0, "", {"rgb": frame.rgb, case[0]: of}) for case, of in ways.items()}, labels
            if found == count:
                return
    finally:
        camera.close()


if __name__ == "__main__":
    main()
