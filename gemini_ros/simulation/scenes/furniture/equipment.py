"""What people leave in the way while they work: cones and ladders."""

from __future__ import annotations

import numpy as np

from gemini_ros.simulation.scenes.furniture.parts import Piece, box, cylinder, obstacle
from gemini_ros.simulation.scenes.sampler import DARK, Sampler
from gemini_ros.simulation.scenes.scene import block, rod


def cone(sampler: Sampler) -> Piece:
    """A traffic cone with two white rings."""
    k = float(sampler.rng.uniform(0.75, 1.35))
    color = (1.0, 0.36, 0.06) if sampler.rng.random() < 0.8 else (0.95, 0.85, 0.1)
    orange = sampler.surface("lacquer", 2, tint=color)
    white = sampler.surface("lacquer", 2, tint=(1.1, 1.1, 1.1))
    foot = orange if sampler.rng.random() < 0.5 else sampler.surface("lacquer", 2, tint=DARK)
    cool = sampler.temperature(0.8)
    parts = [block((0, 0, 0.015), (0.17 * k, 0.17 * k, 0.015), foot, "cone", cool)]
    for step in range(8):
        low, high = 0.03 + 0.07 * k * step, 0.03 + 0.07 * k * (step + 1)
        look = white if step in (3, 5) else orange
        ring = rod((0, 0, low), (0, 0, high), (0.125 - 0.013 * step) * k, look, "cone", cool, shape="cylinder")
        parts.append(ring)
    return Piece(tuple(parts), 0.18 * k, 0.18 * k, 0.6 * k, "cone")


def ladder(sampler: Sampler) -> Piece:
    """Step ladder: in the way, and thin."""
    metal, height = sampler.surface("metal", 2), sampler.uniform(1.2, 1.9)
    parts = []
    for side in (-1, 1):
        parts += [
            cylinder(sampler, (side * 0.22, -0.35, 0), (side * 0.15, 0, height), 0.02, metal),
            cylinder(sampler, (side * 0.22, 0.35, 0), (side * 0.15, 0, height), 0.02, metal),
        ]
    for z in np.arange(0.25, height, 0.25):
        parts.append(box(sampler, (0, float(-0.35 * (1 - z / height)), float(z)), (0.18, 0.03, 0.01), metal))
    return obstacle(parts, 0.25, 0.38, height)
