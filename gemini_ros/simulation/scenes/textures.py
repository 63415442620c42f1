"""Textures of surfaces, made with numpy: no files, so no licence of an asset to keep."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemini_ros.simulation.scenes.interior_textures import INTERIOR_KINDS
from gemini_ros.simulation.scenes.warehouse_textures import WAREHOUSE_KINDS

Texture = npt.NDArray[np.uint8]
SIZE = 128
KINDS = WAREHOUSE_KINDS | INTERIOR_KINDS


def make_texture(kind: str, rng: np.random.Generator, size: int = SIZE) -> Texture:
    """uint8 (size, size, 3) RGB image of a surface; ``kind`` is one of ``KINDS``."""
    canvas = KINDS[kind](rng, size)
    return np.clip(canvas, 0, 255).astype(np.uint8)
