"""PNG, JPEG and TIFF: size and completeness of untrusted data are checked before they are decoded; our own encoded."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core import tiff
from gemini_ros.core.frames import FrameError

MAX_PIXELS = 64 * 1024 * 1024
"""Larger images are refused before anything is allocated."""
MAX_BYTES = 1 << 28
"""So are those that take more to decode: 16-bit colours, or progressive JPEG, which is held whole as coefficients."""
MAX_OTHER_PIXELS = 16 * 1024 * 1024
"""The same for other formats, whose pixels may have 16 bytes (four float32)."""

JPEG_START = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_END = b"\xff\xd9"
_PNM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s")
_JPEG_PROGRESSIVE = 0xC2
# Colours and their swapped copy; float32 with what it is computed from on the way; an index with its table's values.
_COLOR_BYTES, MEASURED_BYTES, _LABEL_BYTES = 6, 14, 5
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; OpenCV gives a palette's colours
_PNG_GREY, _PNG_PALETTE = 0, 3
_PNG_FIXED = 33  # bytes of signature and header chunk
_JPEG_SCAN = 0xDA


def decode_image_file(data: npt.NDArray[np.uint8], *, color: bool, indices: bool = False) -> np.ndarray:
    """Decode PNG, JPEG or TIFF ``data`` (uint8 (N,)), told apart by content.

    ``color``: uint8 (H, W, 3) in RGB order, whatever is stored; else the stored values: uint8, uint16 or float32,
    (H, W) or (H, W, C). ``indices``, for labels: the indices of a PNG with a palette, not its colours, and the numbers
    of one with 1, 2 or 4 bits, not shades of 8. Raises ``FrameError`` for data of another kind, too large, truncated or
    corrupt.
    """
    kind, (width, height) = image_file_size(data)
    what = f"{kind} image of {width}x{height}"
    if width <= 0 or height <= 0 or width * height > MAX_PIXELS:
        raise FrameError(f"{what}, expected a positive size of at most {MAX_PIXELS} pixels")
    if (needed := _decoding_bytes(kind, data, color)) > MAX_BYTES:
        raise FrameError(f"{what} takes {needed} bytes to decode, expected at most {MAX_BYTES}")
    _CHECKS[kind](data, what)
    data, unit = _indices_as_grey(data) if indices and kind == "PNG" else (data, 1)
    # A camera's image is taken as it lies on the sensor, whatever an EXIF tag says.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION if color else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise FrameError(f"{what} cannot be decoded: {error.err}") from error
    if image is None:
        raise FrameError(f"{what} cannot be decoded: its {len(data)} bytes are corrupt")
    if image.shape[:2] != (height, width):
        raise FrameError(f"{what} by its header decodes to {image.shape[1]}x{image.shape[0]}: it is corrupt")
    if color:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
    return image // unit if unit > 1 else image


def encode_image_file(image: np.ndarray, suffix: str, *options: int) -> bytes:
    """``image`` as a PNG or JPEG file: uint8 (H, W, 3) in RGB order, or uint8 or uint16 (H, W).

    ``suffix`` is ``.png`` or ``.jpg``; ``options`` are ``cv2.imencode``'s. Raises ``ValueError`` for other arrays.
    """
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, data = cv2.imencode(suffix, stored, options)
    if not done:
        raise ValueError(f"{image.dtype} {image.shape} cannot be encoded as {suffix}")
    return data.tobytes()


def image_file_size(data: npt.NDArray[np.uint8]) -> tuple[str, tuple[int, int]]:
    """("PNG", "JPEG" or "TIFF", (width, height)) from the header alone."""
    start = data[:24].tobytes()
    if start.startswith(_PNG):
        if len(start) < 24 or start[12:16] != b"IHDR":
            raise FrameError(f"PNG image of {len(data)} bytes without a header: it is truncated or corrupt")
        width, height = struct.unpack(">II", start[16:])
        return "PNG", (width, height)
    if start.startswith(JPEG_START):
        return "JPEG", _jpeg_frame(data)[1:3]
    if start.startswith(tiff.STARTS):
        header = tiff.read_tiff_header(data)
        if header is None:
            raise FrameError(f"TIFF image of {len(data)} bytes without a directory: it is truncated or corrupt")
        return "TIFF", header.size
    raise FrameError(f"compressed image starts with bytes {start[:8].hex(' ')}, expected JPEG, PNG or TIFF data")


def other_image_size(data: npt.NDArray[np.uint8]) -> tuple[int, int] | None:
    """(width, height) from the header of a PNM, BMP or WebP file; ``None`` where it has none."""
    start = data[:4096].tobytes()
    if found := _PNM.match(start):
        return int(found[1]), int(found[2])
    try:
        if start.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", start, 18)
            return abs(width), abs(height)
        if start.startswith(b"RIFF") and start[8:15] == b"WEBPVP8":
            return _webp_size(start)
    except struct.error:
        pass
    return None


def _webp_size(start: bytes) -> tuple[int, int]:
    """By the three kinds of its first chunk (RFC 9649, 2.5 to 2.7)."""
    if start[15:16] == b"X":
        return 1 + int.from_bytes(start[24:27], "little"), 1 + int.from_bytes(start[27:30], "little")
    if start[15:16] == b"L":
        bits = int.from_bytes(start[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", start, 26)
    return width & 0x3FFF, height & 0x3FFF


def _decoding_bytes(kind: str, data: npt.NDArray[np.uint8], color: bool) -> int:
    """Memory that decoding takes, with what follows it."""
    width, height = image_file_size(data)[1]
    if kind != "TIFF":
        return width * height * _pixel_bytes(kind, data, color)
    header = tiff.read_tiff_header(data)  # whatever the type: four values of float32 at most
    return 16 * (header.unpacked if header else 0) + width * height * (_COLOR_BYTES if color else MEASURED_BYTES)


def _pixel_bytes(kind: str, data: npt.NDArray[np.uint8], color: bool) -> int:
    """Memory for a pixel while it is decoded, and while the numbers that it holds become metres, degrees or labels."""
    if kind == "JPEG":
        decoded = 9 if _jpeg_frame(data)[0] == _JPEG_PROGRESSIVE else 3
        return max(decoded, _COLOR_BYTES) if color else decoded + _LABEL_BYTES
    if color:
        return _COLOR_BYTES
    depth, color_type = _png_type(data)
    channels = _PNG_CHANNELS.get(color_type, 4)
    return 2 * channels + MEASURED_BYTES if depth > 8 else channels + _LABEL_BYTES


def _png_type(data: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Bits of a value, and the colour type."""
    return (int(data[24]), int(data[25])) if len(data) > 25 else (0, 0)


def _jpeg_frame(data: npt.NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Marker, width and height of the first start-of-frame segment (ITU-T T.81, B.2.2), and where the next one starts.

    Stricter than decoders are about what may stand before it, so that none finds another frame than this one.
    """
    for marker, at, after in _jpeg_segments(data):
        # C0-CF are frames, but for the tables C4 and CC and the extension C8.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data.data, at + 5)
            return marker, width, height, after
    raise FrameError(f"JPEG image of {len(data)} bytes without a frame header: it is truncated or corrupt")


def _jpeg_segments(data: npt.NDArray[np.uint8], at: int = 2) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment, up to what is none; the pixels of a scan are none."""
    view = data.data
    while at + 4 <= len(view):
        marker = view[at + 1]
        if view[at] != 0xFF or marker <= 0x01 or 0xD0 <= marker <= 0xD9:
            return
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        after = at + 2 + struct.unpack_from(">H", view, at + 2)[0]
        yield marker, at, after
        at = after


def _check_jpeg_end(data: npt.NDArray[np.uint8], what: str) -> None:
    """The pixels of the first scan are followed by an end marker, and that by any padding.

    Within a scan FF comes before 00 and restart markers only, so the first end marker is that of the image. That of a
    thumbnail stands before the frame.
    """
    for marker, _, after in _jpeg_segments(data, _jpeg_frame(data)[3]):
        if marker == _JPEG_SCAN and data[after:].tobytes().find(_JPEG_END) >= 0:
            return
    raise FrameError(f"{what} is truncated: its {len(data)} bytes hold no end marker")


def _check_tiff_parts(data: npt.NDArray[np.uint8], what: str) -> None:
    header = tiff.read_tiff_header(data)
    if header is None or not header.complete:
        raise FrameError(f"{what} is truncated: its directory names pixels beyond its {len(data)} bytes")


def _check_png_chunks(data: npt.NDArray[np.uint8], what: str) -> None:
    """Every chunk is complete with a right CRC, up to IEND; decoders differ in what they let pass."""
    view = data.data
    at = len(_PNG)
    while at + 12 <= len(view):
        length, kind = struct.unpack_from(">I4s", view, at)
        end = at + 12 + length
        if end > len(view):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", view, end - 4)[0]:
            raise FrameError(f"{what} is corrupt: wrong checksum at byte {end - 4}")
        if kind == b"IEND":
            return
        at = end
    raise FrameError(f"{what} is truncated: its {len(view)} bytes hold no end chunk")


def _indices_as_grey(data: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], int]:
    """A PNG of few bits or with a palette as the grey PNG of its numbers, and by how much a decoder multiplies these.

    Decoders give a palette's colours, and stretch 1, 2 and 4 bits to 8; label images use both for show and size alone.
    """
    depth, color_type = _png_type(data)
    if (
        depth not in (1, 2, 4, 8)
        or (color_type, depth) == (_PNG_GREY, 8)
        or color_type not in (_PNG_GREY, _PNG_PALETTE)
    ):
        return data, 1
    view = data.data
    header = bytearray(view[12 : _PNG_FIXED - 4])
    header[13] = _PNG_GREY
    pixels = _PNG_FIXED
    while view[pixels + 4 : pixels + 8] not in (b"IDAT", b""):  # the palette and what belongs to it come before
        pixels += 12 + int.from_bytes(view[pixels : pixels + 4], "big")
    grey = b"".join((view[:12], header, struct.pack(">I", zlib.crc32(header)), view[pixels:]))
    return np.frombuffer(grey, np.uint8), 255 // ((1 << depth) - 1)


_CHECKS = {"PNG": _check_png_chunks, "JPEG": _check_jpeg_end, "TIFF": _check_tiff_parts}
