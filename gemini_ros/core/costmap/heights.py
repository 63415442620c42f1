"""Which height counts as standing: an error budget, since a wrong tilt and noise lift the ground more the further off.

    h_min(d) = min_height + d tan(delta) + 3 sigma_h(d)

``d`` is the depth in metres and ``delta`` the tilt that nobody has corrected. ``sigma_h`` is the noise of depth
(``depth_noise_per_m`` d^2, one sigma) times the vertical part of the ray: at a grazing view it moves points along the
ground, and hardly up.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gemini_ros.core.costmap.grid import CostmapConfig
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix

FITTED_TILT_DEG = 0.5
"""The tilt that a fit of the floor leaves."""


def least_height(depth_m: Any, steepness: Any, tilt_deg: float, config: CostmapConfig) -> Any:
    """``h_min`` in metres at ``depth_m``; ``steepness`` is the vertical part of the ray of depth 1. Takes arrays."""
    noise = 3 * config.depth_noise_per_m * depth_m * depth_m * abs(steepness)
    return config.min_height_m + depth_m * math.tan(math.radians(tilt_deg)) + noise


def seen_ranges_m(
    camera_height_m: float, tilt_deg: float, config: CostmapConfig, heights_m: tuple[float, ...] = (0.05, 0.1, 0.15)
) -> dict[float, float]:
    """How far ahead things of these heights stand out from the ground, metres along it; 0 where nowhere."""
    ranges = {}
    steps = [0.05 * step for step in range(1, int(config.range_m / 0.05) + 1)]
    for height in heights_m:
        seen = [d for d in steps if least_height(d, camera_height_m / d, tilt_deg, config) < height]
        ranges[height] = max(seen, default=0.0)
    return ranges


def view_begins_m(intrinsics: Intrinsics, grid_from_camera: Matrix) -> float | None:
    """Metres along the ground from the camera to the nearest ground that it sees; None where it sees none.

    z = 0 of the pose (optical frame) is the ground.
    """
    x, y, z = np.tensordot(grid_from_camera[:3, :3], pixel_rays(intrinsics), axes=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = np.where(z < 0, np.hypot(x, y) * grid_from_camera[2, 3] / -z, np.inf)
    nearest = float(np.nanmin(ground))
    return nearest if math.isfinite(nearest) else None
