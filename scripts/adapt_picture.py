"""Draw what an adaptation changed: camera, labels in hindsight, before and after, for frames that were kept aside.

    python scripts/adapt_picture.py runs/adaptation/office_1/adapt --model warehouse_rgbd_nano --out docs/adapt.jpg

The folder is that of a finished ``gemini-ros adapt``. The frames are those with a floor on which the model was worst
before, one of each kept block.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.overlay import blend, colorize
from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.from_bag import layout_of_folder
from gemini_ros.datasets.hindsight.labelling import LABEL_SET
from gemini_ros.datasets.layout import load_layout
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.weights_file import read_weights
from gemini_ros.training.adaptation.asked import LABELS, weights_of
from gemini_ros.training.adaptation.classes import GROUPS, groups_of
from gemini_ros.training.adaptation.gate import top_logits
from gemini_ros.training.adaptation.parts import part
from gemini_ros.training.adaptation.run import drives_of, network_of
from gemini_ros.training.export import load_task
from gemini_ros.training.task import SegmentationTask

HEADS = ("camera", "labels in hindsight (grey: none)", "before", "after one drive")
GAP, HEAD, GREY = 4, 22, 150
LEAST_FLOOR = 0.1
"""Of the pixels of a frame, by its labels; less floor shows nothing."""

Image8 = npt.NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a finished adaptation")
    parser.add_argument("--model", required=True, metavar="NAME|FILE", help="that it began with")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--rows", type=int, default=3)
    args = parser.parse_args()
    rows = [row for _, row in sorted(worst(args.folder, args.model).items(), key=lambda one: one[0])[: args.rows]]
    with atomic_path(args.out) as file:
        sheet(rows).save(file, "JPEG", quality=85)


def worst(folder: Path, model: str) -> dict[tuple[float, int], list[Image8]]:
    """Four pictures, uint8 (H, W, 3), of one frame of each kept block, by how much of it was right before.

    Raises ``ValueError`` where no kept frame shows enough floor.
    """
    labels, path = folder / LABELS, weights_of(model)
    weights = read_weights(path)
    info = weights.info
    before = SegmentationTask(network_of(weights, info.label_set.name), weights=path).eval()
    after = load_task(folder / "adapted.ckpt")
    graphs = [ModelFile(task.network, task.modalities, info.network_size).eval() for task in (before, after)]
    of_class, named = groups_of(info.label_set).of_class, load_label_set(LABEL_SET)
    frames = FolderFrames(labels, load_layout(layout_of_folder(labels)), info.modality_names, label_set=named)
    index = {record["stem"]: i for i, record in enumerate(frames.records)}
    colours = np.array([named.names.index(name) for name in GROUPS] + [UNLABELLED] * (256 - len(GROUPS)), np.uint8)
    found: dict[int, tuple[float, list[Image8]]] = {}
    for stem, block in part(drives_of(labels)).kept.items():
        images = frames.images(index[stem])
        truth = images.pop("labels")
        said = [top_logits(graph, images, info.modality_names).argmax(0) for graph in graphs]
        answers = [colours[of_class[classes]] for classes in said]
        known = truth != UNLABELLED
        if (truth == colours[0]).mean() < LEAST_FLOOR:
            continue
        right = float((answers[0] == truth)[known].mean())
        if block not in found or right < found[block][0]:
            hindsight = colorize(truth, named)
            hindsight[~known] = GREY
            drawn = [blend(images["rgb"], answer, named, 0.6) for answer in answers]
            found[block] = right, [images["rgb"], hindsight, *drawn]
    if not found:
        raise ValueError(f"{folder}: no kept frame has {100 * LEAST_FLOOR:g} % of its pixels labelled floor")
    return {(right, block): pictures for block, (right, pictures) in found.items()}


def sheet(rows: list[list[Image8]]) -> Image.Image:
    """Rows of pictures of one size below their heads."""
    height, width = rows[0][0].shape[:2]
    page = Image.new("RGB", (4 * width + 3 * GAP, HEAD + len(rows) * (height + GAP) - GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for column, head in enumerate(HEADS):
        draw.text((column * (width + GAP) + 2, 2), head, fill="black", font=font)
        for row, pictures in enumerate(rows):
            picture = cv2.resize(pictures[column], (width, height), interpolation=cv2.INTER_NEAREST)
            page.paste(Image.fromarray(picture), (column * (width + GAP), HEAD + row * (height + GAP)))
    return page


if __name__ == "__main__":
    main()
