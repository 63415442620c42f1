"""How a data set lies in its folder, as data: ``config/datasets/NAME.yaml``, or a file of one's own (docs/layouts.md).

A path names its parts: ``img/{light}/{split}/{map}/{frame}_rgb.png``. What belongs to one frame has equal parts in the
paths of all its images. Three names have a meaning: ``split`` is the part of the data set (train, test), ``light`` a
group that is also scored by itself, ``stem`` what a frame is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from glob import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.core.entries import require_entries
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.resources import load_yaml

KINDS = ("rgb", "depth", "thermal", "labels", "confidence")
CHANNELS = {"red": 2, "green": 1, "blue": 0, "alpha": 3}  # in the order in which OpenCV gives them
ENCODINGS = {"plain": ("uint8", "uint16"), "rotated_3_bits": ("uint16",), "24_bits_rgb": ("uint8",)}  # of these types
_LAYOUT_KEYS = {"name", "source", "label_set", "frames", "one_size", "unpack", "images"}
_MEASURED = ({"path", "type", "scale", "hole"}, {"offset", "channel", "encoding"})
_IMAGE_KEYS = {  # required, optional
    "rgb": ({"path"}, set()),
    "depth": _MEASURED,
    "thermal": _MEASURED,
    "labels": ({"path"}, {"type", "channel", "first_class", "map"}),
    "confidence": ({"path"}, set()),
}
_LONGEST_NAME = 255
_PART = re.compile(r"\{([A-Za-z]\w*)\}")


@dataclass(frozen=True)
class PathPattern:
    """A path below the data set's folder with named parts in braces.

    A part holds no slash, no leading dot and no control character. No file's name is longer than 255 bytes.
    """

    text: str

    def __post_init__(self) -> None:
        plain = _PART.sub("", self.text)
        if not self.text or "{" in plain or "}" in plain:
            raise ValueError(f"path {self.text!r:.80}, expected names in braces such as rgb/{{stem}}.png")
        if Path(self.text).is_absolute() or ".." in Path(self.text).parts:
            raise ValueError(f"path {self.text!r:.80}, expected one below the data set's folder")

    @cached_property
    def parts(self) -> frozenset[str]:
        """The names in braces."""
        return frozenset(_PART.findall(self.text))

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        seen: set[str] = set()
        regex = ""
        for i, piece in enumerate(_PART.split(self.text)):
            if i % 2 == 0:
                regex += re.escape(piece)
            else:
                regex += f"(?P={piece})" if piece in seen else rf"(?P<{piece}>[^/.\x00-\x1f][^/\x00-\x1f]*?)"
                seen.add(piece)
        return re.compile(regex)

    def fill(self, values: Mapping[str, str]) -> str:
        """The path with these parts."""
        return _PART.sub(lambda name: values[name[1]], self.text)

    def match(self, path: str) -> dict[str, str] | None:
        """The parts of a path, ``None`` where it is not of this form."""
        found = self._regex.fullmatch(path)
        named = all(len(name.encode(errors="surrogateescape")) <= _LONGEST_NAME for name in path.split("/"))
        return found.groupdict() if found and named else None

    def files(self, root: Path, known: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Path]]:
        """Files below ``root`` of this form with their parts, where some parts may be ``known``; in order of path."""
        pieces = _PART.split(self.text)
        pieces[1::2] = [escape(known[name]) if name in known else "*" for name in pieces[1::2]]
        pieces[::2] = [escape(piece) for piece in pieces[::2]]
        for path in sorted(root.glob("".join(pieces))):
            values = self.match(path.relative_to(root).as_posix())
            if values is not None and path.is_file():
                yield values, path


@dataclass(frozen=True)
class ImageFormat:
    """What the images of one kind are. ``stored_type`` and ``channel`` say what a file holds for a pixel.

    ``encoding`` says how that is a number: ``plain``; ``rotated_3_bits``, uint16 rotated left by three (SUN RGB-D);
    ``24_bits_rgb``, red + 256 green + 65536 blue (CARLA). A number other than ``hole`` is ``scale`` x number +
    ``offset`` metres or degrees Celsius. Labels: ``first_class`` is the number of class 0, lower ones are unlabelled;
    ``mapping`` instead says the class of each number; 255 is unlabelled in both. Confidence: 255 times how sure each
    label is, the weight of the pixel in training.
    """

    path: PathPattern
    stored_type: str = "uint8"
    channel: str | None = None
    encoding: str = "plain"
    scale: float = 1.0
    offset: float = 0.0
    hole: int | None = None
    first_class: int = 0
    mapping: Mapping[int, int] | None = None

    def class_table(self, n_classes: int) -> npt.NDArray[np.int16]:
        """int16, class of each stored number: 255 where unlabelled, -1 where the number must not be."""
        table = np.full(1 << (8 if self.stored_type == "uint8" else 16), -1, np.int16)
        table[UNLABELLED] = UNLABELLED
        if self.mapping is None:
            table[: self.first_class] = UNLABELLED
            room = min(n_classes, UNLABELLED, len(table) - self.first_class)
            table[self.first_class : self.first_class + room] = np.arange(room)
            return table
        for number, label in self.mapping.items():
            if not (0 <= number < len(table) and (0 <= label < n_classes or label == UNLABELLED)):
                raise ValueError(
                    f"map {number}: {label}, expected a {self.stored_type} number and a class 0 to {n_classes - 1}, or "
                    f"{UNLABELLED} for unlabelled"
                )
            table[number] = label
        return table


@dataclass(frozen=True)
class Layout:
    """A data set's description.

    ``frames`` is ``paired`` (every image has its partners of the other kinds), ``labelled`` (the label images say which
    frames there are; others are left alone), or the path of a list: a CSV with a column for each part, or text with a
    line per frame, its stem or the path of one of its images. ``one_size``: all images of a folder have one size.
    ``unpack``: the images are few or small enough to be kept decoded beside themselves. ``label_set`` may be ``None``:
    that of the model.
    """

    name: str
    source: str
    label_set: str | None
    frames: str
    one_size: bool
    unpack: bool
    images: Mapping[str, ImageFormat]

    @property
    def has_splits(self) -> bool:
        """Whether one folder holds several parts of the data set."""
        return "split" in self.parts or "{split}" in self.frames

    @cached_property
    def parts(self) -> frozenset[str]:
        """The names of the parts in the images' paths."""
        return next(iter(self.images.values())).path.parts


def load_layout(name_or_path: str | Path) -> Layout:
    """A description by name (``nyudv2_40``) or by path to its YAML file. Raises ``ValueError`` naming what is wrong."""
    return layout_from_dict(*load_yaml(name_or_path, "datasets", "data set layout"))


def layout_from_dict(data: object, where: str) -> Layout:
    """Check and build a description."""
    entries = require_entries(data, _LAYOUT_KEYS, set(), where)
    images = require_entries(entries["images"], set(), set(KINDS), f"{where}: images")
    formats = {kind: _image_format(kind, images[kind], f"{where}: {kind}") for kind in KINDS if kind in images}
    if "labels" not in formats or not formats.keys() - {"labels", "confidence"}:
        raise ValueError(
            f"{where}: images {', '.join(formats) or 'none'}, expected labels and any of rgb, depth, thermal"
        )
    for kind, image in formats.items():
        if image.path.parts != (parts := formats["labels"].path.parts):
            raise ValueError(
                f"{where}: {kind} has the parts {sorted(image.path.parts)!s:.200}, labels {sorted(parts)!s:.200}: "
                "expected equal ones"
            )
    frames = entries["frames"]
    listed = isinstance(frames, str) and frames.endswith((".csv", ".txt"))
    text = {key: isinstance(entries[key], str) and entries[key] for key in ("name", "source")}
    truth = {key: type(entries[key]) is bool for key in ("one_size", "unpack")}
    for key, good, expected in (
        *((key, good, "text") for key, good in text.items()),
        *((key, good, "true or false") for key, good in truth.items()),
        ("label_set", isinstance(entries["label_set"], (str, type(None))), "a name, a path or null"),
        ("frames", listed or frames in ("paired", "labelled"), "paired, labelled, or the path of a .csv or .txt"),
        (
            "unpack",
            entries["one_size"] or not entries["unpack"],
            "false without one_size: no array holds several sizes",
        ),
    ):
        if not good:
            raise ValueError(f"{where}: {key} {entries[key]!r:.80}, expected {expected}")
    _path(frames, where)
    return Layout(**{**entries, "images": formats})


def _image_format(kind: str, data: object, where: str) -> ImageFormat:
    required, optional = _IMAGE_KEYS[kind]
    entries = require_entries(data, required, optional, where)
    stored_type, channel = entries.get("type", "uint8"), entries.get("channel")
    encoding, hole = entries.get("encoding", "plain"), entries.get("hole")
    first_class, mapping = entries.get("first_class", 0), entries.get("map")
    numbers = [entries.get("scale", 1.0), entries.get("offset", 0.0)]
    for key, found, expected in (
        ("encoding", encoding, tuple(ENCODINGS)),
        ("type", stored_type, ENCODINGS.get(encoding, ()) if isinstance(encoding, str) else ()),
        ("channel", channel, (None, *CHANNELS)),
    ):
        if found not in expected:
            raise ValueError(f"{where}: {key} {found!r:.80}, expected one of {', '.join(map(str, expected))}")
    if any(type(number) not in (int, float) or not np.isfinite(number) for number in numbers) or numbers[0] == 0:
        raise ValueError(f"{where}: scale and offset {numbers!s:.80}, expected finite numbers, the scale not 0")
    if type(hole) is not int and hole is not None:
        raise ValueError(f"{where}: hole {hole!r:.80}, expected the number that means no measurement, or null")
    if type(first_class) is not int or not 0 <= first_class < UNLABELLED:
        raise ValueError(f"{where}: first_class {first_class!r:.80}, expected 0 to {UNLABELLED - 1}")
    if mapping is not None and not (
        isinstance(mapping, dict) and mapping and all(type(v) is int for pair in mapping.items() for v in pair)
    ):
        raise ValueError(f"{where}: map {mapping!r:.80}, expected whole numbers to classes")
    if mapping is not None and "first_class" in entries:
        raise ValueError(f"{where}: first_class and map, expected one of them")
    path = _path(entries["path"], where)
    if not path.parts:
        raise ValueError(f"{where}: path {path.text!r:.80} names no part, expected one such as {{stem}}")
    scale, offset = map(float, numbers)
    return ImageFormat(path, stored_type, channel, encoding, scale, offset, hole, first_class, mapping)


def _path(text: object, where: str) -> PathPattern:
    if not isinstance(text, str):
        raise ValueError(f"{where}: path {text!r:.80}, expected text")
    try:
        return PathPattern(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
