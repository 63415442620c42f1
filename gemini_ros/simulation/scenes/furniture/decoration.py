"""Lamps and plants."""

from __future__ import annotations

import math

from gemini_ros.simulation.scenes.furniture.parts import LABEL, Piece, cylinder, ellipsoid, obstacle
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import rod


def lamp(sampler: Sampler) -> Piece:
    """A floor lamp, lit or not."""
    height, radius = sampler.uniform(1.2, 1.8), sampler.uniform(0.12, 0.24)
    metal = sampler.surface("metal", 2, tint=sampler.tint(0.2))
    shade = sampler.surface("plaster", 2, emission=sampler.uniform(0, 0.9))
    parts = [
        cylinder(sampler, (0, 0, 0), (0, 0, 0.03), 0.14, metal),
        cylinder(sampler, (0, 0, 0), (0, 0, height - 0.2), 0.014, metal),
        cylinder(sampler, (0, 0, height - 0.3), (0, 0, height), radius, shade),
    ]
    return obstacle(parts, max(0.15, radius), max(0.15, radius), height)


def plant(sampler: Sampler) -> Piece:
    """A plant in a pot."""
    height, radius = sampler.uniform(0.4, 1.8), sampler.uniform(0.1, 0.22)
    pot, green = sampler.solid(), sampler.surface("leaves", 3)
    parts = [
        cylinder(sampler, (0, 0, 0), (0, 0, height * 0.28), radius * 0.7, pot),
        cylinder(sampler, (0, 0, 0), (0, 0, height * 0.7), 0.015, sampler.surface("wood")),
    ]
    for _ in range(int(sampler.rng.integers(4, 11))):
        angle, away = sampler.uniform(0, 6.28), sampler.uniform(0.2, 0.75) * radius * 1.6
        z = sampler.uniform(0.4, 0.92) * height
        stem, tip = (0, 0, z - 0.1), (away * math.cos(angle), away * math.sin(angle), z)
        parts.append(rod(stem, tip, sampler.uniform(0.015, 0.05), green, LABEL, sampler.temperature(1)))
    parts.append(ellipsoid(sampler, (0, 0, height * 0.75), (radius, radius, height * 0.22), green))
    return obstacle(parts, radius * 1.5, radius * 1.5, height)
