"""A folder of frames on its way to annotators and back: labels of a model to begin with, and the corrected ones."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gemini_ros.core.files import atomic_path, sha256_of
from gemini_ros.core.frames import Frame
from gemini_ros.core.image_files import encode_image_file
from gemini_ros.core.labels import LabelSet
from gemini_ros.datasets.coco import read_coco
from gemini_ros.datasets.cvat import read_masks, write_masks
from gemini_ros.datasets.from_bag import LAYOUT, layout_of_folder
from gemini_ros.datasets.images import decoded, read_stored
from gemini_ros.datasets.layout import Layout, load_layout
from gemini_ros.inference.segmenter import Segmenter

PRELABELS = "prelabels.zip"
_NO_CLASSES = np.zeros(0, np.int16)


def read_stamps(path: str | Path, bag: str | Path) -> frozenset[int]:
    """The stamps, in nanoseconds, of the frames of ``bag`` in a list such as ``worst.csv`` of ``gemini-ros evaluate``.

    Raises ``ValueError`` for a file that is no such list, and one that has no frame of this bag.
    """
    expected = f"{path}: expected a list with the columns bag, sha256 and stamp_ns, such as worst.csv of evaluate"
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = [(row["bag"], row["sha256"], int(row["stamp_ns"])) for row in csv.DictReader(file)]
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise ValueError(expected) from error
    sha256 = sha256_of(bag)
    found = frozenset(stamp for _, of, stamp in rows if of == sha256)
    if not found:
        bags = ", ".join(sorted({name for name, _, _ in rows})) or "none"
        raise ValueError(f"{path}: no frame of {bag} (by its content), expected one of its bags: {bags!s:.300}")
    return found


def write_prelabels(folder: str | Path, segmenter: Segmenter, label_set: LabelSet) -> Path:
    """Write what a model says of each frame of ``folder`` as ``prelabels.zip``, which CVAT takes as annotations."""
    folder = Path(folder)
    with_labels = ((frame.frame_id, segmenter.segment(frame).labels) for frame in _frames(folder, segmenter))
    write_masks(folder / PRELABELS, label_set.names, with_labels)
    return folder / PRELABELS


def take_labels(
    folder: str | Path,
    archive: str | Path,
    label_set: LabelSet,
    *,
    layout: str = LAYOUT,
    replace: bool = False,
) -> int:
    """Write the annotations of CVAT or COCO (``.json``) as the label images of ``folder``; returns their number.

    ``layout``, a name or the path of a file, says where in it the images are; its label images are plain ones.

    All or none are written: raises ``ValueError`` for what ``read_masks`` or ``read_coco`` refuses, an image not
    in ``folder``, one of another size, and, unless ``replace``, one that has labels already.
    """
    folder, of_folder = Path(folder), load_layout(layout)
    first = _images_to_label(of_folder)
    read = read_coco if Path(archive).suffix == ".json" else read_masks
    masks = read(archive, label_set.names)
    files = {stem: folder / of_folder.images[first].path.fill({"stem": stem}) for stem in masks}
    if strange := sorted(stem for stem, path in files.items() if "/" in stem or not path.is_file()):
        where = folder / of_folder.images[first].path.text
        raise ValueError(f"{archive}: images {', '.join(strange)!s:.200}, expected some of {where}")
    targets = {stem: folder / of_folder.images["labels"].path.fill({"stem": stem}) for stem in masks}
    for stem, labels in masks.items():
        rgb = read_stored(files[stem], first, of_folder.images[first])
        if rgb.shape[:2] != labels.shape:
            raise ValueError(
                f"{archive}: {stem} of {labels.shape[1]}x{labels.shape[0]}, expected {rgb.shape[1]}x{rgb.shape[0]} as "
                f"{files[stem]}"
            )
    if there := sorted(stem for stem, path in targets.items() if path.exists() and not replace):
        raise ValueError(f"{folder}: labels of {', '.join(there)!s:.200} are there: add --replace to take the new ones")
    for stem, labels in masks.items():
        targets[stem].parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(targets[stem]) as part:
            part.write_bytes(encode_image_file(labels, ".png"))
    return len(masks)


def _images_to_label(layout: Layout) -> str:
    """The images that the annotations are of. Raises ``ValueError`` for a layout that has no plain label images."""
    labels = layout.images.get("labels")
    parts = {part for image in layout.images.values() for part in image.path.parts}
    plain = labels is not None and (labels.channel, labels.first_class, labels.mapping) == (None, 0, None)
    if not plain or parts != {"stem"}:
        raise ValueError(
            f"layout {layout.name}: expected label images that hold classes, and files named by {{stem}} alone"
        )
    return next(name for name in layout.images if name not in ("labels", "confidence"))


def _frames(folder: Path, segmenter: Segmenter) -> Iterator[Frame]:
    """The frames of a folder that ``from_bag`` wrote, with what the model takes of them; ``frame_id`` is the stem."""
    layout = load_layout(layout_of_folder(folder))
    for path in sorted((folder / layout.images["rgb"].path.text).parent.glob("*.png")):
        files = {
            name: folder / layout.images[name].path.fill({"stem": path.stem})
            for name in segmenter.info.modality_names
            if name in layout.images
        }
        images = {
            name: decoded(name, read_stored(file, name, layout.images[name]), layout.images[name], _NO_CLASSES)
            for name, file in files.items()
            if file.is_file()
        }
        yield Frame.from_images(0, path.stem, images)
