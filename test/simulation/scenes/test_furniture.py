"""Each kind of furniture by itself: where its parts are and what they are."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from gemini_ros.simulation.scenes.furniture import (
    bathrooms,
    beds,
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
from gemini_ros.simulation.scenes.sampler import Sampler
from test.simulation.scenes.test_scene import rotation

MAKERS = {
    "bath": bathrooms.bath,
    "toilet": bathrooms.toilet,
    "vanity": bathrooms.vanity,
    "bed": beds.bed,
    "basket": clutter.basket,
    "litter": clutter.litter,
    "lamp": decoration.lamp,
    "plant": decoration.plant,
    "cone": equipment.cone,
    "ladder": equipment.ladder,
    "door": partial(fixtures.door, room_height=2.6),
    "pillar": partial(fixtures.pillar, height=2.6),
    "pipe": partial(fixtures.pipe, height=2.6),
    "stairs": partial(fixtures.stairs, room_height=2.6),
    "pallet": partial(goods.pallet, layers=2),
    "rack": partial(goods.rack, width=2.0, depth=0.8, height=2.4),
    "stack": goods.stack,
    "appliance": kitchens.appliance,
    "counter": partial(kitchens.counter, length=2.0, room_height=2.6),
    "screen_wall": partial(partitions.screen_wall, length=1.6, height=1.4),
    "whiteboard": partitions.whiteboard,
    "chair": seats.chair,
    "office_chair": seats.office_chair,
    "sofa": seats.sofa,
    "cupboard": storage.cupboard,
    "shelf": storage.shelf,
    "desk": tables.desk,
    "table": tables.table,
    "carrier": vehicles.carrier,
    "forklift": vehicles.forklift,
    "pallet_truck": vehicles.pallet_truck,
    "wheelchair": vehicles.wheelchair,
}
LABELS = {"cone": "cone", "door": "door", "pillar": "wall", "pipe": "wall", "stairs": "drop"}
LABELS |= {"pallet": "pallet", "rack": "rack", "stack": "box"}
LABELS |= dict.fromkeys(("carrier", "forklift", "pallet_truck", "wheelchair"), "vehicle")


def pieces(name, count=8):
    return [MAKERS[name](Sampler(np.random.default_rng(seed), 20.0)) for seed in range(count)]


def extent(part):
    """Half sizes of the upright box around a part."""
    a, b, c = part.size
    turn = np.abs(rotation(part.quaternion))
    if part.shape in ("cylinder", "capsule"):
        return turn[:, 2] * b + a * np.sqrt(np.maximum(0, 1 - turn[:, 2] ** 2)) + a * (part.shape == "capsule")
    return turn @ (a, b, c)


@pytest.mark.parametrize("name", MAKERS)
def test_a_piece_is_where_it_says(name):
    """On the floor, and within its half sizes and height but for handles, folds and tall things upon it."""
    for piece in pieces(name):
        low = np.min([part.position - extent(part) for part in piece.parts], axis=0)
        high = np.max([part.position + extent(part) for part in piece.parts], axis=0)
        assert -0.11 < low[2] < 0.25
        assert high[2] < piece.height + 0.15
        assert max(-low[0], high[0]) < piece.half_x + 0.1
        assert max(-low[1], high[1]) < piece.half_y + 0.1


@pytest.mark.parametrize("name", MAKERS)
def test_a_piece_has_one_label_and_room_temperature(name):
    for piece in pieces(name):
        assert piece.label == LABELS.get(name, "obstacle")
        loads = {"pallet": {"pallet", "box"}, "rack": {"rack", "box"}, "carrier": {"vehicle", "box"}}
        assert {part.label for part in piece.parts} <= loads.get(name, {piece.label})
        assert all(10 < part.temperature < 55 for part in piece.parts)
        assert sorted({part.instance for part in piece.parts}) == list(range(piece.objects))


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_numbers_make_the_same_piece(name):
    assert pieces(name, 2) == pieces(name, 2)
