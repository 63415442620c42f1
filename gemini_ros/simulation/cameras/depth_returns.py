"""What comes back to a depth sensor from surfaces that are not matt: through glass, not at all, or by a mirror.

Stereo and projected light measure what lies behind a pane of glass. A black floor absorbs the light; on a polished one
they measure the mirror image of walls and ceiling, which lies below the floor (librealsense issue 10229).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemini_ros.core.corruptions import spots

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
GLASS_SEEN = 0.08  # share of a pane that is measured, by dirt and reflexes; as much again is lost
_SPOT_PX = 40  # at 640 pixels of width


def through_glass(depth: Image, behind: Image, glass: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Depth as light takes it past the pixels ``glass``, and what is lost there: (H, W) each."""
    spots = _spots(depth.shape, rng)
    seen = spots < GLASS_SEEN
    return np.where(glass & ~seen, behind, depth), glass & (spots > 1 - GLASS_SEEN)


def lost_on_black(depth: Image, black: Mask, rng: np.random.Generator) -> Mask:
    """Which pixels of a black floor measure nothing: few at half a metre, nearly all beyond 2.5 m."""
    return black & (_spots(depth.shape, rng) < np.clip((depth - 0.5) / 2, 0.05, 0.95))


def on_mirror(depth: Image, mirrored: Image, mirror: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Depth with mirror images on a polished floor, most of them far off, and what is lost there: (H, W) each."""
    spots, grazing = _spots(depth.shape, rng), np.clip((depth - 0.6) / 2.5, 0, 1)
    reflected = mirror & (spots < 0.6 * grazing)
    return np.where(reflected, mirrored, depth), mirror & ~reflected & (spots < 0.85 * grazing)


def _spots(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    """A smooth random image (H, W) whose values are spread evenly over 0 to 1."""
    return spots(shape, max(2, round(_SPOT_PX * shape[1] / 640)), rng)
