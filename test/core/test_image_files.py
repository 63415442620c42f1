"""Sizes of image files by their headers, which are compared before anything is decoded."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from gemini_ros.core.frames import FrameError
from gemini_ros.core.image_files import decode_image_file, image_file_size, other_image_size

RGB = np.random.default_rng(0).integers(0, 255, (37, 91, 3), np.uint8)


def encoded(suffix: str, image: np.ndarray, *options: int) -> np.ndarray:
    done, data = cv2.imencode(suffix, image, options)
    assert done
    return data.ravel()


@pytest.mark.parametrize(
    "data",
    [
        encoded(".ppm", RGB),
        encoded(".pgm", RGB[..., 0]),
        encoded(".bmp", RGB),
        encoded(".webp", RGB, cv2.IMWRITE_WEBP_QUALITY, 50),
        encoded(".webp", RGB, cv2.IMWRITE_WEBP_QUALITY, 101),
        encoded(".webp", np.dstack([RGB, RGB[..., 0]]), cv2.IMWRITE_WEBP_QUALITY, 50),
        np.frombuffer(b"P5\n# by hand\n91 37\n255\n", np.uint8),
    ],
    ids=["ppm", "pgm", "bmp", "webp", "webp lossless", "webp alpha", "comment"],
)
def test_sizes_of_other_formats(data: np.ndarray):
    assert other_image_size(data) == (91, 37)


@pytest.mark.parametrize("data", [b"", b"BM", b"RIFFxxxxWEBPVP8 ", b"P5 99999999999 1 ", b"GIF"])
def test_without_a_header_there_is_no_size(data: bytes):
    assert other_image_size(np.frombuffer(data, np.uint8)) is None


BIG_ENDIAN = b"MM\0*\0\0\0\x08\0\x02\x01\0\0\x03\0\0\0\1\0\x5b\0\0\x01\1\0\x04\0\0\0\1\0\0\0\x25"


@pytest.mark.parametrize(
    "data",
    [encoded(".tiff", RGB), encoded(".tiff", RGB[..., 0].astype(np.float32)), np.frombuffer(BIG_ENDIAN, np.uint8)],
    ids=["colour", "float", "big endian"],
)
def test_sizes_of_tiff(data: np.ndarray):
    assert image_file_size(data) == ("TIFF", (91, 37))


def test_a_tiff_whose_tiles_are_huge_is_refused():
    entries = ((256, 8), (257, 8), (322, 40000), (323, 40000))
    directory = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries)
    data = np.frombuffer(struct.pack("<2sHIH", b"II", 42, 8, 4) + directory + bytes(8), np.uint8)
    with pytest.raises(FrameError, match=r"TIFF image of 8x8 takes 256000\d{5} bytes"):
        decode_image_file(data, color=False)


def png_header(width: int, height: int, depth: int, color_type: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


PROGRESSIVE = b"\xff\xd8\xff\xc2\x00\x11\x08" + struct.pack(">HH", 8000, 8000) + bytes(20) + b"\xff\xd9"


@pytest.mark.parametrize(
    ("data", "needed"),
    [
        (png_header(8000, 8000, 16, 6), 1_408_000_000),
        (png_header(8000, 8000, 16, 0), 1_024_000_000),
        (png_header(8000, 8000, 8, 0), 384_000_000),
        (PROGRESSIVE, 896_000_000),
    ],
    ids=["16-bit colours", "depth", "labels", "progressive"],
)
def test_what_takes_much_memory_to_decode_is_refused(data: bytes, needed: int):
    with pytest.raises(FrameError, match=f"of 8000x8000 takes {needed} bytes to decode, expected at most 268435456"):
        decode_image_file(np.frombuffer(data, np.uint8), color=False)


def test_colours_are_held_twice_on_the_way():
    data = np.frombuffer(png_header(8000, 8000, 8, 2), np.uint8)
    with pytest.raises(FrameError, match="takes 384000000 bytes to decode, expected at most 268435456"):
        decode_image_file(data, color=True)
