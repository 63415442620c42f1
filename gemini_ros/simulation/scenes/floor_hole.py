"""Where the floor of a room ends: stairs down, shafts and ledges."""

from __future__ import annotations

import math

import numpy as np

from gemini_ros.simulation.scenes.builder import Builder
from gemini_ros.simulation.scenes.furniture.parts import cylinder, obstacle
from gemini_ros.simulation.scenes.interior_textures import FLOORS, WALLS
from gemini_ros.simulation.scenes.room_builder import RoomBuilder
from gemini_ros.simulation.scenes.scene import Footprint, Surface, block


def draw_hole(room: RoomBuilder) -> Footprint:
    """Where the floor ends: an opening at an end wall or beside it, or a ledge across the whole room."""
    rng = room.rng
    length = float(rng.uniform(0.8, max(0.8, min(2.6, room.length * 0.4))))
    across = rng.random() < 0.3
    half_y = room.width / 2 if across else float(rng.uniform(0.4, max(0.4, min(0.8, room.width * 0.25))))
    y = 0.0 if across else float(rng.choice([-1, 1])) * (room.width / 2 - half_y) * float(rng.choice([1, 1, 0.5]))
    x = length / 2 if rng.random() < 0.5 else room.length - length / 2
    if not across and rng.random() < 0.4:
        x = float(rng.uniform(length / 2, room.length - length / 2))
    return Footprint(x, y, length / 2, half_y, 0.0, room.height, "drop")


def dig(room: RoomBuilder, hole: Footprint, floor: Surface) -> None:
    """The inside of a hole: sides, bottom, mostly steps; a railing on its long sides now and then."""
    rng, sampler, warm = room.rng, room.sampler, room.sampler.temperature(1)
    steps = rng.random() < 0.7
    rise, run = float(rng.uniform(0.15, 0.19)), float(rng.uniform(0.24, 0.3))
    count = int(2 * hole.half_x / run)
    depth = (count + 1) * rise if steps else float(rng.uniform(0.25, 2.5))
    side = floor if rng.random() < 0.4 else sampler.cladding(WALLS, 1.5)
    bottom = floor if rng.random() < 0.5 else sampler.cladding(FLOORS, 1.5)
    pit(room, hole, depth, side, bottom, warm)
    if steps:
        tread = floor if rng.random() < 0.4 else sampler.surface("plank", 2, tint=sampler.tint())
        tread = Surface(tread.texture, tread.tint, None, tread.shine)
        down = 1 if hole.x < room.length / 2 else -1  # away from the nearer end wall
        for step in range(count):
            top = -(step + 1) * rise
            x = hole.x - down * (hole.half_x - (step + 0.5) * run)
            half = (run / 2, hole.half_y - 0.002, (top + depth) / 2)
            room.primitives.append(block((x, hole.y, top - half[2]), half, tread, "drop", warm))
    room.footprints.append(hole)
    if hole.half_y < room.width / 2 and rng.random() < 0.4:
        _railing(room, hole)


def pit(
    builder: Builder, hole: Footprint, depth: float, side: Surface, bottom: Surface, warm: float, top: float = 0.0
) -> None:
    """Four sides and the bottom of a hole along the axes, ``depth`` metres below a floor at height ``top``."""
    for normal, half in (
        ((1, 0, 0), hole.half_y),
        ((-1, 0, 0), hole.half_y),
        ((0, 1, 0), hole.half_x),
        ((0, -1, 0), hole.half_x),
    ):
        at = (hole.x - normal[0] * hole.half_x, hole.y - normal[1] * hole.half_y, top - depth / 2)
        builder.plane(at, normal, half, depth / 2, side, "drop", warm)
    builder.plane((hole.x, hole.y, top - depth), (0, 0, 1), hole.half_x, hole.half_y, bottom, "drop", warm)


def _railing(room: RoomBuilder, hole: Footprint) -> None:
    sampler, metal = room.sampler, room.sampler.solid()
    y = hole.y - math.copysign(hole.half_y + 0.04, hole.y or 1.0)
    count = max(2, int(2 * hole.half_x / 0.15))
    parts = [
        cylinder(sampler, (float(x), 0, 0), (float(x), 0, 0.95), 0.012, metal)
        for x in np.linspace(0.03 - hole.half_x, hole.half_x - 0.03, count)
    ]
    parts.append(cylinder(sampler, (-hole.half_x, 0, 0.97), (hole.half_x, 0, 0.97), 0.025, metal))
    room.place(obstacle(parts, hole.half_x, 0.03, 1.0), hole.x, y, 0.0, gap=0.005)
