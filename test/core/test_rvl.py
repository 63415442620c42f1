"""RVL against an encoder written from the paper, one pixel at a time."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gemini_ros.core.frames import FrameError
from gemini_ros.core.rvl import decode_rvl


def encode_rvl(image: np.ndarray) -> bytes:
    """``image`` uint16 (H, W) with its size before it, as compressed_depth_image_transport writes it."""
    nibbles: list[int] = []

    def put(number: int) -> None:
        while True:
            number, part = number >> 3, number & 7
            nibbles.append(part | (8 if number else 0))
            if not number:
                return

    pixels, at, before = [int(v) for v in image.ravel()], 0, 0
    while at < len(pixels):
        zeros = others = 0
        while at + zeros < len(pixels) and pixels[at + zeros] == 0:
            zeros += 1
        at += zeros
        while at + others < len(pixels) and pixels[at + others]:
            others += 1
        put(zeros)
        put(others)
        for value in pixels[at : at + others]:
            difference, before = value - before, value
            put(2 * difference if difference >= 0 else -2 * difference - 1)
        at += others
    nibbles += [0] * (-len(nibbles) % 8)
    words = b"".join(
        struct.pack("<I", sum(nibble << (28 - 4 * i) for i, nibble in enumerate(nibbles[start : start + 8])))
        for start in range(0, len(nibbles), 8)
    )
    return struct.pack("<ii", image.shape[1], image.shape[0]) + words


def data_of(encoded: bytes) -> np.ndarray:
    return np.frombuffer(encoded, np.uint8)


@given(
    hnp.arrays(
        np.uint16,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=13),
        elements=st.one_of(st.just(0), st.integers(0, 65535)),
    )
)
def test_what_was_encoded_comes_back(image: np.ndarray):
    np.testing.assert_array_equal(decode_rvl(data_of(encode_rvl(image))), image)


@pytest.mark.parametrize("value", [0, 1234], ids=["nothing measured", "one value"])
def test_long_runs(value: int):
    image = np.full((240, 320), value, np.uint16)
    np.testing.assert_array_equal(decode_rvl(data_of(encode_rvl(image))), image)


def test_a_stream_by_hand():
    """1 x 4 pixels 0 0 5 4: two zeros, two others, +5 as 10 = 2 1, -1 as 1."""
    data = struct.pack("<iiI", 4, 1, 0x22A11000)
    np.testing.assert_array_equal(decode_rvl(data_of(data)), [[0, 0, 5, 4]])


@given(st.binary(max_size=64))
def test_noise_is_a_frame_error_or_an_image(noise: bytes):
    data = data_of(struct.pack("<ii", 5, 3) + noise)
    with contextlib.suppress(FrameError):
        assert decode_rvl(data).shape == (3, 5)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((-1, 3), "of -1x3, expected a positive"),
        ((0, 0), "of 0x0"),
        ((2**31 - 1, 2**31 - 1), "expected a positive size of at most"),
        ((64, 48), "hold another number of pixels"),
        ((1, 1), "hold another number of pixels"),
    ],
)
def test_sizes_that_the_data_do_not_have(size: tuple[int, int], words: str):
    encoded = encode_rvl(np.full((3, 5), 7, np.uint16))
    with pytest.raises(FrameError, match=words):
        decode_rvl(data_of(struct.pack("<ii", *size) + encoded[8:]))


def test_a_number_without_end_is_corrupt():
    with pytest.raises(FrameError, match="corrupt"):
        decode_rvl(data_of(struct.pack("<ii", 5, 3) + b"\xff" * 40 + bytes(4)))
