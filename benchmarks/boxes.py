"""Boxes of single things against the truth of simulated drives, and what they cost on one core.

    python benchmarks/boxes.py [--model MODEL] [--seeds 3] [--seconds 20] [--light day,black] [--rival] [--json FILE]

Each drive is a bag of a warehouse with persons who walk about; odometry is exact. ``--model truth`` takes the true
labels in place of a network's. With ``--rival`` a model that tells things apart runs over each drive a second time
without its maps, so that things are parted by gaps in depth alone, and the two are compared drive by drive. The cost is
measured on scenes with three persons at 640x480, in milliseconds of CPU of one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy loads a BLAS

import cv2
import numpy as np

from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagReader
from gemini_ros.core.box_scores import BoxScores
from gemini_ros.core.boxes import BoxFinder
from gemini_ros.core.costmap.meaning import GROUND, STANDING
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.paired import sign_flip_p
from gemini_ros.core.tracks import Tracker
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.evaluation.boxes import BoxRecorder
from gemini_ros.evaluation.conditions import light_of
from gemini_ros.inference import load_segmenter, read_model_info
from gemini_ros.pipeline.bag_walk import BagRun
from gemini_ros.pipeline.settings import Settings, label_set_for, make_settings
from gemini_ros.simulation.drive_bag import write_drive_bag

TRUTH = "truth"
COMPARED = ("recall", "recall_within_5_m", "ap_25", "ap_50")
SETTINGS = {"label_set": "warehouse"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/warehouse_rgbd_nano.onnx", help="a model file, or truth")
    parser.add_argument("--seeds", type=int, default=3, help="drives of each light")
    parser.add_argument("--first-seed", type=int, default=9200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--light", default="day,black")
    parser.add_argument("--rival", action="store_true", help="compare with gaps in depth alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    label_set = load_label_set("warehouse")
    result: dict[str, Any] = {"model": options.model, "cpu": platform.processor() or platform.machine(), "drives": []}
    if options.rival and (options.model == TRUTH or read_model_info(options.model).instances is None):
        parser.error(
            f"--rival: {options.model} tells no things apart; expected a model of `gemini-ros train instances`"
        )
    total = BoxScores()
    for light in options.light.split(","):
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                bag = write_drive_bag(Path(folder) / "drive.mcap", seed=seed, duration_s=options.seconds, light=light)
                scores = scored(bag, options.model)
                rival = scored(bag, options.model, rival=True) if options.rival else None
            total.add(scores)
            result["drives"].append({"seed": seed, "light": light, **scores.to_dict(label_set.names)})
            print(f"{light} {seed}: {_line(result['drives'][-1])}", flush=True)
            if rival is not None:
                result["drives"][-1]["rival"] = rival.to_dict(label_set.names)
                print(f"{light} {seed} by gaps alone: {_line(result['drives'][-1]['rival'])}", flush=True)
    result |= {"all": total.to_dict(label_set.names), "cost": cost(label_set)}
    print(f"all: {_line(result['all'])}")
    if options.rival:
        result["compared"] = compared(result["drives"])
        for name, (higher, drives, p) in result["compared"].items():
            print(f"{name}: higher by {higher:+.3f} with the model's maps, mean of {drives} drives, p {p}")
    print(
        "cost at 640x480, one thread: median {median_ms:.2f} ms, 95 % {p95_ms:.2f} ms of CPU".format(**result["cost"])
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def compared(drives: list[dict[str, Any]]) -> dict[str, tuple[float, int, float]]:
    """By class and score: how much higher it is than the rival's in the mean of the drives that have both, how many
    these are, and how probable that is where there is no difference (the signs of the drives' differences flipped)."""
    found = {}
    for kind in sorted({name for drive in drives for name in drive["classes"]}):
        for score in COMPARED:
            pairs = [(drive["classes"].get(kind, {}), drive["rival"]["classes"].get(kind, {})) for drive in drives]
            both = [(ours.get(score), theirs.get(score)) for ours, theirs in pairs]
            differences = [ours - theirs for ours, theirs in both if ours is not None and theirs is not None]
            if differences:
                p = round(sign_flip_p(differences), 4)
                found[f"{kind} {score}"] = round(float(np.mean(differences)), 4), len(differences), p
    return found


def scored(bag: Path, model: str, rival: bool = False) -> BoxScores:
    """The boxes of a bag against the truth in it; ``rival``: without what the model says of single things."""
    settings = make_settings(SETTINGS)
    with BagReader(bag) as reader, opened(reader, model, settings, rival) as run:
        recorder = BoxRecorder(reader, load_label_set("warehouse"))
        for result in run.results():
            rgb = result.frame.rgb
            recorder.add(result, light_of(None if rgb is None else float(rgb[::8, ::8].mean())))
    return recorder.judge.scores


@contextmanager
def opened(reader: BagReader, model: str, settings: Settings, rival: bool) -> Iterator[BagRun]:
    """A run over a bag with a model's labels, or with the true ones."""
    path = "models/warehouse_rgbd_nano.onnx" if model == TRUTH else model
    segmenter = load_segmenter(path, threads=1)
    try:
        run = BagRun(reader, segmenter, label_set_for(segmenter.info, settings), settings)
        if model == TRUTH:
            images = LabelImages(reader, run.walk.topics.labels or "")
            map_frame = run.costmap.integrate

            def with_truth(frame: Any, segmentation: Segmentation, *rest: Any) -> None:
                labels = images.get(frame.stamp_ns, segmentation.labels)
                map_frame(frame, Segmentation(labels, np.full_like(labels, 255)), *rest)

            run.costmap.integrate = with_truth  # type: ignore[method-assign]
        elif rival:
            map_all = run.costmap.integrate

            def without_maps(frame: Any, segmentation: Segmentation, *rest: Any) -> None:
                map_all(frame, replace(segmentation, instances=None), *rest)

            run.costmap.integrate = without_maps  # type: ignore[method-assign]
        yield run
    finally:
        segmenter.close()


def cost(label_set: LabelSet, frames: int = 200) -> dict[str, float]:
    """Milliseconds of CPU for the boxes of a frame, tracking included."""
    camera = Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)
    finder, tracker, pose = BoxFinder(label_set), Tracker(), camera_in_base([0.2, 0.0, 0.9, 0.0, 0.1, 0.0])
    random, spent = np.random.default_rng(0), []
    person = label_set.names.index("person")
    for number in range(frames):
        labels, depth = np.zeros((480, 640), np.uint8), np.full((480, 640), 6.0, np.float32)
        for left, away in ((40, 1.5), (300 + number % 50, 2.5), (480, 4.0)):
            high, wide = int(800 / away), int(260 / away)
            body = np.s_[max(240 - high // 2, 0) : 240 + high // 2, left : left + wide]
            labels[body], depth[body] = person, away
        depth += random.normal(0, 0.002, depth.shape).astype(np.float32) * depth**2
        depth[random.random(depth.shape) < 0.05] = np.nan
        levels = np.where(labels == person, STANDING, GROUND).astype(np.uint8)
        segmentation = Segmentation(labels, np.full_like(labels, 220))
        start = time.thread_time()
        tracker.follow(finder.find(segmentation, depth, levels, camera, pose), number * 100_000_000)
        spent.append(1e3 * (time.thread_time() - start))
    return {"median_ms": float(np.median(spent)), "p95_ms": float(np.percentile(spent, 95))}


def _line(scores: dict[str, Any]) -> str:
    person = scores["classes"].get("person", {})
    names = ("ap_25", "ap_50", "recall_within_5_m", "center_error_m_within_5_m")
    found = [f"{name} {person.get(name)}" for name in names]
    switches = f"{scores['id_switches']} id switches over {scores['metres']:.0f} m"
    return ", ".join([*found, switches, f"shortest side {scores['shortest_side_m']} m"])


if __name__ == "__main__":
    main()
