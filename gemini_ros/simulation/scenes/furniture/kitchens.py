"""Kitchen counters and appliances."""

from __future__ import annotations

from gemini_ros.simulation.scenes.furniture.clutter import clutter
from gemini_ros.simulation.scenes.furniture.parts import Piece, box, cylinder, fronts, obstacle
from gemini_ros.simulation.scenes.sampler import Sampler


def counter(sampler: Sampler, length: float, room_height: float) -> Piece:
    """A counter with cupboards above and below, a sink or a stove in it, appliances on it."""
    rng, half_x, half_y, top = sampler.rng, length / 2, sampler.uniform(0.29, 0.34), sampler.uniform(0.84, 0.95)
    body, stone, metal = sampler.solid(), sampler.solid(), sampler.surface("metal", 2, tint=(0.9, 0.9, 0.9), shine=0.7)
    count = max(1, round(length / 0.55))
    parts = [box(sampler, (0, 0.04, top / 2 + 0.03), (half_x, half_y - 0.05, top / 2 - 0.05), body)]
    plinth = sampler.surface("lacquer", 2, tint=sampler.tint(0.1))
    parts.append(box(sampler, (0, 0.07, 0.05), (half_x, half_y - 0.1, 0.05), plinth))
    parts.append(box(sampler, (0, 0, top - 0.02), (half_x, half_y, 0.02), stone))
    parts += fronts(sampler, 0, 0.02 - half_y, half_x, 0.1, top - 0.05, count, int(rng.integers(1, 3)))
    if sampler.chance(0.8):
        tiles = sampler.surface("tile", 3, tint=sampler.tint())
        parts.append(box(sampler, (0, half_y - 0.01, top + 0.25), (half_x, 0.01, 0.25), tiles))
    basin = sampler.uniform(-0.6, 0.6) * half_x
    parts.append(box(sampler, (basin, 0, top + 0.004), (0.3, 0.2, 0.005), metal))
    if sampler.chance(0.6):
        parts.append(cylinder(sampler, (basin, 0.2, top), (basin, 0.2, top + 0.25), 0.014, metal))
        parts.append(cylinder(sampler, (basin, 0.2, top + 0.25), (basin, 0.02, top + 0.25), 0.012, metal))
    parts += clutter(sampler, half_x * 0.92, half_y * 0.55, top + 0.01, int(rng.integers(2, 12)), y=0.1)
    for _ in range(int(rng.integers(0, 3))):
        size = (sampler.uniform(0.1, 0.26), sampler.uniform(0.1, 0.16), sampler.uniform(0.08, 0.17))
        at = (sampler.uniform(-1, 1) * max(0.0, half_x - 0.3), half_y - 0.2, top + size[2])
        parts.append(box(sampler, at, size, sampler.surface("lacquer", 3, tint=sampler.tint(0.2), shine=0.5)))
    height = top + 0.4
    if sampler.chance(0.7):
        low, high = sampler.uniform(1.35, 1.5), min(room_height - 0.05, sampler.uniform(1.95, 2.3))
        parts.append(box(sampler, (0, half_y - 0.17, (low + high) / 2), (half_x, 0.16, (high - low) / 2), body))
        parts += fronts(sampler, 0, half_y - 0.34, half_x, low, high, count, 1)
        height = high
    return obstacle(parts, half_x, half_y, height)


def appliance(sampler: Sampler) -> Piece:
    """Refrigerator, stove, washing machine, copier."""
    half_x, half_y = sampler.uniform(0.27, 0.45), sampler.uniform(0.27, 0.38)
    height = sampler.uniform(0.82, 0.95) if sampler.chance(0.5) else sampler.uniform(1.2, 1.9)
    look = sampler.surface("lacquer", 3, tint=sampler.tint(0.25, 0.1), shine=0.5)
    dark = sampler.surface("lacquer", 3, tint=sampler.tint(0.1, 0.1), shine=0.5)
    parts = [box(sampler, (0, 0.02, height / 2), (half_x, half_y - 0.02, height / 2), look)]
    split = sampler.uniform(0.3, 0.7) * height
    for low, high in ((0.06, split), (split, height - 0.02)):
        door = look if sampler.chance(0.8) else dark
        half = (half_x - 0.01, 0.015, (high - low) / 2 - 0.008)
        parts.append(box(sampler, (0, 0.02 - half_y, (low + high) / 2), half, door))
        x, y = half_x - 0.06, -half_y - 0.01
        parts.append(cylinder(sampler, (x, y, low + 0.05), (x, y, high - 0.03), 0.012, dark))
    if height < 1:
        parts += clutter(sampler, half_x * 0.8, half_y * 0.7, height, int(sampler.rng.integers(0, 5)))
    return obstacle(parts, half_x, half_y + 0.02, height + (0.4 if height < 1 else 0.0))
