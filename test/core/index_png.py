"""PNG files of few bits per pixel, which OpenCV cannot write."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def index_png(numbers: np.ndarray, depth: int, color_type: int = 3) -> bytes:
    """A PNG of 1, 2, 4 or 8 bits with a palette (colour type 3), in which two indices share a colour, or grey (0)."""
    height, width = numbers.shape
    bits = np.unpackbits(numbers[..., None], axis=-1)[..., 8 - depth :].reshape(height, -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    colors = bytes((7 * (i // 2)) % 256 for i in range(3 * 2**depth))
    palette = [(b"PLTE", colors), (b"tRNS", b"\x80")] if color_type == 3 else [(b"tRNS", b"\0\1")]
    chunks = [(b"IHDR", header), *palette, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*entry) for entry in chunks)
