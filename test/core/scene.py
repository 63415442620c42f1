"""A world of which every ray's end is known exactly: a floor, a wall, boxes and a ball, seen by any camera."""

from __future__ import annotations

import cv2
import numpy as np

from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.lens import EQUIDISTANT
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix, from_xyz_rpy

FLOOR_M, WALL_M = 0.6, 5.0  # below the origin (y is down), and ahead of it
BOXES = (  # corners
    ((-0.7, -0.3, 1.6), (-0.2, 0.6, 2.0)),
    ((0.35, 0.1, 1.2), (0.6, 0.6, 1.5)),
    ((0.9, -0.8, 2.8), (1.7, 0.6, 3.2)),
    ((-2.2, -0.2, 3.0), (-1.5, 0.6, 3.5)),
)
BALL, RADIUS_M = (0.1, -0.2, 2.6), 0.35


def mounted(x: float = 0.1, y: float = 0.02, z: float = 0.01, degrees: float = 5.0) -> Matrix:
    """``rgb_from_stream`` of a camera beside RGB: 10 cm off, turned by 5 degrees about all axes together."""
    turn = np.radians(degrees) / np.sqrt(3)
    return from_xyz_rpy(x, y, z, turn, -turn, turn)


def reach(start: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """How many times each of ``rays`` (3, ...) from ``start`` (3,) goes into the way to the first surface."""
    _, y, z = rays
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(y > 0, (FLOOR_M - start[1]) / y, np.inf)
        found = np.fmin(found, np.where(z > 0, (WALL_M - start[2]) / z, np.inf))
        for low, high in BOXES:
            steps = [np.stack([(low[i] - start[i]) / rays[i], (high[i] - start[i]) / rays[i]]) for i in range(3)]
            enter = np.max([step.min(axis=0) for step in steps], axis=0)
            leave = np.min([step.max(axis=0) for step in steps], axis=0)
            found = np.where((enter <= leave) & (enter > 0), np.fmin(found, enter), found)
        offset = start - BALL
        a, b = (rays**2).sum(axis=0), np.tensordot(offset, rays, axes=1)
        root = np.sqrt(b * b - a * (offset @ offset - RADIUS_M**2))
        hit = (-b - root) / a
        return np.where(hit > 0, np.fmin(found, hit), found)


def depth_of(camera: Intrinsics, rgb_from_camera: Matrix) -> np.ndarray:
    """float64 (H, W): metres along the axis of the camera's image, from its place in RGB's frame."""
    rays = pixel_rays(camera).astype(np.float64)
    turned = np.tensordot(rgb_from_camera[:3, :3], rays, axes=1)
    depth = reach(rgb_from_camera[:3, 3], turned)
    return np.where(np.isfinite(depth) & np.isfinite(rays[0]), depth, np.nan)


def points_of(camera: Intrinsics, depth: np.ndarray) -> np.ndarray:
    """(3, H, W) metres in the camera's own frame."""
    return pixel_rays(camera).astype(np.float64) * depth


def pixels_of(camera: Intrinsics, points: np.ndarray) -> np.ndarray:
    """(2, H, W): where OpenCV sees points (3, H, W) of the camera's frame; NaN behind it."""
    flat = points.reshape(3, -1)
    k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    d = np.zeros(4)
    project = cv2.projectPoints
    if camera.lens is not None:
        flat = np.array(camera.lens.rotation).reshape(3, 3).T @ flat
        d = np.array(camera.lens.coefficients or d)
        project = cv2.fisheye.projectPoints if camera.lens.model == EQUIDISTANT else project
    ahead = np.where(flat[2] > 0.01, flat, np.array([[0.0], [0.0], [1.0]]))
    pixels = project(np.ascontiguousarray(ahead.T[:, None]), np.zeros(3), np.zeros(3), k, d)[0].reshape(-1, 2).T
    pixels[:, ~(flat[2] > 0.01)] = np.nan
    return pixels.reshape(2, *points.shape[1:])


def seen_by(camera: Intrinsics, rgb_from_camera: Matrix, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of points (3, H, W) on surfaces, in RGB's frame: whether each lies in the image, and whether nothing hides it."""
    start = rgb_from_camera[:3, 3]
    way = points - start[:, None, None]
    free = reach(start, way) > 1 - 1e-6
    own = np.tensordot(rgb_from_camera[:3, :3].T, way, axes=1)
    u, v = pixels_of(camera, own)
    with np.errstate(invalid="ignore"):
        inside = (u > -0.5) & (u < camera.width - 0.5) & (v > -0.5) & (v < camera.height - 0.5)
    return inside, free
