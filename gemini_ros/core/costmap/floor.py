"""The floor corrects the mounting: a plane through what is called floor, followed slowly.

A camera that is mounted one degree off lifts the floor by 9 cm at 5 m. What a model calls floor shows by how much; it
may be wrong, so that a fit counts only where it passes every check of ``Floor.fault``, and moves the correction slowly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.heights import FITTED_TILT_DEG
from gemini_ros.core.costmap.upright import quarter_turns, turned_pose
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.rays import rays_at
from gemini_ros.core.transforms import Matrix

CONFIDENCE = 204
"""0.8 in units of ``Segmentation.confidence``: a pixel of less does not take part."""
_RANGE_M = 3.5
_LEAST_PIXELS = 2000
_LEAST_SPREAD_M = (1.0, 0.6)  # ahead and across, between the 5th and the 95th percentile
_MOST_DEVIATION_M = 0.015
_MOST_BEND_DEG = 1.0
MOST_TILT_DEG, MOST_OFFSET_M = 4.0, 0.10
"""A floor further from where the mounting has it corrects nothing: the mounting is wrong, not inexact."""
_STRIDE = 4
_MOST_POINTS = 1500
_POINTS, _HYPOTHESES = 300, 48
_INLIER_M = 0.02
_TIME_CONSTANT_S = 10.0
_MOST_DEG_PER_S, _MOST_M_PER_S = 0.2, 0.01
_KEPT_S = 10.0
_LONGEST_STEP_S = 1.0
_BETWEEN_FITS_S = 0.25  # of what is followed over ten seconds

Tilt = npt.NDArray[np.float64]
"""(3,): the ground is ``t[0] * ahead + t[1] * left + t[2]`` metres over z = 0, ahead and left of the camera's foot."""


@dataclass(frozen=True)
class Floor:
    """A plane through the floor of one frame; ``fault`` says why it does not count, empty where it does."""

    tilt: Tilt
    fault: str = ""


def pitch_roll_deg(tilt: Tilt) -> tuple[float, float]:
    """What the mounting lacks in pitch and roll (REP 103), degrees: to be added to those of ``camera.in_base``.

    Where the floor seems to rise to the left, the camera is rolled less than it is taken for. The roll is exact for a
    level camera; of one that is pitched it comes out smaller by the cosine of the pitch.
    """
    ahead, left = np.degrees(np.arctan(tilt[:2])).tolist()
    return ahead, -left


def heading_of(pose: Matrix) -> Matrix:
    """Unit vectors ahead and left of a camera (2, 2), in the plane of the grid; also of one that looks down."""
    pose = turned_pose(pose, quarter_turns(pose))
    ahead = pose[:2, 2] - pose[:2, 1]
    ahead = ahead / max(float(np.hypot(*ahead)), 1e-9)
    return np.array([ahead, [-ahead[1], ahead[0]]])


def fit_floor(
    depth: npt.NDArray[np.float32],
    candidates: npt.NDArray[np.bool_],
    intrinsics: Intrinsics,
    pose: Matrix,
    *,
    most_tilt_deg: float = MOST_TILT_DEG,
    most_offset_m: float = MOST_OFFSET_M,
) -> Floor:
    """The floor of one frame, by RANSAC and trimmed least squares over ``candidates``.

    ``candidates`` bool are every fourth pixel of ``depth`` (H, W), metres, as ``sampled`` picks them; ``pose`` (4, 4)
    is the optical frame over the plane of the mounting. A floor beyond ``most_tilt_deg`` or ``most_offset_m`` from
    there does not count.
    """
    limits = float(np.tan(np.radians(most_tilt_deg))), most_offset_m
    d = sampled(depth)
    with np.errstate(invalid="ignore"):
        flat = np.flatnonzero(candidates & (d > 0) & (d <= _RANGE_M))
    if len(flat) * _STRIDE**2 < _LEAST_PIXELS:
        return Floor(np.zeros(3), f"{len(flat) * _STRIDE**2} pixels of floor, expected {_LEAST_PIXELS}")
    weight = -(-len(flat) // _MOST_POINTS)
    flat = flat[::weight]
    pixels, needed = _STRIDE**2 * weight, _LEAST_PIXELS / (_STRIDE**2 * weight)
    rows, columns = flat // d.shape[1], flat % d.shape[1]
    rays = rays_at(intrinsics, rows * _STRIDE, columns * _STRIDE)
    seen = (rays * d[rows, columns]).T @ pose[:3, :3].T
    points = np.column_stack([seen[:, :2] @ heading_of(pose).T, np.ones(len(seen))])
    heights = seen[:, 2] + pose[2, 3]
    tilt = _through_most(points, heights, limits)
    off = heights - points @ tilt
    inside = np.abs(off) <= 2 * _INLIER_M
    for _ in range(3):
        if inside.sum() < needed:
            return Floor(tilt, f"{inside.sum() * pixels} pixels on one plane, expected {_LEAST_PIXELS}")
        on = points[inside]
        tilt = np.linalg.lstsq(on.T @ on, on.T @ heights[inside], rcond=None)[0]
        off = heights - points @ tilt
        inside = np.abs(off) <= max(_INLIER_M, 4 * float(np.median(np.abs(off[inside]))))
    return Floor(tilt, _fault(tilt, points[inside], off[inside], limits))


def sampled(image: np.ndarray) -> np.ndarray:
    """The pixels that a fit looks at."""
    return image[::_STRIDE, ::_STRIDE]


def beyond(tilt: Tilt, limits: tuple[float, float]) -> bool:
    """Whether a floor slopes, or lies off, by more than ``limits``: a slope in metres a metre, and metres."""
    return bool((np.abs(tilt[:2]) > limits[0]).any() or abs(tilt[2]) > limits[1])


def _through_most(
    points: npt.NDArray[np.float64], heights: npt.NDArray[np.float64], limits: tuple[float, float]
) -> Tilt:
    """Of planes through three points each, and the flat one, that near most points. The draws are fixed."""
    sample = np.random.default_rng(0).integers(0, len(points), _POINTS)
    p, h = points[sample], heights[sample]
    threes = np.arange(3 * _HYPOTHESES).reshape(-1, 3)
    sides = p[threes]
    solvable = np.abs(np.linalg.det(sides)) > 1e-3
    tilts = np.vstack([np.linalg.solve(sides[solvable], h[threes][solvable][..., None])[..., 0], np.zeros(3)])
    tilts = tilts[(np.abs(tilts[:, :2]) <= limits[0]).all(1) & (np.abs(tilts[:, 2]) <= limits[1])]
    return tilts[int(np.argmax((np.abs(p @ tilts.T - h[:, None]) <= _INLIER_M).sum(0)))]


def _fault(
    tilt: Tilt, points: npt.NDArray[np.float64], off: npt.NDArray[np.float64], limits: tuple[float, float]
) -> str:
    spread = np.diff(np.percentile(points[:, :2], [5, 95], axis=0), axis=0)[0]
    if (spread < _LEAST_SPREAD_M).any():
        expected = "{:g} x {:g} m".format(*_LEAST_SPREAD_M)
        return f"floor of {spread[0]:.2f} x {spread[1]:.2f} m, expected {expected}"
    deviation = float(np.median(np.abs(off - np.median(off))))
    if deviation > _MOST_DEVIATION_M:
        return f"a floor that deviates by {deviation:.3f} m from a plane, expected {_MOST_DEVIATION_M:g}"
    if beyond(tilt, limits):
        pitch, roll = pitch_roll_deg(tilt)
        return (
            f"a floor tilted by {pitch:.1f} and {roll:.1f} degrees (pitch, roll), {tilt[2]:.2f} m off: check the "
            "mounting"
        )
    far = points[:, 0] > np.median(points[:, 0])
    bends = [_slope(points[half, 0], off[half]) for half in (far, ~far)]
    bend = float(np.degrees(abs(bends[0] - bends[1])))
    return f"a floor that bends by {bend:.1f} degrees, expected {_MOST_BEND_DEG:g}" if bend > _MOST_BEND_DEG else ""


def _slope(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Of the straight line of least squares."""
    x = x - x.mean()
    return float(x @ y / max(float(x @ x), 1e-9))


class FloorTracker:
    """The correction of the mounting, which follows the fits with a time constant, at most 0.2 degrees a second.

    ``time_constant_s`` 0 takes each fit at once. ``fault`` says why the last fit did not count.
    """

    def __init__(self, time_constant_s: float = _TIME_CONSTANT_S) -> None:
        self.tilt: Tilt = np.zeros(3)
        self.fault = "no floor yet"
        self._time_constant_s = time_constant_s
        self._left_deg = 0.0
        self._stamp_ns: int | None = None
        self._counted_ns: int | None = None

    def is_due(self, stamp_ns: int) -> bool:
        """Whether it is time for the next fit."""
        return self._stamp_ns is None or not 0 <= stamp_ns - self._stamp_ns < _BETWEEN_FITS_S * 1e9

    def take(self, floor: Floor, stamp_ns: int) -> None:
        """Follow the floor of the frame at ``stamp_ns``."""
        before_ns, self._stamp_ns = self._stamp_ns, stamp_ns
        self.fault = floor.fault
        if floor.fault:
            return
        self._counted_ns = stamp_ns
        step = floor.tilt - self.tilt
        if self._time_constant_s:
            elapsed_s = 0.0 if before_ns is None else min(max((stamp_ns - before_ns) / 1e9, 0.0), _LONGEST_STEP_S)
            most = np.array([np.radians(_MOST_DEG_PER_S)] * 2 + [_MOST_M_PER_S]) * elapsed_s
            step = np.clip(step * elapsed_s / self._time_constant_s, -most, most)
        self.tilt = self.tilt + step
        self._left_deg = float(np.degrees(np.abs(floor.tilt - self.tilt)[:2].max()))

    def tilt_deg(self, stamp_ns: int, tilt_error_deg: float) -> float:
        """The tilt that may be left at ``stamp_ns``: that of the mounting where no fit counted lately."""
        if self._counted_ns is None or not 0 <= stamp_ns - self._counted_ns <= _KEPT_S * 1e9:
            return tilt_error_deg
        return min(tilt_error_deg, FITTED_TILT_DEG + self._left_deg)

    def correct(self, pose: Matrix) -> Matrix:
        """``pose`` (4, 4) over the plane of the floor: the camera keeps its place, the floor becomes z = 0."""
        if not self.tilt.any():
            return pose
        slope = self.tilt[:2] @ heading_of(pose)
        normal = np.array([-slope[0], -slope[1], 1.0])
        length = float(np.linalg.norm(normal))
        result = pose.copy()
        result[:3, :3] = _rotation_to_z(normal / length) @ pose[:3, :3]
        result[2, 3] = (pose[2, 3] - self.tilt[2]) / length
        return result


def _rotation_to_z(normal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The smallest rotation (3, 3) that turns a unit vector to z."""
    x, y, z = normal
    return np.array(
        [[1 - x * x / (1 + z), -x * y / (1 + z), -x], [-x * y / (1 + z), 1 - y * y / (1 + z), -y], [x, y, z]]
    )
