"""Tables and desks."""

from __future__ import annotations

from gemini_ros.simulation.scenes.furniture.clutter import clutter
from gemini_ros.simulation.scenes.furniture.parts import Piece, box, cylinder, front_plane, fronts, legs, obstacle
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import Primitive, Surface


def table(
    sampler: Sampler, half_x: float | None = None, half_y: float | None = None, height: float | None = None
) -> Piece:
    """A table of any height with things on it; round, on legs, on a pedestal, or with a cloth."""
    half_x = sampler.uniform(0.3, 0.95) if half_x is None else half_x
    half_y = sampler.uniform(0.25, 0.5) if half_y is None else half_y
    height = sampler.uniform(0.68, 0.8) if height is None else height
    wood, thick = sampler.solid(), sampler.uniform(0.012, 0.03)
    parts, kind = [], sampler.rng.random()
    if kind < 0.15:
        half_x = half_y = min(half_x, 0.6)
        parts += [
            cylinder(sampler, (0, 0, height - 2 * thick), (0, 0, height), half_x, wood),
            cylinder(sampler, (0, 0, 0), (0, 0, height), 0.05, wood),
            cylinder(sampler, (0, 0, 0), (0, 0, 0.03), half_x * 0.6, wood),
        ]
        spread = half_x * 0.65
    else:
        parts.append(box(sampler, (0, 0, height - thick), (half_x, half_y, thick), wood))
        parts += legs(sampler, half_x - 0.03, half_y - 0.03, height - 2 * thick, wood)
        spread = 0.9 * half_x
        if kind < 0.3:
            cloth, hang = sampler.fabric(), sampler.uniform(0.03, height / 2 - 0.05)
            parts.append(box(sampler, (0, 0, height + 0.005 - hang), (half_x + 0.01, half_y + 0.01, hang), cloth))
        elif kind < 0.45:
            parts.append(box(sampler, (0, 0, height * 0.3), (half_x - 0.06, half_y - 0.06, 0.015), wood))
    depth = half_y * (0.65 if kind < 0.15 else 0.9)
    parts += clutter(sampler, spread, depth, height + 0.006, int(sampler.rng.integers(0, 12)))
    return obstacle(parts, half_x + 0.02, half_y + 0.02, height + 0.45)


def desk(sampler: Sampler) -> Piece:
    """Desk with drawers, monitors, papers."""
    half_x, half_y, height = sampler.uniform(0.5, 0.95), sampler.uniform(0.28, 0.42), sampler.uniform(0.7, 0.78)
    wood, dark = sampler.solid(), sampler.surface("lacquer", 3, tint=sampler.tint(0.08, 0.1))
    parts = [box(sampler, (0, 0, height - 0.015), (half_x, half_y, 0.015), wood)]
    for side in (-1, 1):
        if sampler.chance(0.5):
            width = sampler.uniform(0.14, 0.24)
            x = side * (half_x - width)
            parts.append(box(sampler, (x, 0.02, height / 2 - 0.02), (width, half_y - 0.03, height / 2 - 0.02), wood))
            parts += fronts(sampler, x, 0.05 - half_y, width, 0.05, height - 0.06, 1, int(sampler.rng.integers(2, 5)))
        else:
            center = (side * (half_x - 0.02), 0, height / 2 - 0.02)
            parts.append(box(sampler, center, (0.02, half_y - 0.02, height / 2 - 0.02), wood))
    for _ in range(int(sampler.rng.integers(0, 3))):
        parts += _monitor(sampler, half_x, half_y, height, dark)
    parts.append(box(sampler, (0, -half_y * 0.5, height + 0.012), (0.2, 0.07, 0.012), dark))
    parts += clutter(sampler, half_x * 0.92, half_y * 0.25, height, int(sampler.rng.integers(1, 8)), y=-half_y * 0.1)
    tall = height + 0.6
    if sampler.chance(0.3):
        top = sampler.uniform(1.2, 1.7)
        parts.append(box(sampler, (0, half_y - 0.1, top), (half_x, 0.1, 0.015), wood))
        for side in (-1, 1):
            center = (side * (half_x - 0.02), half_y - 0.1, (top + height) / 2)
            parts.append(box(sampler, center, (0.02, 0.1, (top - height) / 2), wood))
        parts += clutter(sampler, half_x * 0.9, 0.08, top + 0.016, int(sampler.rng.integers(0, 8)), y=half_y - 0.1)
        tall = top + 0.4
    return obstacle(parts, half_x, half_y, tall)


def _monitor(sampler: Sampler, half_x: float, half_y: float, height: float, dark: Surface) -> list[Primitive]:
    """A monitor at the back of a desk of these half sizes, ``height`` metres over the floor."""
    x, tall = sampler.uniform(-0.6, 0.6) * half_x, sampler.uniform(0.14, 0.24)
    y, z = half_y * 0.5, height + 0.12 + tall
    return [
        cylinder(sampler, (x, half_y * 0.55, height), (x, half_y * 0.55, height + 0.15), 0.02, dark),
        box(sampler, (x, y, z), (tall * 1.5, 0.02, tall), dark),
        front_plane(sampler, (x, y - 0.022, z), tall * 1.4, tall * 0.92, "screen"),
    ]
