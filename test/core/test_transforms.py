"""Transforms: conventions against known values, and poses between, before and after those that were told."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gemini_ros.core.transforms import (
    BODY_FROM_OPTICAL,
    PoseBuffer,
    camera_in_base,
    from_xyz_quaternion,
    from_xyz_rpy,
    interpolate,
    require_rigid,
    to_xyz_quaternion,
)

HALF = math.sqrt(0.5)
angles = st.floats(-math.pi, math.pi)
metres = st.floats(-100, 100)
MS = 1_000_000


def at_x(x):
    return from_xyz_rpy(x, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("xyzw", "rotation"),
    [
        ((0, 0, 0, 1), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ((0, 0, HALF, HALF), [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
        ((HALF, 0, 0, HALF), [[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
        ((0, HALF, 0, HALF), [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
        ((0, 0, 1, 0), [[-1, 0, 0], [0, -1, 0], [0, 0, 1]]),
        ((0.5, 0.5, 0.5, 0.5), [[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    ],
)
def test_known_quaternions(xyzw, rotation):
    matrix = from_xyz_quaternion((1, 2, 3), xyzw)
    np.testing.assert_allclose(matrix[:3, :3], rotation, atol=1e-15)
    assert matrix[:3, 3].tolist() == [1, 2, 3]
    assert matrix[3].tolist() == [0, 0, 0, 1]
    np.testing.assert_allclose(to_xyz_quaternion(matrix)[1], xyzw, atol=1e-15)


@pytest.mark.parametrize("xyzw", [(0, 0, 0, 0), (0, 0, 0, 0.5), (0, 0, 1, 1), (math.nan, 0, 0, 1)])
def test_what_is_no_unit_quaternion_is_refused(xyzw):
    with pytest.raises(ValueError, match="normalised orientation"):
        from_xyz_quaternion((0, 0, 0), xyzw)


def test_a_quaternion_is_normalised_within_rounding():
    matrix = from_xyz_quaternion((0, 0, 0), (0, 0, HALF * 1.001, HALF * 1.001))
    np.testing.assert_allclose(matrix, from_xyz_rpy(0, 0, 0, 0, 0, math.pi / 2), atol=1e-12)


def test_wrong_lengths_and_infinite_positions_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\) and \(4,\)"):
        from_xyz_quaternion((0, 0), (0, 0, 0, 1))
    with pytest.raises(ValueError, match="inf"):
        from_xyz_quaternion((0, math.inf, 0), (0, 0, 0, 1))


@given(angles, angles, angles)
def test_roll_pitch_yaw_are_about_fixed_axes_in_this_order(roll, pitch, yaw):
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    found = from_xyz_rpy(0, 0, 0, roll, pitch, yaw)[:3, :3]
    np.testing.assert_allclose(found, about_z @ about_y @ about_x, atol=1e-12)


@given(metres, metres, metres, angles, angles, angles)
def test_a_matrix_survives_the_way_through_a_quaternion(x, y, z, roll, pitch, yaw):
    matrix = from_xyz_rpy(x, y, z, roll, pitch, yaw)
    xyz, xyzw = to_xyz_quaternion(matrix)
    assert xyzw[3] >= 0
    np.testing.assert_allclose(from_xyz_quaternion(xyz, xyzw), matrix, atol=1e-12)


def test_optical_axes_are_right_down_forward_of_the_body():
    right, down, forward = BODY_FROM_OPTICAL[:3, :3].T
    assert right.tolist() == [0, -1, 0]
    assert down.tolist() == [0, 0, -1]
    assert forward.tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        BODY_FROM_OPTICAL[0, 0] = 1


def test_a_camera_pitched_down_sees_the_floor_ahead():
    base_from_optical = camera_in_base([0.2, 0.0, 0.5, 0.0, math.pi / 6, 0.0])
    on_axis = base_from_optical @ (0, 0, 1, 1)
    np.testing.assert_allclose(on_axis, [0.2 + math.cos(math.pi / 6), 0, 0.0, 1], atol=1e-12)
    to_the_right = base_from_optical @ (1, 0, 0, 1)
    np.testing.assert_allclose(to_the_right, [0.2, -1, 0.5, 1], atol=1e-12)


@pytest.mark.parametrize("values", [[0, 0, 0, 0, 0], [0] * 7, [0, 0, math.nan, 0, 0, 0]])
def test_a_mounting_must_be_six_finite_numbers(values):
    with pytest.raises(ValueError, match=r"camera\.in_base: .* six finite numbers"):
        camera_in_base(values)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m * 2,
        lambda m: np.zeros((4, 4)),
        lambda m: m[:3],
        lambda m: np.diag([1.0, 1, -1, 1]),
        lambda m: np.where(np.eye(4) == 0, math.nan, m),
        lambda m: m + np.outer([0, 0, 0, 1], [1, 0, 0, 0]),
        lambda m: m + np.outer([1, 0, 0, 0], [0, 0, 0, math.inf]),
    ],
)
def test_what_is_no_rigid_transform_is_refused(spoil):
    with pytest.raises(ValueError, match="odom_from_base"), np.errstate(invalid="ignore"):
        require_rigid(spoil(np.eye(4)), "odom_from_base")


@given(angles, angles, angles, st.floats(0.05, 3.0), st.floats(0, 1))
def test_interpolation_turns_at_a_constant_rate(roll, pitch, yaw, angle, fraction):
    start = from_xyz_rpy(1, 2, 3, roll, pitch, yaw)
    end = start @ from_xyz_rpy(0, 0, 0, 0, 0, angle)
    end[:3, 3] = [3, 2, 1]
    expected = start @ from_xyz_rpy(0, 0, 0, 0, 0, angle * fraction)
    expected[:3, 3] = [1 + 2 * fraction, 2, 3 - 2 * fraction]
    np.testing.assert_allclose(interpolate(start, end, fraction), expected, atol=1e-7)


def test_interpolation_takes_the_short_way_across_half_a_turn():
    a, b = (from_xyz_rpy(0, 0, 0, 0, 0, yaw) for yaw in (math.radians(170), math.radians(-170)))
    np.testing.assert_allclose(
        interpolate(a, b, 0.25)[:2, 0], [math.cos(math.radians(175)), math.sin(math.radians(175))]
    )


def test_a_pose_between_two_is_interpolated_and_one_told_is_exact():
    poses = PoseBuffer()
    poses.add(100 * MS, at_x(1))
    poses.add(120 * MS, at_x(2))
    assert poses.at(105 * MS)[0, 3] == 1.25
    assert poses.at(120 * MS)[0, 3] == 2
    assert poses.at(100 * MS)[0, 3] == 1


def test_at_the_ends_the_nearest_pose_holds_within_the_tolerance_inclusive():
    poses = PoseBuffer()
    assert poses.at(0) is None
    poses.add(1000 * MS, at_x(1))
    poses.add(1020 * MS, at_x(2))
    assert poses.at(1120 * MS)[0, 3] == 2
    assert poses.at(1120 * MS + 1) is None
    assert poses.at(900 * MS)[0, 3] == 1
    assert poses.at(900 * MS - 1) is None
    assert poses.at(1025 * MS, tolerance_ns=4 * MS) is None


def test_a_gap_in_the_odometry_is_not_bridged():
    poses = PoseBuffer()
    poses.add(0, at_x(0))
    poses.add(1000 * MS, at_x(10))
    assert poses.at(100 * MS)[0, 3] == 0
    assert poses.at(950 * MS)[0, 3] == 10
    assert poses.at(500 * MS) is None


def test_a_backward_jump_starts_anew():
    poses = PoseBuffer()
    poses.add(5000 * MS, at_x(5))
    poses.add(1000 * MS, at_x(1))
    assert poses.at(5000 * MS) is None
    assert poses.at(1000 * MS)[0, 3] == 1


def test_an_equal_stamp_replaces_and_clear_forgets():
    poses = PoseBuffer()
    poses.add(MS, at_x(1))
    poses.add(MS, at_x(2))
    assert poses.at(MS)[0, 3] == 2
    poses.clear()
    assert poses.at(MS) is None


def test_what_is_too_old_is_forgotten():
    poses = PoseBuffer(max_age_ns=100)
    for stamp in range(0, 1000, 10):
        poses.add(stamp, at_x(stamp))
    assert poses.at(889, tolerance_ns=0) is None
    assert poses.at(890, tolerance_ns=0)[0, 3] == 890


def test_the_buffer_keeps_its_own_poses():
    poses, given_pose = PoseBuffer(), at_x(1)
    poses.add(0, given_pose)
    given_pose[0, 3] = 7
    poses.at(0)[0, 3] = 8
    assert poses.at(0)[0, 3] == 1
    with pytest.raises(ValueError, match="pose"):
        poses.add(1, np.zeros((4, 4)))


@given(st.lists(st.integers(0, 500), min_size=1, max_size=20, unique=True), st.integers(-50, 550), st.integers(0, 40))
def test_a_pose_comes_only_from_stamps_near_enough(stamps, asked, tolerance):
    poses = PoseBuffer(max_age_ns=10_000)
    for stamp in sorted(stamps):
        poses.add(stamp, at_x(stamp))
    found = poses.at(asked, tolerance)
    distance = min(abs(stamp - asked) for stamp in stamps)
    if found is None:
        assert distance > tolerance
        return
    assume(min(stamps) <= asked <= max(stamps))
    assert abs(found[0, 3] - asked) <= max(tolerance, 1e-9)
