"""Image files: palettes and depths of bits, channels, holes, and what is refused."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros.datasets.images import decoded, read_stored
from gemini_ros.datasets.layout import ImageFormat, PathPattern
from test.core.index_png import index_png

PATH = PathPattern("{stem}.png")
LABELS = ImageFormat(PATH)
DEPTH = ImageFormat(PATH, "uint16", scale=0.001, hole=0)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("color_type", [0, 3], ids=["grey", "palette"])
def test_numbers_count_not_colours_or_shades(tmp_path, depth, color_type):
    indices = np.random.default_rng(depth).integers(0, 2**depth, (5, 13)).astype(np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(index_png(indices, depth, color_type))
    np.testing.assert_array_equal(read_stored(path, "labels", LABELS), indices)


@given(st.integers(1, 9), st.data())
def test_class_tables(n, data):
    """Against the definition, number by number."""
    first = data.draw(st.integers(0, 5))
    table = ImageFormat(PATH, first_class=first).class_table(n)
    for number in range(256):
        label = number - first
        unlabelled = number < first or number == 255
        assert table[number] == (255 if unlabelled else label if label < n else -1)
    mapping = data.draw(st.dictionaries(st.integers(0, 254), st.sampled_from([*range(n), 255]), min_size=1))
    table = ImageFormat(PATH, mapping=mapping).class_table(n)
    assert all(table[i] == mapping.get(i, 255 if i == 255 else -1) for i in range(256))


def test_a_map_to_no_class_is_refused():
    with pytest.raises(ValueError, match=r"map 3: 9, expected a uint8 number and a class 0 to 4"):
        ImageFormat(PATH, mapping={3: 9}).class_table(5)
    with pytest.raises(ValueError, match=r"map 300: 1, expected a uint8 number"):
        ImageFormat(PATH, mapping={300: 1}).class_table(5)
    assert ImageFormat(PATH, "uint16", mapping={300: 1}).class_table(5)[300] == 1


def test_labels_out_of_range_are_named():
    stored = np.array([[0, 4, 5, 255, 9]], np.uint8)
    with pytest.raises(ValueError, match=r"labels \[5, 9\], expected 0 to 4, or 255 for unlabelled"):
        decoded("labels", stored, LABELS, LABELS.class_table(5))
    np.testing.assert_array_equal(decoded("labels", stored, LABELS, LABELS.class_table(10)), stored)


def test_holes_and_units():
    table = LABELS.class_table(1)
    depth = decoded("depth", np.array([[0, 1, 1500]], np.uint16), DEPTH, table)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[np.nan, 0.001, 1.5]], rtol=1e-6)
    picture = ImageFormat(PATH, "uint8", scale=0.2, offset=-5.0)
    np.testing.assert_allclose(decoded("thermal", np.array([[0, 50]], np.uint8), picture, table), [[-5, 5]])


@pytest.mark.parametrize(
    ("kind", "image", "values", "message"),
    [
        ("depth", DEPTH, np.ones((4, 6), np.uint8), "uint8, 1 per pixel; expected depth as uint16: a picture"),
        ("depth", DEPTH, np.arange(72, dtype=np.uint16).reshape(4, 6, 3), "uint16, 3 per pixel; expected one number"),
        ("labels", LABELS, np.arange(72, dtype=np.uint8).reshape(4, 6, 3), "write class ids, not colours"),
        ("labels", LABELS, np.ones((4, 6), np.uint16), "uint16, 1 per pixel; expected labels as uint8"),
        (
            "thermal",
            ImageFormat(PATH, channel="alpha"),
            np.arange(72, dtype=np.uint8).reshape(4, 6, 3),
            "expected thermal in the alpha channel",
        ),
        ("depth", ImageFormat(PATH, encoding="24_bits_rgb"), np.ones((4, 6), np.uint8), "expected depth as 24 bits"),
    ],
)
def test_files_that_hold_something_else_are_refused(tmp_path, kind, image, values, message):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), values)
    with pytest.raises(ValueError, match=rf"a\.png: .*{message}"):
        read_stored(path, kind, image)


def test_missing_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(ValueError, match=r"a\.png: no such file"):
        read_stored(path, "labels", LABELS)
    path.write_bytes(index_png(np.zeros((3, 4), np.uint8), 8)[:-20])
    with pytest.raises(ValueError, match=r"a\.png: unreadable: PNG .* truncated"):
        read_stored(path, "labels", LABELS)
    damaged = bytearray(index_png(np.zeros((3, 4), np.uint8), 8))
    damaged[24] = 0  # bits per pixel
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a\.png: unreadable: PNG"):
        read_stored(path, "labels", LABELS)
    path.write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=r"a\.png: unreadable: .*expected JPEG, PNG or TIFF"):
        read_stored(path, "rgb", LABELS)


def test_grey_stored_as_three_equal_channels_is_grey(tmp_path):
    path = tmp_path / "a.png"
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)
    cv2.imwrite(str(path), np.dstack([values] * 3))
    np.testing.assert_array_equal(read_stored(path, "labels", LABELS), values)
