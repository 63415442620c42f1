"""Holes as real depth cameras leave them, cut into depth that has none: a statistical model, for training.

Masks of recorded depth (``corruptions.with_holes``) are held out of training: completed depth is judged on those.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.corruptions import Image, Mask, Rgb, spots

_STEP = 0.05  # of the distance: a larger step between neighbours is an edge
_SHADOW = 0.03  # of the width: the widest shadow beside an edge
_SPOT = 1 / 12  # of the width
_MOST_LOST = 0.35  # share of the pixels that spots take at most
_BLACK, _BLACK_SHARE = 40, 0.3  # of 255, and of the picture's brighter part: darker surfaces return little light
_SPECKLE = 0.02


def holes_like_a_sensors(depth: Image, rgb: Rgb | None, rng: np.random.Generator) -> Mask:
    """Where a camera would have measured nothing, bool (H, W): shadows beside edges on the side of one of its two
    views, spots of smooth or shiny surfaces, some of what is black, what is too far, and speckle."""
    height, width = depth.shape
    filled = np.where(np.isfinite(depth), depth, np.float32(0))
    step = np.abs(np.diff(filled, axis=1, prepend=filled[:, :1])) > _STEP * np.maximum(filled, np.float32(0.1))
    wide = int(rng.integers(1, max(2, round(_SHADOW * width)) + 1))
    # The anchor puts the shadow on one side: the second view sees past the edge there only.
    shadow = cv2.dilate(
        step.astype(np.uint8), np.ones((1, wide + 1), np.uint8), anchor=(0 if rng.random() < 0.5 else wide, 0)
    )
    lost = shadow > 0
    lost |= spots((height, width), max(2, round(_SPOT * width)), rng) < rng.uniform(0, _MOST_LOST)
    if rgb is not None:
        bright = rgb.max(2)
        # Without light all is dark and little of it is black: the camera brings its own infrared.
        black = bright < min(_BLACK, _BLACK_SHARE * float(np.percentile(bright, 75)))
        lost |= black & (spots((height, width), max(2, round(_SPOT * width)), rng) < rng.uniform(0, 0.8))
    lost |= filled > rng.uniform(4, 12)
    return lost | (rng.random((height, width), np.float32) < _SPECKLE * rng.random())


def cut(depth: Image, holes: npt.NDArray[np.bool_]) -> Image:
    """Depth without what lies in ``holes`` (H, W)."""
    return np.where(holes, np.float32(np.nan), depth)
