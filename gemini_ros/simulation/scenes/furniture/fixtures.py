"""What is part of the building: doors, pillars, pipes, stairs."""

from __future__ import annotations

from gemini_ros.simulation.scenes.furniture.parts import Piece
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import block, rod


def door(sampler: Sampler, room_height: float) -> Piece:
    """Door leaf in a frame, or a roller shutter; x along the wall, -y into the room."""
    rng, shutter = sampler.rng, sampler.rng.random() < 0.3
    half = float(rng.uniform(1.1, 1.8) if shutter else rng.uniform(0.42, 0.9))
    height = float(min(room_height - 0.25, rng.uniform(2.4, 3.4) if shutter else rng.uniform(2.0, 2.4)))
    leaf = sampler.surface("shutter" if shutter else "door", 2, shine=0.3)
    metal = sampler.surface("metal", 6)
    warm = sampler.temperature(2, float(rng.choice([-6, -3, 0, 3, 6])))
    parts = [block((0, 0, height / 2), (half, 0.03, height / 2), leaf, "door", warm)]
    for side in (-1, 1):
        post = (side * (half + 0.04), 0, height / 2)
        parts.append(block(post, (0.04, 0.06, height / 2), metal, "door", sampler.temperature(1)))
    parts.append(block((0, 0, height + 0.04), (half + 0.08, 0.06, 0.04), metal, "door", sampler.temperature(1)))
    if not shutter:
        handle = ((half - 0.22, -0.07, 1.03), (half - 0.08, -0.07, 1.03))
        parts.append(rod(*handle, 0.018, metal, "door", sampler.temperature(1)))
    return Piece(tuple(parts), half + 0.08, 0.09, height + 0.08, "door")


def pillar(sampler: Sampler, height: float) -> Piece:
    """A pillar, often with hazard stripes up to one metre."""
    half = sampler.uniform(0.12, 0.28)
    paint = sampler.surface("paint", 3)
    parts = [block((0, 0, height / 2), (half, half, height / 2), paint, "wall", sampler.temperature(1))]
    if sampler.chance(0.5):
        guard = sampler.surface("hazard", 1)
        parts.append(block((0, 0, 0.5), (half + 0.01, half + 0.01, 0.5), guard, "wall", sampler.temperature(1)))
    return Piece(tuple(parts), half + 0.01, half + 0.01, height, "wall")


def pipe(sampler: Sampler, height: float) -> Piece:
    """An upright pipe, cold, warm or hot."""
    warm = sampler.ambient + float(sampler.rng.choice([0, 0, 15, 30]))
    tube = rod((0, 0, 0), (0, 0, height), 0.06, sampler.surface("metal", 6), "wall", warm, shape="cylinder")
    return Piece((tube,), 0.07, 0.07, height, "wall")


def stairs(sampler: Sampler, room_height: float) -> Piece:
    """Steps along +y: the lowest at the front."""
    half_x, rise, run = sampler.uniform(0.4, 0.75), sampler.uniform(0.15, 0.19), sampler.uniform(0.25, 0.3)
    count = int(sampler.rng.integers(3, max(4, min(13, int(room_height / rise)))))
    kind = str(sampler.rng.choice(["wood", "plank", "carpet", "concrete", "marble"]))
    look, half_y = sampler.surface(kind, 3, tint=sampler.tint()), count * run / 2
    parts = []
    for step in range(count):
        top = (step + 1) * rise
        at = (0.0, -half_y + (step + 0.5) * run, top / 2)
        parts.append(block(at, (half_x, run / 2, top / 2), look, "drop", sampler.temperature(1)))
    return Piece(tuple(parts), half_x, half_y, min(room_height, count * rise), "drop")
