"""The floor in a depth image of a camera whose mounting nobody knows: no learning, only planes and which way is down.

The baseline of a model that is to find floors through any camera. ``plane`` is that of a robot, which knows its camera.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import Intrinsics

LEAST_HEIGHT_M = 0.2  # of a camera above the floor
MOST_HEIGHT_M = 2.5
_STEP_M = 0.05  # of the heights that are looked through
_LEAST_SHARE = 0.01  # of the pixels, for a level surface to count
_ALIGNMENT = ((45.0, 5), (15.0, 5))  # degrees, rounds
_LIKELY_PITCH = np.radians(20.0)  # downwards; what is within 45 degrees of it is found
_LEVEL_DEG, _FLOOR_DEG = 12.0, 30.0
_SAMPLES, _HYPOTHESES = 2000, 200


def segment_floor(
    depth: npt.NDArray[np.float32], camera: Intrinsics, *, least_height_m: float = LEAST_HEIGHT_M
) -> npt.NDArray[np.bool_]:
    """bool (H, W): the floor in ``depth`` float32 (H, W), metres, NaN or 0 where not measured.

    Up is found as by Gupta, Arbelaez and Malik (CVPR 2013, section 3.1): from a camera that looks down a little, turned
    until most surfaces are level or upright. The floor is the lowest large level surface ``least_height_m`` to 2.5 m
    below the camera; a plane is fitted there (RANSAC, then least squares). Pixels belong to it within a tolerance that
    grows with the square of the distance, where their own surface is level within 30 degrees. Nothing is floor where
    there is no such surface. Deterministic.
    """
    points = _points(depth, camera)
    normals = _normals(points)
    known = np.isfinite(normals).all(-1)
    floor = np.zeros(depth.shape, bool)
    if known.sum() < 50:
        return floor
    up = _find_up(normals[known][:: max(1, int(known.sum()) // 20000)])
    heights = points @ up
    level = known & (normals @ up > np.cos(np.radians(_LEVEL_DEG)))
    lowest = _lowest_level(heights[level], depth.size, least_height_m)
    if lowest is None:
        return floor
    near = level & (np.abs(heights - lowest) < 0.1 + _tolerance(points[..., 2]))
    plane = _fit(points[near], up)
    distance = points @ plane[:3] + plane[3]
    slanted = normals @ plane[:3] < np.cos(np.radians(_FLOOR_DEG))
    with np.errstate(invalid="ignore"):
        return (np.abs(distance) <= _tolerance(points[..., 2])) & ~(known & slanted)


def _tolerance(z: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return 0.04 + 0.008 * z * z


def _points(depth: npt.NDArray[np.float32], camera: Intrinsics) -> npt.NDArray[np.float32]:
    """float32 (H, W, 3), optical frame, NaN where nothing was measured."""
    z = np.where(np.isfinite(depth) & (depth > 0), depth, np.nan).astype(np.float32)
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
    return np.stack([(columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z, z], -1)


def _normals(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Unit normals towards the camera, float32 (H, W, 3), from differences over a hundredth of the image's width."""
    reach = max(1, round(points.shape[1] / 100))
    measured = np.isfinite(points[..., 2])
    # Sums run along the rows: one NaN would spread to all that follows.
    weight = cv2.blur(measured.astype(np.float32), (reach, reach))
    sums = cv2.blur(np.where(measured[..., None], points, np.float32(0)), (reach, reach))
    smooth = np.where(measured[..., None], sums / np.maximum(weight, 1e-6)[..., None], np.float32(np.nan))
    padded = cv2.copyMakeBorder(smooth, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=(np.nan,) * 3)
    across = padded[reach:-reach, 2 * reach :] - padded[reach:-reach, : -2 * reach]
    down = padded[2 * reach :, reach:-reach] - padded[: -2 * reach, reach:-reach]
    normals = np.cross(down, across)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    facing = (normals * points).sum(-1, keepdims=True) > 0
    return np.where(facing, -normals, normals).astype(np.float32)


def _find_up(normals: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Unit vector (3,) upwards: most along the normals that are nearly along it, least along those nearly across."""
    up = np.array([0.0, -np.cos(_LIKELY_PITCH), -np.sin(_LIKELY_PITCH)])
    for degrees, rounds in _ALIGNMENT:
        for _ in range(rounds):
            cosine = np.abs(normals @ up)
            along = normals[cosine > np.cos(np.radians(degrees))].astype(np.float64)
            across = normals[cosine < np.sin(np.radians(degrees))].astype(np.float64)
            found = np.linalg.eigh(across.T @ across - along.T @ along)[1][:, 0]
            up = found if found[1] < 0 else -found
    return up


def _lowest_level(heights: npt.NDArray[np.floating], pixels: int, least: float) -> float | None:
    """Height, negative, of the lowest level surface of some size below the camera."""
    count = round((MOST_HEIGHT_M - least) / _STEP_M)
    histogram, edges = np.histogram(heights, count, (-MOST_HEIGHT_M, -least))
    window = np.convolve(histogram, np.ones(3), "same")  # noise spreads a surface over its neighbours
    large = np.flatnonzero(window >= _LEAST_SHARE * pixels)
    if not large.size:
        return None
    first = large[0] + int(np.argmax(window[large[0] : large[0] + 4]))
    return float((edges[first] + edges[first + 1]) / 2)


def _fit(points: npt.NDArray[np.float32], up: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Plane (a, b, c, d), unit normal upwards, through most of ``points`` (n, 3)."""
    rng = np.random.default_rng(0)
    points64 = points.astype(np.float64)
    sample = points64[rng.integers(0, len(points), _SAMPLES)]
    corners = sample[rng.integers(0, _SAMPLES, (_HYPOTHESES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    normals *= np.where(normals @ up < 0, -1, 1)[:, None]
    # The level plane itself is a hypothesis: of a strip of floor three points say little about its tilt.
    normals = np.vstack([normals[normals @ up > np.cos(np.radians(_LEVEL_DEG))], up])
    offsets = -np.median(sample @ normals.T, axis=0)
    inliers = np.abs(sample @ normals.T + offsets) <= _tolerance(sample[:, 2])[:, None] / 2
    best = int(np.argmax(inliers.sum(0)))
    on_plane = points64[np.abs(points64 @ normals[best] + offsets[best]) <= _tolerance(points64[:, 2])]
    if len(on_plane) < 50:
        return np.append(normals[best], offsets[best])
    centre = on_plane.mean(axis=0)
    normal = np.linalg.svd(on_plane[:: max(1, len(on_plane) // 5000)] - centre, full_matrices=False)[2][-1]
    normal = normal if normal @ up > 0 else -normal
    if normal @ up < np.cos(np.radians(_LEVEL_DEG)):  # a line of points, not a surface
        return np.append(normals[best], offsets[best])
    return np.append(normal, -normal @ centre)
