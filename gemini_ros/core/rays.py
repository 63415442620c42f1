"""Where the pixels of a camera look."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import Intrinsics


@lru_cache(maxsize=4)
def pixel_rays(camera: Intrinsics) -> npt.NDArray[np.float32]:
    """Directions (3, H, W) of all pixels in the camera's frame (optical), one unit long along the axis of its image.

    NaN where a lens sees nothing. Made once for each camera; the array can't be written to.
    """
    x = (np.arange(camera.width, dtype=np.float64) - camera.cx) / camera.fx
    y = (np.arange(camera.height, dtype=np.float64) - camera.cy) / camera.fy
    if camera.lens is None:
        rays = np.stack([*np.meshgrid(x, y), np.ones((camera.height, camera.width))])
    else:
        rays = camera.lens.rays(x, y)
    rays = rays.astype(np.float32)
    rays.setflags(write=False)
    return rays


def within_lens(camera: Intrinsics, depth: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """``depth`` (H, W), NaN where the lens sees nothing."""
    if camera.lens is None:
        return depth
    return np.where(np.isnan(pixel_rays(camera)[0]), np.float32(np.nan), depth)


def rays_at(camera: Intrinsics, rows: np.ndarray, columns: np.ndarray) -> npt.NDArray[np.float64]:
    """Directions (3, n) of the pixels at ``rows`` and ``columns`` (n,), as ``pixel_rays`` has them."""
    if camera.lens is not None:
        return pixel_rays(camera)[:, rows, columns].astype(np.float64)
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    return np.stack([x, y, np.ones(len(x))])
