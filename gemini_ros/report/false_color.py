"""Depth and temperature as colours a person can read."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

NO_MEASUREMENT = (30, 34, 40)
_LEAST_SPAN_C = 5.0


def color_depth(depth: npt.NDArray[np.float32], near_m: float = 0.4, far_m: float = 8.0) -> npt.NDArray[np.uint8]:
    """Depth float32 (H, W) in metres as uint8 (H, W, 3) RGB: near is warm, far is cold, holes are dark grey.

    Inverse depth carries the colour, as a stereo sensor's resolution does: near things differ most.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = (1 / depth - 1 / far_m) / (1 / near_m - 1 / far_m)
    return _colored(np.sqrt(np.clip(inverse, 0, 1)), np.isfinite(depth) & (depth > 0), cv2.COLORMAP_TURBO)


def color_thermal(thermal: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Temperature float32 (H, W) in Celsius as uint8 (H, W, 3) RGB: hot is bright, holes are grey.

    From the coldest to the hottest hundredth of the picture, at least 5 degrees: noise does not fill the scale.
    """
    valid = np.isfinite(thermal)
    low, high = np.percentile(thermal[valid], (1, 99)) if valid.any() else (0.0, 0.0)
    return _colored(np.clip((thermal - low) / max(high - low, _LEAST_SPAN_C), 0, 1), valid, cv2.COLORMAP_INFERNO)


def _colored(unit: np.ndarray, valid: np.ndarray, colormap: int) -> npt.NDArray[np.uint8]:
    levels = np.where(valid, unit * 255, 0).astype(np.uint8)
    colored = cv2.cvtColor(cv2.applyColorMap(levels, colormap), cv2.COLOR_BGR2RGB)
    colored[~valid] = NO_MEASUREMENT
    return np.asarray(colored, np.uint8)
