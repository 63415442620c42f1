"""Depth in run lengths and variable-length differences, as ``compressedDepth rvl`` holds it.

Source: Wilson, "Fast Lossless Depth Image Compression", ISS 2017. Words of 32 bits, little-endian, hold eight nibbles
each, the highest first. A nibble is three bits of a number, the lowest of them first, and a top bit that says whether
more follow. The numbers are: how many zeros, how many other pixels, for each of these its difference to the one before
(0, -1, 1, -2, ... as 0, 1, 2, 3, ...), and so on to the last pixel.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import FrameError
from gemini_ros.core.image_files import MAX_BYTES, MEASURED_BYTES

_SIZE = struct.Struct("<ii")  # columns and rows, before the words
_MOST_PIXELS = MAX_BYTES // (3 + MEASURED_BYTES)  # uint16 and where it is measured, then metres
_MOST_NIBBLES = 10  # of a number: a run as long as ``_MOST_PIXELS`` has eight


def rvl_size(data: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """(width, height) of RVL ``data`` (uint8 (N,)). Raises ``FrameError`` where it is too short for that."""
    if len(data) < _SIZE.size:
        raise FrameError(f"RVL depth of {len(data)} bytes, expected a size and pixels: it is truncated")
    width, height = _SIZE.unpack_from(data.data)
    return width, height


def decode_rvl(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    """The image uint16 (H, W). Raises ``FrameError`` for data of another size than they claim, or too large."""
    width, height = rvl_size(data)
    what = f"RVL depth of {width}x{height}"
    if width <= 0 or height <= 0 or width * height > _MOST_PIXELS:
        raise FrameError(f"{what}, expected a positive size of at most {_MOST_PIXELS} pixels")
    numbers = _numbers(data[_SIZE.size :])
    runs, differences, left = [], [], width * height
    at, known = 0, numbers.tolist()
    while left > 0 and at + 1 < len(known):
        zeros, others = known[at : at + 2]
        differences.append(numbers[at + 2 : at + 2 + others])
        runs += [zeros, others]
        at += 2 + others
        left -= zeros + others
    if left or at > len(known):
        raise FrameError(f"{what}: its {len(data)} bytes hold another number of pixels: it is truncated or corrupt")
    coded = np.concatenate(differences)
    image = np.zeros(width * height, np.uint16)
    measured = np.repeat(np.tile((False, True), len(differences)), runs)
    image[measured] = np.cumsum((coded >> 1) ^ -(coded & 1), dtype=np.int64) & 0xFFFF
    return image.reshape(height, width)


def _numbers(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """All numbers in the words; those that padding makes come last."""
    octets = data[: len(data) // 4 * 4].view("<u4").byteswap().view(np.uint8)
    nibbles = np.empty(2 * len(octets), np.uint8)
    nibbles[0::2], nibbles[1::2] = octets >> 4, octets & 15
    ends = np.flatnonzero(nibbles < 8)
    lengths = np.diff(ends, prepend=-1)
    if len(ends) and lengths.max() > _MOST_NIBBLES:
        raise FrameError(f"RVL depth with a number of {lengths.max()} nibbles: it is corrupt")
    numbers = nibbles[ends].astype(np.int32)
    for place in range(1, int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        numbers[longer] = numbers[longer] << 3 | nibbles[ends[longer] - place] & 7
    return numbers
