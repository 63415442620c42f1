"""What people sit on."""

from __future__ import annotations

import math

import numpy as np

from gemini_ros.simulation.scenes.furniture.parts import Piece, box, cylinder, ellipsoid, legs, obstacle
from gemini_ros.simulation.scenes.sampler import Sampler


def sofa(sampler: Sampler) -> Piece:
    """Sofa or armchair."""
    half_x = sampler.uniform(0.38, 0.5) if sampler.chance(0.35) else sampler.uniform(0.65, 1.3)
    half_y = sampler.uniform(0.38, 0.5)
    skin = sampler.fabric()
    seat, arm = sampler.uniform(0.36, 0.48), sampler.uniform(0.48, 0.68)
    back, width = sampler.uniform(0.65, 1.0), sampler.uniform(0.07, 0.16)
    lift = sampler.uniform(0, 0.12) if sampler.chance(0.6) else 0.0
    parts = [
        box(sampler, (0, 0, (seat - 0.1 + lift) / 2), (half_x, half_y, (seat - 0.1 - lift) / 2), skin),
        box(sampler, (0, half_y - 0.11, (back + lift) / 2), (half_x, 0.1, (back - lift) / 2), skin),
    ]
    for side in (-1, 1):
        at = (side * (half_x - width / 2), 0.0, (arm + lift) / 2)
        parts.append(box(sampler, at, (width / 2, half_y, (arm - lift) / 2), skin))
        if sampler.chance(0.4):
            ends = [(side * (half_x - width / 2), sy * (half_y - 0.03), arm) for sy in (-1, 1)]
            parts.append(cylinder(sampler, ends[0], ends[1], width / 2, skin))
    if lift:
        parts += legs(sampler, half_x, half_y, lift, sampler.solid())
    count = max(1, round(half_x * 2 / 0.75))
    inner = half_x - width
    for i in range(count):
        x = (2 * i + 1 - count) * inner / count
        parts.append(box(sampler, (x, -0.08, seat - 0.05), (inner / count * 0.97, half_y - 0.1, 0.07), skin))
        parts.append(box(sampler, (x, half_y - 0.26, seat + 0.2), (inner / count * 0.95, 0.07, 0.2), skin))
    for _ in range(int(sampler.rng.integers(0, 4))):
        at = (sampler.uniform(-0.8, 0.8) * inner, sampler.uniform(-0.1, 0.1), seat + 0.15)
        parts.append(ellipsoid(sampler, at, (0.2, 0.1, 0.18), sampler.fabric()))
    return obstacle(parts, half_x, half_y, max(back, seat + 0.4))


def chair(sampler: Sampler) -> Piece:
    """A chair on four legs, upholstered or with slats, with or without arms."""
    half, seat, back = sampler.uniform(0.19, 0.27), sampler.uniform(0.4, 0.5), sampler.uniform(0.75, 1.1)
    wood, skin = sampler.solid(), sampler.fabric() if sampler.chance(0.5) else sampler.solid()
    parts = [box(sampler, (0, 0, seat), (half, half, sampler.uniform(0.012, 0.05)), skin)]
    parts += legs(sampler, half, half, seat, wood)
    thick = sampler.uniform(0.01, 0.025)
    if sampler.chance(0.5):
        center = (0, half - thick, (seat + back) / 2 + 0.05)
        parts.append(box(sampler, center, (half, thick, (back - seat) / 2 - 0.05), skin))
    else:
        slats = int(sampler.rng.integers(2, 6))
        for z in np.linspace(seat + 0.1, back - 0.03, slats):
            parts.append(box(sampler, (0, half - thick, float(z)), (half, thick * 0.7, 0.025), wood))
    for side in (-1, 1):
        x = side * (half - 0.015)
        parts.append(cylinder(sampler, (x, half - thick, seat), (x, half - thick, back), 0.016, wood))
        if sampler.chance(0.3):
            x, z = side * half, seat + 0.2
            parts.append(box(sampler, (x, 0, z), (0.02, half, 0.015), wood))
            parts.append(cylinder(sampler, (x, 0.03 - half, seat), (x, 0.03 - half, z), 0.015, wood))
    return obstacle(parts, half + 0.02, half + 0.02, back)


def office_chair(sampler: Sampler) -> Piece:
    """A swivel chair on five castors."""
    seat, back = sampler.uniform(0.42, 0.55), sampler.uniform(0.8, 1.2)
    dark, skin = sampler.surface("lacquer", 3, tint=sampler.tint(0.1)), sampler.fabric()
    parts = [cylinder(sampler, (0, 0, 0.08), (0, 0, seat), 0.03, dark)]
    for angle in np.arange(5) * 2 * math.pi / 5 + sampler.uniform(0, 1):
        tip = (0.3 * math.cos(angle), 0.3 * math.sin(angle), 0.06)
        parts += [cylinder(sampler, (0, 0, 0.11), tip, 0.022, dark), ellipsoid(sampler, tip, (0.03, 0.03, 0.05), dark)]
    parts.append(box(sampler, (0, 0, seat + 0.03), (0.24, 0.24, 0.04), skin))
    parts.append(box(sampler, (0, 0.23, (seat + back) / 2 + 0.08), (0.22, 0.035, (back - seat) / 2 - 0.08), skin))
    parts.append(cylinder(sampler, (0, 0.2, seat), (0, 0.24, seat + 0.25), 0.02, dark))
    if sampler.chance(0.6):
        for side in (-1, 1):
            parts.append(box(sampler, (side * 0.27, 0, seat + 0.22), (0.03, 0.15, 0.015), dark))
            parts.append(cylinder(sampler, (side * 0.27, 0, seat), (side * 0.27, 0, seat + 0.22), 0.015, dark))
    return obstacle(parts, 0.32, 0.32, back)
