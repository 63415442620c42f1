"""What stands in a bathroom."""

from __future__ import annotations

from gemini_ros.simulation.scenes.furniture.clutter import clutter
from gemini_ros.simulation.scenes.furniture.parts import Piece, box, curtain, cylinder, ellipsoid, fronts, obstacle
from gemini_ros.simulation.scenes.sampler import Sampler


def toilet(sampler: Sampler) -> Piece:
    """A toilet with its cistern."""
    white = sampler.surface("lacquer", 1, tint=sampler.tint(0.85, 0.08), shine=0.6)
    parts = [
        box(sampler, (0, 0.25, 0.58), (0.2, 0.09, 0.19), white),
        ellipsoid(sampler, (0, -0.06, 0.27), (0.19, 0.28, 0.16), white),
        cylinder(sampler, (0, 0.0, 0), (0, 0.0, 0.3), 0.11, white),
        ellipsoid(sampler, (0, -0.06, 0.41), (0.19, 0.24, 0.03), white),
    ]
    return obstacle(parts, 0.21, 0.35, 0.8)


def bath(sampler: Sampler) -> Piece:
    """Bath tub, often behind a curtain."""
    half_x, half_y, height = sampler.uniform(0.7, 0.85), sampler.uniform(0.34, 0.4), sampler.uniform(0.4, 0.58)
    white = sampler.surface("lacquer", 1, tint=sampler.tint(0.85, 0.08), shine=0.6)
    parts = [box(sampler, (0, 0, 0.06), (half_x, half_y, 0.06), white)]
    parts += [box(sampler, (0, s * (half_y - 0.035), height / 2), (half_x, 0.035, height / 2), white) for s in (-1, 1)]
    parts += [box(sampler, (s * (half_x - 0.05), 0, height / 2), (0.05, half_y, height / 2), white) for s in (-1, 1)]
    tall = height
    if sampler.chance(0.5):
        share = sampler.uniform(0.2, 0.9)
        parts += curtain(sampler, (1 - share) * half_x, -half_y + 0.03, share * half_x, 0.15, 2.0, sampler.fabric())
        tall = 2.05
    return obstacle(parts, half_x, half_y + 0.03, tall)


def vanity(sampler: Sampler) -> Piece:
    """Wash basin on a cupboard or a column, with a mirror above."""
    half_x, half_y, top = sampler.uniform(0.25, 0.7), sampler.uniform(0.22, 0.3), sampler.uniform(0.75, 0.9)
    white = sampler.surface("lacquer", 1, tint=sampler.tint(0.85, 0.08), shine=0.6)
    metal = sampler.surface("metal", 2, shine=0.7)
    plate = white if sampler.chance(0.5) else sampler.solid()
    parts = [box(sampler, (0, 0, top - 0.03), (half_x, half_y, 0.03), plate)]
    if sampler.chance(0.65):
        half = (half_x - 0.02, half_y - 0.04, top / 2 - 0.03)
        parts.append(box(sampler, (0, 0.03, top / 2 - 0.03), half, sampler.solid()))
        parts += fronts(sampler, 0, 0.02 - half_y, half_x - 0.03, 0.08, top - 0.08, max(1, round(half_x / 0.25)), 1)
    else:
        parts.append(cylinder(sampler, (0, 0.05, 0), (0, 0.05, top), 0.09, white))
    parts.append(ellipsoid(sampler, (0, -0.03, top), (0.2, half_y * 0.7, 0.03), white))
    parts.append(cylinder(sampler, (0, half_y * 0.7, top), (0, half_y * 0.7, top + 0.15), 0.015, metal))
    parts += clutter(sampler, half_x * 0.9, 0.06, top, int(sampler.rng.integers(0, 6)), y=half_y * 0.65)
    high = sampler.uniform(1.5, 1.95)
    mirror = sampler.surface("plaster", 3, shine=0.9)
    center, half = (0, half_y - 0.02, (high + top + 0.2) / 2), (half_x, 0.015, (high - top - 0.2) / 2)
    parts.append(box(sampler, center, half, mirror))
    return obstacle(parts, half_x, half_y, high)
