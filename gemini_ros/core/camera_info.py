"""sensor_msgs/CameraInfo as its definition has it: which calibration belongs to which image of a camera."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.core.lens import EQUIDISTANT, IDENTITY, POLYNOMIALS, Lens

_CURE = "publish the camera_info of the images as they are sent"
_MOST_COEFFICIENTS = {**dict.fromkeys(POLYNOMIALS, 14), EQUIDISTANT: 4}


@dataclass(frozen=True)
class CameraCalibration:
    """What a CameraInfo says, unchecked; matrices are in rows.

    ``size`` is (width, height) of the full resolution, ``roi`` (x, y, width, height) in its pixels, ``binning`` (x, y).
    """

    size: tuple[int, int]
    model: str
    k: tuple[float, ...]
    d: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]
    binning: tuple[int, int]
    roi: tuple[int, int, int, int]

    @classmethod
    def of(cls, message: Any) -> CameraCalibration:
        """The calibration in a message of rclpy or rosbags."""
        roi = getattr(message, "roi", None)
        return cls(
            (int(message.width), int(message.height)),
            getattr(message, "distortion_model", ""),
            _floats(message.k),
            _floats(getattr(message, "d", ())),
            _floats(getattr(message, "r", IDENTITY)),
            _floats(getattr(message, "p", ())),
            (int(getattr(message, "binning_x", 0)) or 1, int(getattr(message, "binning_y", 0)) or 1),
            (0, 0, 0, 0) if roi is None else (int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
        )

    def intrinsics(self, *, rectified: bool = False, image_size: tuple[int, int] | None = None) -> Intrinsics:
        """The camera of images of ``image_size`` (width, height), by default those that binning and roi make.

        P holds for ``rectified`` images, K and D for raw ones. An image of the full resolution is neither binned nor
        cut out, whatever else the message says. Raises ``FrameError``: not calibrated, no camera's numbers, a lens that
        is not known, or ``wrong_size`` where the images have another size.
        """
        full = self._rectified() if rectified else self._raw()
        x0, y0, width, height = self.roi
        cut = (width or self.size[0]) // self.binning[0], (height or self.size[1]) // self.binning[1]
        if image_size is None or image_size == cut:
            if min(self.roi) < 0 or x0 + width > self.size[0] or y0 + height > self.size[1]:
                raise FrameError(
                    f"camera_info: roi {width}x{height} at {x0}, {y0} reaches out of {_text(self.size)}: {_CURE}"
                )
            return _cut(full, cut, (x0, y0), self.binning)
        if image_size == self.size:
            return full
        shape = "x".join(map(str, self.size)) + (
            f", {'x'.join(map(str, cut))} by its roi and binning" * (cut != self.size)
        )
        raise FrameError(
            f"camera_info of {shape}, the images are {image_size[0]}x{image_size[1]}: {_CURE}", "wrong_size"
        )

    def without_rows(self, rows: int) -> CameraCalibration:
        """That of images whose last ``rows`` were cut off, or the first of a negative number."""
        up = max(-rows, 0)
        k, p = list(self.k), list(self.p)
        k[5] -= up
        if p:
            p[6] -= up
        return replace(self, size=(self.size[0], self.size[1] - abs(rows)), k=tuple(k), p=tuple(p))

    def _rectified(self) -> Intrinsics:
        if len(self.p) == 12 and self.p[0]:
            return self._pinhole("P", self.p[0], self.p[5], self.p[2], self.p[6])
        if any(self.d):
            raise FrameError(
                "camera_info: P is zero and the images are rectified: publish P, or set camera.rectification"
            )
        return self._pinhole("K", self.k[0], self.k[4], self.k[2], self.k[5])

    def _raw(self) -> Intrinsics:
        pinhole, rotation = self._pinhole("K", self.k[0], self.k[4], self.k[2], self.k[5]), self._rotation()
        if not any(self.d) and self.model != EQUIDISTANT:
            return pinhole if rotation == IDENTITY else pinhole.through(Lens(POLYNOMIALS[0], (), rotation))
        most = _MOST_COEFFICIENTS.get(self.model)
        if most is None or len(self.d) > most or not np.isfinite(self.d).all() or any(self.d[12:]):
            known = ", ".join(f"{model} of at most {n}" for model, n in _MOST_COEFFICIENTS.items())
            raise FrameError(
                f"camera_info: distortion_model {self.model!r:.40} with D {[*self.d[:14]]}, expected {known} finite "
                "coefficients without a tilted sensor: rectify the images, or calibrate with one of these"
            )
        return pinhole.through(Lens(self.model, self.d[:12], rotation))

    def _pinhole(self, name: str, fx: float, fy: float, cx: float, cy: float) -> Intrinsics:
        try:
            return Intrinsics(*self.size, fx, fy, cx, cy).require_plausible()
        except ValueError as error:
            raise FrameError(f"camera_info: {name}: {error}") from error

    def _rotation(self) -> tuple[float, ...]:
        """R; the identity where it is all zero, as of drivers that leave it out."""
        if not any(self.r):
            return IDENTITY
        matrix = np.array(self.r).reshape(3, 3)
        if not (np.abs(matrix @ matrix.T - np.eye(3)) < 1e-3).all():
            raise FrameError(f"camera_info: R {[*self.r]}, expected a rotation, or zeros for none")
        return IDENTITY if (np.abs(matrix - np.eye(3)) < 1e-9).all() else self.r


def _cut(full: Intrinsics, size: tuple[int, int], offset: tuple[int, int], binning: tuple[int, int]) -> Intrinsics:
    """The camera of a part of the image whose pixels are joined ``binning`` at a time; centres at half integers."""
    (x0, y0), (bx, by) = offset, binning
    if (*size, *offset, *binning) == (full.width, full.height, 0, 0, 1, 1):
        return full
    if min(size) <= 0:
        raise FrameError(f"camera_info: {size[0]}x{size[1]} pixels are left by its roi and binning: {_CURE}")
    cx, cy = (full.cx - x0 + 0.5) / bx - 0.5, (full.cy - y0 + 0.5) / by - 0.5
    return Intrinsics(*size, full.fx / bx, full.fy / by, cx, cy, full.lens)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _floats(values: Any) -> tuple[float, ...]:
    """One and the same NaN, so that equal calibrations are equal."""
    return tuple(value if value == value else math.nan for value in map(float, values))
