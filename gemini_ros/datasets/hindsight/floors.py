"""The floor of a whole drive: how it corrects the mounting of the camera, and whether that is wrong altogether."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.floor import (
    CONFIDENCE,
    MOST_OFFSET_M,
    MOST_TILT_DEG,
    FloorTracker,
    beyond,
    fit_floor,
    pitch_roll_deg,
    sampled,
)
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.ground_plane import segment_by_plane
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix
from gemini_ros.pipeline.pose import CameraPose, base_from_camera

_MOST_SPREAD_DEG = 1.0
_LEAST_FITS = 5
_BETWEEN_FITS_NS = 250_000_000
_WIDE_DEG, _WIDE_M = 15.0, 0.4
"""So far off the floor is looked for, to say that the mounting is wrong."""


@dataclass
class Floors:
    """The floors of a drive: ``tilts`` of those near where the mounting has it, ``wide`` of those in a wide range.

    ``unfit`` counts why other frames have none of the first.
    """

    tilts: list[npt.NDArray[np.float64]] = field(default_factory=list)
    wide: list[npt.NDArray[np.float64]] = field(default_factory=list)
    unfit: Counter[str] = field(default_factory=Counter)
    _fitted_ns: int | None = None

    def add(self, depth: npt.NDArray[np.float32], intrinsics: Intrinsics, camera: CameraPose, stamp_ns: int) -> None:
        """Look for the floor in a frame, ``depth`` (H, W) in metres, where the last look is some time ago."""
        if self._fitted_ns is not None and 0 <= stamp_ns - self._fitted_ns < _BETWEEN_FITS_NS:
            return
        self._fitted_ns = stamp_ns
        pose = camera.grid_from_camera
        found = segment_by_plane(depth, intrinsics, base_from_camera(camera))
        ground = (sampled(found.labels) == 0) & (sampled(found.confidence) >= CONFIDENCE)
        floor = fit_floor(depth, ground, intrinsics, pose)
        if floor.fault:
            self.unfit[floor.fault] += 1
        else:
            self.tilts.append(floor.tilt)
        low = sampled(_maybe_floor(depth, intrinsics, pose))
        wide = fit_floor(depth, low, intrinsics, pose, most_tilt_deg=_WIDE_DEG, most_offset_m=_WIDE_M)
        if not wide.fault:
            self.wide.append(wide.tilt)

    def refusal(self) -> str:
        """Why the mounting is wrong, empty where nothing shows that."""
        if len(self.wide) < max(_LEAST_FITS, len(self.tilts)):
            return ""
        off = np.median(self.wide, axis=0)
        if not beyond(off, (math.tan(math.radians(MOST_TILT_DEG)), MOST_OFFSET_M)):
            return ""
        pitch, roll, off_cm = (np.round([*pitch_roll_deg(off), 100 * off[2]], 1) + 0.0).tolist()
        return (
            f"the floor lies {pitch:g} and {roll:g} degrees (pitch, roll) and {off_cm:g} cm from where the "
            f"mounting has it, expected at most {MOST_TILT_DEG:g} degrees and {100 * MOST_OFFSET_M:g} cm: correct "
            "camera.in_base"
        )

    def correction(self) -> tuple[FloorTracker, bool, str]:
        """The correction of the whole drive by the median of its floors, and what is said of it."""
        tracker, tilts = FloorTracker(), np.array(self.tilts).reshape(-1, 3)
        if len(tilts) < _LEAST_FITS:
            fault = next((f" ({text})" for text, _ in self.unfit.most_common()), "")
            found = f"the floor fits in {len(tilts)} frames, expected {_LEAST_FITS}{fault}"
            return tracker, False, f"not corrected: {found}: check camera.in_base"
        low, middle, high = np.percentile(tilts, [25, 50, 75], axis=0)
        spread = float(np.degrees(np.arctan(high - low))[:2].max())
        if spread > _MOST_SPREAD_DEG:
            return tracker, False, f"not corrected: the tilt of the floor varies by {spread:.1f} degrees"
        tracker.tilt = middle
        pitch, roll = pitch_roll_deg(middle)
        said = f"corrected by {pitch:.2f} and {roll:.2f} degrees (pitch, roll) and {100 * middle[2]:.1f} cm"
        return tracker, True, f"{said}, by the floor of {len(tilts)} frames"


def _maybe_floor(depth: npt.NDArray[np.float32], intrinsics: Intrinsics, pose: Matrix) -> npt.NDArray[np.bool_]:
    """bool (H, W): what may be floor if the mounting is off by as much as is looked for."""
    points = np.tensordot(pose[:3, :3].astype(np.float32), pixel_rays(intrinsics), axes=1) * depth
    with np.errstate(invalid="ignore"):
        off = np.abs(points[2] + np.float32(pose[2, 3]))
        return off <= _WIDE_M + np.float32(math.tan(math.radians(_WIDE_DEG))) * np.hypot(points[0], points[1])
