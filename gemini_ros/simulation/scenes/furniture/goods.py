"""What a warehouse stores: cartons, on pallets, in racks, or stacked on the floor."""

from __future__ import annotations

import numpy as np

from gemini_ros.simulation.scenes.furniture.parts import Piece
from gemini_ros.simulation.scenes.sampler import PAINTS, Sampler
from gemini_ros.simulation.scenes.scene import Primitive, Vector, block


def carton(sampler: Sampler, center: Vector, half: Vector, yaw: float, instance: int) -> Primitive:
    """One cardboard box of these half sizes."""
    shade = tuple(float(v) for v in sampler.rng.uniform(0.75, 1, 3))
    surface = sampler.surface("cardboard", 5, tint=shade)
    return block(center, half, surface, "box", sampler.temperature(1.2), yaw, instance)


def rack(sampler: Sampler, width: float, depth: float, height: float) -> Piece:
    """Shelves along x with cartons on them."""
    rng, shelves = sampler.rng, int(sampler.rng.integers(2, 5))
    post = sampler.surface("lacquer", 2, tint=sampler.rack_paint, shine=0.4)
    board = sampler.surface("metal", 3, shine=0.4) if rng.random() < 0.6 else sampler.surface("wood")
    steel = sampler.temperature(0.5)
    parts = [
        block((x, y, height / 2), (0.035, 0.035, height / 2), post, "rack", steel)
        for x in (-width / 2 + 0.035, width / 2 - 0.035)
        for y in (-depth / 2 + 0.035, depth / 2 - 0.035)
    ]
    spacing = (height - 0.15) / shelves
    for shelf in range(shelves):
        z = 0.12 + shelf * spacing
        parts.append(block((0, 0, z), (width / 2, depth / 2, 0.025), board, "rack", steel))
        parts += _carton_row(sampler, width, depth, z + 0.025, spacing - 0.1, 1 + max(p.instance for p in parts))
    return Piece(tuple(parts), width / 2, depth / 2, height, "rack")


def _carton_row(sampler: Sampler, width: float, depth: float, z: float, room: float, first: int) -> list[Primitive]:
    rng, row, x = sampler.rng, [], -width / 2 + 0.1
    while True:
        half = rng.uniform(0.12, 0.34)
        if x + 2 * half > width / 2 - 0.08:
            return row
        if rng.random() < 0.72:
            half_z = float(min(rng.uniform(0.08, 0.4), room / 2))
            half_y = depth * 0.42 * rng.uniform(0.7, 1)
            y = rng.uniform(-1, 1) * (depth / 2 - 0.02 - half_y)
            size = (half * 0.93, half_y, half_z)
            row.append(carton(sampler, (x + half, y, z + half_z), size, rng.normal(0, 0.03), first + len(row)))
        x += 2 * half + rng.uniform(0.01, 0.08)


def stack(sampler: Sampler) -> Piece:
    """One to three cartons on each other."""
    rng, parts, z = sampler.rng, [], 0.0
    base = rng.uniform(0.15, 0.45, 2)
    for level in range(int(rng.integers(1, 4))):
        half_z = float(rng.uniform(0.1, 0.32))
        half_x, half_y = (float(v) for v in base * rng.uniform(0.75, 1, 2) * 0.98**level)
        parts.append(
            carton(sampler, (0, 0, z + half_z), (half_x, half_y, half_z), rng.normal(0, 0.08) if level else 0.0, level)
        )
        z += 2 * half_z
    return Piece(tuple(parts), float(base[0]), float(base[1]), z, "box")


def pallet(sampler: Sampler, layers: int) -> Piece:
    """Euro pallet, 1.2 m x 0.8..1.1 m, with layers of cartons."""
    rng, half_y = sampler.rng, float(sampler.rng.uniform(0.4, 0.55))
    wood = sampler.surface("wood", 2)
    if rng.random() < 0.15:
        wood = sampler.surface("lacquer", 2, tint=PAINTS[rng.integers(len(PAINTS))])
    parts = []
    count = int(rng.choice([1, 1, 1, 2, 4])) if layers == 0 else 1
    warm = sampler.temperature(1.0)
    for tier in range(count):
        z = tier * 0.145
        for y in (-half_y + 0.05, 0, half_y - 0.05):
            parts.append(block((0, y, z + 0.055), (0.6, 0.05, 0.055), wood, "pallet", warm))
        for x in np.linspace(-0.54, 0.54, 7):
            parts.append(block((float(x), 0, z + 0.127), (0.06, half_y, 0.015), wood, "pallet", warm))
    z, half_z, nth = count * 0.145, float(rng.uniform(0.12, 0.24)), 1
    for _ in range(layers):
        for x in (-0.3, 0.3):
            for y in (-half_y / 2, half_y / 2):
                if rng.random() < 0.88:
                    size = (0.29, half_y * 0.47, half_z * 0.99)
                    parts.append(carton(sampler, (x, y, z + half_z), size, rng.normal(0, 0.02), nth))
                    nth += 1
        z += 2 * half_z
    return Piece(tuple(parts), 0.62, half_y + 0.02, z, "pallet")
