"""How well the floor is found in images of any layout: by a model, with and without each modality, and by planes alone.

python -m benchmarks.floor data/nyudv2_test --layout nyudv2_nav5 --camera 518.86,519.47,325.58,253.74 \\
    --model runs/nav5_rgbd_nano/log/version_0/checkpoints/best.ckpt --json floor.json

``--model`` is a model file (.onnx) or a checkpoint, and may be given several times. With ``--camera`` (fx, fy, cx,
cy in pixels of the images) the floor is also looked for by fitting a plane to depth. Floor is what the label set calls
free.

``iou``: floor found correctly over floor true or found. ``false_floor``: share of the labelled pixels that are not
floor and are called floor; ``false_floor_of_all``: of all labelled pixels. Each over all pixels of all images, with its
95 % interval: images drawn with replacement 2000 times. Without any floor, or anything else, a score is null.
``recall_at_PLANE``: recall of a model where as much confidence is asked for as it takes to call no more falsely floor
than that plane does; ``gain_over_PLANE`` is that less the plane's recall, over the same drawn images.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.cli.arguments import size
from gemini_ros.core.conditions import conditions
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED, Frame, Intrinsics
from gemini_ros.core.ground_plane import LEAST_HEIGHT_M, segment_floor
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.resources import find_model
from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.folder import evenly_spread
from gemini_ros.datasets.layout import Layout, load_layout

SAMPLES = 2000
SURE = 255  # what is floor without a doubt, or without a confidence
# How sure the floor of a frame is, uint8 (H, W): 0 where it is none. Bool where nobody is more or less sure.
Finder = Callable[[Frame], npt.NDArray[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the images")
    parser.add_argument("--layout", default="nyudv2_nav5", metavar="NAME|YAML")
    parser.add_argument("--split", metavar="NAME")
    parser.add_argument("--label-set", metavar="NAME|YAML", help="where the layout does not name one")
    parser.add_argument(
        "--model",
        type=find_model,
        action="append",
        default=[],
        metavar="MODEL",
        help=".onnx, .ckpt, or a shipped model",
    )
    parser.add_argument("--size", type=size, default=(320, 240), help="network size of checkpoints (default 320x240)")
    parser.add_argument("--camera", metavar="FX,FY,CX,CY", help="also score the plane fit")
    parser.add_argument(
        "--least-height",
        type=float,
        action="append",
        metavar="M",
        help="what the plane fit may know of the camera: how high above the floor it is at least (default 0.2)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="N images, evenly spread (default all)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    layout = load_layout(args.layout)
    if not (named := args.label_set or layout.label_set):
        parser.error(f"layout {layout.name} names no label set: give --label-set")
    labels = load_label_set(named)
    finders = {name: find for path in args.model for name, find in model_finders(path, labels, args.size).items()}
    least_heights = (args.least_height or (LEAST_HEIGHT_M,)) if args.camera else ()
    planes = {f"plane fit, camera over {least:g} m": plane_finder(args.camera, least) for least in least_heights}
    if not finders | planes:
        parser.error("nothing to score: give --model or --camera")
    images = frames(args.folder, layout, labels, args.split, args.limit)
    result = score(images, labels, finders | planes, rivals=tuple(planes))
    for name, scores in result.items():
        print(score_line(name, scores))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def frames(
    folder: Path, layout: Layout, labels: LabelSet, split: str | None = None, limit: int | None = None
) -> Iterator[tuple[Frame, npt.NDArray[np.uint8]]]:
    """Colour and depth, where the layout has them, and the true labels uint8 (H, W) of a folder's images."""
    modalities = [kind for kind in ("rgb", "depth") if kind in layout.images]
    found = FolderFrames(folder, layout, modalities, label_set=labels, split=split)
    for number in evenly_spread(len(found), limit):
        example = found.example(number)
        assert example.labels is not None
        yield example.frame, example.labels


def plane_finder(camera: str, least_height_m: float = LEAST_HEIGHT_M) -> Finder:
    """The plane fit for images of the camera "fx,fy,cx,cy", known to be so high above the floor."""
    values = [float(value) for value in camera.split(",")]
    if len(values) != 4:
        raise ValueError(f"camera {camera!r}, expected FX,FY,CX,CY")
    fx, fy, cx, cy = values

    def find(frame: Frame) -> npt.NDArray[np.bool_]:
        if frame.depth is None:
            raise ValueError("a frame without depth: the plane fit needs a layout with depth")
        return segment_floor(frame.depth, Intrinsics(*frame.size, fx, fy, cx, cy), least_height_m=least_height_m)

    return find


def model_finders(path: Path, labels: LabelSet, network_size: tuple[int, int]) -> dict[str, Finder]:
    """A model with all its modalities, and without each; raises ``ValueError`` for a model of other classes."""
    names, own, segment = _onnx(path) if path.suffix == ".onnx" else _checkpoint(path, network_size)
    if own.names != labels.names:
        raise ValueError(f"{path}: classes {own.names}, expected {labels.names} as the layout has them")
    free = labels.nav_table("free")

    def finder(missing: str | None) -> Finder:
        taken = [name for name in names if name != missing]

        def find(frame: Frame) -> npt.NDArray[np.uint8]:
            images = {name: getattr(frame, name) for name in taken}
            found, confidence = segment(Frame(frame.stamp_ns, frame.frame_id, **images))
            return np.where(free[found], np.maximum(confidence, 1), 0).astype(np.uint8)

        return find

    return {
        path.stem if missing is None else f"{path.stem} {condition}": finder(missing)
        for condition, missing in conditions(names).items()
    }


_Segment = Callable[[Frame], tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]  # labels and confidence, (H, W)


def _onnx(path: Path) -> tuple[tuple[str, ...], LabelSet, _Segment]:
    from gemini_ros.inference import load_segmenter

    segmenter = load_segmenter(path, backend="onnxruntime", threads=1)

    def segment(frame: Frame) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        result = segmenter.segment(frame)
        return result.labels, result.confidence

    return segmenter.info.modality_names, segmenter.info.label_set, segment


def _checkpoint(path: Path, network_size: tuple[int, int]) -> tuple[tuple[str, ...], LabelSet, _Segment]:
    import torch

    from gemini_ros.network.deploy import ModelFile
    from gemini_ros.training.export import load_task

    task = load_task(path)
    names = task.network.modalities
    graph = ModelFile(task.network, task.modalities, network_size).eval()

    def segment(frame: Frame) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        height, width = frame.size[1], frame.size[0]
        absent = {"rgb": np.zeros((height, width, 3), np.uint8)}
        found = {name: getattr(frame, name) for name in names}
        images = [
            torch.from_numpy(np.ascontiguousarray(image))[None]
            if image is not None
            else torch.from_numpy(absent.get(name, np.zeros((height, width), np.float32)))[None]
            for name, image in found.items()
        ]
        present = torch.tensor([float(image is not None) for image in found.values()])
        with torch.inference_mode():
            found, confidence = graph(*images, present)[:2]
        return found[0].numpy().astype(np.uint8), confidence[0].numpy().astype(np.uint8)

    return names, task.labels, segment


def score(
    images: Iterable[tuple[Frame, npt.NDArray[np.uint8]]],
    labels: LabelSet,
    finders: dict[str, Finder],
    rivals: Sequence[str] = (),
) -> dict[str, dict[str, object]]:
    """The scores of each finder over the same images (``floor_scores``), and beside each of the ``rivals``."""
    sure: dict[str, list[npt.NDArray[np.int64]]] = {name: [] for name in finders}
    free = labels.nav_table("free")
    for frame, truth in images:
        known = truth != UNLABELLED
        for name, find in finders.items():
            sure[name].append(count_sure(free[truth], find(frame), known))
    counts = {name: np.stack(rows) for name, rows in sure.items()}
    result = {name: floor_scores(found_or_not(rows)) for name, rows in counts.items()}
    for name in (name for name in finders if name not in rivals):
        for rival in rivals:
            at, gain = recall_beside(counts[name], counts[rival])
            result[name] |= {f"recall_at_{rival}": at, f"gain_over_{rival}": gain}
    return result


def count_sure(
    truth: npt.NDArray[np.bool_], found: npt.NDArray[Any], known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Labelled pixels of one image that are floor, and that are not, by how sure it is called floor: (2, 256)."""
    sure = np.where(found, SURE, 0).astype(np.uint8) if found.dtype == bool else found
    return np.stack([np.bincount(sure[known & (truth == t)], minlength=SURE + 1) for t in (True, False)])


def found_or_not(sure: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of ``count_sure`` (images, 2, 256): floor found, floor missed, falsely called floor, rightly not, (images, 4)."""
    missed, right = sure[..., 0].T
    found, false = sure[..., 1:].sum(2).T
    return np.stack([found, missed, false, right], 1)


def count_floor(
    truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Labelled pixels of one image, int64 (4): floor found, floor missed, falsely called floor, rightly not."""
    return found_or_not(count_sure(truth, found, known)[None])[0]


def recall_beside(
    model: npt.NDArray[np.int64], rival: npt.NDArray[np.int64], seed: int = 0
) -> tuple[list[float | None], list[float | None]]:
    """Recall of a model, with as little falsely floor as a rival, and by how much it is above the rival's.

    Both of ``count_sure`` over the same images, (images, 2, 256); each result is [value, low, high].
    """
    drawn = []
    for sure in (model, rival):
        # How much is called floor where at least so much certainty is asked for: (draws, 2, 255), from 1 to SURE.
        sums = draw(sure.reshape(len(sure), -1), seed).reshape(-1, 2, SURE + 1)
        share = np.cumsum(sums[..., :0:-1], 2)[..., ::-1] / np.maximum(sums.sum(2, keepdims=True), 1)
        drawn.append(share)
    (recall, false), (rival_recall, rival_false) = (share.transpose(1, 0, 2) for share in drawn)
    allowed = false <= rival_false[:, :1] + 1e-12
    at = np.where(allowed, recall, 0).max(1)
    return interval(at), interval(at - rival_recall[:, 0])


def draw(counts: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.float64]:
    """Sums over the images of (images, N), then over images drawn with replacement: (1 + SAMPLES, N)."""
    n = len(counts)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), SAMPLES)
    return np.vstack([counts.sum(0), draws.astype(np.float64) @ counts])


def interval(values: npt.NDArray[np.float64]) -> list[float | None]:
    """[value, low, high] of a value and its drawn ones; None where undefined."""
    known = values[1:][~np.isnan(values[1:])]
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (np.nan, np.nan)
    return [None if np.isnan(value) else float(value) for value in (values[0], low, high)]


def floor_scores(counts: npt.NDArray[np.int64], seed: int = 0) -> dict[str, object]:
    """Scores of ``count_floor`` rows (images, 4), each as [value, low, high]; values are None where undefined."""
    sums = draw(counts, seed)
    hit, missed, false, right = sums.T
    parts = {
        "iou": (hit, hit + missed + false),
        "false_floor": (false, false + right),
        "false_floor_of_all": (false, sums.sum(1)),
        "precision": (hit, hit + false),
        "recall": (hit, hit + missed),
    }
    result: dict[str, object] = {"images": len(counts)}
    for name, (part, whole) in parts.items():
        result[name] = interval(np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0))
    return result


def score_line(name: str, scores: Mapping[str, object]) -> str:
    """The scores of ``floor_scores`` in one line."""
    return f"{name:40s} " + "  ".join(f"{key} {_text(value)}" for key, value in scores.items())


def _text(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    middle, low, high = (f"{100 * v:.1f}" if v is not None else "-" for v in value)
    return f"{middle} [{low}, {high}]"


if __name__ == "__main__":
    main()
