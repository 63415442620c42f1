"""Image files of a data set: the numbers they store, and what those are in the units of a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gemini_ros.core.files import read_file
from gemini_ros.core.frames import FrameError
from gemini_ros.core.image_files import decode_image_file
from gemini_ros.datasets.layout import CHANNELS, ImageFormat


def read_stored(path: Path, kind: str, image: ImageFormat) -> np.ndarray:
    """The stored numbers of a PNG or JPEG file: uint8 (H, W, 3) in RGB order, or (H, W) of ``stored_type``.

    ``24_bits_rgb`` gives uint32 (H, W). Of a PNG with a palette or of few bits, its numbers count. Raises
    ``ValueError`` naming the file, what was found and what was expected.
    """
    try:
        data = read_file(path)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    try:
        if kind == "rgb":
            return decode_image_file(np.frombuffer(data, np.uint8), color=True)
        values = decode_image_file(np.frombuffer(data, np.uint8), color=False, indices=True)
    except FrameError as error:
        raise ValueError(f"{path}: unreadable: {error}") from error
    return _numbers(path, kind, values, image)


def decoded(kind: str, stored: np.ndarray, image: ImageFormat, classes: np.ndarray) -> np.ndarray:
    """Stored numbers in the units of a frame: RGB and confidence as they are; metres and degrees Celsius float32 with
    NaN holes; labels uint8 by the table ``classes`` (``ImageFormat.class_table``). Raises ``ValueError`` for numbers
    that are no class.
    """
    if kind in ("rgb", "confidence"):
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
