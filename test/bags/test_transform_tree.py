"""Chains of transforms of a bag, at rest and behind a moving joint, against transforms multiplied by hand."""

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.transform_tree import TransformTree
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.core.transforms import from_xyz_rpy, to_xyz_quaternion

BODY = from_xyz_rpy(0.3, -0.1, 0.7, 0.0, 0.2, 0.1)
OPTICAL = from_xyz_rpy(0.0, 0.02, 0.0, -np.pi / 2, 0.0, -np.pi / 2)
LIDAR = from_xyz_rpy(0.0, 0.0, 1.2, 0.0, 0.0, 3.0)


def transforms(*entries, stamp=0):
    types = TYPESTORE.types
    made = []
    for parent, child, matrix in entries:
        xyz, xyzw = to_xyz_quaternion(matrix)
        transform = types["geometry_msgs/msg/Transform"](
            types["geometry_msgs/msg/Vector3"](*map(float, xyz)),
            types["geometry_msgs/msg/Quaternion"](*map(float, xyzw)),
        )
        made.append(types["geometry_msgs/msg/TransformStamped"](messages.header(stamp, parent), child, transform))
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
    tree = TransformTree(reader)
    np.testing.assert_allclose(tree.at("base_link", "optical", 5), BODY @ OPTICAL, atol=1e-12)
    np.testing.assert_allclose(tree.at("lidar", "optical", 5), np.linalg.inv(LIDAR) @ BODY @ OPTICAL, atol=1e-12)
    np.testing.assert_array_equal(tree.at("optical", "optical", 5), np.eye(4))
    np.testing.assert_allclose(tree.fixed("base_link", "optical"), BODY @ OPTICAL, atol=1e-12)


@pytest.mark.parametrize(
    ("target", "source", "words"),
    [
        (
            "base_link",
            "arm",
            "/tf_static have no frame arm; frames there: a, b, base_link, camera_link, lidar, optical",
        ),
        ("nowhere", "arm", "no frame arm and no frame nowhere"),
        (
            "base_footprint",
            "optical",
            "/tf_static connect base_link -> camera_link -> optical, and have no frame base_footprint: set "
            "costmap.base_frame to base_link, or publish the transform from base_footprint to base_link",
        ),
        ("arm_tip", "optical", "arm_tip below arm_base: publish the transform from arm_base to base_link"),
    ],
)
def test_what_is_missing_between_frames_is_said(tmp_path, reader, target, source, words):
    if target == "arm_tip":
        with BagWriter(tmp_path / "b.mcap") as writer:
            writer.write("/tf_static", transforms(("base_link", "optical", BODY), ("arm_base", "arm_tip", BODY)), 1)
        reader = BagReader(tmp_path / "b.mcap")
    with pytest.raises(LookupError) as caught:
        TransformTree(reader).at(target, source, 0)
    assert words in str(caught.value)
    assert TransformTree(reader).fixed(target, source) is None


def test_loops_end(reader):
    with pytest.raises(
        LookupError, match=r"go round in a loop, (a -> b -> a|b -> a -> b): let each frame have one parent"
    ):
        TransformTree(reader).at("base_link", "a", 0)


def test_bag_without_transforms(tmp_path):
    with BagWriter(tmp_path / "b.mcap") as writer:
        writer.write("/odom", messages.odometry(np.eye(4), 0), 1)
        writer.advertise("/tf_static", "tf2_msgs/msg/TFMessage")
    with BagReader(tmp_path / "b.mcap") as opened, pytest.raises(LookupError, match="no /tf_static in the bag"):
        TransformTree(opened).at("base_link", "optical", 0)


def test_a_moving_joint_counts_at_the_stamp(tmp_path):
    """A head that pans: between two stamps the joint is halfway, and far from every stamp it is not known."""
    second = 1_000_000_000
    with BagWriter(tmp_path / "b.mcap") as writer:
        writer.write("/tf_static", transforms(("head", "optical", OPTICAL)), 1)
        for i, angle in enumerate((0.0, 0.2, 0.4)):
            pan = from_xyz_rpy(0.0, 0.0, 0.5, 0.0, 0.0, angle)
            stamp = second + i * second // 10
            moving = transforms(("base_link", "head", pan), ("odom", "base_link", BODY), stamp=stamp)
            writer.write("/tf", moving, 2 + i)
    with BagReader(tmp_path / "b.mcap") as opened:
        tree = TransformTree(opened)
        halfway = from_xyz_rpy(0.0, 0.0, 0.5, 0.0, 0.0, 0.1) @ OPTICAL
        np.testing.assert_allclose(tree.at("base_link", "optical", second + second // 20), halfway, atol=1e-9)
        assert tree.fixed("base_link", "optical") is None
        with pytest.raises(LookupError, match="/tf has no transform from base_link to head within"):
            tree.at("base_link", "optical", 2 * second)


def test_a_robot_has_the_transforms_of_its_namespace(tmp_path):
    with BagWriter(tmp_path / "b.mcap") as writer:
        for i, robot in enumerate(("", "/r1", "/r2")):
            mounting = from_xyz_rpy(float(i), 0, 0, 0, 0, 0)
            writer.write(f"{robot}/tf_static", transforms(("base_link", "eye", mounting)), 1)
    with BagReader(tmp_path / "b.mcap") as opened:
        for near, x in (("/r2/camera/color/image", 2), ("/r1/image", 1), ("/camera/image", 0), ("", 0)):
            assert TransformTree(opened, near).at("base_link", "eye", 0)[0, 3] == x


def test_a_transform_that_is_none_costs_itself(tmp_path):
    with BagWriter(tmp_path / "b.mcap") as writer:
        broken = transforms(("base_link", "arm", BODY), ("base_link", "eye", BODY))
        broken.transforms[0].transform.rotation.w = 0.0
        writer.write("/tf_static", broken, 1)
        writer.write_raw("/tf_static", "tf2_msgs/msg/TFMessage", b"\0\1\0\0cut", 2)
    with BagReader(tmp_path / "b.mcap") as opened:
        np.testing.assert_allclose(TransformTree(opened).at("base_link", "eye", 0), BODY, atol=1e-12)
        with pytest.raises(
            LookupError, match=r"/tf_static: the transform from base_link to arm is none \(pose: quaternion"
        ):
            TransformTree(opened).at("base_link", "arm", 0)
