"""An office from a seed: desks and partitions, a meeting room, a class room, a corridor, a lounge."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gemini_ros.simulation.scenes.furniture import (
    clutter,
    decoration,
    equipment,
    fixtures,
    goods,
    kitchens,
    partitions,
    seats,
    storage,
    tables,
    vehicles,
)
from gemini_ros.simulation.scenes.room_builder import RoomBuilder
from gemini_ros.simulation.scenes.room_shell import build_shell
from gemini_ros.simulation.scenes.scene import Scene

ROOM_SHARES = {"desks": 0.35, "meeting": 0.18, "classroom": 0.15, "corridor": 0.17, "lounge": 0.15}
PEOPLE_SHARES = (0.35, 0.3, 0.2, 0.1, 0.05)


def generate_office(seed: int, scene: int = 0) -> Scene:
    """The office number ``scene`` of a ``seed``; the same numbers always give the same office."""
    rng = np.random.default_rng([seed, scene])
    kind = str(rng.choice(list(ROOM_SHARES), p=list(ROOM_SHARES.values())))
    low, high = (1.5, 3.0) if kind == "corridor" else (2.8, 8.0)
    width = float(rng.uniform(low, high))
    length = float(rng.uniform(4, 12) if kind == "corridor" else rng.uniform(low, high + 2))
    office = RoomBuilder(rng, length, width, float(rng.uniform(2.4, 3.5)))
    build_shell(office, hole_share=0.25 if kind == "corridor" else 0.12, partition_share=0.2)
    _FURNISH[kind](office)
    office.doors(3)
    _fill(office)
    office.light()
    return office.finish((seed, scene), PEOPLE_SHARES)


def _desks(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    for _ in range(int(rng.integers(0, 1 + int(room.length / 2)))):
        if rng.random() < 0.5:
            room.around(partitions.screen_wall(sampler, sampler.uniform(1.0, 2.4), sampler.uniform(1.0, 1.7)), gap=0.3)
    for _ in range(int(rng.integers(1, 3 + int(room.length * room.width / 7)))):
        if rng.random() < 0.6:
            placed = room.against(tables.desk(sampler))
        else:
            placed = room.around(tables.desk(sampler), gap=0.15) is not None
        if placed:
            room.beside(room.footprints[-1], seats.office_chair, 2)


def _meeting(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    large = min(2.4, room.length / 2 - 0.7)
    table = room.around(
        tables.table(sampler, sampler.uniform(0.6, max(0.7, large)), sampler.uniform(0.4, 0.65)), tries=25, gap=0.3
    )
    if table:
        room.beside(table, seats.office_chair if rng.random() < 0.6 else seats.chair, int(rng.integers(3, 14)))
    if rng.random() < 0.5:
        room.against(partitions.whiteboard(sampler))


def _classroom(room: RoomBuilder) -> None:
    """Rows of tables with chairs behind them."""
    rng, sampler = room.rng, room.sampler
    pitch, yaw = sampler.uniform(1.1, 1.6), float(rng.choice([0.0, math.pi])) + float(rng.normal(0, 0.03))
    for y in np.arange(-room.width / 2 + 0.9, room.width / 2 - 0.6, pitch):
        x = 0.9
        while x < room.length - 0.8:
            if rng.random() < 0.8:
                piece = tables.table(sampler, sampler.uniform(0.55, 0.8), 0.3, 0.74)
                if room.place(piece, x, float(y), yaw, gap=0.02):
                    room.beside(room.footprints[-1], seats.chair, int(rng.integers(1, 4)))
            x += sampler.uniform(1.4, 2.2)
    if rng.random() < 0.5:
        room.against(partitions.whiteboard(sampler))


def _corridor(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    for _ in range(int(rng.integers(2, 6))):
        room.door()
    if rng.random() < 0.35:
        room.against(fixtures.stairs(sampler, room.height))
    for make in (storage.cupboard, decoration.plant, clutter.basket, kitchens.appliance, seats.chair, storage.shelf):
        if rng.random() < 0.4:
            room.against(make(sampler))


def _lounge(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    for _ in range(int(rng.integers(1, 5))):
        room.around(seats.sofa(sampler))
    for _ in range(int(rng.integers(1, 4))):
        table = room.around(tables.table(sampler), gap=0.2)
        if table:
            room.beside(table, seats.chair, int(rng.integers(1, 5)))
    if rng.random() < 0.5:
        room.against(kitchens.counter(sampler, sampler.uniform(1.2, 3), room.height))


_FURNISH: dict[str, Callable[[RoomBuilder], None]] = {
    "desks": _desks,
    "meeting": _meeting,
    "classroom": _classroom,
    "corridor": _corridor,
    "lounge": _lounge,
}


def _fill(room: RoomBuilder) -> None:
    """Shelves, cabinets, plants, machines and what lies about."""
    rng, sampler = room.rng, room.sampler
    makes = (
        storage.cupboard,
        storage.shelf,
        storage.shelf,
        decoration.plant,
        clutter.basket,
        kitchens.appliance,
        seats.chair,
        tables.table,
        partitions.whiteboard,
    )
    for _ in range(int(rng.integers(0, 3 + int(room.length * room.width / 6)))):
        room.against(makes[int(rng.integers(len(makes)))](sampler), tries=5, away=(0.02, 0.15))
    for make, share in (
        (goods.stack, 0.2),
        (equipment.cone, 0.08),
        (equipment.ladder, 0.07),
        (vehicles.wheelchair, 0.2),
        (vehicles.carrier, 0.1),
        (seats.office_chair, 0.4),
    ):
        if rng.random() < share:
            room.around(make(sampler))
    if rng.random() < 0.2:
        pillar = fixtures.pillar(sampler, room.height)
        x, y = float(rng.uniform(0.5, room.length - 0.5)), float(rng.uniform(-0.3, 0.3)) * room.width
        room.place(pillar, x, y, 0.0)
    room.scatter(int(rng.choice([0, 1, 3, 6, 10], p=[0.3, 0.25, 0.2, 0.15, 0.1])))
