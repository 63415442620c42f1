"""Labels that change between two frames though the camera sees the same surface: flicker under known motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED, Intrinsics
from gemini_ros.core.rays import rays_at
from gemini_ros.core.transforms import Matrix

_EVERY = 4  # rows and columns that are compared
_SAME_SURFACE = 0.05  # of the depth: what is farther off is another surface, or has moved
_LONGEST_NS = 500_000_000


@dataclass(frozen=True)
class View:
    """Labels uint8 (H, W) with depth float32 (H, W) in metres, and where the camera was: optical frame in the world."""

    stamp_ns: int
    labels: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    intrinsics: Intrinsics
    world_from_camera: Matrix


def flicker(before: View, now: View) -> tuple[int, int] | None:
    """How many pixels of ``now`` were seen ``before``, and how many of these had another label.

    Every fourth row and column of ``now`` goes through its depth and both poses to the nearest pixel of ``before``. It
    is the same surface where the depths there agree within 5 %. Pixels without a label do not count. ``None`` where
    the views are more than half a second apart.
    """
    if not 0 < now.stamp_ns - before.stamp_ns <= _LONGEST_NS:
        return None
    v, u = (grid.ravel() for grid in np.mgrid[: now.depth.shape[0] : _EVERY, : now.depth.shape[1] : _EVERY])
    depth, labels = now.depth[v, u], now.labels[v, u]
    known = np.isfinite(depth) & (depth > 0) & (labels != UNLABELLED)
    v, u, depth, labels = v[known], u[known], depth[known].astype(np.float64), labels[known]
    motion = np.linalg.inv(before.world_from_camera) @ now.world_from_camera
    column, row, z = _seen(before.intrinsics, motion[:3, :3] @ (rays_at(now.intrinsics, v, u) * depth) + motion[:3, 3:])
    height, width = before.depth.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    row, column, z, labels = row[inside].astype(int), column[inside].astype(int), z[inside], labels[inside]
    old = before.labels[row, column]
    seen = (np.abs(before.depth[row, column] - z) < _SAME_SURFACE * z) & (old != UNLABELLED)
    return int(seen.sum()), int((seen & (old != labels)).sum())


def _seen(camera: Intrinsics, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Column, row (whole numbers, NaN where it is not seen) and depth of points (3, n) in the camera's frame."""
    if camera.lens is not None:
        x, y, z = camera.lens.project(points)
    else:
        z = np.where(points[2] > 0, points[2], np.nan)
        x, y = points[0] / z, points[1] / z
    return np.stack([np.rint(camera.fx * x + camera.cx), np.rint(camera.fy * y + camera.cy), z])
