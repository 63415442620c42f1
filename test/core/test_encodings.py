"""Messages as plain objects with the attributes of the ROS definitions; real ones are in test/bags and test/nodes."""

import array
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gemini_ros.core.encodings import (
    decode_image,
    depth_encoding,
    encode_depth,
    fingerprint,
    image_size,
    intrinsics_from_camera_info,
    stamp_ns,
)
from gemini_ros.core.frames import FrameError, Intrinsics
from test.core.index_png import index_png
from test.core.test_rvl import encode_rvl

# What rclpy and rosbags hold data in.
CONTAINERS = {
    "array.array": lambda data: array.array("B", data),
    "numpy": lambda data: np.frombuffer(data, np.uint8),
}
RGB = np.array([[[255, 0, 1], [2, 3, 4], [5, 6, 7]], [[8, 9, 10], [11, 12, 13], [14, 15, 254]]], np.uint8)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=11)
RAW16 = np.array([[0, 1, 2, 1234, 65535], [300, 0, 5000, 9999, 10000], [1, 1, 1, 1, 0]], np.uint16)


def raw(pixels, encoding, *, padding=0, big_endian=False, container="array.array"):
    """An Image of ``pixels``, each row followed by ``padding`` bytes that are no pixels."""
    pixels = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = [row.tobytes() + b"\xab" * padding for row in pixels]
    return SimpleNamespace(
        encoding=encoding,
        height=pixels.shape[0],
        width=pixels.shape[1],
        step=len(rows[0]),
        is_bigendian=int(big_endian),
        data=CONTAINERS[container](b"".join(rows)),
    )


def compressed(data, form="png", container="array.array"):
    return SimpleNamespace(format=form, data=CONTAINERS[container](bytes(data)))


def png(array_):
    return cv2.imencode(".png", array_)[1].tobytes()


def jpeg(array_, quality=95):
    return cv2.imencode(".jpg", array_, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def tiff(array_):
    return cv2.imencode(".tiff", array_)[1].tobytes()


def smooth(height, width):
    """A picture that JPEG keeps to a few levels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], 2).astype(np.uint8)


class TestColor:
    @pytest.mark.parametrize("container", CONTAINERS)
    @pytest.mark.parametrize("padding", [0, 1, 7])
    @pytest.mark.parametrize(
        ("encoding", "stored"),
        [
            ("rgb8", RGB),
            ("bgr8", RGB[..., ::-1]),
            ("rgba8", np.dstack([RGB, RGB[..., :1]])),
            ("bgra8", np.dstack([RGB[..., ::-1], RGB[..., :1]])),
        ],
    )
    def test_every_order_becomes_rgb(self, encoding, stored, padding, container):
        found = decode_image(raw(stored, encoding, padding=padding, container=container), "rgb")
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, RGB)

    @pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
    @pytest.mark.parametrize("color", [(200, 0, 0), (0, 200, 0), (0, 0, 200), (10, 150, 250)])
    def test_a_mosaic_of_one_colour_is_that_colour_everywhere(self, pattern, color):
        sites = [color["rgb".index(letter)] for letter in pattern]
        mosaic = np.tile(np.array(sites, np.uint8).reshape(2, 2), (3, 4))
        found = decode_image(raw(mosaic, f"bayer_{pattern}8", padding=3), "rgb")
        np.testing.assert_array_equal(found, np.broadcast_to(np.array(color, np.uint8), (6, 8, 3)))

    @pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
    @pytest.mark.parametrize(("kind", "encode"), [("png", png), ("jpeg", jpeg), ("tiff", tiff)])
    def test_a_compressed_mosaic_is_what_the_raw_one_is(self, pattern, kind, encode):
        """A red scene, stored as compressed_image_transport stores it: grey, under the name of its pattern."""
        mosaic = np.tile(np.array([200 * (letter == "r") for letter in pattern], np.uint8).reshape(2, 2), (8, 12))
        encoding = f"bayer_{pattern}8"
        message = compressed(encode(mosaic), f"{encoding}; {kind} compressed ")
        found = decode_image(message, "rgb").astype(int)
        expected = decode_image(raw(mosaic, encoding), "rgb").astype(int)
        assert expected.reshape(-1, 3).tolist() == [[200, 0, 0]] * mosaic.size
        assert np.abs(found - expected).max() <= (12 if kind == "jpeg" else 0)

    @pytest.mark.parametrize("encode", [png, jpeg])
    def test_colours_that_a_publisher_made_of_a_mosaic_stay(self, encode):
        picture = smooth(16, 24)
        data = encode(picture[..., ::-1])
        found = decode_image(compressed(data, "bayer_rggb8; jpeg compressed bgr8"), "rgb")
        np.testing.assert_array_equal(found, decode_image(compressed(data, "jpeg"), "rgb"))

    @pytest.mark.parametrize("encodings, order", [(("uyvy", "yuv422"), (1, 0)), (("yuyv", "yuv422_yuy2"), (0, 1))])
    @pytest.mark.parametrize(
        "yuv, color",  # ITU-R BT.601, studio range
        [((16, 128, 128), (0, 0, 0)), ((235, 128, 128), (255, 255, 255)), ((81, 90, 240), (255, 0, 0))],
    )
    def test_yuv_of_one_colour_is_that_colour(self, encodings, order, yuv, color):
        y, u, v = yuv
        pair = np.array([[y, u], [y, v]], np.uint8)[:, order]
        for encoding in encodings:
            found = decode_image(raw(np.tile(pair[None], (4, 3, 1)), encoding), "rgb")
            assert found.shape == (4, 6, 3)
            assert np.abs(found.astype(int) - color).max() <= 2

    @pytest.mark.parametrize("encoding, shape", [("bayer_rggb8", (3, 4)), ("bayer_rggb8", (4, 3)), ("uyvy", (3, 3, 2))])
    def test_half_a_colour_is_refused(self, encoding, shape):
        with pytest.raises(FrameError, match="expected an even size"):
            decode_image(raw(np.zeros(shape, np.uint8), encoding), "rgb")
        if encoding.startswith("bayer"):
            message = compressed(png(np.zeros(shape, np.uint8)), f"{encoding}; png compressed ")
            with pytest.raises(FrameError, match=f"{encoding} image of {shape[1]}x{shape[0]}, expected an even size"):
                decode_image(message, "rgb")

    def test_grey_becomes_three_equal_channels(self):
        found = decode_image(raw(RGB[..., 0], "mono8", padding=2), "rgb")
        np.testing.assert_array_equal(found, np.repeat(RGB[..., :1], 3, axis=2))

    @pytest.mark.parametrize("container", CONTAINERS)
    def test_tight_rgb8_is_not_copied(self, container):
        message = raw(RGB, "rgb8", container=container)
        assert np.shares_memory(decode_image(message, "rgb"), np.frombuffer(message.data, np.uint8))

    def test_the_message_is_left_as_it_was(self):
        message = raw(RGB[..., ::-1], "bgr8")
        before = bytes(message.data)
        decode_image(message, "rgb")
        assert bytes(message.data) == before

    @pytest.mark.parametrize("form", ["png", "rgb8; png compressed bgr8", "bgr8; png compressed bgr8", ""])
    def test_png(self, form):
        np.testing.assert_array_equal(decode_image(compressed(png(RGB[..., ::-1]), form), "rgb"), RGB)

    @pytest.mark.parametrize("container", CONTAINERS)
    @pytest.mark.parametrize("form", ["jpeg", "rgb8; jpeg compressed bgr8", "jpg"])
    def test_jpeg(self, form, container):
        picture = smooth(33, 47)
        found = decode_image(compressed(jpeg(picture[..., ::-1]), form, container), "rgb")
        assert found.shape == (33, 47, 3)
        assert np.abs(found.astype(int) - picture).mean() < 2

    def test_grey_jpeg_becomes_rgb(self):
        message = compressed(jpeg(smooth(16, 24)[..., 0]), "mono8; jpeg compressed ")
        assert decode_image(message, "rgb").shape == (16, 24, 3)

    def test_16_bit_and_transparent_png_become_8_bit_rgb(self):
        deep = RGB[..., ::-1].astype(np.uint16) * 257
        np.testing.assert_array_equal(decode_image(compressed(png(deep)), "rgb"), RGB)
        clear = np.dstack([RGB[..., ::-1], np.full(RGB.shape[:2], 9, np.uint8)])
        np.testing.assert_array_equal(decode_image(compressed(png(clear)), "rgb"), RGB)

    def test_orientation_tag_does_not_turn_the_image(self):
        tiff = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
        exif = b"Exif\x00\x00" + tiff
        data = jpeg(smooth(16, 24))
        tagged = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
        assert cv2.imdecode(np.frombuffer(tagged, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (24, 16)
        assert decode_image(compressed(tagged, "jpeg"), "rgb").shape == (16, 24, 3)

    @pytest.mark.parametrize("padding", [bytes(5000), b"\xff" * 70_000, bytes(range(256)) * 40, b"\0"])
    def test_a_jpeg_in_a_larger_buffer(self, padding):
        image = jpeg(smooth(64, 80))
        np.testing.assert_array_equal(
            decode_image(compressed(image + padding, "jpeg"), "rgb"), decode_image(compressed(image, "jpeg"), "rgb")
        )

    def test_progressive_jpeg_and_its_padding(self):
        done, data = cv2.imencode(".jpg", smooth(64, 80), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
        assert done and decode_image(compressed(data.tobytes() + bytes(3000), "jpeg"), "rgb").shape == (64, 80, 3)
        with pytest.raises(FrameError, match="truncated"):
            decode_image(compressed(data.tobytes()[:-20], "jpeg"), "rgb")

    def test_the_end_of_a_thumbnail_is_not_that_of_the_image(self):
        image, thumbnail = jpeg(smooth(64, 80)), jpeg(smooth(8, 8))
        exif = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
        whole = image[:2] + exif + image[2:]
        assert decode_image(compressed(whole, "jpeg"), "rgb").shape == (64, 80, 3)
        with pytest.raises(FrameError, match="truncated"):
            decode_image(compressed(whole[:-100], "jpeg"), "rgb")

    def test_tiff(self):
        data = cv2.imencode(".tiff", RGB[..., ::-1])[1].tobytes()
        np.testing.assert_array_equal(decode_image(compressed(data, "rgb8; tiff compressed bgr8"), "rgb"), RGB)

    def test_padding_behind_a_jpeg_is_allowed(self):
        assert decode_image(compressed(jpeg(smooth(16, 24)) + bytes(512), "jpeg"), "rgb").shape == (16, 24, 3)

    @pytest.mark.parametrize(
        "encoding, channels",
        [("bgr8", 3), ("rgba8", 4), ("bgra8", 4), ("mono8", 1), ("bayer_rggb8", 1), ("bayer_gbrg8", 1), ("yuv422", 2)],
    )
    def test_cv_bridge_says_the_same(self, encoding, channels):
        bridge = pytest.importorskip("cv_bridge", reason="cv_bridge comes with a ROS installation").CvBridge()
        from sensor_msgs.msg import Image

        values = np.random.default_rng(0).integers(0, 256, (12, 16, channels), np.uint8)
        message = Image(
            height=12, width=16, encoding=encoding, step=16 * channels, data=array.array("B", values.tobytes())
        )
        np.testing.assert_array_equal(decode_image(message, "rgb"), bridge.imgmsg_to_cv2(message, "rgb8"))


class TestDepth:
    EXPECTED = np.array(
        [[np.nan, 0.001, 0.002, 1.234, 65.535], [0.3, np.nan, 5, 9.999, 10], [0.001] * 4 + [np.nan]], np.float32
    )

    @pytest.mark.parametrize("container", CONTAINERS)
    @pytest.mark.parametrize("big_endian", [False, True])
    @pytest.mark.parametrize("padding", [0, 1, 4])
    @pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
    def test_millimetres(self, encoding, padding, big_endian, container):
        message = raw(RAW16, encoding, padding=padding, big_endian=big_endian, container=container)
        found = decode_image(message, "depth")
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, self.EXPECTED)

    @pytest.mark.parametrize("big_endian", [False, True])
    @pytest.mark.parametrize("padding", [0, 3])
    def test_metres_keep_only_what_can_be_measured(self, padding, big_endian):
        values = np.array([[0.5, np.nan, np.inf], [-np.inf, 0, -1], [1e30, 999, 1000]], np.float32)
        found = decode_image(raw(values, "32FC1", padding=padding, big_endian=big_endian), "depth")
        nan = np.nan
        np.testing.assert_array_equal(found, np.array([[0.5, nan, nan], [nan, nan, nan], [nan, 999, nan]], np.float32))
        assert found.dtype == np.dtype(np.float32) and found.dtype.isnative

    def test_an_image_without_any_measurement_is_no_error(self):
        assert np.isnan(decode_image(raw(np.zeros((2, 3), np.uint16), "16UC1"), "depth")).all()
        assert np.isnan(decode_image(raw(np.full((2, 3), np.inf, np.float32), "32FC1"), "depth")).all()

    def test_millimetres_called_metres_are_refused(self):
        with pytest.raises(FrameError, match=r"1200 to 1e\+30 m, expected metres.*16UC1.*depth.scale to 0.001"):
            decode_image(raw(np.array([[1200, 1e30, np.nan]], np.float32), "32FC1"), "depth")

    @pytest.mark.parametrize("form", ["16UC1; png compressed", "mono16; png compressed ", "png"])
    def test_png(self, form):
        np.testing.assert_array_equal(decode_image(compressed(png(RAW16), form), "depth"), self.EXPECTED)

    @pytest.mark.parametrize(
        "form", ["16UC1; compressedDepth", "16UC1; compressedDepth png", "mono16; compressedDepth png"]
    )
    def test_compressed_depth_of_millimetres(self, form):
        message = compressed(struct.pack("<iff", 0, 0, 0) + png(RAW16), form)
        np.testing.assert_array_equal(decode_image(message, "depth"), self.EXPECTED)

    def test_compressed_depth_of_metres_is_inverse_depth(self):
        a, b = 10100.0, -1009.0
        stored = np.array([[0, 1000], [3000, 65535], [9091, 1]], np.uint16)
        message = compressed(struct.pack("<iff", 0, a, b) + png(stored), "32FC1; compressedDepth png")
        expected = (np.float32(a) / (stored.astype(np.float32) - np.float32(b))).astype(np.float32)
        expected[0, 0] = np.nan
        np.testing.assert_array_equal(decode_image(message, "depth"), expected)
        assert expected[2, 0] == 1.0

    @pytest.mark.parametrize("encoding", ["16UC1", "mono16", "32FC1"])
    def test_rvl_says_what_png_says(self, encoding):
        header = struct.pack("<iff", 0, 10100.0, -1009.0)
        by_png = decode_image(compressed(header + png(RAW16), f"{encoding}; compressedDepth png"), "depth")
        message = compressed(header + encode_rvl(RAW16), f"{encoding}; compressedDepth rvl")
        assert image_size(message) == (5, 3)
        np.testing.assert_array_equal(decode_image(message, "depth"), by_png)

    @pytest.mark.parametrize("form", ["16UC1; tiff compressed ", "mono16; tiff compressed ", "tiff"])
    def test_tiff_of_millimetres(self, form):
        message = compressed(tiff(RAW16), form)
        assert image_size(message) == (5, 3)
        np.testing.assert_array_equal(decode_image(message, "depth"), self.EXPECTED)

    def test_tiff_of_metres(self):
        metres = np.array([[0.5, np.nan, 1e30], [2.25, 0, -1]], np.float32)
        found = decode_image(compressed(tiff(metres), "32FC1; tiff compressed "), "depth")
        np.testing.assert_array_equal(found, np.array([[0.5, np.nan, np.nan], [2.25, np.nan, np.nan]], np.float32))

    @pytest.mark.parametrize("scale", [0.25, 10.0, 1000.0])
    def test_another_unit_by_its_scale(self, scale):
        millimetres = decode_image(raw(RAW16, "16UC1"), "depth", depth_scale=scale)
        np.testing.assert_allclose(millimetres, self.EXPECTED * scale, rtol=1e-6)
        metres = np.array([[0.4, np.nan, 2.5]], np.float32)
        found = decode_image(raw(metres / np.float32(scale), "32FC1"), "depth", depth_scale=scale)
        np.testing.assert_allclose(found, metres, rtol=1e-6)

    def test_millimetres_called_metres_are_read_by_their_scale(self):
        found = decode_image(raw(np.array([[400, 2500]], np.float32), "32FC1"), "depth", depth_scale=0.001)
        np.testing.assert_allclose(found, [[0.4, 2.5]], rtol=1e-6)

    @given(
        hnp.arrays(np.float32, SHAPES, elements=st.floats(0.25, 10, width=32)),
        st.floats(50, 200),
    )
    def test_inverse_depth_is_as_exact_as_its_quantisation(self, depth, quantisation):
        a = quantisation * (quantisation + 1)
        b = 1 - a / 10.0  # maximal depth 10 m, as compressed_depth_image_transport has it
        stored = np.rint(a / depth.astype(np.float64) + b)
        if stored.max() > 65535:
            return
        message = compressed(struct.pack("<iff", 0, a, b) + png(stored.astype(np.uint16)), "32FC1; compressedDepth png")
        found = decode_image(message, "depth")
        # One half step of the stored value, at this depth.
        assert (np.abs(found - depth) <= 0.51 * depth**2 / a + 1e-4).all()


class TestThermal:
    @pytest.mark.parametrize("big_endian", [False, True])
    @pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
    def test_centikelvin(self, encoding, big_endian):
        values = np.array([[0, 27315, 29815], [31000, 1, 65535]], np.uint16)  # 65535: saturated
        found = decode_image(raw(values, encoding, padding=2, big_endian=big_endian), "thermal")
        expected = np.array([[np.nan, 0, 25], [36.85, -273.14, np.nan]], np.float32)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        assert found.dtype == np.float32

    def test_scale_and_offset(self):
        values = np.array([[0, 10, 65534]], np.uint16)
        found = decode_image(raw(values, "mono16"), "thermal", thermal_scale=0.5, thermal_offset=-3)
        np.testing.assert_array_equal(found, np.array([[np.nan, 2, 32764]], np.float32))

    def test_8_bit_needs_a_declared_scale_and_then_keeps_its_zero(self):
        values = np.array([[0, 100, 255]], np.uint8)
        with pytest.raises(FrameError, match=r"8 bits, expected 16 bits.*thermal\.scale"):
            decode_image(raw(values, "mono8"), "thermal")
        found = decode_image(raw(values, "mono8"), "thermal", thermal_scale=0.1, thermal_offset=10)
        np.testing.assert_array_equal(found, np.array([[10, 20, 35.5]], np.float32))

    def test_float_is_celsius_unless_scaled(self):
        values = np.array([[20.5, np.nan, np.inf, -300, 5000]], np.float32)
        found = decode_image(raw(values, "32FC1"), "thermal")
        np.testing.assert_array_equal(found, np.array([[20.5] + [np.nan] * 4], np.float32))
        message = raw(np.array([[300.0]], np.float32), "32FC1")
        kelvin = decode_image(message, "thermal", thermal_scale=1, thermal_offset=-273)
        assert kelvin[0, 0] == 27

    def test_png(self):
        found = decode_image(compressed(png(np.array([[0, 29815]], np.uint16)), "mono16; png compressed"), "thermal")
        np.testing.assert_array_equal(found, np.array([[np.nan, 25]], np.float32))

    def test_tiff(self):
        for values in (np.array([[0, 29815]], np.uint16), np.array([[np.nan, 25]], np.float32)):
            found = decode_image(compressed(tiff(values), "mono16; tiff compressed "), "thermal")
            np.testing.assert_array_equal(found, np.array([[np.nan, 25]], np.float32))

    @pytest.mark.parametrize("rows, kept", [(0, [25, 26, 27]), (1, [25, 26]), (2, [25]), (-1, [26, 27])])
    def test_telemetry_rows_are_cut_off(self, rows, kept):
        values = np.array([[29815, 29815], [29915, 29915], [30015, 30015]], np.uint16)
        for message in (raw(values, "mono16"), compressed(png(values), "mono16; png compressed ")):
            found = decode_image(message, "thermal", thermal_skip_rows=rows)
            np.testing.assert_allclose(found, np.repeat(np.array(kept)[:, None], 2, axis=1))

    @pytest.mark.parametrize("rows", [3, -3, 120])
    def test_no_image_is_left_of_telemetry_alone(self, rows):
        with pytest.raises(FrameError, match=rf"3 rows, thermal.skip_rows is {rows}: nothing is left"):
            decode_image(raw(np.full((3, 2), 29815, np.uint16), "mono16"), "thermal", thermal_skip_rows=rows)

    def test_result_is_the_callers_own(self):
        message = raw(np.full((2, 2), 29815, np.uint16), "mono16")
        decode_image(message, "thermal")[:] = 0
        assert decode_image(message, "thermal")[0, 0] == 25


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_labels_are_as_stored(encoding):
    labels = np.array([[0, 1, 255], [9, 8, 7]], np.uint8)
    np.testing.assert_array_equal(decode_image(raw(labels, encoding, padding=5), "labels"), labels)
    np.testing.assert_array_equal(decode_image(compressed(png(labels), "mono8; png compressed"), "labels"), labels)


@pytest.mark.parametrize("color_type", [0, 3], ids=["grey", "palette"])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_label_images_are_numbers_whatever_they_show(depth, color_type):
    labels = np.random.default_rng(depth).integers(0, 2**depth, (5, 13)).astype(np.uint8)
    message = compressed(index_png(labels, depth, color_type), "mono8; png compressed ")
    np.testing.assert_array_equal(decode_image(message, "labels"), labels)


def changed(message, **fields):
    return SimpleNamespace(**{**vars(message), **fields})


DEPTH = raw(RAW16, "16UC1")
COLOR = raw(RGB, "rgb8")


@pytest.mark.parametrize(
    ("message", "modality", "words"),
    [
        (changed(COLOR, encoding="nv21"), "rgb", r"rgb image of encoding 'nv21', expected rgb8, bgr8"),
        (changed(COLOR, encoding=""), "rgb", r"encoding ''"),
        (raw(RGB[..., 0], "mono8"), "depth", r"depth image of encoding 'mono8', expected 16UC1, mono16 or 32FC1"),
        (COLOR, "depth", r"'rgb8'.*not to a picture"),
        (COLOR, "thermal", r"'rgb8'.*false colours"),
        (DEPTH, "labels", r"labels image of encoding '16UC1', expected mono8 or 8UC1"),
        (changed(DEPTH, step=9), "depth", r"16UC1 image of 5x3: step 9, expected at least 10"),
        (changed(DEPTH, step=0), "depth", r"step 0"),
        (changed(DEPTH, data=DEPTH.data[:-1]), "depth", r"29 bytes of data, expected step x height = 10 x 3"),
        (changed(DEPTH, data=DEPTH.data + DEPTH.data[:1]), "depth", r"31 bytes of data"),
        (changed(DEPTH, data=array.array("B")), "depth", r"0 bytes of data"),
        (changed(DEPTH, width=0), "depth", r"0x3: expected a positive size"),
        (changed(DEPTH, height=0, data=array.array("B")), "depth", r"5x0: expected a positive size"),
        (changed(DEPTH, width=2**32 - 1, height=2**32 - 1, step=2**32 - 1), "depth", r"at most 67108864 pixels"),
        (changed(COLOR, width=4), "rgb", r"rgb8 image of 4x2: step 9, expected at least 12"),
    ],
)
def test_raw_image_that_cannot_be_used(message, modality, words):
    with pytest.raises(FrameError, match=words) as caught:
        decode_image(message, modality)
    assert caught.value.cause == "invalid"


def png_of_size(width, height):
    """A PNG whose header says any size, all checksums right."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    body = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    data = b"IDAT" + zlib.compress(bytes(100))
    body += struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return b"\x89PNG\r\n\x1a\n" + body + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


def jpeg_of_size(width, height):
    """A JPEG whose frame header says any size."""
    data = bytearray(jpeg(smooth(16, 24)))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


PNG16 = png(RAW16)
# The directory first, then the pixels; cut in the pixels.
TIFF_CUT = (
    struct.pack("<2sHIH", b"II", 42, 8, 4)
    + b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in ((256, 5), (257, 3), (273, 62), (279, 30)))
    + bytes(20)
)
JPEG = jpeg(smooth(64, 80))


@pytest.mark.parametrize(
    ("message", "modality", "words"),
    [
        (compressed(b""), "rgb", "without data"),
        (compressed(b"GIF89a and more", "gif"), "rgb", r"bytes 47 49 46 38.*expected JPEG, PNG or TIFF"),
        (compressed(b"\xff"), "rgb", "expected JPEG, PNG or TIFF"),
        (compressed(PNG16[:20]), "depth", "without a header"),
        (compressed(PNG16[:-1]), "depth", "truncated"),
        (compressed(PNG16[: len(PNG16) // 2]), "depth", "truncated"),
        (compressed(flipped(PNG16, 50)), "depth", "corrupt: wrong checksum"),
        (compressed(flipped(PNG16, 18)), "depth", "PNG image of"),
        (compressed(JPEG[: len(JPEG) // 2], "jpeg"), "rgb", "JPEG image of 80x64 is truncated"),
        (compressed(JPEG[:-1], "jpeg"), "rgb", "truncated"),
        (compressed(JPEG[:10], "jpeg"), "rgb", "without a frame header"),
        (compressed(png_of_size(2**31 - 1, 2**31 - 1)), "depth", "2147483647x2147483647, expected .* at most 67108864"),
        (compressed(png_of_size(8193, 8192)), "depth", "PNG image of 8193x8192, expected"),
        (compressed(png_of_size(0, 5)), "depth", "PNG image of 0x5, expected a positive size"),
        (compressed(png_of_size(4096, 4096)), "depth", "cannot be decoded"),
        (compressed(png_of_size(5000, 5000)), "depth", "takes 400000000 bytes to decode, expected at most"),
        (compressed(jpeg_of_size(65535, 65535), "jpeg"), "rgb", "JPEG image of 65535x65535, expected"),
        (compressed(jpeg_of_size(24, 0), "jpeg"), "rgb", "JPEG image of 24x0"),
        (compressed(png(RAW16.astype(np.uint8))), "depth", r"holds 1 x uint8 per pixel, expected 1 x uint16"),
        (compressed(JPEG, "jpeg"), "depth", r"holds 3 x uint8 per pixel, expected 1 x uint16.*not to a picture"),
        (compressed(JPEG, "jpeg"), "thermal", "false colours"),
        (
            compressed(PNG16, "mono16; png compressed "),
            "rgb",
            "format 'mono16; png.*expected rgb8.*are the topics of two",
        ),
        (compressed(PNG16, "16UC1; png compressed "), "rgb", "these are measurements"),
        (compressed(tiff(RAW16.astype(np.float32)), "32FC1; tiff compressed "), "rgb", "these are measurements"),
        (compressed(PNG16, "bayer_rggb16; png compressed "), "rgb", "format 'bayer_rggb16; .*, expected rgb8, .*bayer"),
        (compressed(PNG16, "bayer_rggb8; png compressed "), "rgb", "holds 1 x uint16 per pixel, expected 1 x uint8"),
        (compressed(PNG16), "labels", "holds 1 x uint16 per pixel, expected 1 x uint8"),
        (compressed(png(RGB)), "labels", "holds 3 x uint8"),
        (
            compressed(bytes(12), "16UC1; compressedDepth"),
            "depth",
            "12 bytes, expected a header of 12 bytes and an image",
        ),
        (compressed(bytes(5), "16UC1; compressedDepth"), "depth", "5 bytes"),
        (compressed(bytes(40), "16UC1; compressedDepth"), "depth", "expected JPEG, PNG or TIFF"),
        (compressed(bytes(12) + PNG16, "16UC1; compressedDepth rvl"), "depth", "RVL depth of .* expected a positive"),
        (compressed(bytes(12) + encode_rvl(RAW16)[:-8], "16UC1; compressedDepth rvl"), "depth", "another number"),
        (compressed(bytes(15), "16UC1; compressedDepth rvl"), "depth", "RVL depth of 3 bytes"),
        (compressed(bytes(12) + PNG16, "8UC1; compressedDepth"), "depth", "expected 16UC1, mono16 or 32FC1"),
        (compressed(tiff(RAW16)[:-40], "16UC1; tiff compressed "), "depth", "TIFF image"),
        (compressed(TIFF_CUT, "16UC1; tiff compressed "), "depth", "TIFF image of 5x3 is truncated"),
        (compressed(b"II*\0\xff\xff\xff\xff", "tiff"), "depth", "TIFF image of 8 bytes without a directory"),
        (compressed(tiff(RAW16.astype(np.float64)), "tiff"), "depth", r"1 x float64 per pixel, expected 1 x uint16 or"),
        (compressed(bytes(12) + PNG16, "16UC1; compressedDepth"), "rgb", "compressedDepth is for depth"),
        (compressed(bytes(12) + png(RGB), "16UC1; compressedDepth"), "depth", "holds 3 x uint8"),
        (
            compressed(struct.pack("<iff", 0, np.nan, 1) + PNG16, "32FC1; compressedDepth"),
            "depth",
            "quantisation nan, 1.0",
        ),
    ],
)
def test_compressed_image_that_cannot_be_used(message, modality, words):
    with pytest.raises(FrameError, match=words) as caught:
        decode_image(message, modality)
    assert caught.value.cause == "invalid"


def test_a_size_hidden_behind_markers_that_decoders_skip_is_not_believed():
    """libjpeg passes over a restart marker without a length; a parser that reads one would see another frame."""
    small = b"\xff\xc0\x00\x11\x08\x00\x10\x00\x18" + bytes(10)
    data = jpeg_of_size(65000, 65000)
    hidden = data[:2] + b"\xff\xd0\xff\xe0" + struct.pack(">H", len(small) + 2) + small + data[2:]
    with pytest.raises(FrameError, match="frame header"):
        decode_image(compressed(hidden, "jpeg"), "rgb")


def test_a_name_that_no_modality_may_have_is_the_callers_mistake():
    with pytest.raises(ValueError, match="modality 'infra-red': expected an identifier"):
        decode_image(COLOR, "infra-red")


@pytest.mark.parametrize("encoding", ["32FC1", "mono16", "16UC1", "mono8", "8UC1"])
def test_a_modality_of_its_own_is_the_numbers_of_the_message(encoding):
    kind = {"3": np.float32, "1": np.uint16, "m": np.uint16, "8": np.uint8}[encoding[0]]
    kind = np.uint8 if encoding == "mono8" else kind
    values = np.array([[0, 1, 200], [7, 255, 3]], kind)
    found = decode_image(raw(values, encoding), "event")
    assert found.dtype == np.float32 and found.tolist() == values.tolist()
    if kind != np.float32:
        assert decode_image(compressed(png(values)), "event").tolist() == values.tolist()


def test_what_is_no_number_of_a_modality_of_its_own_is_no_measurement():
    values = np.array([[np.nan, np.inf, -np.inf, -2.5]], np.float32)
    np.testing.assert_array_equal(decode_image(raw(values, "32FC1"), "event"), np.float32([[np.nan] * 3 + [-2.5]]))
    with pytest.raises(FrameError, match="event image of encoding 'rgb8', expected 32FC1, mono16"):
        decode_image(raw(np.zeros((2, 2, 3), np.uint8), "rgb8"), "event")
    with pytest.raises(FrameError, match="event image of format 'jpeg' holds 3 x uint8 per pixel, expected 1 x"):
        decode_image(compressed(jpeg(np.zeros((8, 8, 3), np.uint8)), "jpeg"), "event")


@given(
    hnp.arrays(np.uint16, SHAPES),
    st.integers(0, 5),
    st.booleans(),
    st.sampled_from(sorted(CONTAINERS)),
)
def test_raw_and_png_say_the_same(values, padding, big_endian, container):
    expected = np.where(values == 0, np.nan, values / 1000.0).astype(np.float32)
    message = raw(values, "16UC1", padding=padding, big_endian=big_endian, container=container)
    np.testing.assert_array_equal(decode_image(message, "depth"), expected)
    np.testing.assert_array_equal(decode_image(compressed(png(values), container=container), "depth"), expected)


@given(st.sampled_from([PNG16, JPEG, jpeg(smooth(9, 7), 20), tiff(RGB)]), st.data())
def test_damage_is_a_frame_error_or_an_image_of_the_right_kind(original, data):
    damaged = bytearray(original[: data.draw(st.integers(0, len(original)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode_image(compressed(damaged), "rgb")
    except FrameError:
        return
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3


@given(st.binary(max_size=200), st.sampled_from(["", "jpeg", "16UC1; compressedDepth", "32FC1; compressedDepth rvl"]))
def test_noise_is_a_frame_error(noise, form):
    with pytest.raises(FrameError):
        decode_image(compressed(noise, form), "depth")


@pytest.mark.parametrize("container", CONTAINERS)
def test_fingerprint_is_the_crc_of_the_data(container):
    message = raw(RGB, "rgb8", container=container)
    assert fingerprint(message) == zlib.crc32(RGB.tobytes())
    assert fingerprint(message) != fingerprint(raw(RGB[::-1], "rgb8", container=container))


def test_stamp_has_every_nanosecond():
    header = SimpleNamespace(stamp=SimpleNamespace(sec=1_700_000_000, nanosec=123_456_789))
    assert stamp_ns(SimpleNamespace(header=header)) == 1_700_000_000_123_456_789


def test_intrinsics():
    k = [500.0, 0, 320.5, 0, 501, 240.5, 0, 0, 1]
    info = SimpleNamespace(width=640, height=480, k=k)
    assert intrinsics_from_camera_info(info) == Intrinsics(640, 480, 500, 501, 320.5, 240.5)
    with pytest.raises(FrameError, match=r"camera_info: .*fx 0\.0.*calibrated"):
        intrinsics_from_camera_info(changed(info, k=np.zeros(9)))
    with pytest.raises(FrameError, match="size 0x480"):
        intrinsics_from_camera_info(changed(info, width=0))


@pytest.mark.parametrize(
    ("fx", "fy", "cx", "cy", "told"),
    [
        (1e-3, 1e-3, 320, 240, "fx 0.001"),
        (0.78, 1.04, 0.5, 0.5, "fx 0.78"),
        (500, 1e9, 320, 240, r"fy 1e\+09"),
        (500, 500, 1e6, 240, r"cx 1e\+06"),
        (500, 500, 320, -1e6, r"cy -1e\+06"),
    ],
)
def test_intrinsics_of_no_camera_are_refused(fx, fy, cx, cy, told):
    info = SimpleNamespace(width=640, height=480, k=[fx, 0, cx, 0, fy, cy, 0, 0, 1])
    with pytest.raises(FrameError, match=f"camera_info: .*{told}.*640x480 pixels are no camera's: publish .*in pixels"):
        intrinsics_from_camera_info(info)


@pytest.mark.parametrize("focal", [40.0, 40000.0], ids=["fisheye", "telephoto"])
def test_intrinsics_of_extreme_lenses_are_read(focal):
    info = SimpleNamespace(width=640, height=480, k=[focal, 0, 320, 0, focal, 240, 0, 0, 1])
    assert intrinsics_from_camera_info(info).fx == focal


def test_messages_of_rclpy():
    sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="needs the ROS messages")
    message = sensor_msgs.Image(height=3, width=5, encoding="16UC1", step=10)
    message.data = array.array("B", RAW16.tobytes())
    message.header.stamp.sec, message.header.stamp.nanosec = 5, 7
    np.testing.assert_array_equal(decode_image(message, "depth"), TestDepth.EXPECTED)
    assert stamp_ns(message) == 5_000_000_007
    packed = sensor_msgs.CompressedImage(format="16UC1; png compressed", data=array.array("B", PNG16))
    np.testing.assert_array_equal(decode_image(packed, "depth"), TestDepth.EXPECTED)
    info = sensor_msgs.CameraInfo(width=640, height=480, k=[500.0, 0, 320, 0, 500, 240, 0, 0, 1])
    assert intrinsics_from_camera_info(info).fx == 500


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_is_encoded_as_it_is_read(encoding, scale):
    depth = np.array([[0.5, np.nan, 2.0], [16.0, 0.25, 1.0]], np.float32)
    stored = encode_depth(depth, encoding, scale)
    message = SimpleNamespace(
        encoding=encoding, width=3, height=2, step=stored[0].nbytes, is_bigendian=0, data=stored.tobytes()
    )
    assert depth_encoding(message) == encoding
    np.testing.assert_allclose(decode_image(message, "depth", depth_scale=scale), depth, rtol=1e-6)


def test_depth_that_16_bits_do_not_hold_is_none():
    assert encode_depth(np.array([[70.0, 1e-5]], np.float32), "16UC1").tolist() == [[0, 0]]
    assert depth_encoding(SimpleNamespace(format="16UC1; compressedDepth png")) == "16UC1"
    assert depth_encoding(SimpleNamespace(format="32FC1; compressedDepth rvl")) == "32FC1"
