"""Beds."""

from __future__ import annotations

from gemini_ros.simulation.scenes.furniture.parts import Piece, box, ellipsoid, legs, obstacle
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import Primitive, Surface


def bed(sampler: Sampler) -> Piece:
    """A bed for one or two, or a bunk bed; its head is at the wall."""
    half_x, half_y = sampler.uniform(0.42, 0.98), sampler.uniform(0.9, 1.1)
    frame, cover, sheet = sampler.solid(), sampler.fabric(), sampler.fabric()
    low, thick = sampler.uniform(0.08, 0.32), sampler.uniform(0.1, 0.18)
    top = low + 2 * thick
    parts = [box(sampler, (0, 0, low + thick), (half_x - 0.02, half_y - 0.03, thick), sheet)]
    if sampler.chance(0.6):
        parts.append(box(sampler, (0, 0, low / 2 + 0.05), (half_x, half_y, low / 2 + 0.05), frame))
    else:
        parts += legs(sampler, half_x, half_y, low, frame)
    blanket = half_y * sampler.uniform(0.5, 0.95)
    drop = sampler.uniform(0.05, top / 2 - 0.01)
    parts.append(box(sampler, (0, blanket - half_y, top + 0.015 - drop), (half_x, blanket, drop + 0.02), cover))
    parts += _folds(sampler, half_x, half_y, top, cover)
    parts += _pillows(sampler, half_x, half_y, top)
    height = top + 0.15
    if sampler.chance(0.7):
        board = sampler.uniform(top, 1.3)
        parts.append(box(sampler, (0, half_y - 0.02, board / 2), (half_x, 0.03, board / 2), frame))
        height = max(height, board)
    if sampler.chance(0.3):
        foot = sampler.uniform(low, 0.8)
        parts.append(box(sampler, (0, 0.03 - half_y, foot / 2), (half_x, 0.03, foot / 2), frame))
    if half_x < 0.6 and sampler.chance(0.25):  # bunk
        upper = sampler.uniform(1.2, 1.5)
        parts += legs(sampler, half_x, half_y, upper + 0.5, frame)
        parts.append(box(sampler, (0, 0, upper), (half_x, half_y, 0.06), frame))
        parts.append(box(sampler, (0, 0, upper + 0.14), (half_x - 0.04, half_y - 0.04, 0.08), sampler.fabric()))
        height = upper + 0.5
    return obstacle(parts, half_x, half_y, height)


def _folds(sampler: Sampler, half_x: float, half_y: float, top: float, cover: Surface) -> list[Primitive]:
    """Lumps of a blanket that nobody has smoothed."""
    folds = []
    for _ in range(int(sampler.rng.integers(0, 5))):
        at = (sampler.uniform(-0.7, 0.7) * half_x, sampler.uniform(-0.8, 0.3) * half_y, top + 0.02)
        half = (sampler.uniform(0.1, 0.3), sampler.uniform(0.05, 0.25), sampler.uniform(0.03, 0.1))
        folds.append(ellipsoid(sampler, at, half, cover))
    return folds


def _pillows(sampler: Sampler, half_x: float, half_y: float, top: float) -> list[Primitive]:
    """One to four at the head, side by side in a wide bed, on each other from the third on."""
    pillows = []
    for number in range(int(sampler.rng.integers(1, 5))):
        side = (-1) ** number * half_x * 0.5 if half_x > 0.6 else 0.0
        at = (side, half_y - 0.25 - 0.12 * (number // 2), top + 0.06 + 0.05 * (number // 2))
        pillows.append(ellipsoid(sampler, at, (min(0.36, half_x * 0.75), 0.2, 0.08), sampler.fabric()))
    return pillows
