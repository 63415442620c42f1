"""Depth geometry without any learning: the ground is a plane, what stands above it is an obstacle.

The baseline a semantic model has to beat. It sees in the dark and knows no names: a person is a box.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED, Intrinsics, Segmentation
from gemini_ros.core.labels import LabelClass, LabelSet

GEOMETRY = LabelSet(
    name="geometry",
    source="plane fit",
    ignore_index=UNLABELLED,
    classes=(
        LabelClass(0, "ground", (128, 64, 128), "free", 0, False),
        LabelClass(1, "obstacle", (235, 140, 52), "lethal", 0, False),
    ),
)

_HYPOTHESES = 200
_SAMPLES = 2000
_MIN_INLIERS = 50
_MAX_TILT = np.radians(6.0)
_MAX_OFFSET_M = 0.15


def segment_by_plane(
    depth: npt.NDArray[np.float32],
    intrinsics: Intrinsics,
    base_from_camera: npt.NDArray[np.float64],
    *,
    max_height_m: float = 2.0,
) -> Segmentation:
    """Label depth float32 (H, W), metres, with the classes of :data:`GEOMETRY`.

    The ground is looked for within 0.15 m and 6 degrees of where the mounting ``base_from_camera`` (optical) has it.
    Unlabelled: no measurement, more than ``max_height_m`` above the ground, below the ground, and everything where no
    such plane carries 50 points. The tolerance grows with the square of the distance, as a stereo sensor's noise does.
    Deterministic.
    """
    labels = np.full(depth.shape, UNLABELLED, np.uint8)
    rows, columns = np.nonzero(np.isfinite(depth) & (depth > 0))
    points = points_of_pixels(depth[rows, columns], rows, columns, intrinsics)
    plane = _fit_ground(points, base_from_camera)
    if plane is not None:
        height = points @ plane[:3] + plane[3]
        tolerance = _tolerance(points)
        ground = np.abs(height) <= tolerance
        obstacle = (height > tolerance) & (height <= max_height_m)
        labels[rows[ground], columns[ground]] = 0
        labels[rows[obstacle], columns[obstacle]] = 1
    return Segmentation(labels, np.where(labels == UNLABELLED, 0, 255).astype(np.uint8))


def points_of_pixels(
    depth: np.ndarray, rows: np.ndarray, columns: np.ndarray, camera: Intrinsics
) -> npt.NDArray[np.float64]:
    """Points (n, 3), optical frame, of the pixels at ``rows`` and ``columns`` (n,) with ``depth`` (n,) in metres."""
    z = depth.astype(np.float64)
    return np.stack([(columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z, z], axis=1)


def _tolerance(points: np.ndarray) -> npt.NDArray[np.float64]:
    return 0.04 + 0.004 * points[:, 2] ** 2


def _fit_ground(points: np.ndarray, base_from_camera: np.ndarray) -> npt.NDArray[np.float64] | None:
    """Plane (a, b, c, d), unit normal upwards: a x + b y + c z + d is the height. RANSAC, then refined."""
    up, camera_height = base_from_camera[2, :3], base_from_camera[2, 3]
    expected = points @ up + camera_height
    near = points[np.abs(expected) <= _MAX_OFFSET_M + np.tan(_MAX_TILT) * points[:, 2]]
    if len(near) < _MIN_INLIERS:
        return None
    random = np.random.default_rng(0)
    sample = near[random.integers(0, len(near), _SAMPLES)]
    corners = sample[random.integers(0, _SAMPLES, (_HYPOTHESES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    normals *= np.where(normals @ up < 0, -1, 1)[:, None]
    offsets = -np.einsum("ij,ij->i", normals, corners[lengths > 1e-9, 0])
    likely = (normals @ up >= np.cos(_MAX_TILT)) & (np.abs(offsets - camera_height) <= _MAX_OFFSET_M)
    if not likely.any():
        return None
    normals, offsets = normals[likely], offsets[likely]
    best = int(np.argmax((np.abs(sample @ normals.T + offsets) <= _tolerance(sample)[:, None]).sum(axis=0)))
    on_plane = near[np.abs(near @ normals[best] + offsets[best]) <= _tolerance(near)]
    return _least_squares(on_plane, up) if len(on_plane) >= _MIN_INLIERS else None


def _least_squares(points: np.ndarray, towards: np.ndarray) -> npt.NDArray[np.float64]:
    """Plane of least squared distance through ``points``; its normal points to the side of ``towards``."""
    centre = points.mean(axis=0)
    normal = np.linalg.svd(points - centre, full_matrices=False)[2][-1]
    normal = normal if normal @ towards > 0 else -normal
    return np.append(normal, -normal @ centre)
