"""What weights to start from are worth: networks trained on few labelled images and on all, from them and from nothing.

    python -m benchmarks.few_labels data/nyudv2_train data/nyudv2_test --dir runs/few_labels --weights nav5_rgbd_nano

Every run has the same number of steps, those that ``--core-hours`` allow, measured once, and the recipe of
``config/training/nyudv2_nano.yaml``, but the 13 classes. The images of a smaller set are evenly spread over all.
Scores are taken at half size against labels at full size; their 95 % intervals draw the test images with replacement
2000 times, the same ones for both sides of a difference. A run that is done is not made again, and one that was
interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint

from benchmarks.ingredients import CHECKPOINT_EVERY, Budget, fit, measured_steps
from gemini_ros.core.files import atomic_path
from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.core.resources import find_resource
from gemini_ros.datasets.folder import evenly_spread, find_frames
from gemini_ros.datasets.layout import load_layout
from gemini_ros.network.deploy import ModelFile
from gemini_ros.training.data import ImageFolder, SegmentationData
from gemini_ros.training.options import (
    AugmentationOptions,
    FolderOptions,
    LoadingOptions,
    LossOptions,
    NetworkOptions,
    OptimizerOptions,
    ScheduleOptions,
)
from gemini_ros.training.task import SegmentationTask

RECIPE, LAYOUT, MODALITIES = "config/training/nyudv2_nano.yaml", "nyudv2_13", ("rgb", "depth")
NOTHING = "nothing"
SAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="labelled images to learn from, in the layout nyudv2_13")
    parser.add_argument("test", type=Path, help="those to score")
    parser.add_argument("--dir", type=Path, required=True, help="where the runs go")
    parser.add_argument("--weights", type=Path, action="append", required=True, metavar="NAME|FILE")
    parser.add_argument("--images", type=int, nargs="+", default=[50, 200, 795])
    parser.add_argument("--core-hours", type=float, default=0.2, help="of training, for each run")
    parser.add_argument("--steps", type=int, help="in place of --core-hours")
    parser.add_argument("--limit", type=int, metavar="N", help="N test images, evenly spread (default all)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    torch.set_num_threads(1)
    available = len(find_frames(args.train, load_layout(LAYOUT), ("labels",)))
    if not 0 < min(args.images) <= max(args.images) <= available:
        parser.error(f"--images {args.images}, expected 1 to the {available} of {args.train}")
    args.dir.mkdir(parents=True, exist_ok=True)
    starts = [NOTHING, *(str(name) for name in args.weights)]
    results = {count: {start: run(start, count, args) for start in starts} for count in sorted(args.images)}
    data = {"core_hours": args.core_hours, "rows": list(rows(results))}
    for line in lines(data["rows"]):
        print(line)
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def run(start: str, count: int, args: Namespace) -> dict[str, Any]:
    """Steps, processor time and the confusion of every test image, (images, classes, classes + 1), of one training."""
    name = f"{count}_{Path(start).stem}"
    path = args.dir / f"{name}.npz"
    if not path.exists():
        steps, budget, folder = steps_of(args), Budget(), args.dir / name
        folder.mkdir(exist_ok=True)
        saving = ModelCheckpoint(folder, "last", train_time_interval=CHECKPOINT_EVERY, enable_version_counter=False)
        task = make_task(start)
        fit(task, make_data(subset(count, args)), steps, folder, budget, saving)
        confusion = score(task.eval(), args)
        with atomic_path(path) as part, part.open("wb") as file:
            np.savez(file, confusion=confusion, steps=steps, core_seconds=round(budget.core_seconds, 1))
        print(f"{count} images from {start}: mIoU {100 * miou(confusion.sum(0)[None])[0]:.1f}", flush=True)
    with np.load(path) as found:
        return dict(found)


def recipe() -> dict[str, Any]:
    return yaml.safe_load(find_resource(RECIPE).read_text(encoding="utf-8"))


def make_task(start: str) -> SegmentationTask:
    """The network as a run begins."""
    options = recipe()
    lightning.seed_everything(options["seed_everything"], workers=True, verbose=False)
    model = options["model"]
    return SegmentationTask(
        NetworkOptions("nano", MODALITIES, LAYOUT, drop_path=model["network"]["drop_path"]),
        LossOptions(**model["loss"]),
        OptimizerOptions(**model["optimizer"]),
        ScheduleOptions(**model["schedule"]),
        weights=None if start == NOTHING else Path(start),
    )


def make_data(folder: Path) -> SegmentationData:
    data = recipe()["data"]
    augmentation: dict[str, Any] = {name: tuple(value) for name, value in data["augmentation"].items()}
    return SegmentationData(
        MODALITIES,
        LAYOUT,
        FolderOptions(train=(folder,), layout=LAYOUT),
        AugmentationOptions(**augmentation),
        LoadingOptions(**data["loading"]),
    )


def subset(count: int, args: Namespace) -> Path:
    """A folder of links to ``count`` of the images, evenly spread over them."""
    folder = args.dir / f"images_{count}"
    frames = find_frames(args.train, load_layout(LAYOUT), (*MODALITIES, "labels"))
    for number in evenly_spread(len(frames), count):
        for file in frames[number].files.values():
            link = folder / file.relative_to(args.train)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(file.resolve())
    return folder


def steps_of(args: Namespace) -> int:
    """How many steps the budget allows; measured once."""
    if args.steps:
        return args.steps
    smallest = subset(min(args.images), args)
    return measured_steps(args.dir / "steps", args.core_hours, lambda: (make_task(NOTHING), make_data(smallest)))


def score(task: SegmentationTask, args: Namespace) -> npt.NDArray[np.int64]:
    """Confusion of every test image, (images, classes, classes + 1)."""
    images = ImageFolder(args.test, MODALITIES, layout=LAYOUT, label_set=task.labels)
    found, graph = [], None
    for number in evenly_spread(len(images), args.limit):
        sample = images[number]
        height, width = sample["labels"].shape
        if graph is None:
            half = (round(width / 64) * 32, round(height / 64) * 32)
            graph = ModelFile(task.network, task.modalities, half).eval()
        with torch.inference_mode():
            labels = graph(*(sample[name][None] for name in MODALITIES), torch.ones(len(MODALITIES)))[0][0]
        matrix = ConfusionMatrix(len(task.labels))
        matrix.update(sample["labels"].numpy(), labels.numpy())
        found.append(matrix.counts)
    return np.stack(found)


def miou(confusions: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Of confusions (N, classes, classes + 1) the mean over classes that are there, (N,)."""
    square = confusions[..., :-1]
    hit = np.diagonal(square, axis1=1, axis2=2).astype(np.float64)
    union = confusions.sum(2) + square.sum(1) - hit
    return np.nanmean(np.where(union > 0, hit / np.maximum(union, 1), np.nan), axis=1)


def rows(results: dict[int, dict[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """One row for each number of images and start: mIoU and its gain over nothing in points, with their intervals."""
    for count, found in results.items():
        n = len(found[NOTHING]["confusion"])
        draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), SAMPLES)
        drawn = {}
        for start, result in found.items():
            flat = result["confusion"].reshape(n, -1).astype(np.float64)
            sums = np.vstack([flat.sum(0), draws @ flat]).reshape(SAMPLES + 1, *result["confusion"].shape[1:])
            drawn[start] = 100 * miou(sums)
        for start, result in found.items():
            yield {
                "images": count,
                "start": Path(start).stem,
                "miou": interval(drawn[start]),
                "gain": None if start == NOTHING else interval(drawn[start] - drawn[NOTHING]),
                "steps": int(result["steps"]),
                "core_seconds": float(result["core_seconds"]),
                "test_images": n,
            }


def interval(values: npt.NDArray[np.float64]) -> list[float]:
    """[value, low, high] of the value followed by its resamples."""
    return [round(float(x), 2) for x in (values[0], *np.percentile(values[1:], (2.5, 97.5)))]


def lines(table: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The table in Markdown."""
    yield "| images | started from | mIoU, 13 classes | gain | steps | core-hours |"
    yield "|---|---|---|---|---|---|"
    for row in table:
        gain = "" if row["gain"] is None else "{:+.1f} ({:+.1f} to {:+.1f})".format(*row["gain"])
        own, hours = "{:.1f} ({:.1f}-{:.1f})".format(*row["miou"]), row["core_seconds"] / 3600
        yield f"| {row['images']} | {row['start']} | {own} | {gain} | {row['steps']} | {hours:.2f} |"


if __name__ == "__main__":
    main()
