"""The chain of static transforms of a bag, against transforms multiplied by hand."""

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.static_transforms import camera_mounting, static_transform
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.core.transforms import from_xyz_rpy, to_xyz_quaternion

BODY = from_xyz_rpy(0.3, -0.1, 0.7, 0.0, 0.2, 0.1)
OPTICAL = from_xyz_rpy(0.0, 0.02, 0.0, -np.pi / 2, 0.0, -np.pi / 2)
LIDAR = from_xyz_rpy(0.0, 0.0, 1.2, 0.0, 0.0, 3.0)


def transforms(*entries):
    types = TYPESTORE.types
    made = []
    for parent, child, matrix in entries:
        xyz, xyzw = to_xyz_quaternion(matrix)
        transform = types["geometry_msgs/msg/Transform"](
            types["geometry_msgs/msg/Vector3"](*map(float, xyz)),
            types["geometry_msgs/msg/Quaternion"](*map(float, xyzw)),
        )
        made.append(types["geometry_msgs/msg/TransformStamped"](messages.header(0, parent), child, transform))
    return types["tf2_msgs/msg/TFMessage"](made)


@pytest.fixture
def reader(tmp_path):
    path = tmp_path / "tf.mcap"
    with BagWriter(path) as writer:
        writer.write("/tf_static", transforms(("camera_link", "optical", OPTICAL), ("base_link", "lidar", BODY)), 1)
        writer.write("/tf_static", transforms(("base_link", "camera_link", BODY), ("/base_link", "lidar", LIDAR)), 2)
        writer.write("/tf_static", transforms(("a", "b", BODY), ("b", "a", BODY)), 3)
    with BagReader(path) as opened:
        yield opened


def test_chain_up_and_down(reader):
    np.testing.assert_allclose(static_transform(reader, "base_link", "optical"), BODY @ OPTICAL, atol=1e-12)
    np.testing.assert_allclose(
        static_transform(reader, "lidar", "optical"), np.linalg.inv(LIDAR) @ BODY @ OPTICAL, atol=1e-12
    )
    np.testing.assert_array_equal(static_transform(reader, "optical", "optical"), np.eye(4))


def test_unconnected_frames_and_loops_are_none(reader):
    assert static_transform(reader, "base_link", "arm") is None
    assert static_transform(reader, "base_link", "a") is None


def test_bag_without_transforms(tmp_path):
    with BagWriter(tmp_path / "b.mcap") as writer:
        writer.write("/odom", messages.odometry(np.eye(4), 0), 1)
    with BagReader(tmp_path / "b.mcap") as opened:
        assert static_transform(opened, "base_link", "optical") is None


def test_mounting_is_that_of_the_frame_the_images_name(tmp_path):
    rgb = np.zeros((4, 6, 3), np.uint8)
    with BagWriter(tmp_path / "b.mcap") as writer:
        writer.write("/tf_static", transforms(("base_link", "eye", BODY)), 1)
        writer.write_raw("/image", "sensor_msgs/msg/CompressedImage", b"\x00\x01\x00\x00cut", 2)
        writer.write("/image", messages.compressed_rgb(rgb, 3, "eye"), 3)
        writer.write("/other", messages.compressed_rgb(rgb, 3, "nowhere"), 3)
    with BagReader(tmp_path / "b.mcap") as opened:
        np.testing.assert_allclose(camera_mounting(opened, "/image", "base_link"), BODY, atol=1e-12)
        assert camera_mounting(opened, "/other", "base_link") is None
