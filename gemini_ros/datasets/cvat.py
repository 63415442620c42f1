"""Label images to and from CVAT, in its format "Segmentation mask 1.1" (the masks of Pascal VOC in a ZIP archive).

``labelmap.txt`` gives each class a colour, ``SegmentationClass/STEM.png`` is an image in these; black is unlabelled.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.core.documents import one_line
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED, FrameError
from gemini_ros.core.image_files import decode_image_file, encode_image_file

FORMAT = "Segmentation mask 1.1"
_LABEL_MAP, _CLASSES = "labelmap.txt", "SegmentationClass/"
_BACKGROUND = "background"
_MOST_BYTES = 64 * 2**20
Labels = npt.NDArray[np.uint8]


def write_masks(path: str | Path, names: Sequence[str], images: Iterable[tuple[str, Labels]]) -> int:
    """Write label images, uint8 (H, W) by stem, with classes of these ``names``; returns their number."""
    colors = _palette(len(names))
    stems = []
    with atomic_path(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        lines = ["# label:color_rgb:parts:actions", *([] if _BACKGROUND in names else [f"{_BACKGROUND}:0,0,0::"])]
        lines += [f"{name}:{r},{g},{b}::" for name, (r, g, b) in zip(names, colors.tolist(), strict=False)]
        archive.writestr(_LABEL_MAP, "\n".join(lines) + "\n")
        for stem, labels in images:
            archive.writestr(f"{_CLASSES}{stem}.png", encode_image_file(colors[labels], ".png"))
            stems.append(stem)
        archive.writestr("ImageSets/Segmentation/default.txt", "".join(f"{stem}\n" for stem in stems))
    return len(stems)


def read_masks(path: str | Path, names: Sequence[str]) -> dict[str, Labels]:
    """The label images of an archive by stem, uint8 (H, W), in the classes ``names``; what has no class is unlabelled.

    Raises ``ValueError`` for a file that is no such archive, classes that are not among ``names``, and colours of none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            table = _colors(_text(archive, path), names, path)
            masks = [m for m in archive.namelist() if m.startswith(_CLASSES) and m.endswith(".png")]
            if not masks:
                raise ValueError(f"{path}: no {_CLASSES}*.png in it, expected an export of CVAT as {FORMAT!r}")
            return {m[len(_CLASSES) : -4]: _labels(_bytes(archive, m), table, f"{path}: {m}") for m in masks}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path}: {one_line(error)}, expected a ZIP archive of CVAT, exported as {FORMAT!r}"
        ) from error


def _text(archive: zipfile.ZipFile, path: str | Path) -> str:
    if _LABEL_MAP not in archive.namelist():
        raise ValueError(f"{path}: no {_LABEL_MAP} in it, expected an export of CVAT as {FORMAT!r}")
    return _bytes(archive, _LABEL_MAP).decode("utf-8", errors="replace")


def _bytes(archive: zipfile.ZipFile, name: str) -> bytes:
    size = archive.getinfo(name).file_size
    if size > _MOST_BYTES:
        raise ValueError(f"{archive.filename}: {name} of {size} bytes, expected at most {_MOST_BYTES}")
    return archive.read(name)


def _colors(text: str, names: Sequence[str], path: str | Path) -> Mapping[int, int]:
    """The class of each colour, as one number."""
    found, strange = {0: UNLABELLED}, []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        values = rest.split(":")[0].split(",")
        if len(values) != 3 or not all(v.strip().isdecimal() and int(v) < 256 for v in values):
            raise ValueError(f"{path}: {_LABEL_MAP}: {line!r:.80}, expected NAME:R,G,B::")
        red, green, blue = map(int, values)
        number = _number(red, green, blue)
        if name == _BACKGROUND and (number == 0 or name not in names):
            found[number] = UNLABELLED
        elif name not in names:
            strange.append(name)
        elif number in found:
            other = "black, which is unlabelled" if number == 0 else "the colour of another class"
            raise ValueError(f"{path}: {_LABEL_MAP}: {name!s:.80} in {other}, expected a colour of its own")
        else:
            found[number] = names.index(name)
    if strange:
        raise ValueError(f"{path}: classes {', '.join(strange)!s:.200}, expected some of {', '.join(names)!s:.400}")
    return found


def _labels(data: bytes, table: Mapping[int, int], where: str) -> Labels:
    try:
        image = decode_image_file(np.frombuffer(data, np.uint8), color=True).astype(np.int64)
    except FrameError as error:
        raise ValueError(f"{where}: {error}") from error
    numbers, place = np.unique(_number(*np.moveaxis(image, -1, 0)), return_inverse=True)
    if strange := [n for n in numbers.tolist() if n not in table]:
        colors = ", ".join(f"({n >> 16}, {n >> 8 & 255}, {n & 255})" for n in strange[:3])
        raise ValueError(f"{where}: {len(strange)} colours that {_LABEL_MAP} does not name, such as {colors}")
    classes = np.array([table[n] for n in numbers.tolist()], np.uint8)
    return classes[place.reshape(image.shape[:2])]


def _number(red, green, blue):  # type: ignore[no-untyped-def]
    """A colour as one number, of integers or arrays of them."""
    return red << 16 | green << 8 | blue


def _palette(count: int) -> npt.NDArray[np.uint8]:
    """A colour (256, 3) for each class, none of them black but that of ``UNLABELLED``: Pascal VOC's, from 1 on."""
    numbers = np.arange(1, 257, dtype=np.int64)
    colors = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (numbers >> (3 * bit + channel) & 1) << (7 - bit)
    colors[count:] = 0
    return colors.astype(np.uint8)
