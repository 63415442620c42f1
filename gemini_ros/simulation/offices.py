"""An office from a seed: desks and partitions, a meeting room, a class room, a corridor, a lounge."""

from __future__ import annotations

import math

import numpy as np

from gemini_ros.simulation.rooms import RoomBuilder
from gemini_ros.simulation.scene import Scene

ROOMS = ("desks", "meeting", "classroom", "corridor", "lounge")
ROOM_SHARES = (0.35, 0.18, 0.15, 0.17, 0.15)
PEOPLE_SHARES = (0.35, 0.3, 0.2, 0.1, 0.05)


def generate_office(seed: int, scene: int = 0) -> Scene:
    """The office number ``scene`` of a ``seed``; the same numbers always give the same office."""
    rng = np.random.default_rng([seed, scene])
    kind = str(rng.choice(ROOMS, p=ROOM_SHARES))
    low, high = (1.5, 3.0) if kind == "corridor" else (2.8, 8.0)
    width = float(rng.uniform(low, high))
    length = float(rng.uniform(4, 12) if kind == "corridor" else rng.uniform(low, high + 2))
    office = _Office(rng, length, width, float(rng.uniform(2.4, 3.5)))
    office.build(kind, hole_share=0.25 if kind == "corridor" else 0.12, partition_share=0.2, doors=3)
    return office.finish((seed, scene), PEOPLE_SHARES)


class _Office(RoomBuilder):
    def desks(self) -> None:
        rng, shop = self.rng, self.shop
        for _ in range(int(rng.integers(0, 1 + int(self.length / 2)))):
            if rng.random() < 0.5:
                self.around(lambda: shop.screen_wall(shop.uniform(1.0, 2.4), shop.uniform(1.0, 1.7)), gap=0.3)
        for _ in range(int(rng.integers(1, 3 + int(self.length * self.width / 7)))):
            placed = self.against(shop.desk) if rng.random() < 0.6 else self.around(shop.desk, gap=0.15) is not None
            if placed:
                self.beside(self.footprints[-1], shop.office_chair, 2)

    def meeting(self) -> None:
        rng, shop = self.rng, self.shop
        large = min(2.4, self.length / 2 - 0.7)
        table = self.around(
            lambda: shop.table(shop.uniform(0.6, max(0.7, large)), shop.uniform(0.4, 0.65)), tries=25, gap=0.3
        )
        if table:
            self.beside(table, shop.office_chair if rng.random() < 0.6 else shop.chair, int(rng.integers(3, 14)))
        if rng.random() < 0.5:
            self.against(shop.whiteboard)

    def classroom(self) -> None:
        """Rows of tables with chairs behind them."""
        rng, shop = self.rng, self.shop
        pitch, yaw = shop.uniform(1.1, 1.6), float(rng.choice([0.0, math.pi])) + float(rng.normal(0, 0.03))
        for y in np.arange(-self.width / 2 + 0.9, self.width / 2 - 0.6, pitch):
            x = 0.9
            while x < self.length - 0.8:
                if rng.random() < 0.8:
                    piece = shop.table(shop.uniform(0.55, 0.8), 0.3, 0.74)
                    if self.place(piece, x, float(y), yaw, gap=0.02):
                        self.beside(self.footprints[-1], shop.chair, int(rng.integers(1, 4)))
                x += shop.uniform(1.4, 2.2)
        if rng.random() < 0.5:
            self.against(shop.whiteboard)

    def corridor(self) -> None:
        rng, shop = self.rng, self.shop
        for _ in range(int(rng.integers(2, 6))):
            self.door()
        if rng.random() < 0.35:
            self.against(lambda: shop.stairs_up(self.height))
        for make in (shop.cupboard, shop.plant, shop.bin, shop.appliance, shop.chair, shop.shelf):
            if rng.random() < 0.4:
                self.against(make)

    def lounge(self) -> None:
        rng, shop = self.rng, self.shop
        for _ in range(int(rng.integers(1, 5))):
            self.around(shop.sofa)
        for _ in range(int(rng.integers(1, 4))):
            table = self.around(shop.table, gap=0.2)
            if table:
                self.beside(table, shop.chair, int(rng.integers(1, 5)))
        if rng.random() < 0.5:
            self.against(lambda: shop.kitchen(shop.uniform(1.2, 3), self.height))

    def fill(self) -> None:
        """Shelves, cabinets, plants, machines and what lies about."""
        rng, shop = self.rng, self.shop
        makes = (
            shop.cupboard,
            shop.shelf,
            shop.shelf,
            shop.plant,
            shop.bin,
            shop.appliance,
            shop.chair,
            shop.table,
            shop.whiteboard,
        )
        for _ in range(int(rng.integers(0, 3 + int(self.length * self.width / 6)))):
            self.against(makes[int(rng.integers(len(makes)))], tries=5, away=(0.02, 0.15))
        for make, share in (
            (shop.stack, 0.2),
            (shop.cone, 0.08),
            (shop.ladder, 0.07),
            (shop.wheelchair, 0.2),
            (shop.carrier, 0.1),
            (shop.office_chair, 0.4),
        ):
            if rng.random() < share:
                self.around(make)
        if rng.random() < 0.2:
            pillar = shop.pillar(self.height)
            self.place(
                pillar, float(rng.uniform(0.5, self.length - 0.5)), float(rng.uniform(-0.3, 0.3)) * self.width, 0.0
            )
        self.scatter(int(rng.choice([0, 1, 3, 6, 10], p=[0.3, 0.25, 0.2, 0.15, 0.1])))
