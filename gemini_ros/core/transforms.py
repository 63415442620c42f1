"""Rigid transforms as 4x4 float64 ``target_from_source`` matrices, and poses over time (REP 103, REP 105)."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

#: A camera's body (x forward, y left, z up) from its optical frame (x right, y down, z forward); REP 103.
BODY_FROM_OPTICAL: Matrix = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64)
BODY_FROM_OPTICAL.flags.writeable = False

MAX_POSITION_M = 1e7
"""Further from its origin no robot gets; what says so was not measured."""
_NORM_TOLERANCE = 1e-2
_RIGID_TOLERANCE = 1e-4


def from_xyz_quaternion(xyz: npt.ArrayLike, xyzw: npt.ArrayLike) -> Matrix:
    """Matrix of a translation in metres and a unit quaternion in the order of geometry_msgs/Quaternion.

    Raises ``ValueError`` where a number is not finite, a position is beyond ``MAX_POSITION_M``, or the norm is off 1 by
    more than rounding: what a message that was never filled in holds is no pose.
    """
    translation, quaternion = np.asarray(xyz, np.float64), np.asarray(xyzw, np.float64)
    if translation.shape != (3,) or quaternion.shape != (4,):
        raise ValueError(f"pose: shapes {translation.shape} and {quaternion.shape}, expected (3,) and (4,)")
    if not (np.abs(translation) <= MAX_POSITION_M).all():
        raise ValueError(f"pose: position {translation.tolist()}, expected finite metres within {MAX_POSITION_M:g}")
    norm = math.hypot(*quaternion.tolist())
    if not abs(norm - 1) <= _NORM_TOLERANCE:
        raise ValueError(
            f"pose: quaternion {quaternion.tolist()} of norm {norm:.4g}, expected norm 1: publish a normalised "
            "orientation (x, y, z, w)"
        )
    x, y, z, w = quaternion / norm
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation
    return matrix


def to_xyz_quaternion(matrix: Matrix) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Translation (3,) and unit quaternion (4,) ``x y z w`` with ``w >= 0`` of a rigid transform."""
    m = require_rigid(matrix, "transform")[:3, :3]
    # Four times the outer product of the quaternion with itself; its longest row is the best conditioned.
    outer = np.array(
        [
            [1 + m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], 1 - m[0, 0] + m[1, 1] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1 - m[0, 0] - m[1, 1] + m[2, 2], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], 1 + m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    quaternion = outer[int(np.argmax(np.diagonal(outer)))]
    quaternion = quaternion / np.linalg.norm(quaternion)
    return np.array(matrix[:3, 3], np.float64), -quaternion if quaternion[3] < 0 else quaternion


def from_xyz_rpy(x: float, y: float, z: float, roll: float, pitch: float, yaw: float) -> Matrix:
    """Matrix of a translation in metres and fixed-axis roll, pitch, yaw in radians (REP 103; URDF ``origin``)."""
    half = np.array([roll, pitch, yaw], np.float64) / 2
    (sr, sp, sy), (cr, cp, cy) = np.sin(half), np.cos(half)
    quaternion = (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )
    return from_xyz_quaternion((x, y, z), quaternion)


def camera_in_base(values: Sequence[float]) -> Matrix:
    """``base_from_optical`` of a camera mounted at ``values`` = x y z roll pitch yaw of its body in ``base_link``.

    Metres and radians; the body looks along x, so a level camera facing ahead has no rotation. Raises ``ValueError``.
    """
    if len(values) != 6 or not np.isfinite(np.asarray(values, np.float64)).all():
        raise ValueError(
            f"camera.in_base: {list(values)}, expected six finite numbers: x y z roll pitch yaw of the camera's body "
            "in base_link, metres and radians"
        )
    return from_xyz_rpy(*values) @ BODY_FROM_OPTICAL


def require_rigid(matrix: npt.ArrayLike, name: str) -> Matrix:
    """``matrix`` as float64 (4, 4); raises ``ValueError`` where it is not a finite rotation with a translation."""
    checked = np.asarray(matrix, np.float64)
    if checked.shape != (4, 4):
        raise ValueError(f"{name}: shape {checked.shape}, expected (4, 4)")
    rotation = checked[:3, :3]
    # NaN fails both comparisons.
    orthonormal = np.abs(rotation @ rotation.T - np.eye(3)).max() <= _RIGID_TOLERANCE
    if not (orthonormal and np.linalg.det(rotation) > 0 and np.isfinite(checked).all()):
        raise ValueError(f"{name}: {checked.tolist()}, expected a rotation and a finite translation")
    if (checked[3] != (0, 0, 0, 1)).any():
        raise ValueError(f"{name}: last row {checked[3].tolist()}, expected 0 0 0 1")
    return checked


def interpolate(a: Matrix, b: Matrix, fraction: float) -> Matrix:
    """The pose ``fraction`` of the way from ``a`` to ``b``: translation linear, rotation along the shorter great arc.

    Source: Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985 (slerp).
    """
    (xyz_a, q_a), (xyz_b, q_b) = to_xyz_quaternion(a), to_xyz_quaternion(b)
    cosine = float(q_a @ q_b)
    if cosine < 0:
        q_b, cosine = -q_b, -cosine
    angle = math.acos(min(cosine, 1.0))
    if angle < 1e-6:
        weights = (1 - fraction, fraction)
    else:
        weights = (math.sin((1 - fraction) * angle) / math.sin(angle), math.sin(fraction * angle) / math.sin(angle))
    return from_xyz_quaternion(xyz_a + fraction * (xyz_b - xyz_a), weights[0] * q_a + weights[1] * q_b)


class PoseBuffer:
    """The poses of the last ``max_age_ns``, asked for at the stamps of images. Safe to use from several threads."""

    def __init__(self, max_age_ns: int = 10_000_000_000) -> None:
        self._max_age_ns = max_age_ns
        self._lock = threading.Lock()
        self._stamps: list[int] = []
        self._poses: list[Matrix] = []

    def add(self, stamp_ns: int, parent_from_child: Matrix) -> None:
        """Remember a pose. A stamp before the newest one is a new time line (a bag looped): all before it is forgotten.

        Raises ``ValueError`` for a matrix that is no rigid transform.
        """
        pose = require_rigid(parent_from_child, "pose").copy()
        with self._lock:
            if self._stamps and stamp_ns < self._stamps[-1]:
                self._forget(len(self._stamps))
            if self._stamps and stamp_ns == self._stamps[-1]:
                self._poses[-1] = pose
                return
            self._stamps.append(stamp_ns)
            self._poses.append(pose)
            self._forget(bisect_left(self._stamps, stamp_ns - self._max_age_ns))

    def at(self, stamp_ns: int, tolerance_ns: int = 100_000_000) -> Matrix | None:
        """``parent_from_child`` (4, 4) at ``stamp_ns``, or ``None`` where no pose near enough is known.

        Interpolated between two poses that are at most twice ``tolerance_ns`` apart; at the ends and in a longer gap
        the nearest pose holds for ``tolerance_ns``.
        """
        with self._lock:
            after = bisect_left(self._stamps, stamp_ns)
            neighbours = [(self._stamps[i], self._poses[i]) for i in (after - 1, after) if 0 <= i < len(self._stamps)]
        if len(neighbours) == 2:
            (stamp_a, pose_a), (stamp_b, pose_b) = neighbours
            if stamp_b - stamp_a <= 2 * tolerance_ns:
                return interpolate(pose_a, pose_b, (stamp_ns - stamp_a) / (stamp_b - stamp_a))
        near = [(abs(stamp - stamp_ns), i) for i, (stamp, _) in enumerate(neighbours)]
        if not near or min(near)[0] > tolerance_ns:
            return None
        return neighbours[min(near)[1]][1].copy()

    def clear(self) -> None:
        """Forget all poses."""
        with self._lock:
            self._forget(len(self._stamps))

    def _forget(self, count: int) -> None:
        del self._stamps[:count], self._poses[:count]
