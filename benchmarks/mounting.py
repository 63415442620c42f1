"""How many cells a map calls free falsely, where the mounting is off: a plane fit alone against a model's labels.

python -m benchmarks.mounting data/nyudv2_test --layout nyudv2_nav5 --camera 518.86,519.47,325.58,253.74 \\
    --model models/nav5_rgbd_nano.onnx --json mounting.json

Each image makes one map of one frame. Where its camera really is over the floor is fitted to the true labels; the map
is told of a pitch that is off by ``--errors`` degrees. All correct it by their own fit: ``geometry`` takes every pixel
for a candidate of floor, ``fusion`` those that the model is sure of. ``geometry, flat`` follows no slopes. ``FF`` are
the cells called free that hold something else, of 1,000 called free; ``recall`` is the share of the cells with nothing
but floor that are called free.

FF falls as less is called free, so that it is compared at equal recall: ``--thresholds`` give a curve of each (the
height in metres below which nothing stands), and FF is read off each at the highest recall that all reach. Intervals
(95 %) draw runs of neighbouring images, which show the same room, with replacement.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.floor import frames
from gemini_ros.core.costmap import CostmapConfig, SemanticCostmap
from gemini_ros.core.costmap.floor import FloorTracker
from gemini_ros.core.costmap.grid import corner_around
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED, Frame, Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.transforms import Matrix, from_xyz_rpy
from gemini_ros.datasets.layout import load_layout
from gemini_ros.inference import load_segmenter

DRAWS = 2000
_RUN = 3  # images whose numbers differ by no more are of one run
_LEAST_PIXELS, _MOST_DEVIATION_M = 5000, 0.02
_METHODS = ("geometry", "geometry, flat", "fusion")
Counts = npt.NDArray[np.int64]  # called free, of these falsely, truly free, of these called free


@dataclass(frozen=True)
class Image:
    """One image: ``depth`` (H, W) in metres and the true labels, of which ``labels`` is the set."""

    depth: npt.NDArray[np.float32]
    truth: npt.NDArray[np.uint8]
    camera: Intrinsics
    labels: LabelSet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the images")
    parser.add_argument("--layout", default="nyudv2_nav5", metavar="NAME|YAML")
    parser.add_argument("--camera", required=True, metavar="FX,FY,CX,CY", help="pixels of the images")
    parser.add_argument("--model", type=Path, required=True, metavar="FILE")
    parser.add_argument("--errors", default="-2,0,2", metavar="DEG,...", help="pitch of the mounting that is wrong")
    parser.add_argument("--thresholds", default="0.01,0.02,0.03,0.045,0.06,0.09", metavar="M,...")
    parser.add_argument("--range", type=float, default=5.0, metavar="M")
    parser.add_argument("--labels", type=Path, metavar="DIR", help="keep the model's labels there, and use them again")
    parser.add_argument("--limit", type=int, metavar="N", help="N images, evenly spread (default all)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    layout = load_layout(args.layout)
    assert layout.label_set is not None
    labels = load_label_set(layout.label_set)
    configs = [
        CostmapConfig(min_height_m=float(height), max_range_m=args.range) for height in args.thresholds.split(",")
    ]
    errors = [float(error) for error in args.errors.split(",")]
    segment = _Labels(args.model, args.labels)
    counts: dict[float, list[Counts]] = {error: [] for error in errors}
    numbers = []
    for frame, truth in frames(args.folder, layout, labels, limit=args.limit):
        camera = Intrinsics(*frame.size, *(float(value) for value in args.camera.split(",")))
        assert frame.depth is not None
        pose = true_pose(frame.depth, labels.nav_table("free")[truth] & (truth != UNLABELLED), camera)
        if pose is None:
            continue
        numbers.append(int("".join(c for c in frame.frame_id if c.isdigit()) or frame.stamp_ns))
        image, floor = Image(frame.depth, truth, camera, labels), _all_floor(truth, labels)
        methods = (floor, configs), (floor, [replace(c, max_slope_deg=0.0) for c in configs]), (segment(frame), configs)
        for error in errors:
            wrong = off_by(pose, error)
            rows = [[count(image, said, wrong, config) for config in of_method] for said, of_method in methods]
            counts[error].append(np.array(rows))
    if len(numbers) < 2:
        parser.error(f"{args.folder}: {len(numbers)} images with a floor of {_LEAST_PIXELS} pixels, expected two")
    result = {"images": len(numbers), "runs": int(runs(numbers).max()) + 1} | {
        f"{error:+g} deg": compare(np.array(rows), runs(numbers)) for error, rows in counts.items()
    }
    _show(result)
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


class _Labels:
    """The model's labels, from ``folder`` where they are there."""

    def __init__(self, model: Path, folder: Path | None) -> None:
        self._segmenter = load_segmenter(model, backend="onnxruntime", threads=1)
        self._folder = folder

    def __call__(self, frame: Frame) -> Segmentation:
        path = self._folder and self._folder / f"{frame.frame_id}.npz"
        if path and path.exists():
            with np.load(path) as stored:
                return Segmentation(stored["labels"], stored["confidence"])
        said = self._segmenter.segment(frame)
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, labels=said.labels, confidence=said.confidence)
        return said


def true_pose(depth: npt.NDArray[np.float32], floor: npt.NDArray[np.bool_], camera: Intrinsics) -> Matrix | None:
    """The camera (4, 4) over the floor that the true labels show; ``None`` where there is too little, or no plane."""
    with np.errstate(invalid="ignore"):
        v, u = np.nonzero(floor & (depth > 0) & (depth <= 3.5))
    if len(v) < _LEAST_PIXELS:
        return None
    z = depth[v, u].astype(np.float64)
    points = np.stack([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z], 1)[::8]
    for _ in range(4):
        centre = points.mean(0)
        normal = np.linalg.svd(points - centre, full_matrices=False)[2][2]
        off = np.abs((points - centre) @ normal)
        points = points[off <= max(0.02, 3 * float(np.median(off)))]
    normal = -normal if normal[1] > 0 else normal
    if np.median(off) > _MOST_DEVIATION_M or normal[1] > -0.5:
        return None
    ahead = np.array([0, 0, 1]) - normal[2] * normal
    ahead /= np.linalg.norm(ahead)
    pose = np.eye(4)
    pose[:3, :3] = [ahead, np.cross(normal, ahead), normal]
    pose[2, 3] = -normal @ centre
    return pose


def off_by(pose: Matrix, pitch_deg: float) -> Matrix:
    """The pose with a pitch that is off: a positive one has the camera look down more than it does."""
    wrong = pose.copy()
    wrong[:3, :3] = from_xyz_rpy(0, 0, 0, 0, np.radians(pitch_deg), 0)[:3, :3] @ pose[:3, :3]
    return wrong


def _all_floor(truth: npt.NDArray[np.uint8], labels: LabelSet) -> Segmentation:
    floor = int(np.argmax(labels.nav_table("free")))
    return Segmentation(np.full(truth.shape, floor, np.uint8), np.full(truth.shape, 255, np.uint8))


def count(image: Image, said: Segmentation, pose: Matrix, config: CostmapConfig) -> list[int]:
    """The counts of one map of one frame."""
    costmap = SemanticCostmap(config, image.labels, FloorTracker(time_constant_s=0))
    costmap.warm_up()
    costmap.update(said, image.depth, image.camera, pose, 0)
    free = costmap.render(0, (pose[0, 3], pose[1, 3])).data == 0
    is_floor, is_other = true_cells(image, costmap.floor.correct(pose), config)
    clear = is_floor & ~is_other
    return [int(cells.sum()) for cells in (free & (is_floor | is_other), free & is_other, clear, free & clear)]


def true_cells(
    image: Image, pose: Matrix, config: CostmapConfig
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The cells with a true pixel of floor, and those with one of something else up to the height of the robot."""
    depth, truth, camera = image.depth, image.truth, image.camera
    with np.errstate(invalid="ignore"):
        v, u = np.nonzero((truth != UNLABELLED) & (depth > 0.05) & (depth <= config.range_m))
    z = depth[v, u].astype(np.float64)
    points = np.stack([(u - camera.cx) / camera.fx * z, (v - camera.cy) / camera.fy * z, z], 1) @ pose[:3, :3].T
    points += pose[:3, 3]
    corner = corner_around((pose[0, 3], pose[1, 3]), config)
    x, y = (np.floor(points[:, i] / config.resolution_m).astype(int) - corner[i] for i in (0, 1))
    on = (np.minimum(x, y) >= 0) & (np.maximum(x, y) < config.cells)
    floor = image.labels.nav_table("free")[truth[v, u]]
    result = []
    for wanted in (floor, ~floor & (points[:, 2] <= config.max_height_m)):
        cells = np.zeros((config.cells, config.cells), bool)
        cells[y[on & wanted], x[on & wanted]] = True
        result.append(cells)
    return result[0], result[1]


def runs(numbers: list[int]) -> npt.NDArray[np.int64]:
    """The run of each image (n,), of their numbers in order."""
    return np.cumsum(np.diff(numbers, prepend=numbers[0]) > _RUN)


def compare(counts: Counts, run: npt.NDArray[np.int64], seed: int = 0) -> dict[str, object]:
    """FF of each at equal recall and the differences, of ``counts`` (images, methods, thresholds, 4)."""
    of_runs = np.stack([np.bincount(run, weights=column) for column in counts.reshape(len(counts), -1).T], 1)
    n = len(of_runs)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), DRAWS)
    sums = np.vstack([of_runs.sum(0), draws @ of_runs]).reshape(-1, *counts.shape[1:])
    free, false, clear, found = np.moveaxis(sums, -1, 0)
    rate, recall = 1000 * false / np.maximum(free, 1), found / np.maximum(clear, 1)
    at = recall.max(-1).min(-1)  # the highest recall that all reach
    matched = np.array(
        [[_read_off(a, r, f) for r, f in zip(rs, fs, strict=True)] for a, rs, fs in zip(at, recall, rate, strict=True)]
    )
    return {
        "recall": float(at[0]),
        **{f"FF {name}": _interval(matched[:, i]) for i, name in enumerate(_METHODS)},
        **{f"FF fusion - {name}": _interval(matched[:, -1] - matched[:, i]) for i, name in enumerate(_METHODS[:-1])},
        "curves": {
            name: {"recall": recall[0, i].tolist(), "FF": rate[0, i].tolist()} for i, name in enumerate(_METHODS)
        },
    }


def _read_off(at: float, recall: npt.NDArray[np.float64], rate: npt.NDArray[np.float64]) -> float:
    order = np.argsort(recall)
    return float(np.interp(at, recall[order], rate[order]))


def _interval(values: npt.NDArray[np.float64]) -> list[float]:
    """The value, and the limits of its draws."""
    return [float(values[0]), *(float(v) for v in np.percentile(values[1:], [2.5, 97.5]))]


def _show(result: dict) -> None:
    print(f"{result['images']} images in {result['runs']} runs")
    for error, found in result.items():
        if not isinstance(found, dict):
            continue
        texts = [f"{k} {v[0]:.1f} [{v[1]:.1f}, {v[2]:.1f}]" for k, v in found.items() if k.startswith("FF")]
        print(f"{error:>8s}  recall {found['recall']:.3f}  " + "  ".join(texts))


if __name__ == "__main__":
    main()
