"""Why colour helps a model of RGB and depth to find floors, or does not: by what is left of the picture.

    python -m benchmarks.what_rgb_adds data/nyudv2_test --model nav5_rgbd_nano --json photographs.json
    python -m benchmarks.what_rgb_adds data/nav5_val --layout simulated --model nav5_rgbd_nano --json simulation.json

Floor IoU and false floor (``benchmarks.floor``), complete and without depth, on pictures as they are and changed:

``grey``: no colour. ``tone``: every channel has the mean and spread that pictures of the simulator have. ``blurred``:
no texture finer than 8 pixels of 640. ``edges kept``: texture smoothed away, edges between surfaces kept (a bilateral
filter). ``another``: the picture of another image, so that colour says nothing true. ``either``: right where the answer
without RGB or that without depth is, which no fusion of these two answers can beat.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.floor import count_floor, floor_scores, score_line
from benchmarks.floor import frames as frames_of
from gemini_ros.core.conditions import COMPLETE
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED, Frame
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.resources import find_model
from gemini_ros.datasets.layout import load_layout
from gemini_ros.inference import load_segmenter

LABEL_SET = "nav5"
Picture = npt.NDArray[np.uint8]  # (H, W, 3) RGB
# Of the pictures in data/nav5_val (docs/training_recipes.md): mean and spread inside one picture, by channel.
SIMULATED_MEAN = np.array((115.0, 105.0, 80.0), np.float32)
SIMULATED_SPREAD = np.array((44.0, 42.0, 38.0), np.float32)


def grey(picture: Picture) -> Picture:
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)


def tone(picture: Picture) -> Picture:
    values = picture.astype(np.float32)
    spread = np.maximum(values.std((0, 1)), 1)
    changed = (values - values.mean((0, 1))) / spread * SIMULATED_SPREAD + SIMULATED_MEAN
    return np.clip(np.round(changed), 0, 255).astype(np.uint8)


def blurred(picture: Picture) -> Picture:
    return cv2.GaussianBlur(picture, (0, 0), 8 * picture.shape[1] / 640 / 2)


def edges_kept(picture: Picture) -> Picture:
    for _ in range(2):
        picture = cv2.bilateralFilter(picture, 9, 40, 6)
    return picture


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "as it is": lambda picture: picture,
    "grey": grey,
    "tone": tone,
    "blurred": blurred,
    "edges kept": edges_kept,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layout", default="nyudv2_nav5", metavar="NAME|YAML")
    parser.add_argument("--model", type=find_model, required=True, help=f"of RGB and depth, labelled {LABEL_SET}")
    parser.add_argument("--limit", type=int, metavar="N", help="N images, evenly spread (default all)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    layout = load_layout(args.layout)
    labels = load_label_set(LABEL_SET)
    segmenter = load_segmenter(args.model, backend="onnxruntime", threads=1)
    if segmenter.info.modality_names != ("rgb", "depth") or segmenter.info.label_set.names != labels.names:
        parser.error(f"--model {args.model}: expected a model of rgb and depth with the classes {labels.names}")
    free = labels.nav_table("free")

    def floor(frame: Frame) -> npt.NDArray[np.bool_]:
        return free[segmenter.segment(frame).labels]

    counts: dict[str, list[npt.NDArray[np.int64]]] = {}
    before: Picture | None = None
    for frame, truth in frames_of(args.folder, layout, labels, None, args.limit):
        assert frame.rgb is not None
        known, true = truth != UNLABELLED, free[truth]
        pictures = {name: change(frame.rgb) for name, change in CHANGES.items()}
        if before is not None and before.shape == frame.rgb.shape:
            pictures["another"] = before
        before = frame.rgb
        found = {"without rgb": floor(replace(frame, rgb=None))}
        for name, picture in pictures.items():
            found[f"{COMPLETE}, {name}"] = floor(replace(frame, rgb=picture))
            found[f"without depth, {name}"] = floor(replace(frame, rgb=picture, depth=None))
        alone = found["without rgb"], found["without depth, as it is"]
        found["either"] = np.where(alone[0] == true, alone[0], alone[1])
        for name, answer in found.items():
            counts.setdefault(name, []).append(count_floor(true, answer, known))
    result = {name: floor_scores(np.array(rows)) for name, rows in counts.items()}
    for name, scores in result.items():
        print(score_line(name, scores))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
