"""Lens models of sensor_msgs/CameraInfo: where a pixel of a raw image looks. No image is resampled for it.

``plumb_bob`` and ``rational_polynomial`` are the model of Brown and Conrady as OpenCV's calib3d has it (k1 k2 p1 p2 k3
k4 k5 k6 s1 s2 s3 s4), ``equidistant`` is that of Kannala and Brandt (2006) as OpenCV's fisheye has it (k1 to k4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

POLYNOMIALS = ("plumb_bob", "rational_polynomial")
EQUIDISTANT = "equidistant"
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_WIDEST = np.radians(85.0)
"""From the axis; beyond, depth along the axis says little about where a point is."""
_ROUNDS = 20
_EXACT = 1e-10
_ROWS_AT_ONCE = 32  # so that what is worked on stays in the cache
_FINE = 2000  # steps from the axis to the widest angle in which a lens is looked at

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lens:
    """How a raw image departs from a pinhole camera.

    ``coefficients`` D of camera_info, at most 12 of a polynomial model and 4 of ``equidistant``. ``rotation`` R, row by
    row, turns the raw camera into the rectified one, whose axes are those of the frame of both images.
    """

    model: str
    coefficients: tuple[float, ...] = ()
    rotation: tuple[float, ...] = IDENTITY

    def rays(self, x: Values, y: Values) -> Values:
        """Directions (3, H, W) of raw pixels in the axes of the rectified camera, a unit long along the raw one's axis.

        ``x`` (W,) and ``y`` (H,) are the pixels' coordinates over the focal length. NaN where the lens sees nothing: a
        polynomial fitted to the image may turn round outside it, and 85 degrees from the axis is the widest.
        """
        undistort = self._undistort_angles if self.model == EQUIDISTANT else self._undistort_polynomial
        rays = np.ones((3, len(y), len(x)))
        for top in range(0, len(y), _ROWS_AT_ONCE):
            part = slice(top, top + _ROWS_AT_ONCE)
            rays[:2, part] = undistort(*np.meshgrid(x, y[part]))
        rays[2, np.isnan(rays[0])] = np.nan
        if self.rotation != IDENTITY:
            rays = np.tensordot(np.array(self.rotation).reshape(3, 3), rays, axes=1)
        return rays

    def project(self, points: Values) -> tuple[Values, Values, Values]:
        """Where points (3, ...) in the axes of the rectified camera are seen, ``x`` and ``y`` as ``rays`` takes them.

        Third comes their depth along the raw camera's axis, in their unit. x and y are NaN where the lens sees nothing.
        """
        right, down, depth = np.tensordot(np.array(self.rotation).reshape(3, 3).T, points, axes=1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x, y = right / depth, down / depth
            aside = np.hypot(x, y)
            seen = (depth > 0) & (aside <= _farthest(self))
        x, y, aside = (np.where(seen, a, 0.0) for a in (x, y, aside))
        if self.model == EQUIDISTANT:
            scale = np.where(aside > 0, _distort_angle(np.arctan(aside), self._k)[0] / np.where(aside > 0, aside, 1), 1)
            x, y = x * scale, y * scale
        else:
            (x, y), _ = _distort(x, y, self._d)
        return np.where(seen, x, np.nan), np.where(seen, y, np.nan), depth

    @property
    def widest(self) -> float:
        """The angle from the axis, in radians, up to which what the lens makes of it grows."""
        return float(np.arctan(_farthest(self)))

    @property
    def _k(self) -> Values:
        """k1 to k4 of ``equidistant``."""
        return np.array([*self.coefficients, *[0.0] * 4])[:4]

    @property
    def _d(self) -> Values:
        """All twelve of a polynomial model."""
        return np.array([*self.coefficients, *[0.0] * 12])[:12]

    def _undistort_angles(self, x: Values, y: Values) -> tuple[Values, Values]:
        """The angle of each distorted one, by Newton's method; it grows with it up to the widest."""
        k, widest = self._k, self.widest
        distorted = np.hypot(x, y)
        angle = np.minimum(distorted, widest)
        for _ in range(_ROUNDS):
            value, slope = _distort_angle(angle, k)
            step = (value - distorted) / np.where(slope > 0, slope, np.inf)
            angle = np.clip(angle - step, 0, widest)
            if np.abs(step).max() < _EXACT:
                break
        value, _ = _distort_angle(angle, k)
        scale = np.where(distorted > 0, np.tan(angle) / np.where(distorted > 0, distorted, 1), 1.0)
        scale[np.abs(value - distorted) > 1e-6] = np.nan
        return x * scale, y * scale

    def _undistort_polynomial(self, distorted_x: Values, distorted_y: Values) -> tuple[Values, Values]:
        """The pinhole coordinates of distorted ones, by Newton's method in two dimensions."""
        d, farthest = self._d, _farthest(self)
        x, y = distorted_x.copy(), distorted_y.copy()
        for _ in range(_ROUNDS):
            (value_x, value_y), (xx, xy, yx, yy) = _distort(x, y, d)
            error_x, error_y = value_x - distorted_x, value_y - distorted_y
            determinant = xx * yy - xy * yx
            determinant = np.where(np.abs(determinant) > 1e-12, determinant, np.inf)
            step_x, step_y = (yy * error_x - xy * error_y) / determinant, (xx * error_y - yx * error_x) / determinant
            x = np.clip(x - step_x, -farthest, farthest)
            y = np.clip(y - step_y, -farthest, farthest)
            if max(np.abs(step_x).max(), np.abs(step_y).max()) < _EXACT:
                break
        (value_x, value_y), _ = _distort(x, y, d)
        wrong = np.hypot(value_x - distorted_x, value_y - distorted_y) > 1e-6
        wrong |= np.hypot(x, y) > farthest
        x[wrong] = y[wrong] = np.nan
        return x, y


@lru_cache(maxsize=16)
def _farthest(lens: Lens) -> float:
    """How far from the axis, at a unit along it, the lens sees: up to where its model turns round."""
    if lens.model == EQUIDISTANT:
        angles = np.linspace(0, _WIDEST, _FINE)
        return float(np.tan(_first_turn(angles, _distort_angle(angles, lens._k)[1])))
    fine = np.linspace(0, np.tan(_WIDEST), _FINE)
    return _first_turn(fine, np.gradient(fine * _radial(fine * fine, lens._d)[0], fine))


def _distort_angle(angle: Values, k: Values) -> tuple[Values, Values]:
    """The distorted angle, and its derivative."""
    square = angle * angle
    value = angle * (1 + square * (k[0] + square * (k[1] + square * (k[2] + square * k[3]))))
    return value, 1 + square * (3 * k[0] + square * (5 * k[1] + square * (7 * k[2] + square * 9 * k[3])))


def _radial(square: Values, d: Values) -> tuple[Values, Values]:
    """The radial factor at r² = ``square``, and its derivative by r²."""
    k1, k2, k3, k4, k5, k6 = d[0], d[1], d[4], d[5], d[6], d[7]
    above = 1 + square * (k1 + square * (k2 + square * k3))
    below = 1 + square * (k4 + square * (k5 + square * k6))
    factor = above / below
    slope = (k1 + square * (2 * k2 + 3 * k3 * square) - factor * (k4 + square * (2 * k5 + 3 * k6 * square))) / below
    return factor, slope


def _distort(x: Values, y: Values, d: Values) -> tuple[tuple[Values, Values], tuple[Values, Values, Values, Values]]:
    """Distorted coordinates, and their derivatives xx, xy, yx, yy (of x by x, of x by y, ...)."""
    p1, p2, (s1, s2, s3, s4) = d[2], d[3], d[8:12]
    square, product = x * x + y * y, x * y
    factor, slope = _radial(square, d)
    distorted_x = x * factor + 2 * p1 * product + p2 * (square + 2 * x * x) + square * (s1 + s2 * square)
    distorted_y = y * factor + p1 * (square + 2 * y * y) + 2 * p2 * product + square * (s3 + s4 * square)
    prism_x, prism_y = 2 * (s1 + 2 * s2 * square), 2 * (s3 + 2 * s4 * square)
    xx = factor + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x + prism_x * x
    xy = 2 * product * slope + 2 * p1 * x + 2 * p2 * y + prism_x * y
    yx = 2 * product * slope + 2 * p1 * x + 2 * p2 * y + prism_y * x
    yy = factor + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x + prism_y * y
    return (distorted_x, distorted_y), (xx, xy, yx, yy)


def _first_turn(at: Values, slopes: Values) -> float:
    """Up to where a function of these slopes grows."""
    falling = np.flatnonzero(~(slopes > 0))
    return float(at[falling[0]] if len(falling) else at[-1])
