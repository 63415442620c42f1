"""Labels that nobody drew: the floor of photographs by a plane fitted to their depth, for a student of any modality.

python -m benchmarks.plane_labels data/nyudv2_train --camera 259.43,259.73,162.79,126.87 --out data/plane_labels

``--out`` becomes a folder of layout ``nyudv2_nav5`` with links to the images and labels of its own: floor (as class 1
of the 40) is what the plane of a camera at least ``--least-height`` above it holds, anything else is a wall (0).
Unlabelled are the pixels within ``--border`` of where one meets the other. How well these labels agree with the true
ones is printed; the true ones are used for nothing else.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.floor import count_floor, floor_scores, frames, plane_finder, score_line
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.folder import find_frames
from gemini_ros.datasets.layout import load_layout

LAYOUT, LABELS = "nyudv2_nav5", "label40"
WALL, FLOOR = 0, 1  # of the 40 classes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help=f"photographs in the layout {LAYOUT}")
    parser.add_argument("--camera", required=True, metavar="FX,FY,CX,CY", help="in pixels of the images")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--least-height", type=float, default=0.8, metavar="M")
    parser.add_argument("--border", type=int, default=4, metavar="PIXELS")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    layout = load_layout(LAYOUT)
    labels = load_label_set("nav5")
    find, free = plane_finder(args.camera, args.least_height), labels.nav_table("free")
    files = [found.files for found in find_frames(args.folder, layout, ("rgb", "depth", "labels"))]
    counts, shares = [], []
    for paths, (frame, truth) in zip(files, frames(args.folder, layout, labels), strict=True):
        given = plane_labels(find(frame), args.border)
        for kind in ("rgb", "depth"):
            link = args.out / paths[kind].relative_to(args.folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(paths[kind].resolve())
        with atomic_path(args.out / paths["labels"].relative_to(args.folder)) as part:
            if not cv2.imwrite(str(part), given):
                raise OSError(f"{part}: cannot be written")
        known = (truth != UNLABELLED) & (given != UNLABELLED)
        counts.append(count_floor(free[truth], given == FLOOR, known))
        shares.append([np.mean(given == name) for name in (FLOOR, WALL, UNLABELLED)])
    result = floor_scores(np.array(counts))
    shares_of = dict(zip(("floor", "wall", "unlabelled"), np.mean(shares, 0).round(3).tolist(), strict=True))
    print(score_line("labels by a plane", result))
    print(f"shares {shares_of}")
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(result | {"shares": shares_of}, indent=1) + "\n", encoding="utf-8")


def plane_labels(floor: npt.NDArray[np.bool_], border: int) -> npt.NDArray[np.uint8]:
    """uint8 (H, W): ``FLOOR`` and ``WALL``, unlabelled within ``border`` pixels of where they meet."""
    cleaned = cv2.medianBlur(floor.astype(np.uint8), 5)
    kernel = np.ones((2 * border + 1, 2 * border + 1), np.uint8)
    meeting = cv2.morphologyEx(cleaned, cv2.MORPH_GRADIENT, kernel) > 0
    return np.where(meeting, UNLABELLED, np.where(cleaned > 0, FLOOR, WALL)).astype(np.uint8)


if __name__ == "__main__":
    main()
