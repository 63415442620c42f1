"""Cupboards and shelves of homes and offices."""

from __future__ import annotations

import numpy as np

from gemini_ros.simulation.scenes.furniture.clutter import clutter
from gemini_ros.simulation.scenes.furniture.parts import Piece, box, front_plane, fronts, legs, obstacle
from gemini_ros.simulation.scenes.sampler import Sampler


def cupboard(sampler: Sampler) -> Piece:
    """Wardrobe, dresser, chest of drawers, sideboard, filing cabinet, night stand."""
    rng = sampler.rng
    low, middle, high = sampler.uniform(0.4, 0.7), sampler.uniform(0.7, 1.2), sampler.uniform(1.6, 2.2)
    height = float(rng.choice([low, middle, high]))
    half_x = sampler.uniform(0.22, 0.45) if height < 0.7 and sampler.chance(0.5) else sampler.uniform(0.3, 0.9)
    half_y = sampler.uniform(0.18, 0.32)
    wood = sampler.solid()
    lift = sampler.uniform(0.05, 0.18) if sampler.chance(0.3) else 0.0
    parts = [box(sampler, (0, 0.02, (height + lift) / 2), (half_x, half_y - 0.02, (height - lift) / 2), wood)]
    if lift:
        parts += legs(sampler, half_x, half_y, lift, wood)
    rows = int(rng.integers(1, 5)) if height < 1.4 else int(rng.integers(1, 3))
    parts += fronts(sampler, 0, 0.02 - half_y, half_x, 0.04 + lift, height - 0.03, max(1, round(half_x / 0.3)), rows)
    top = height
    if height < 1.3:
        parts += clutter(sampler, half_x * 0.9, half_y * 0.8, height, int(rng.integers(0, 8)))
        top += 0.45
        if sampler.chance(0.25) and half_x > 0.4:
            tall = sampler.uniform(0.2, 0.4)
            wide, z = min(half_x, tall * 1.7), height + tall + 0.05
            parts.append(box(sampler, (0, half_y - 0.04, z), (wide, 0.03, tall), wood))
            parts.append(front_plane(sampler, (0, half_y - 0.075, z), wide - 0.02, tall - 0.02, "screen"))
            top += 2 * tall - 0.3
    return obstacle(parts, half_x, half_y, max(top, height))


def shelf(sampler: Sampler) -> Piece:
    """Open shelf with rows of books and things."""
    rng, half_x, half_y = sampler.rng, sampler.uniform(0.3, 0.95), sampler.uniform(0.12, 0.24)
    height, count, wood = sampler.uniform(0.7, 2.2), int(sampler.rng.integers(2, 6)), sampler.solid()
    parts = [box(sampler, (s * (half_x - 0.012), 0, height / 2), (0.012, half_y, height / 2), wood) for s in (-1, 1)]
    if sampler.chance(0.7):
        parts.append(box(sampler, (0, half_y - 0.008, height / 2), (half_x, 0.008, height / 2), sampler.solid()))
    levels = np.linspace(sampler.uniform(0.04, 0.15), height - 0.012, count + 1)
    room = float(levels[1] - levels[0]) - 0.06
    for level in levels:
        parts.append(box(sampler, (0, 0, float(level)), (half_x, half_y, 0.012), wood))
        tall = min(sampler.uniform(0.14, 0.34), room) if level < levels[-1] else 0.2
        if tall > 0.1 and level < levels[-1] and sampler.chance(0.65):
            width = half_x * sampler.uniform(0.3, 0.93)
            x = sampler.uniform(-1, 1) * (half_x - 0.03 - width)
            back = sampler.uniform(0.0, half_y * 0.3)
            row = (x, back, float(level) + 0.012 + tall / 2)
            parts.append(box(sampler, row, (width, half_y - back - 0.02, tall / 2), sampler.surface("books", 6)))
        elif room > 0.25:
            parts += clutter(sampler, half_x * 0.85, half_y * 0.8, float(level) + 0.013, int(rng.integers(0, 6)))
    return obstacle(parts, half_x, half_y, height + 0.4)
