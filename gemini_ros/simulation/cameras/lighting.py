"""How much light there is: levels from day to black, drawn for a scene and for each view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIGHTS = ("day", "dim", "dark", "black")


@dataclass(frozen=True)
class Illumination:
    """Light in the hall as shares of full day light: the lamps, and a lamp on the robot."""

    lamps: float
    robot: float = 0.0


def draw_light_level(rng: np.random.Generator, shares: Sequence[float]) -> str:
    """One of ``LIGHTS``, each with its share."""
    return str(rng.choice(LIGHTS, p=shares))


def draw_light(rng: np.random.Generator, light: str) -> Illumination:
    """Illumination of a light level: one of ``LIGHTS``."""
    if light == "day":
        return Illumination(float(rng.uniform(0.7, 1.0)))
    if light == "dim":
        return Illumination(float(rng.uniform(0.12, 0.3)))
    if light == "dark":
        if rng.random() < 0.5:
            return Illumination(float(rng.uniform(0.0, 0.008)), float(rng.uniform(0.08, 0.4)))
        return Illumination(float(rng.uniform(0.012, 0.045)))
    if light == "black":
        return Illumination(0.0)
    raise ValueError(f"light {light!r}, expected one of {', '.join(LIGHTS)}")
