"""PNG and JPEG data: that of untrusted senders checked for size and completeness, then decoded; our own encoded."""

from __future__ import annotations

import re
import struct
import zlib

import cv2
import numpy as np
import numpy.typing as npt

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
_TIFF_SHORT, _TIFF_SIDES = 3, ((256, 257), (322, 323))  # width and height of the image, and of a tile
_JPEG_PROGRESSIVE = 0xC2
# Colours and their swapped copy; float32 with what it is computed from on the way; an index with its table's values.
_COLOR_BYTES, _MEASURED_BYTES, _LABEL_BYTES = 6, 14, 5
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; OpenCV gives a palette's colours
# Cameras may pad a JPEG behind its end marker; more than this is not padding.
_JPEG_PADDING = 1024


def decode_image_file(data: npt.NDArray[np.uint8], *, color: bool) -> np.ndarray:
    """Decode PNG or JPEG ``data`` (uint8 (N,)), told apart by content.

    ``color``: uint8 (H, W, 3) in RGB order, whatever is stored; else the stored values: uint8 or uint16,
    (H, W) or (H, W, C). Raises ``FrameError`` for data that is neither, too large, truncated or corrupt.
    """
    kind, (width, height) = image_file_size(data)
    what = f"{kind} image of {width}x{height}"
    if width <= 0 or height <= 0 or width * height > MAX_PIXELS:
        raise FrameError(f"{what}, expected a positive size of at most {MAX_PIXELS} pixels")
    if (needed := width * height * _pixel_bytes(kind, data, color)) > MAX_BYTES:
        raise FrameError(f"{what} takes {needed} bytes to decode, expected at most {MAX_BYTES}")
    if kind == "PNG":
        _check_png_chunks(data)
    elif data[-_JPEG_PADDING:].tobytes().rfind(_JPEG_END) < 0:
        raise FrameError(f"{what} is truncated: its {len(data)} bytes hold no end marker")
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
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image) if color else image


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
    """("PNG" or "JPEG", (width, height)) from the header alone."""
    start = data[:24].tobytes()
    if start.startswith(_PNG):
        if len(start) < 24 or start[12:16] != b"IHDR":
            raise FrameError(f"PNG image of {len(data)} bytes without a header: it is truncated or corrupt")
        width, height = struct.unpack(">II", start[16:])
        return "PNG", (width, height)
    if start.startswith(JPEG_START):
        return "JPEG", _jpeg_frame(data)[1]
    raise FrameError(f"compressed image starts with bytes {start[:8].hex(' ')}, expected JPEG or PNG data")


def other_image_size(data: npt.NDArray[np.uint8]) -> tuple[int, int] | None:
    """(width, height) from the header of a PNM, BMP, WebP or TIFF file; ``None`` where it has none.

    Of a TIFF the largest of the image and its tiles, which are unpacked whole.
    """
    start = data[:4096].tobytes()
    if found := _PNM.match(start):
        return int(found[1]), int(found[2])
    try:
        if start.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", start, 18)
            return abs(width), abs(height)
        if start.startswith(b"RIFF") and start[8:15] == b"WEBPVP8":
            return _webp_size(start)
        if start[:4] in (b"II*\0", b"MM\0*"):
            return _tiff_size(data)
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


def _tiff_size(data: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """By the tags of its first directory (TIFF 6.0, section 2)."""
    view, order = data.data, "<" if data[0] == ord("I") else ">"
    (at,) = struct.unpack_from(f"{order}I", view, 4)
    (count,) = struct.unpack_from(f"{order}H", view, at)
    sides = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", view, entry)
        (sides[tag],) = struct.unpack_from(f"{order}{'H' if kind == _TIFF_SHORT else 'I'}", view, entry + 8)
    pairs = ((sides.get(wide, 0), sides.get(high, 0)) for wide, high in _TIFF_SIDES)
    return max(pairs, key=lambda pair: pair[0] * pair[1])


def _pixel_bytes(kind: str, data: npt.NDArray[np.uint8], color: bool) -> int:
    """Memory for a pixel while it is decoded, and while the numbers that it holds become metres, degrees or labels."""
    if kind == "JPEG":
        decoded = 9 if _jpeg_frame(data)[0] == _JPEG_PROGRESSIVE else 3
        return max(decoded, _COLOR_BYTES) if color else decoded + _LABEL_BYTES
    depth, color_type = int(data[24]) if len(data) > 25 else 0, int(data[25]) if len(data) > 25 else 0
    if color:
        return _COLOR_BYTES
    channels = _PNG_CHANNELS.get(color_type, 4)
    return 2 * channels + _MEASURED_BYTES if depth > 8 else channels + _LABEL_BYTES


def _jpeg_frame(data: npt.NDArray[np.uint8]) -> tuple[int, tuple[int, int]]:
    """Marker and (width, height) of the first start-of-frame segment (ITU-T T.81, B.2.2).

    Stricter than decoders are about what may stand before it, so that none finds another frame than this one.
    """
    view = data.data
    at = 2
    while at + 9 <= len(view):
        marker = view[at + 1]
        if view[at] != 0xFF or marker <= 0x01 or 0xD0 <= marker <= 0xD9:
            break
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        # C0-CF are frames, but for the tables C4 and CC and the extension C8.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", view, at + 5)
            return marker, (width, height)
        at += 2 + struct.unpack_from(">H", view, at + 2)[0]
    raise FrameError(f"JPEG image of {len(data)} bytes without a frame header: it is truncated or corrupt")


def _check_png_chunks(data: npt.NDArray[np.uint8]) -> None:
    """Every chunk is complete with a right CRC, up to IEND; decoders differ in what they let pass."""
    view = data.data
    at = len(_PNG)
    while at + 12 <= len(view):
        length, kind = struct.unpack_from(">I4s", view, at)
        end = at + 12 + length
        if end > len(view):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", view, end - 4)[0]:
            raise FrameError(f"PNG image of {len(view)} bytes is corrupt: wrong checksum at byte {end - 4}")
        if kind == b"IEND":
            return
        at = end
    raise FrameError(f"PNG image of {len(view)} bytes is truncated: no end chunk")
