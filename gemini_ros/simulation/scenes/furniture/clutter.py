"""Small things: on tables and shelves, and on the floor."""

from __future__ import annotations

from gemini_ros.simulation.scenes.furniture.parts import Piece, box, cylinder, ellipsoid, obstacle
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import Primitive


def small_thing(sampler: Sampler, x: float, y: float, z: float, largest: float) -> list[Primitive]:
    """A small thing standing at a point, within ``largest`` metres of it: book, bottle, bowl, bag, device."""
    rng, kind = sampler.rng, sampler.rng.random()
    look = sampler.surface("lacquer", 3, tint=sampler.tint(0.15, 0.7), shine=0.3)
    if kind < 0.4:
        half = rng.uniform(0.12, 0.7, 2) * largest
        tall = sampler.uniform(0.02, 0.12) if kind < 0.2 else sampler.uniform(0.05, 0.35) * min(1.0, 4 * largest)
        skin = sampler.surface(str(rng.choice(["books", "cardboard", "sign", "picture"])), 2) if kind < 0.15 else look
        size = (float(half[0]), float(half[1]), max(0.015, tall / 2))
        return [box(sampler, (x, y, z + size[2]), size, skin, sampler.uniform(0, 3))]
    radius = min(sampler.uniform(0.025, 0.16), largest * 0.9)
    if kind < 0.75:
        tall = sampler.uniform(0.06, 0.32)
        parts = [cylinder(sampler, (x, y, z), (x, y, z + tall), radius * 0.6, look)]
        if kind < 0.55:
            parts.append(cylinder(sampler, (x, y, z + tall), (x, y, z + tall * 1.4), radius * 0.25, look))
        return parts
    flat = sampler.uniform(0.35, 1.0)
    skin = sampler.fabric() if kind < 0.9 else look
    return [
        ellipsoid(sampler, (x, y, z + radius * flat), (radius, radius * sampler.uniform(0.5, 1), radius * flat), skin)
    ]


def clutter(
    sampler: Sampler, half_x: float, half_y: float, z: float, count: int, x: float = 0.0, y: float = 0.0
) -> list[Primitive]:
    """Things on a surface of these half sizes about (x, y), in cells of a grid so that none is in another."""
    if count <= 0 or min(half_x, half_y) < 0.05:
        return []
    cell = max(0.12, 2 * min(half_x, half_y) / max(1, round(min(half_x, half_y) / 0.15)))
    columns, rows = max(1, int(2 * half_x / cell)), max(1, int(2 * half_y / cell))
    parts: list[Primitive] = []
    for spot in sampler.rng.permutation(columns * rows)[:count]:
        at_x = x + (spot % columns + 0.5) * 2 * half_x / columns - half_x
        at_y = y + (spot // columns + 0.5) * 2 * half_y / rows - half_y
        parts += small_thing(sampler, float(at_x), float(at_y), z, cell / 2 * 0.7)
    return parts


def basket(sampler: Sampler) -> Piece:
    """Waste basket, pouf, basket, suitcase, cardboard box, bag: low things that stand about."""
    kind = sampler.rng.random()
    look = sampler.surface("lacquer", 3, tint=sampler.tint(0.15, 0.6))
    tall, half = sampler.uniform(0.15, 0.6), sampler.uniform(0.1, 0.28)
    if kind < 0.35:
        return obstacle([cylinder(sampler, (0, 0, 0), (0, 0, tall), half, look)], half, half, tall)
    if kind < 0.65:
        skin = sampler.surface("cardboard", 4) if kind < 0.5 else look
        return obstacle([box(sampler, (0, 0, tall / 2), (half, half * 0.8, tall / 2), skin)], half, half, tall)
    parts = [ellipsoid(sampler, (0, 0, tall * 0.42), (half, half * 0.7, tall / 2), sampler.fabric())]
    return obstacle(parts, half, half, tall)


def litter(sampler: Sampler) -> Piece:
    """Something small on the floor: shoes, toys, clothes, a bag, books, a cable drum."""
    kind, half = sampler.rng.random(), sampler.uniform(0.05, 0.25)
    if kind < 0.3:  # clothes
        skin = sampler.fabric()
        parts = []
        for _ in range(3):
            at = (sampler.uniform(-0.5, 0.5) * half, sampler.uniform(-0.5, 0.5) * half, 0.02)
            parts.append(ellipsoid(sampler, at, (half * 0.7, half * 0.5, sampler.uniform(0.03, 0.12)), skin))
        return obstacle(parts, half * 1.25, half * 1.1, 0.15)
    if kind < 0.5:  # shoes
        look = sampler.surface("lacquer", 3, tint=sampler.tint(0.1, 0.6))
        parts = [
            ellipsoid(sampler, (s * 0.07, sampler.uniform(-0.03, 0.03), 0.035), (0.045, 0.13, 0.05), look)
            for s in (-1, 1)
        ]
        return obstacle(parts, 0.12, 0.16, 0.09)
    parts = small_thing(sampler, 0, 0, 0.0, half)
    return obstacle(parts, half * 1.05, half * 1.05, 0.45)
