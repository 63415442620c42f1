"""The ground as a plane in a depth image, without any learning: the baseline that a semantic model has to beat.

``segment_by_plane`` is for a robot, which knows the mounting of its camera, and also says what stands above the ground.
``segment_floor`` is for a camera whose mounting nobody knows. Both see in the dark and know no names: a person is a
box. Both fit by RANSAC (Fischler and Bolles, 1981) and then by least squares, with fixed random draws.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED, Intrinsics, Segmentation
from gemini_ros.core.labels import LabelClass, LabelSet
from gemini_ros.core.rays import pixel_rays, rays_at

GEOMETRY = LabelSet(
    name="geometry",
    source="plane fit",
    ignore_index=UNLABELLED,
    classes=(
        LabelClass(0, "ground", (128, 64, 128), "free", 0, False),
        LabelClass(1, "obstacle", (235, 140, 52), "lethal", 0, False),
    ),
)
LEAST_HEIGHT_M = 0.2  # of a camera above the floor
MOST_HEIGHT_M = 2.5

_HYPOTHESES = 200
_SAMPLES = 2000
_MIN_INLIERS = 50
# With a known mounting: how far the ground may be from where that has it.
_MAX_TILT = np.radians(6.0)
_MAX_OFFSET_M = 0.15
# Without: how level a surface must be to be looked at, and a pixel of the floor to belong to it.
_LEVEL_DEG, _FLOOR_DEG = 12.0, 30.0
_STEP_M = 0.05  # of the heights that are looked through
_LEAST_SHARE = 0.01  # of the pixels, for a level surface to count
_ALIGNMENT = ((45.0, 5), (15.0, 5))  # degrees, rounds
_LIKELY_PITCH = np.radians(20.0)  # downwards; what is within 45 degrees of it is found

Points = npt.NDArray[np.float64]  # (n, 3), metres in the optical frame
Plane = npt.NDArray[np.float64]  # (a, b, c, d), unit normal upwards: a x + b y + c z + d is the height above it


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
        tolerance = _ground_tolerance(points)
        ground = np.abs(height) <= tolerance
        obstacle = (height > tolerance) & (height <= max_height_m)
        labels[rows[ground], columns[ground]] = 0
        labels[rows[obstacle], columns[obstacle]] = 1
    return Segmentation(labels, np.where(labels == UNLABELLED, 0, 255).astype(np.uint8))


def segment_floor(
    depth: npt.NDArray[np.float32], camera: Intrinsics, *, least_height_m: float = LEAST_HEIGHT_M
) -> npt.NDArray[np.bool_]:
    """bool (H, W): the floor in ``depth`` float32 (H, W), metres, NaN or 0 where not measured.

    Up is found as by Gupta, Arbelaez and Malik (CVPR 2013, section 3.1): from a camera that looks down a little, turned
    until most surfaces are level or upright. The floor is the lowest large level surface ``least_height_m`` to 2.5 m
    below the camera; a plane is fitted there. Pixels belong to it within a tolerance that grows with the square of the
    distance, where their own surface is level within 30 degrees. Nothing is floor where there is no such surface.
    Deterministic.
    """
    points = _point_image(depth, camera)
    normals = _normals(points)
    known = np.isfinite(normals).all(-1)
    floor = np.zeros(depth.shape, bool)
    if known.sum() < _MIN_INLIERS:
        return floor
    up = _find_up(normals[known][:: max(1, int(known.sum()) // 20000)])
    heights = points @ up
    level = known & (normals @ up > np.cos(np.radians(_LEVEL_DEG)))
    lowest = _lowest_level(heights[level], depth.size, least_height_m)
    if lowest is None:
        return floor
    near = level & (np.abs(heights - lowest) < 0.1 + _floor_tolerance(points))
    plane = _fit_floor(points[near].astype(np.float64), up)
    distance = points @ plane[:3] + plane[3]
    slanted = normals @ plane[:3] < np.cos(np.radians(_FLOOR_DEG))
    with np.errstate(invalid="ignore"):
        return (np.abs(distance) <= _floor_tolerance(points)) & ~(known & slanted)


def points_of_pixels(depth: np.ndarray, rows: np.ndarray, columns: np.ndarray, camera: Intrinsics) -> Points:
    """Points (n, 3), optical frame, of the pixels at ``rows`` and ``columns`` (n,) with ``depth`` (n,) in metres."""
    return (rays_at(camera, rows, columns) * depth.astype(np.float64)).T


# Where the ground is


def _fit_ground(points: Points, base_from_camera: npt.NDArray[np.float64]) -> Plane | None:
    """The ground near where the mounting has it; ``None`` where no such plane carries enough points."""
    up, camera_height = base_from_camera[2, :3], base_from_camera[2, 3]
    expected = points @ up + camera_height
    near = points[np.abs(expected) <= _MAX_OFFSET_M + np.tan(_MAX_TILT) * points[:, 2]]
    if len(near) < _MIN_INLIERS:
        return None
    sample, corners, normals = _hypotheses(near, up)
    offsets = -np.einsum("ij,ij->i", normals, corners)
    likely = (normals @ up >= np.cos(_MAX_TILT)) & (np.abs(offsets - camera_height) <= _MAX_OFFSET_M)
    if not likely.any():
        return None
    plane = _best(sample, normals[likely], offsets[likely], _ground_tolerance(sample))
    on_plane = _on_plane(near, plane, _ground_tolerance(near))
    return _least_squares(on_plane, up) if len(on_plane) >= _MIN_INLIERS else None


def _fit_floor(points: Points, up: npt.NDArray[np.float64]) -> Plane:
    """The plane through most of ``points``, level within 12 degrees."""
    sample, _, normals = _hypotheses(points, up)
    # The level plane itself is a hypothesis: of a strip of floor three points say little about its tilt.
    normals = np.vstack([normals[normals @ up > np.cos(np.radians(_LEVEL_DEG))], up])
    offsets = -np.median(sample @ normals.T, axis=0)
    plane = _best(sample, normals, offsets, _floor_tolerance(sample) / 2)
    on_plane = _on_plane(points, plane, _floor_tolerance(points))
    if len(on_plane) < _MIN_INLIERS:
        return plane
    refined = _least_squares(on_plane, up, every=max(1, len(on_plane) // 5000))
    # Where it is not level, the points were a line and not a surface.
    return plane if refined[:3] @ up < np.cos(np.radians(_LEVEL_DEG)) else refined


def _ground_tolerance(points: np.ndarray) -> npt.NDArray[np.floating]:
    return 0.04 + 0.004 * points[..., 2] ** 2


def _floor_tolerance(points: np.ndarray) -> npt.NDArray[np.floating]:
    z = points[..., 2]
    return 0.04 + 0.008 * z * z


# RANSAC


def _hypotheses(points: Points, up: npt.NDArray[np.float64]) -> tuple[Points, Points, Points]:
    """A sample of ``points`` (2000, 3), and planes through three points each of it: one of these, and the unit normal.

    Both are (n, 3), n at most 200; the normals point to the side of ``up``.
    """
    rng = np.random.default_rng(0)
    sample = points[rng.integers(0, len(points), _SAMPLES)]
    corners = sample[rng.integers(0, _SAMPLES, (_HYPOTHESES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    normals *= np.where(normals @ up < 0, -1, 1)[:, None]
    return sample, corners[lengths > 1e-9, 0], normals


def _best(sample: Points, normals: Points, offsets: np.ndarray, tolerance: np.ndarray) -> Plane:
    """Of the planes with ``normals`` (n, 3) and ``offsets`` (n,), that with most of ``sample`` within ``tolerance``."""
    best = int(np.argmax((np.abs(sample @ normals.T + offsets) <= tolerance[:, None]).sum(axis=0)))
    return np.append(normals[best], offsets[best])


def _on_plane(points: Points, plane: Plane, tolerance: np.ndarray) -> Points:
    return points[np.abs(points @ plane[:3] + plane[3]) <= tolerance]


def _least_squares(points: Points, up: npt.NDArray[np.float64], every: int = 1) -> Plane:
    """Plane of least squared distance through ``points``; its tilt by one in ``every`` of them."""
    centre = points.mean(axis=0)
    normal = np.linalg.svd(points[::every] - centre, full_matrices=False)[2][-1]
    normal = normal if normal @ up > 0 else -normal
    return np.append(normal, -normal @ centre)


# Which way is up, and how high the floor is, in a camera of unknown mounting


def _point_image(depth: npt.NDArray[np.float32], camera: Intrinsics) -> npt.NDArray[np.float32]:
    """float32 (H, W, 3), optical frame, NaN where nothing was measured."""
    z = np.where(np.isfinite(depth) & (depth > 0), depth, np.nan).astype(np.float32)
    return np.stack(list(pixel_rays(camera) * z), -1)


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
