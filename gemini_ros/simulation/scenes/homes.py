"""A home from a seed: one furnished room, or two with an opening between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gemini_ros.simulation.scenes.furniture import (
    bathrooms,
    beds,
    clutter,
    decoration,
    equipment,
    fixtures,
    kitchens,
    seats,
    storage,
    tables,
    vehicles,
)
from gemini_ros.simulation.scenes.room_builder import RoomBuilder
from gemini_ros.simulation.scenes.room_shell import build_shell
from gemini_ros.simulation.scenes.scene import Scene

ROOM_SHARES = {
    "bedroom": 0.22,
    "living": 0.24,
    "kitchen": 0.19,
    "dining": 0.1,
    "bath": 0.1,
    "hall": 0.07,
    "study": 0.08,
}
PEOPLE_SHARES = (0.55, 0.3, 0.1, 0.04, 0.01)


def generate_home(seed: int, scene: int = 0) -> Scene:
    """The home number ``scene`` of a ``seed``; the same numbers always give the same home."""
    rng = np.random.default_rng([seed, scene])
    kind = str(rng.choice(list(ROOM_SHARES), p=list(ROOM_SHARES.values())))
    low, high = {"bath": (1.8, 3.2), "hall": (1.4, 3.0)}.get(kind, (2.5, 5.5))
    width = float(rng.uniform(low, high))
    length = float(rng.uniform(3.5, 8.0) if kind == "hall" else rng.uniform(low, high + 1.5))
    home = RoomBuilder(rng, length, width, float(rng.uniform(2.3, 3.0)))
    build_shell(home, hole_share=0.35 if kind == "hall" else 0.1, partition_share=0.4)
    _FURNISH[kind](home)
    home.doors(2)
    _fill(home)
    home.light()
    return home.finish((seed, scene), PEOPLE_SHARES)


def _bedroom(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    for _ in range(int(rng.integers(1, 3))):
        if not room.against(beds.bed(sampler), tries=20):
            room.around(beds.bed(sampler))
    for _ in range(int(rng.integers(1, 4))):
        room.against(storage.cupboard(sampler))
    for make in (tables.desk, seats.chair, storage.shelf, decoration.plant, decoration.lamp):
        if rng.random() < 0.45:
            room.against(make(sampler))


def _living(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.7:
            room.against(seats.sofa(sampler))
        else:
            room.around(seats.sofa(sampler))
    half_x, half_y, height = sampler.uniform(0.3, 0.7), sampler.uniform(0.25, 0.4), sampler.uniform(0.35, 0.5)
    room.around(tables.table(sampler, half_x, half_y, height))
    for make in (storage.cupboard, storage.shelf, storage.shelf, decoration.lamp, decoration.plant, tables.table):
        if rng.random() < 0.6:
            room.against(make(sampler))
    if rng.random() < 0.3:
        _dining(room)


def _kitchen(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    for wall in rng.permutation(len(room.walls))[: int(rng.integers(1, 4))]:
        chosen = room.walls[wall]
        length = min(2 * chosen.half - 0.1, sampler.uniform(1.0, 3.6))
        if length > 0.6:
            room.against(kitchens.counter(sampler, length, room.height), wall=chosen, away=(0.0, 0.02))
    for _ in range(int(rng.integers(1, 4))):
        room.against(kitchens.appliance(sampler))
    if rng.random() < 0.25:
        room.around(tables.table(sampler, sampler.uniform(0.5, 1.0), sampler.uniform(0.35, 0.5), 0.92))
    if rng.random() < 0.5:
        _dining(room)


def _dining(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    table = room.around(tables.table(sampler), tries=15, gap=0.25)
    if table:
        room.beside(table, seats.chair, int(rng.integers(2, 8)))
    if rng.random() < 0.5:
        room.against(storage.cupboard(sampler))


def _bath(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    shares = {bathrooms.bath: 0.7, bathrooms.toilet: 0.85, bathrooms.vanity: 0.95, storage.cupboard: 0.4}
    for make, share in shares.items():
        if rng.random() < share:
            room.against(make(sampler), tries=14, away=(0.01, 0.04))
    if rng.random() < 0.3:
        room.against(kitchens.appliance(sampler))


def _hall(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    if rng.random() < 0.5:
        room.against(fixtures.stairs(sampler, room.height))
    for make in (storage.cupboard, storage.shelf, decoration.plant, tables.table):
        if rng.random() < 0.4:
            room.against(make(sampler))
    for _ in range(int(rng.integers(1, 4))):
        room.door()


def _study(room: RoomBuilder) -> None:
    rng, sampler = room.rng, room.sampler
    for _ in range(int(rng.integers(1, 3))):
        if room.against(tables.desk(sampler)):
            room.beside(room.footprints[-1], seats.office_chair if rng.random() < 0.7 else seats.chair, 2)
    for make in (storage.shelf, storage.shelf, storage.cupboard, seats.sofa):
        if rng.random() < 0.6:
            room.against(make(sampler))


_FURNISH: dict[str, Callable[[RoomBuilder], None]] = {
    "bedroom": _bedroom,
    "living": _living,
    "kitchen": _kitchen,
    "dining": _dining,
    "bath": _bath,
    "hall": _hall,
    "study": _study,
}


def _fill(room: RoomBuilder) -> None:
    """What makes a room lived in: further pieces by its size, and things on the floor."""
    rng, sampler = room.rng, room.sampler
    makes = (
        storage.cupboard,
        storage.shelf,
        seats.chair,
        decoration.plant,
        decoration.lamp,
        clutter.basket,
        tables.table,
        seats.sofa,
        clutter.basket,
    )
    area = room.length * room.width
    for _ in range(int(rng.integers(0, 3 + int(area / 5)))):
        room.against(makes[int(rng.integers(len(makes)))](sampler), tries=5, away=(0.02, 0.2))
    for _ in range(int(rng.integers(0, 2 + int(area / 8)))):
        room.around(seats.chair(sampler), tries=4)
    if rng.random() < 0.05:
        room.against(fixtures.stairs(sampler, room.height))
    if rng.random() < 0.06:
        room.around(vehicles.wheelchair(sampler))
    if rng.random() < 0.04:
        room.around(equipment.ladder(sampler))
    room.scatter(int(rng.choice([0, 1, 3, 6, 10, 15], p=[0.12, 0.18, 0.25, 0.22, 0.15, 0.08])))
