"""Images that measure next to nothing: what was read, how many pixels count, and which limit the others missed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.costmap.heights import least_height
from gemini_ros.core.costmap.points import MIN_RANGE_M
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.transforms import Matrix

MIN_SHARE = 0.01
"""An image with a smaller share of valid pixels measures next to nothing."""
_SAMPLE = 4  # every fourth row and column is looked at first
_CURES = {
    "depth": "check the unit (16UC1 is millimetres, 32FC1 metres), and what the camera looks at",
    "thermal": "check thermal.scale and thermal.offset, which make degrees Celsius of the raw counts",
}


def too_little(name: str, image: npt.NDArray[np.float32], low: float, high: float, unit: str, limit: str) -> str:
    """Why ``image`` (H, W) measures next to nothing between ``low`` and ``high``; empty where enough pixels do.

    ``limit`` names whose range that is. NaN holds no measurement.
    """
    sample = image[::_SAMPLE, ::_SAMPLE]
    if ((sample > low) & (sample < high)).mean() >= MIN_SHARE:
        return ""
    valid, read = (image > low) & (image < high), image[np.isfinite(image)]
    count, size = int(valid.sum()), image.size
    if count >= MIN_SHARE * size:
        return ""
    found = f"{size - len(read)} hold no measurement"
    if len(read):
        below, above = int((read <= low).sum()), int((read >= high).sum())
        found += f", {below} are below and {above} above; read {read.min():.4g} to {read.max():.4g} {unit}"
    return (
        f"{name} measures next to nothing: {count} of {size} pixels lie within {low:g} to {high:g} {unit}, {limit}; "
        f"{found}: {_CURES.get(name, 'check the unit of the images')}"
    )


def no_evidence(
    depth: npt.NDArray[np.float32], intrinsics: Intrinsics, grid_from_camera: Matrix, config: CostmapConfig
) -> str:
    """Why ``depth`` (H, W) in metres, seen from ``grid_from_camera``, leaves a map of ``config`` without a known cell.

    The caller has found that it does; this says which limit its points missed.
    """
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    measured = (depth >= MIN_RANGE_M) & (depth <= config.range_m)
    d, u, v = depth[measured].astype(np.float64), u[measured], v[measured]
    if not len(d):
        return f"depth: no pixel of {depth.size} lies within {MIN_RANGE_M:g} to {config.range_m:g} m"
    rays = np.stack([(u - intrinsics.cx) / intrinsics.fx, (v - intrinsics.cy) / intrinsics.fy, np.ones(len(d))])
    offset = grid_from_camera[:3, :3] @ (rays * d)
    heights = offset[2] + grid_from_camera[2, 3]
    budget = least_height(d, grid_from_camera[:3, :3][2] @ rays, config.tilt_error_deg, config)
    above, below = heights > config.max_height_m, heights < -budget
    outside = (np.abs(offset[:2]) > config.size_m / 2).any(axis=0)
    pose = "check z of the odometry and the mounting of the camera (camera.in_base, or TF)"
    reasons = [
        (above, f"above costmap.max_height_m {config.max_height_m:g}", pose),
        (below, f"further below the ground than its error budget (costmap.min_height_m {config.min_height_m:g})", pose),
        (outside & ~above & ~below, f"outside costmap.size_m {config.size_m:g}", "raise costmap.size_m"),
        (
            ~(outside | above | below),
            f"on the ground without a label of known meaning and confidence {config.min_confidence:g}",
            "check that the model fits the place, and what label_set says of its classes",
        ),
    ]
    reasons = sorted(((int(where.sum()), *words) for where, *words in reasons), reverse=True)
    missed = ", ".join(f"{count} are {limit}" for count, limit, _ in reasons if count)
    return (
        f"nothing is known of {len(d)} points in range, of {depth.size} pixels, {heights.min():.4g} to "
        f"{heights.max():.4g} m above the ground: {missed}: {reasons[0][2]}"
    )
