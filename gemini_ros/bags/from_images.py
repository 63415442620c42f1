"""A bag from folders of images: real data sets through the same commands as a robot's recording."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagError
from gemini_ros.bags.topics import COLOR_FRAME, DEFAULT_TOPICS, NOTES_TOPIC
from gemini_ros.bags.writer import BagWriter
from gemini_ros.core.encodings import CENTIKELVIN_OFFSET
from gemini_ros.core.files import read_file
from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.core.image_files import JPEG_START, MAX_OTHER_PIXELS, decode_image_file, other_image_size

START_NS = 1_700_000_000_000_000_000
"""Stamp of the first frame: fixed, so that equal images make equal bags."""

_CHECKED_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_SUFFIXES = (*_CHECKED_SUFFIXES, ".pgm", ".ppm", ".bmp", ".webp")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Units:
    """What the values of the files mean.

    Depth in metres = value / ``depth_per_metre``, 0 = none. Degrees Celsius = ``thermal_scale`` value +
    ``thermal_offset``, 0 of 16 bits = none; 8-bit images need both given. ``None``: the files hold centi-Kelvin.
    """

    depth_per_metre: float = 1000.0
    thermal_scale: float | None = None
    thermal_offset: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.depth_per_metre < np.inf:
            raise BagError(f"depth units per metre {self.depth_per_metre}, expected a positive number such as 1000")
        if (self.thermal_scale is None) != (self.thermal_offset is None):
            raise BagError("thermal scale and offset belong together: give both, or none for centi-Kelvin")


@dataclass(frozen=True)
class ImageBag:
    """What the bag ``path`` was made of: images per stream, their common (width, height), notes stored with them."""

    path: Path
    frames: int
    images: Mapping[str, int]
    size: tuple[int, int]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """One line: frames, their size, images per stream."""
        images = ", ".join(f"{count} {stream}" for stream, count in self.images.items())
        width, height = self.size
        return [f"{self.path}: {self.frames} frames of {width}x{height}: {images}"]


def bag_from_images(
    out: str | Path,
    folders: Mapping[str, str | Path],
    *,
    fps: float,
    intrinsics: tuple[float, float, float, float],
    units: Units = Units(),
    allow_unpaired: bool = False,
) -> ImageBag:
    """Write the images of ``folders`` (``rgb``, and any of ``depth``, ``thermal``, ``labels``) to the bag ``out``.

    Images belong together by file stem and follow each other in natural order (2 before 10), ``fps`` per second, on
    the topics of ``Topics``. ``intrinsics`` are fx, fy, cx, cy in pixels of the one size that all images must have.
    RGB that is JPEG is stored as it is, other RGB as PNG; depth as millimetres (``16UC1``), thermal as centi-Kelvin
    (``mono16``), labels as they are, in PNG.

    Raises ``BagError`` naming the file and the cure: a stem that a stream lacks (unless ``allow_unpaired``), another
    size, another type, an image that cannot be read.
    """
    if not 0 < fps < np.inf:
        raise BagError(f"{fps} frames per second, expected a positive number")
    if "rgb" not in folders or set(folders) - set(DEFAULT_TOPICS.images()):
        raise BagError(f"folders for {', '.join(folders) or 'nothing'}, expected rgb and any of depth, thermal, labels")
    files = {stream: _image_files(Path(folder)) for stream, folder in folders.items()}
    stems = _paired_stems(files, folders, allow_unpaired)
    first = _read(next(iter(files["rgb"].values())), "rgb")
    camera = _camera(first, intrinsics)
    notes: list[str] = []
    with BagWriter(out, transient_local=[NOTES_TOPIC]) as bag:
        for index, stem in enumerate(stems):
            stamp_ns = START_NS + round(index * 1_000_000_000 / fps)
            for stream in (stream for stream in files if stem in files[stream]):
                file = _read(files[stream][stem], stream)
                _require_size_of(first, file)
                _write(bag, stream, _message(file, stream, units, stamp_ns), camera, stamp_ns)
                if (note := _note(file, stream, units)) and note not in notes:
                    _LOG.warning(note)
                    bag.write(NOTES_TOPIC, messages.string(note), stamp_ns)
                    notes.append(note)
    counts = {stream: len(found) for stream, found in files.items()}
    return ImageBag(Path(out), len(stems), counts, (camera.width, camera.height), tuple(notes))


@dataclass(frozen=True)
class _File:
    path: Path
    data: bytes
    values: np.ndarray

    @property
    def size(self) -> str:
        return f"{self.values.shape[1]}x{self.values.shape[0]}"


def _image_files(folder: Path) -> dict[str, Path]:
    """The images of a folder by stem, in natural order."""
    if not folder.is_dir():
        raise BagError(f"{folder}: not a folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: _natural(path.name)):
        if path.suffix.lower() not in _SUFFIXES:
            continue
        if path.stem in found:
            raise BagError(f"{folder}: {found[path.stem].name} and {path.name} have one stem: keep one of them")
        found[path.stem] = path
    if not found:
        raise BagError(f"{folder}: no images, expected files {', '.join('*' + suffix for suffix in _SUFFIXES)}")
    return found


def _natural(text: str) -> list[tuple[int, int, str]]:
    """A key that sorts frame2 before frame10."""
    parts = re.findall(r"(\d+)|(\D+)", text)
    return [(0, int(digits), digits) if digits else (1, 0, other) for digits, other in parts]


def _paired_stems(
    files: Mapping[str, Mapping[str, Path]], folders: Mapping[str, str | Path], allow_unpaired: bool
) -> list[str]:
    stems = sorted(set().union(*files.values()), key=_natural)
    for stream, found in files.items():
        missing = [stem for stem in stems if stem not in found]
        if missing and not allow_unpaired:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise BagError(
                f"{stream} has no image {missing[0]!r}{more} in {folders[stream]}: rename the files so that images of "
                "one instant have one stem, or allow unpaired ones (--allow-unpaired)"
            )
    return stems


def _read(path: Path, stream: str) -> _File:
    """Read an image; PNG, JPEG and TIFF with all checks that a message gets, other formats as OpenCV reads them."""
    data = read_file(path)
    array, color = np.frombuffer(data, np.uint8), stream == "rgb"
    try:
        if path.suffix.lower() in _CHECKED_SUFFIXES:
            values = decode_image_file(array, color=color, indices=stream == "labels")
        else:
            values = _decode_other(array, color=color)
    except (FrameError, cv2.error) as error:
        raise BagError(f"{path}: {error}") from error
    # Thermal cameras' and label tools' grey images are often stored as three equal channels.
    if stream != "rgb" and values.ndim == 3 and (values == values[..., :1]).all():
        values = np.ascontiguousarray(values[..., 0])
    return _File(path, data, values)


def _decode_other(data: npt.NDArray[np.uint8], *, color: bool) -> np.ndarray:
    size = other_image_size(data)
    if size is not None and not 0 < size[0] * size[1] <= MAX_OTHER_PIXELS:
        raise FrameError(f"image of {size[0]}x{size[1]}, expected at most {MAX_OTHER_PIXELS} pixels: store it as PNG")
    image = cv2.imdecode(data, cv2.IMREAD_COLOR if color else cv2.IMREAD_UNCHANGED) if size else None
    if image is None:
        raise FrameError("an image that cannot be decoded: it is empty, truncated or corrupt")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if color else image


def _camera(first: _File, intrinsics: tuple[float, float, float, float]) -> Intrinsics:
    height, width = first.values.shape[:2]
    try:
        return Intrinsics(width, height, *intrinsics)
    except ValueError as error:
        raise BagError(f"fx, fy, cx, cy = {intrinsics}: {error}") from error


def _require_size_of(first: _File, file: _File) -> None:
    if file.size != first.size:
        raise BagError(
            f"{file.path} is {file.size}, {first.path} is {first.size}: all images must be registered to one grid"
        )


def _message(file: _File, stream: str, units: Units, stamp_ns: int) -> Any:
    if stream == "rgb" and file.data.startswith(JPEG_START):
        return messages.compressed_image(file.data, messages.JPEG_FORMAT, stamp_ns, COLOR_FRAME)
    if stream == "rgb":
        return messages.png_image(file.values, "rgb8", stamp_ns, COLOR_FRAME)
    convert, encoding, types = {
        "depth": (_millimetres, "16UC1", ("uint16", "float32")),
        "thermal": (_centikelvin, "mono16", ("uint8", "uint16", "float32")),
        "labels": (lambda values, _: values, "mono8", ("uint8",)),
    }[stream]
    if file.values.ndim != 2 or file.values.dtype.name not in types:
        channels = 1 if file.values.ndim == 2 else file.values.shape[2]
        raise BagError(
            f"{file.path}: {stream} image of {channels} x {file.values.dtype} per pixel, expected one channel of "
            f"{' or '.join(types)}"
        )
    try:
        return messages.png_image(convert(file.values, units), encoding, stamp_ns, COLOR_FRAME)
    except ValueError as error:
        raise BagError(f"{file.path}: {error}") from error


def _millimetres(values: np.ndarray, units: Units) -> npt.NDArray[np.uint16]:
    return messages.to_uint16(values, 1000.0 / units.depth_per_metre)


def _centikelvin(values: np.ndarray, units: Units) -> npt.NDArray[np.uint16]:
    scale, offset = units.thermal_scale, units.thermal_offset
    if scale is None or offset is None:
        if values.dtype != np.uint16:
            raise BagError(
                f"thermal image of {values.dtype}, expected centi-Kelvin in 16 bits: say what a value is in degrees "
                "Celsius with --thermal-scale and --thermal-offset"
            )
        return values
    raw = messages.to_uint16(values, 100.0 * scale, 100.0 * (offset - CENTIKELVIN_OFFSET))
    return np.where(values == 0, 0, raw).astype(np.uint16) if values.dtype == np.uint16 else raw


def _note(file: _File, stream: str, units: Units) -> str | None:
    """What a reader of the bag must know about a file's values."""
    if stream != "thermal" or units.thermal_scale is None:
        return None
    formula = f"{units.thermal_scale:g} x value + {units.thermal_offset:g} degrees Celsius"
    if file.values.dtype == np.uint8:
        return f"thermal: pseudo-temperature {formula} of 8-bit images with automatic gain; not radiometric"
    return f"thermal: {formula} of {file.values.dtype} images"


def _write(bag: BagWriter, stream: str, message: Any, camera: Intrinsics, stamp_ns: int) -> None:
    bag.write(DEFAULT_TOPICS.images()[stream], message, stamp_ns)
    info = getattr(DEFAULT_TOPICS, f"{stream}_info", None)
    if info:
        bag.write(info, messages.camera_info(camera, stamp_ns, COLOR_FRAME), stamp_ns)
