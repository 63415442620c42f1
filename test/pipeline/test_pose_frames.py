"""Odometry of other frames of the robot, and a mounting that TF knows, at the stamp of the image."""

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.core.transforms import from_xyz_rpy
from gemini_ros.pipeline.pose import OdometryPoses, PoseUnknown

CHILD_IN_ODOM = from_xyz_rpy(2.0, 1.0, 0.4, 0.0, 0.0, np.pi / 2)
CHILD_FROM_BASE = from_xyz_rpy(-0.3, 0.0, -0.4, 0.0, 0.0, 0.0)
MOUNTING = from_xyz_rpy(0.1, 0.2, 0.5, 0.0, 0.0, 0.0)


def transforms(known):
    """As of a tree that knows these (target, source) alone."""

    def look_up(target, source, stamp):
        if (target, source) not in known:
            raise LookupError(f"no frame {source}")
        matrix = known[target, source]
        return matrix(stamp) if callable(matrix) else matrix

    return look_up


@pytest.mark.parametrize("child", ["zed_camera_link", "body", "/base_footprint"])
def test_the_pose_of_another_frame_is_brought_to_the_base(child):
    known = {(child.lstrip("/"), "base_link"): CHILD_FROM_BASE}
    poses = OdometryPoses("odom", MOUNTING, transforms=transforms(known))
    assert poses.take(messages.odometry(CHILD_IN_ODOM, 5, "/odom", child)) == ""
    found = poses.at(5, "camera")
    np.testing.assert_allclose(found.grid_from_camera, CHILD_IN_ODOM @ CHILD_FROM_BASE @ MOUNTING, atol=1e-12)
    assert found.robot == pytest.approx((2.0, 0.7, np.pi / 2))
    assert (found.frame, found.warning) == ("odom", "")


def test_a_camera_whose_place_on_the_robot_is_not_known_is_refused():
    poses = OdometryPoses("odom", MOUNTING, transforms=transforms({}))
    poses.take(messages.odometry(CHILD_IN_ODOM, 5, "odom", "zed_camera_link"))
    with pytest.raises(PoseUnknown, match="or the transform from base_link to zed_camera_link"):
        poses.at(5, "camera")


def test_another_body_is_taken_for_the_base_with_a_warning():
    poses = OdometryPoses("odom", MOUNTING, transforms=transforms({}))
    poses.take(messages.odometry(CHILD_IN_ODOM, 5, "odom", "chassis"))
    assert "'chassis', taken for base_link: set its child_frame_id, or publish" in poses.at(5, "camera").warning


def test_the_mounting_is_asked_for_at_the_stamp_of_the_image():
    moving = {("base_link", "camera"): lambda stamp: from_xyz_rpy(0.0, 0.0, stamp / 10, 0.0, 0.0, 0.0)}
    poses = OdometryPoses("odom", None, transforms=transforms(moving))
    for stamp in (4, 6):
        poses.take(messages.odometry(np.eye(4), stamp))
        assert poses.at(stamp, "/camera").grid_from_camera[2, 3] == pytest.approx(stamp / 10)


def test_a_mounting_that_is_not_known_says_what_is_missing():
    poses = OdometryPoses("odom", None, transforms=transforms({}))
    with pytest.raises(PoseUnknown, match=r"the mounting of camera is not known \(no frame camera\): publish"):
        poses.at(5, "camera")
    with pytest.raises(PoseUnknown, match="the mounting of camera is not known: publish"):
        OdometryPoses("odom", None).at(5, "camera")


def test_a_mounting_that_is_set_wins():
    poses = OdometryPoses("odom", MOUNTING, transforms=transforms({("base_link", "camera"): np.eye(4)}))
    np.testing.assert_array_equal(poses.at(5, "camera").grid_from_camera, MOUNTING)
