"""Image files of a data set: the numbers they store, and what those are in the units of a frame."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from gemini_ros.core.files import read_file
from gemini_ros.core.frames import FrameError
from gemini_ros.core.image_files import decode_image_file
from gemini_ros.datasets.layout import CHANNELS, ImageFormat

_PNG_HEADER = struct.Struct(">8sI4sIIBB")  # signature, length and name of the chunk, width, height, depth, colour type
_PNG_PALETTE, _PNG_GREY = 3, 0
_PNG_FIXED = 33  # bytes of signature and header chunk


def read_stored(path: Path, kind: str, image: ImageFormat) -> np.ndarray:
    """The stored numbers of a PNG or JPEG file: uint8 (H, W, 3) in RGB order, or (H, W) of ``stored_type``.

    ``24_bits_rgb`` gives uint32 (H, W). Of a PNG with a palette, the indices count. Raises ``ValueError`` naming the
    file, what was found and what was expected.
    """
    try:
        data = read_file(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    try:
        if kind == "rgb":
            return decode_image_file(np.frombuffer(data, np.uint8), color=True)
        data, unit = _indices_as_grey(data)
        values = decode_image_file(np.frombuffer(data, np.uint8), color=False)
    except FrameError as error:
        raise ValueError(f"{path}: unreadable: {error}") from error
    return _numbers(path, kind, values // unit if unit > 1 else values, image)


def decoded(kind: str, stored: np.ndarray, image: ImageFormat, classes: np.ndarray) -> np.ndarray:
    """Stored numbers in the units of a frame: RGB as it is; metres and degrees Celsius float32 with NaN holes; labels
    uint8 by the table ``classes`` (``ImageFormat.class_table``). Raises ``ValueError`` for numbers that are no class.
    """
    if kind == "rgb":
        return np.array(stored)
    if kind == "labels":
        labels = classes[stored]
        if (labels < 0).any():
            wrong = np.unique(stored[labels < 0])
            right = np.flatnonzero((classes >= 0) & (np.arange(len(classes)) != 255))
            raise ValueError(
                f"labels {wrong[:8].tolist()}, expected {right.min()} to {right.max()}, or 255 for unlabelled: is it "
                "of another label set?"
            )
        return labels.astype(np.uint8)
    values = (stored * np.float32(image.scale) + np.float32(image.offset)).astype(np.float32, copy=False)
    if image.hole is not None:
        values[stored == image.hole] = np.nan
    return values


def _numbers(path: Path, kind: str, values: np.ndarray, image: ImageFormat) -> np.ndarray:
    """The one number per pixel that ``image`` says a file holds."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    found = f"{values.dtype}, {channels} per pixel"
    if values.dtype != image.stored_type:
        cure = ": a picture of the depth, not the depth itself?" if kind == "depth" and values.dtype == np.uint8 else ""
        raise ValueError(f"{path}: {found}; expected {kind} as {image.stored_type}{cure}")
    if image.encoding == "24_bits_rgb":
        if values.ndim != 3 or values.shape[2] < 3:
            raise ValueError(f"{path}: {found}; expected {kind} as 24 bits in red, green and blue")
        number = values[..., CHANNELS["blue"]].astype(np.uint32)
        for name in ("green", "red"):
            number <<= 8
            number |= values[..., CHANNELS[name]]
        return number
    if image.channel is not None and values.ndim == 3:
        index = CHANNELS[image.channel]
        if index >= values.shape[2]:
            raise ValueError(f"{path}: {found}; expected {kind} in the {image.channel} channel")
        values = np.ascontiguousarray(values[..., index])
    # Grey images are often stored as three equal channels.
    if values.ndim == 3 and (values[..., :3] == values[..., :1]).all():
        values = np.ascontiguousarray(values[..., 0])
    if values.ndim != 2:
        cure = ": write class ids, not colours" if kind == "labels" else ""
        raise ValueError(f"{path}: {found}; expected one number per pixel{cure}")
    return (values >> 3) | (values << 13) if image.encoding == "rotated_3_bits" else values


def _indices_as_grey(data: bytes) -> tuple[bytes, int]:
    """A PNG with a palette as the grey PNG of its indices, and by how much a decoder multiplies these.

    Decoders give a palette's colours; label images use one only for show.
    """
    if len(data) < _PNG_FIXED or not data.startswith(b"\x89PNG"):
        return data, 1
    *_, depth, color_type = _PNG_HEADER.unpack_from(data)
    if color_type != _PNG_PALETTE or depth not in (1, 2, 4, 8):
        return data, 1
    header = bytearray(data[12 : _PNG_FIXED - 4])
    header[13] = _PNG_GREY
    pixels = _PNG_FIXED
    while data[pixels + 4 : pixels + 8] not in (b"IDAT", b""):  # the palette and what belongs to it come before
        pixels += 12 + int.from_bytes(data[pixels : pixels + 4], "big")
    grey = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[pixels:]
    return grey, 255 // ((1 << depth) - 1)
