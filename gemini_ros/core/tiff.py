"""TIFF files by their first directory (TIFF 6.0, section 2), before a decoder sees them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STARTS = (b"II*\0", b"MM\0*")
_TYPES = {1: "B", 3: "H", 4: "I"}
_SIDES = ((256, 257), (322, 323))  # tags of width and height, of the image and of its tiles
_PARTS = ((273, 279), (324, 325))  # tags of offsets and byte counts, of strips and of tiles
_MOST_PARTS = 1 << 16


@dataclass(frozen=True)
class TiffHeader:
    """``size`` (width, height); ``unpacked`` pixels, of the image or of a tile if that is larger, as tiles are unpacked
    whole; ``complete`` where the file holds all the bytes that the directory names."""

    size: tuple[int, int]
    unpacked: int
    complete: bool


def read_tiff_header(data: npt.NDArray[np.uint8]) -> TiffHeader | None:
    """The header of TIFF ``data`` (uint8 (N,)); ``None`` where it has no directory."""
    try:
        tags = _first_directory(data)
    except struct.error:
        return None
    sides = [(tags.get(wide, (0,))[0], tags.get(high, (0,))[0]) for wide, high in _SIDES]
    parts = [
        offset + count
        for offsets, counts in _PARTS
        for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False)
    ]
    return TiffHeader(sides[0], max(w * h for w, h in sides), bool(parts) and max(parts) <= len(data))


def _first_directory(data: npt.NDArray[np.uint8]) -> dict[int, tuple[int, ...]]:
    """The tags of unsigned whole numbers. Raises ``struct.error`` where the data end too early."""
    view, order = data.data, "<" if data[0] == ord("I") else ">"
    (at,) = struct.unpack_from(f"{order}I", view, 4)
    (entries,) = struct.unpack_from(f"{order}H", view, at)
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", view, entry)
        if kind not in _TYPES or not 0 < count <= _MOST_PARTS:
            continue
        form, where = f"{order}{count}{_TYPES[kind]}", entry + 8
        if struct.calcsize(form) > 4:
            (where,) = struct.unpack_from(f"{order}I", view, where)
        tags[tag] = struct.unpack_from(form, view, where)
    return tags
