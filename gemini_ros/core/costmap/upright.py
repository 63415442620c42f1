"""Images turned upright, by quarter turns, for a camera that is mounted upside down or on its side.

The map follows the ground up the columns of an image, away from the robot: ramps, gaps, drops and the foot of glass are
found so. Where a column runs the other way, or across, none of that is.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.lens import EQUIDISTANT, Lens
from gemini_ros.core.transforms import Matrix

_LEAST_LEVEL = 0.1
"""A camera within 6 degrees of straight down has no side that is down: what is up in its image is ahead."""
_TURN = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""The axes of an image turned anticlockwise once, from those of the image."""
# Pairs of lens coefficients that are vectors in the image, x first: p2 and p1, s1 and s3, s2 and s4 of camera_info.
_VECTORS = ((3, 2), (8, 10), (9, 11))
_POLYNOMIAL = 12


def quarter_turns(grid_from_camera: Matrix) -> int:
    """How often, 0 to 3, an image has to be turned anticlockwise until down is down in it, within 45 degrees."""
    right, down = -grid_from_camera[2, 0], -grid_from_camera[2, 1]  # of the image, along the fall of a stone
    if math.hypot(right, down) < _LEAST_LEVEL:
        return 0
    return round(math.atan2(-right, down) / (math.pi / 2)) % 4


def turned_image(image: np.ndarray, turns: int) -> np.ndarray:
    """An image (H, W) turned anticlockwise so often; itself where it is not turned."""
    return np.ascontiguousarray(np.rot90(image, turns)) if turns % 4 else image


def turned_pose(pose: Matrix, turns: int) -> Matrix:
    """The pose (4, 4) of a camera whose images are turned."""
    result = pose.copy()
    result[:3, :3] = pose[:3, :3] @ np.linalg.matrix_power(_TURN, turns).T
    return result


def turned_camera(camera: Intrinsics, turns: int) -> Intrinsics:
    """The camera of images that are turned; every pixel of them looks to where it did."""
    for _ in range(turns):
        size, focal = (camera.height, camera.width), (camera.fy, camera.fx)
        camera = Intrinsics(
            *size, *focal, camera.cy, camera.width - 1 - camera.cx, camera.lens and _turned(camera.lens)
        )
    return camera


def _turned(lens: Lens) -> Lens:
    """The same glass before an image that is turned once: what it does along the axes turns with them."""
    rotation = _TURN @ np.array(lens.rotation).reshape(3, 3) @ _TURN.T
    turned = replace(lens, rotation=tuple(rotation.reshape(-1).tolist()))
    if lens.model == EQUIDISTANT:
        return turned
    before = [*lens.coefficients, *[0.0] * _POLYNOMIAL][:_POLYNOMIAL]
    after = list(before)
    for x, y in _VECTORS:
        after[x], after[y] = before[y], -before[x]
    return replace(turned, coefficients=tuple(after))
