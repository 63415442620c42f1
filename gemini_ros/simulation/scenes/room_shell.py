"""The shell of a furnished room: floor with rugs, walls with windows and pictures, partitions, lamps."""

from __future__ import annotations

import math

from gemini_ros.simulation.scenes.floor_hole import dig, draw_hole
from gemini_ros.simulation.scenes.furniture.parts import LABEL, box, curtain, obstacle
from gemini_ros.simulation.scenes.interior_textures import FLOORS, WALLS
from gemini_ros.simulation.scenes.room_builder import RoomBuilder, Wall
from gemini_ros.simulation.scenes.scene import Footprint, Primitive


def build_shell(room: RoomBuilder, *, hole_share: float, partition_share: float) -> None:
    """Floor, walls and ceiling; with these probabilities a hole in the floor and a wall across the room."""
    rng, sampler = room.rng, room.sampler
    hole = draw_hole(room) if rng.random() < hole_share else None
    _floor(room, hole)
    ceiling = sampler.surface("plaster", 1, tint=sampler.tint(0.75, 0.1), tile_m=3.0)
    room.plane(
        (room.length / 2, 0, room.height),
        (0, 0, -1),
        room.length / 2,
        room.width / 2,
        ceiling,
        LABEL,
        sampler.temperature(1),
    )
    for wall in list(room.walls):
        _wall(room, wall)
    if hole is None and rng.random() < partition_share:
        _partition(room)
    for wall in room.walls:
        if wall.half > 0.6 and rng.random() < 0.45:
            _window(room, wall)
    _ceiling_lamps(room)


def _floor(room: RoomBuilder, hole: Footprint | None) -> None:
    """One plane, or four around a hole."""
    rng, surface = room.rng, room.sampler.cladding(FLOORS, float(room.rng.uniform(0.8, 3)))
    spans = [(0.0, room.length, -room.width / 2, room.width / 2)]
    if hole is not None:
        x0, x1, y0, y1 = hole.x - hole.half_x, hole.x + hole.half_x, hole.y - hole.half_y, hole.y + hole.half_y
        half = room.width / 2
        spans = [(0.0, x0, -half, half), (x1, room.length, -half, half), (x0, x1, -half, y0), (x0, x1, y1, half)]
    warm = room.sampler.temperature(1, -1)
    for x0, x1, y0, y1 in spans:
        if min(x1 - x0, y1 - y0) > 1e-3:
            room.plane(
                ((x0 + x1) / 2, (y0 + y1) / 2, 0), (0, 0, 1), (x1 - x0) / 2, (y1 - y0) / 2, surface, "floor", warm
            )
    if hole is not None:
        dig(room, hole, surface)
    for number in range(int(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15]))):
        _rug(room, 0.004 + 0.003 * number, hole)


def _rug(room: RoomBuilder, z: float, hole: Footprint | None) -> None:
    rng, sampler = room.rng, room.sampler
    half_x = float(rng.uniform(0.25, min(1.5, room.length * 0.4)))
    half_y = float(rng.uniform(0.25, min(1.2, room.width * 0.4)))
    x = float(rng.uniform(half_x, room.length - half_x))
    y = float(rng.uniform(half_y, room.width - half_y)) - room.width / 2
    if hole is not None and Footprint(x, y, half_x, half_y).overlaps(hole, 0.05):
        return
    look = sampler.surface(
        str(rng.choice(["carpet", "wallpaper", "stripes", "checks", "picture"])), 4, tint=sampler.tint(), flat=True
    )
    room.plane((x, y, z), (0, 0, 1), half_x, half_y, look, "floor", sampler.temperature(1))


def _wall(room: RoomBuilder, wall: Wall) -> None:
    rng, sampler = room.rng, room.sampler
    normal = (round(wall.normal[0]), round(wall.normal[1]), 0)
    room.plane(
        (wall.x, wall.y, room.height / 2),
        normal,
        wall.half,
        room.height / 2,
        sampler.cladding(WALLS, float(rng.uniform(1, 2.5))),
        LABEL,
        sampler.temperature(1.5),
    )
    if rng.random() < 0.2:  # tiles or panels up to the breast
        top = float(rng.uniform(0.6, 1.6))
        room.plane(
            (*wall.at(0, 0.004), top / 2),
            normal,
            wall.half,
            top / 2,
            sampler.cladding(("tile", "plank", "wallpaper"), 1.2),
            LABEL,
            sampler.temperature(1),
        )
    if rng.random() < 0.7:
        top = float(rng.uniform(0.05, 0.14))
        look = sampler.surface("lacquer", 2, tint=sampler.tint(0.3, 0.2), flat=True)
        room.plane((*wall.at(0, 0.008), top / 2), normal, wall.half, top / 2, look, LABEL, sampler.temperature(1))
    for _ in range(int(rng.integers(0, 5))):
        half = rng.uniform(0.1, min(0.5, wall.half * 0.4), 2)
        along, z = float(rng.uniform(-0.85, 0.85)) * (wall.half - half[0]), float(rng.uniform(1.25, 1.8))
        look = sampler.surface(str(rng.choice(["picture", "picture", "picture", "sign", "screen"])), 6, flat=True)
        at = (*wall.at(along, 0.012), z)
        room.plane(at, normal, float(half[0]), float(half[1]), look, LABEL, sampler.temperature(1))


def _window(room: RoomBuilder, wall: Wall) -> None:
    """A window, a light at it, and curtains that reach the floor or do not."""
    rng, sampler = room.rng, room.sampler
    half = float(rng.uniform(0.3, min(1.2, wall.half * 0.6)))
    low = float(rng.choice([0.05, rng.uniform(0.7, 1.2)], p=[0.15, 0.85]))
    high = min(room.height - 0.15, float(rng.uniform(1.9, 2.4)))
    along, middle = float(rng.uniform(-1, 1)) * (wall.half - half - 0.1), (low + high) / 2
    normal = (round(wall.normal[0]), round(wall.normal[1]), 0)
    look = sampler.surface("window", 3, emission=sampler.uniform(0.1, 1.0), flat=True)
    at = (*wall.at(along, 0.014), middle)
    room.plane(at, normal, half, (high - low) / 2, look, LABEL, sampler.temperature(4, -3))
    room.spots.append((*wall.at(along, 0.4), middle))
    if rng.random() < 0.5:
        cloth, bottom = sampler.fabric(), float(rng.choice([0.03, max(0.0, low - 0.15)]))
        width = half * float(rng.uniform(0.15, 0.55))
        parts: list[Primitive] = []
        for side in (-1, 1):
            parts += curtain(sampler, side * (half - width + 0.1), 0.0, width, bottom, high + 0.08, cloth)
        piece = obstacle(parts, half + 0.12, 0.045, high + 0.09)
        room.place(piece, *wall.at(along, 0.07), wall.yaw, gap=0.0)


def _partition(room: RoomBuilder) -> None:
    """A wall across the room with an opening, which makes two rooms of it."""
    rng, sampler = room.rng, room.sampler
    if room.length < 4.5:
        return
    x, gap = float(rng.uniform(0.35, 0.65)) * room.length, float(rng.uniform(0.7, 1.8))
    middle = float(rng.uniform(-1, 1)) * max(0.0, room.width / 2 - gap / 2 - 0.1)
    lintel = room.height if rng.random() < 0.3 else min(room.height, float(rng.uniform(2.0, 2.3)))
    look = sampler.surface(str(rng.choice(["plaster", "paint", "brick"])), 3, tint=sampler.tint())
    half = room.width / 2
    for low, high in ((-half, middle - gap / 2), (middle + gap / 2, half)):
        if high - low < 0.05:
            continue
        size = (0.06, (high - low) / 2, room.height / 2)
        piece = obstacle([box(sampler, (0, 0, room.height / 2), size, look)], 0.06, size[1], room.height)
        center = (low + high) / 2
        if room.place(piece, x, center, 0.0, gap=0.0):
            room.walls += [
                Wall(x - 0.06, center, -math.pi / 2, size[1]),
                Wall(x + 0.06, center, math.pi / 2, size[1]),
            ]
    if lintel < room.height - 0.01:
        at, size = (x, middle, (lintel + room.height) / 2), (0.06, gap / 2, (room.height - lintel) / 2)
        room.primitives.append(box(sampler, at, size, look))


def _ceiling_lamps(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    bulb = sampler.surface("lacquer", 2, emission=1.0)
    for _ in range(int(rng.integers(1, 4))):
        x, y = float(rng.uniform(0.2, 0.8)) * room.length, float(rng.uniform(-0.3, 0.3)) * room.width
        drop = float(rng.choice([0.06, rng.uniform(0.2, 0.7)]))
        half = (float(rng.uniform(0.1, 0.6)), float(rng.uniform(0.08, 0.3)), 0.03)
        z = room.height - 0.03 if drop < 0.1 else room.height - drop
        room.primitives.append(box(sampler, (x, y, z), half, bulb))
        room.spots.append((x, y, room.height - drop - 0.1))
