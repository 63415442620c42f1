import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gemini_ros.bags import messages
from gemini_ros.bags.writer import TYPESTORE
from gemini_ros.core.encodings import decode_image, intrinsics_from_camera_info, stamp_ns
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.transforms import from_xyz_quaternion, from_xyz_rpy

STAMP = 1_700_000_000_123_456_789
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)


def stored(message):
    """The message as a reader gets it."""
    cdr = bytes(TYPESTORE.serialize_cdr(message, message.__msgtype__))
    return TYPESTORE.deserialize_cdr(cdr, message.__msgtype__)


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels", "modality"),
    [("rgb8", "uint8", (3,), "rgb"), ("mono8", "uint8", (), "labels"), ("32FC1", "float32", (), "depth")],
)
def test_image(encoding, dtype, channels, modality):
    array = np.arange(1, 1 + 3 * 5 * (channels or (1,))[0]).reshape(3, 5, *channels).astype(dtype)
    message = stored(messages.image(array, encoding, STAMP, "camera"))
    assert (message.width, message.height, message.encoding) == (5, 3, encoding)
    assert message.header.frame_id == "camera"
    assert stamp_ns(message) == STAMP
    np.testing.assert_array_equal(decode_image(message, modality), array)


def test_image_of_a_view_holds_its_pixels_only():
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)[1:3, ::2]
    message = messages.image(array, "mono8", 0, "camera")
    assert (message.width, message.height, message.step) == (3, 2, 3)
    assert bytes(message.data) == array.tobytes()


@pytest.mark.parametrize(
    ("array", "encoding"),
    [
        (np.zeros((2, 2), np.uint8), "16UC1"),
        (np.zeros((2, 2), np.uint8), "rgb8"),
        (np.zeros((2, 2, 3), np.uint8), "mono8"),
        (np.zeros(4, np.uint8), "mono8"),
    ],
)
@pytest.mark.parametrize("build", [messages.image, messages.png_image])
def test_image_of_another_type_is_refused(build, array, encoding):
    with pytest.raises(ValueError, match=f"{encoding} image from {array.dtype}"):
        build(array, encoding, 0, "camera")


@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(0, 80, width=32) | st.just(float("nan"))))
def test_depth_is_stored_to_the_millimetre(depth):
    found = decode_image(stored(messages.compressed_depth(depth, STAMP, "camera")), "depth")
    kept = (depth > 0.00051) & (depth < 65.535)
    assert (np.abs(found - depth)[kept] <= 0.000504).all()
    assert np.isnan(found[np.isnan(depth) | (depth < 0.00049) | (depth > 65.536)]).all()


@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(-400, 500, width=32) | st.just(float("nan"))))
def test_temperature_is_stored_to_the_hundredth(thermal):
    found = decode_image(stored(messages.compressed_thermal(thermal, STAMP, "camera")), "thermal")
    kept = (thermal > -273.1) & (thermal < 382.1)
    assert (np.abs(found - thermal)[kept] <= 0.0051).all()
    assert np.isnan(found[np.isnan(thermal) | (thermal < -273.2) | (thermal > 382.3)]).all()


def test_rgb_and_labels():
    rgb = np.stack(np.meshgrid(np.arange(0, 250, 5), np.arange(0, 90, 3), [128]), -1).reshape(30, 50, 3)
    rgb = rgb.astype(np.uint8)
    lossy = decode_image(stored(messages.compressed_rgb(rgb, STAMP, "camera")), "rgb")
    assert np.abs(lossy.astype(int) - rgb).mean() < 2
    np.testing.assert_array_equal(decode_image(stored(messages.png_image(rgb, "rgb8", STAMP, "camera")), "rgb"), rgb)
    labels = np.array([[0, 1, 255], [3, 4, 5]], np.uint8)
    np.testing.assert_array_equal(
        decode_image(stored(messages.compressed_labels(labels, STAMP, "c")), "labels"), labels
    )


def test_camera_info():
    intrinsics = Intrinsics(640, 480, 500.5, 501.5, 320.25, 240.75)
    message = stored(messages.camera_info(intrinsics, STAMP, "camera"))
    assert intrinsics_from_camera_info(message) == intrinsics
    np.testing.assert_array_equal(message.p.reshape(3, 4), np.hstack([message.k.reshape(3, 3), np.zeros((3, 1))]))
    np.testing.assert_array_equal(message.r.reshape(3, 3), np.eye(3))
    assert (message.distortion_model, list(message.d)) == ("plumb_bob", [0] * 5)


def test_odometry():
    pose = from_xyz_rpy(1.5, -2, 0.25, 0.1, -0.2, 3)
    message = stored(messages.odometry(pose, STAMP))
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
    p, q = message.pose.pose.position, message.pose.pose.orientation
    np.testing.assert_allclose(from_xyz_quaternion((p.x, p.y, p.z), (q.x, q.y, q.z, q.w)), pose, atol=1e-12)


def test_string():
    assert stored(messages.string("80 °C")).data == "80 °C"


def image_transport_says(message):
    """RGB as compressed_image_transport's subscriber hands it on, by its rule for the format string."""
    pixels = cv2.imdecode(np.asarray(message.data), cv2.IMREAD_UNCHANGED)
    encoding, _, rest = message.format.partition(";")
    exchanged = encoding == ("rgb8" if "compressed bgr" in rest else "bgr8")
    pixels = pixels[..., ::-1] if exchanged else pixels
    return pixels[..., ::-1] if encoding == "bgr8" else pixels


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_red_stays_red_for_image_transport(encoding):
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 200
    message = messages.png_image(red if encoding == "rgb8" else red[..., ::-1], encoding, STAMP, "camera")
    assert message.format == f"{encoding}; png compressed bgr8"
    np.testing.assert_array_equal(image_transport_says(message), red)
    assert (image_transport_says(messages.compressed_rgb(red, STAMP, "camera"))[..., 0] > 190).all()


def test_one_channel_has_image_transports_format():
    assert messages.compressed_labels(np.zeros((4, 6), np.uint8), STAMP, "camera").format == "mono8; png compressed "
