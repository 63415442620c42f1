"""Images that measure next to nothing: what was read, how many pixels count, and which limit the others missed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.costmap.heights import least_height
from gemini_ros.core.costmap.points import MIN_RANGE_M
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.rays import rays_at, within_lens
from gemini_ros.core.transforms import Matrix

MIN_SHARE = 0.02
"""An image with a smaller share of valid pixels measures next to nothing."""
_SAMPLE, _CLEARLY = 8, 4  # every eighth row and column is looked at first, and all where these have not clearly enough
_DARK, _BRIGHT = 20, 250
"""Mean of an 8-bit RGB image below which colours do not help, and value from which on a pixel is saturated."""
_AHEAD_M, _HALF_WIDTH_M = 3.0, 0.3
_LEAST_AHEAD, _LEAST_RAYS = 0.1, 20
_SIDES = {"depth": ("nearer than", "farther than")}
_EXCHANGED = "or the topics of two streams are exchanged"
_COUNTS = f"check thermal.scale and thermal.offset, which make degrees Celsius of the raw counts, {_EXCHANGED}"
_CURES = {
    ("depth", "below"): "something stands right before the camera, or depth has another unit: set depth.scale",
    ("depth", "above"): f"check the unit (16UC1 is millimetres, 32FC1 metres; depth.scale changes it), {_EXCHANGED}",
    ("depth", "none"): "check what covers or dazzles the camera, and that its projector is on",
    ("thermal", "below"): _COUNTS,
    ("thermal", "above"): _COUNTS,
    ("thermal", "none"): "check that the camera is not saturated, covered or calibrating",
}


def too_little(
    name: str,
    image: npt.NDArray[np.float32],
    low: float,
    high: float,
    unit: str,
    whose: str = "the model",
    least: float = MIN_SHARE,
) -> str:
    """Why less than the share ``least`` of ``image`` (H, W) lies between ``low`` and ``high``; empty where more does.

    ``whose`` range that is. NaN holds no measurement. The sentence says what was read and which parameter to set.
    """
    sample = image[::_SAMPLE, ::_SAMPLE]
    if ((sample > low) & (sample < high)).mean() >= _CLEARLY * least:
        return ""
    read = image[np.isfinite(image)]
    below, above, size = int((read <= low).sum()), int((read >= high).sum()), image.size
    count = len(read) - below - above
    if count >= least * size:
        return ""
    under, over = _SIDES.get(name, ("below", "above"))
    sides = {
        "below": (below, f"{under} {whose}'s range"),
        "above": (above, f"{over} {whose}'s range"),
        "none": (size - len(read), "without a measurement"),
    }
    most = max(sides, key=lambda side: sides[side][0])
    found = ", ".join(f"{n} are {what}" for n, what in sides.values() if n)
    span = f"; read {read.min():.4g} to {read.max():.4g} {unit}" if len(read) else ""
    return (
        f"{name} measures next to nothing, {sides[most][1]}: {count} of {size} pixels lie within {low:.4g} to "
        f"{high:.4g} {unit}, {found}{span}: {_CURES.get((name, most), 'check the unit of the images')}"
    )


def too_little_for_map(depth: npt.NDArray[np.float32], config: CostmapConfig) -> str:
    """Why ``depth`` (H, W) in metres measures next to nothing of what a map of ``config`` takes; empty if it does."""
    return too_little("depth", depth, float(MIN_RANGE_M), config.range_m, "m", "the map")


def blind_ahead(
    depth: npt.NDArray[np.float32], intrinsics: Intrinsics, base_from_camera: Matrix, config: CostmapConfig
) -> str:
    """Why ``depth`` (H, W) in metres does not tell whether the way ahead is clear; empty where it does.

    The way is what the robot sweeps in its next 3 m, 0.6 m wide. ``base_from_camera`` (4, 4) is the optical frame over
    the plane that the robot stands on. A camera that does not look there is not asked.
    """
    step = max(1, depth.shape[1] // 80)
    sample = depth[::step, ::step]
    v, u = (index.reshape(-1) * step for index in np.indices(sample.shape))
    x, y, fall = base_from_camera[:3, :3] @ rays_at(intrinsics, v, u)
    down = fall < 0
    reach = base_from_camera[2, 3] / -np.where(down, fall, -1.0)
    x, y = x * reach + base_from_camera[0, 3], y * reach + base_from_camera[1, 3]
    ahead = down & (x > 0) & (x <= _AHEAD_M) & (np.abs(y) <= _HALF_WIDTH_M)
    if ahead.sum() < _LEAST_RAYS:
        return ""
    d = sample.reshape(-1)[ahead]
    if ((d >= MIN_RANGE_M) & (d <= config.range_m)).mean() >= _LEAST_AHEAD:
        return ""
    return (
        f"depth measures less than {100 * _LEAST_AHEAD:g} % of the way ahead ({2 * _HALF_WIDTH_M:g} m wide, up to "
        f"{_AHEAD_M:g} m): {_CURES['depth', 'none']}"
    )


def exposure(rgb: npt.NDArray[np.uint8], least: float = MIN_SHARE) -> tuple[str, str]:
    """Why ``rgb`` (H, W, 3) shows nothing, and what is less than it could be; both are empty where all is well.

    An image is of no use where less than the share ``least`` of its pixels is below saturation. A dark one is used: at
    night that is how it looks.
    """
    sample = rgb[::_SAMPLE, ::_SAMPLE]
    mean = float(sample.mean())
    if mean < _DARK:
        return "", f"dark, mean {mean:.1f} of 255: colours hardly help; light the scene, or raise the camera's exposure"
    if mean > _BRIGHT * (1 - least) and (share := below_saturation(rgb)) < least:
        return (
            f"rgb is saturated: mean {mean:.1f} of 255, {100 * share:.1f} % of its pixels are below {_BRIGHT}; lower "
            "the camera's exposure"
        ), ""
    return "", ""


def below_saturation(rgb: npt.NDArray[np.uint8]) -> float:
    """The share of the pixels of ``rgb`` (H, W, 3) with a channel that is not saturated."""
    return float((rgb.min(axis=2) < _BRIGHT).mean())


def no_evidence(
    depth: npt.NDArray[np.float32], intrinsics: Intrinsics, grid_from_camera: Matrix, config: CostmapConfig
) -> tuple[str, str]:
    """Why ``depth`` (H, W) in metres, seen from ``grid_from_camera``, leaves a map of ``config`` without a known cell.

    The caller has found that it does; this says which limit its points missed: the kind of most of them (``range``,
    ``height``, ``outside`` or ``unlabelled``) and a sentence.
    """
    depth = within_lens(intrinsics, depth)
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    measured = (depth >= MIN_RANGE_M) & (depth <= config.range_m)
    d, u, v = depth[measured].astype(np.float64), u[measured], v[measured]
    if not len(d):
        return "range", f"depth: no pixel of {depth.size} lies within {MIN_RANGE_M:g} to {config.range_m:g} m"
    rays = rays_at(intrinsics, v, u)
    offset = grid_from_camera[:3, :3] @ (rays * d)
    heights = offset[2] + grid_from_camera[2, 3]
    budget = least_height(d, grid_from_camera[2, :3] @ rays, config.tilt_error_deg, config)
    above, below = heights > config.max_height_m, heights < -budget
    outside = (np.abs(offset[:2]) > config.size_m / 2).any(axis=0)
    pose = "check z of the odometry, the mounting of the camera (camera.in_base, or TF) and the unit (depth.scale)"
    reasons = [
        ("height", above, f"above costmap.max_height_m {config.max_height_m:g}", pose),
        (
            "height",
            below,
            f"further below the ground than its error budget (costmap.min_height_m {config.min_height_m:g})",
            pose,
        ),
        ("outside", outside & ~above & ~below, f"outside costmap.size_m {config.size_m:g}", "raise costmap.size_m"),
        (
            "unlabelled",
            ~(outside | above | below),
            f"on the ground without a label of known meaning and confidence {config.min_confidence:g}",
            "check that the model fits the place, and what label_set says of its classes",
        ),
    ]
    reasons = sorted(((int(where.sum()), kind, *words) for kind, where, *words in reasons), reverse=True)
    missed = ", ".join(f"{count} are {limit}" for count, _, limit, _ in reasons if count)
    return reasons[0][1], (
        f"nothing is known of {len(d)} points in range, of {depth.size} pixels, {heights.min():.4g} to "
        f"{heights.max():.4g} m above the ground: {missed}: {reasons[0][3]}"
    )
