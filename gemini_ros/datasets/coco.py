"""Label images out of COCO annotations: panoptic (JSON and a folder of PNG), or instances with polygons and RLE.

The format: https://cocodataset.org/#format-data. Pixels without an annotation are unlabelled; where instances overlap,
the smaller one stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.documents import read_json
from gemini_ros.core.files import read_file
from gemini_ros.core.frames import UNLABELLED, FrameError
from gemini_ros.core.image_files import decode_image_file

Labels = npt.NDArray[np.uint8]
_MOST_PIXELS = 1 << 26


def read_coco(path: str | Path, names: Sequence[str]) -> dict[str, Labels]:
    """The label images by stem, uint8 (H, W), in the classes ``names``.

    Raises ``ValueError`` for a file that is not COCO, categories that are not among ``names``, crowds, boxes alone,
    polygons inside one another, and masks of another size than their image; for ids and stems that stand twice.
    """
    data = read_json(path)
    try:
        classes = _classes(data["categories"], names, path)
        images = _by(data["images"], "id", "images", path)
        stems = _by(({"stem": PurePosixPath(one["file_name"]).stem} for one in images.values()), "stem", "images", path)
        annotations: dict[Any, list[Any]] = {key: [] for key in images}
        for one in data["annotations"]:
            if one["image_id"] not in annotations:
                raise ValueError(
                    f"{path}: annotation {one['id']!s:.40} of image {one['image_id']!s:.40}, which is not there"
                )
            annotations[one["image_id"]].append(one)
        read = _panoptic if any("segments_info" in one for one in data["annotations"]) else _instances
        found = {
            stem: read(Path(path), image, annotations[key], classes)
            for stem, (key, image) in zip(stems, images.items(), strict=True)
            if annotations[key]
        }
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        reason = f"{type(error).__name__} at {error!s:.80}"
        raise ValueError(f"{path}: {reason}, expected COCO annotations of instances, or panoptic ones") from error
    if not found:
        raise ValueError(f"{path}: no image has annotations, expected COCO annotations")
    if not any((labels != UNLABELLED).any() for labels in found.values()):
        raise ValueError(f"{path}: no pixel is labelled, expected annotations with an area")
    return found


def _by(entries: Iterable[Mapping[str, Any]], key: str, what: str, path: str | Path) -> dict[Any, Mapping[str, Any]]:
    """The entries by a key that has to be another one in each."""
    found: dict[Any, Mapping[str, Any]] = {}
    for entry in entries:
        if entry[key] in found:
            raise ValueError(
                f"{path}: two {what} of the {key} {entry[key]!s:.80}, expected one: which is meant is not clear"
            )
        found[entry[key]] = entry
    return found


def _classes(categories: Sequence[Mapping[str, Any]], names: Sequence[str], path: str | Path) -> dict[int, int]:
    if strange := [str(one["name"]) for one in categories if one["name"] not in names]:
        raise ValueError(f"{path}: categories {', '.join(strange)!s:.200}, expected some of {', '.join(names)!s:.400}")
    return {key: list(names).index(one["name"]) for key, one in _by(categories, "id", "categories", path).items()}


def _class(one: Mapping[str, Any], classes: Mapping[int, int], where: str) -> int:
    if one["category_id"] not in classes:
        raise ValueError(f"{where}: category {one['category_id']!s:.40}, which is not among the categories")
    return classes[one["category_id"]]


def _size(image: Mapping[str, Any], path: Path) -> tuple[int, int]:
    height, width = image["height"], image["width"]
    if type(height) is not int or type(width) is not int or not (height > 0 < width and height * width <= _MOST_PIXELS):
        raise ValueError(f"{path}: {image['file_name']} of {width!r:.20}x{height!r:.20}, expected the image's size")
    return height, width


def _refuse_crowd(one: Mapping[str, Any], where: str) -> None:
    if one.get("iscrowd"):
        raise ValueError(
            f"{where}: a crowd (iscrowd 1), whose outline is rough: expected single things; set iscrowd to 0 where the "
            "outline is exact, or remove the annotation, which leaves its pixels unlabelled"
        )


def _instances(
    path: Path, image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], classes: Mapping[int, int]
) -> Labels:
    size = _size(image, path)
    masks = []
    for one in annotations:
        where = f"{path}: annotation {one['id']!s:.40} of {image['file_name']!s:.80}"
        _refuse_crowd(one, where)
        segmentation = one.get("segmentation")
        if not segmentation:
            raise ValueError(f"{where}: a box alone, expected polygons or RLE: export masks")
        polygons = isinstance(segmentation, list)
        mask = _polygons(segmentation, size, where) if polygons else _rle(segmentation, size, where)
        masks.append((mask, _class(one, classes, where)))
    labels = np.full(size, UNLABELLED, np.uint8)
    for mask, label in sorted(masks, key=lambda pair: -int(pair[0].sum())):
        labels[mask] = label
    return labels


def _polygons(parts: Sequence[Sequence[float]], size: tuple[int, int], where: str) -> npt.NDArray[np.bool_]:
    """bool (H, W): the pixels whose centres are inside any of the polygons x, y, x, y ..."""
    total = np.zeros(size, bool)
    shapes = []
    for part in parts:
        try:
            points = np.asarray(part, np.float64)
        except ValueError:
            points = np.zeros(0)
        if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.abs(points).max() < 1e5:
            raise ValueError(f"{where}: polygon {part!s:.60}, expected x, y of at least three corners")
        corners = points.reshape(-1, 2)
        if (corners.min(0) >= size[::-1]).any() or (corners.max(0) <= 0).any():
            raise ValueError(f"{where}: polygon {part!s:.60} lies outside the image of {size[1]}x{size[0]}")
        shapes.append(_filled(corners, size))
    for i, shape in enumerate(shapes):
        if any(shape.any() and not (shape & ~other).any() for j, other in enumerate(shapes) if j != i):
            raise ValueError(
                f"{where}: one polygon inside another, which COCO fills: expected a hole as RLE; export masks instead"
            )
        total |= shape
    return total


def _filled(corners: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """bool (H, W): whether the edges (n, 2) cross a row left of a pixel's centre an odd number of times.

    COCO counts from the corner of the first pixel, so that a centre has the coordinates of its pixel and a half. A
    centre on a left or upper edge is inside, on a right or lower one it is not: polygons side by side share no pixel.
    """
    height, width = size
    ends = np.roll(corners, -1, axis=0)
    rows = np.clip(np.ceil(np.sort([corners[:, 1], ends[:, 1]], axis=0) - 0.5), 0, height).astype(np.int64)
    counts = rows[1] - rows[0]
    edge = np.repeat(np.arange(len(corners)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + rows[0][edge]
    (x0, y0), (x1, y1) = corners[edge].T, ends[edge].T
    x = x0 + (row + 0.5 - y0) / (y1 - y0) * (x1 - x0)
    crossings = np.zeros((height, width + 1), np.int64)
    np.add.at(crossings, (row, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)), 1)
    return np.cumsum(crossings, axis=1)[:, :width] % 2 == 1


def _rle(segmentation: Mapping[str, Any], size: tuple[int, int], where: str) -> npt.NDArray[np.bool_]:
    """Runs of 0 and 1 down the columns, as numbers or as COCO's text."""
    found, counts = tuple(segmentation["size"]), segmentation["counts"]
    if found != size:
        shown = "x".join(str(side) for side in reversed(found))
        raise ValueError(f"{where}: mask of {shown:.40}, expected {size[1]}x{size[0]} as its image")
    runs = _runs_of_text(counts) if isinstance(counts, str) else counts
    if not all(type(run) is int and run >= 0 for run in runs) or sum(runs) != size[0] * size[1]:
        raise ValueError(f"{where}: runs of RLE that do not fill {size[1]}x{size[0]} pixels: is the file damaged?")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size[1], size[0]).T


def _runs_of_text(text: str) -> list[int]:
    """Numbers of 5 bits a character, the sixth says that there is more; from the third on differences to the last but
    one (``rleFrString`` of cocoapi)."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs


def _panoptic(
    path: Path, image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], classes: Mapping[int, int]
) -> Labels:
    """Segment ids are red + 256 green + 65536 blue in a PNG of the folder that is called as the JSON file."""
    if len(annotations) != 1:
        raise ValueError(
            f"{path}: {len(annotations)} annotations of {image['file_name']!s:.80}, expected one, as panoptic ones are"
        )
    one = annotations[0]
    file = path.with_suffix("") / PurePosixPath(one["file_name"]).name
    try:
        rgb = decode_image_file(np.frombuffer(read_file(file), np.uint8), color=True).astype(np.int64)
    except FileNotFoundError as error:
        raise ValueError(f"{file}: no such file, expected the panoptic PNG beside {path.name}") from error
    except FrameError as error:
        raise ValueError(f"{file}: unreadable: {error}") from error
    size = _size(image, path)
    if rgb.shape[:2] != size:
        raise ValueError(f"{file}: mask of {rgb.shape[1]}x{rgb.shape[0]}, expected {size[1]}x{size[0]} as its image")
    for segment in one["segments_info"]:
        _refuse_crowd(segment, f"{path}: segment {segment['id']!s:.40} of {one['file_name']!s:.80}")
    table = {segment["id"]: _class(segment, classes, str(file)) for segment in one["segments_info"]} | {0: UNLABELLED}
    ids, place = np.unique(rgb @ np.array([1, 256, 65536]), return_inverse=True)
    if strange := [i for i in ids.tolist() if i not in table]:
        raise ValueError(f"{file}: segments {strange[:5]} that segments_info does not name")
    return np.array([table[i] for i in ids.tolist()], np.uint8)[place.reshape(size)]
