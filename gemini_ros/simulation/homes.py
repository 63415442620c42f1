"""A home from a seed: one furnished room, or two with an opening between them."""

from __future__ import annotations

import numpy as np

from gemini_ros.simulation.rooms import RoomBuilder
from gemini_ros.simulation.scene import Scene

ROOMS = ("bedroom", "living", "kitchen", "dining", "bath", "hall", "study")
ROOM_SHARES = (0.22, 0.24, 0.19, 0.1, 0.1, 0.07, 0.08)
PEOPLE_SHARES = (0.55, 0.3, 0.1, 0.04, 0.01)


def generate_home(seed: int, scene: int = 0) -> Scene:
    """The home number ``scene`` of a ``seed``; the same numbers always give the same home."""
    rng = np.random.default_rng([seed, scene])
    kind = str(rng.choice(ROOMS, p=ROOM_SHARES))
    low, high = {"bath": (1.8, 3.2), "hall": (1.4, 3.0)}.get(kind, (2.5, 5.5))
    width = float(rng.uniform(low, high))
    length = float(rng.uniform(3.5, 8.0) if kind == "hall" else rng.uniform(low, high + 1.5))
    home = _Home(rng, length, width, float(rng.uniform(2.3, 3.0)))
    home.build(kind, hole_share=0.35 if kind == "hall" else 0.1, partition_share=0.4, doors=2)
    return home.finish((seed, scene), PEOPLE_SHARES)


class _Home(RoomBuilder):
    def bedroom(self) -> None:
        rng, shop = self.rng, self.shop
        for _ in range(int(rng.integers(1, 3))):
            if not self.against(shop.bed, tries=20):
                self.around(shop.bed)
        for _ in range(int(rng.integers(1, 4))):
            self.against(shop.cupboard)
        for make in (shop.desk, shop.chair, shop.shelf, shop.plant, shop.lamp):
            if rng.random() < 0.45:
                self.against(make)

    def living(self) -> None:
        rng, shop = self.rng, self.shop
        for _ in range(int(rng.integers(1, 4))):
            if rng.random() < 0.7:
                self.against(shop.sofa)
            else:
                self.around(shop.sofa)
        self.around(lambda: shop.table(shop.uniform(0.3, 0.7), shop.uniform(0.25, 0.4), shop.uniform(0.35, 0.5)))
        for make in (shop.cupboard, shop.shelf, shop.shelf, shop.lamp, shop.plant, shop.table):
            if rng.random() < 0.6:
                self.against(make)
        if rng.random() < 0.3:
            self.dining()

    def kitchen(self) -> None:
        rng, shop = self.rng, self.shop
        for wall in rng.permutation(len(self.walls))[: int(rng.integers(1, 4))]:
            chosen = self.walls[wall]
            length = min(2 * chosen.half - 0.1, shop.uniform(1.0, 3.6))
            if length > 0.6:
                self.against(lambda n=length: shop.kitchen(n, self.height), wall=chosen, away=(0.0, 0.02))
        for _ in range(int(rng.integers(1, 4))):
            self.against(shop.appliance)
        if rng.random() < 0.25:
            self.around(lambda: shop.table(shop.uniform(0.5, 1.0), shop.uniform(0.35, 0.5), 0.92))
        if rng.random() < 0.5:
            self.dining()

    def dining(self) -> None:
        table = self.around(self.shop.table, tries=15, gap=0.25)
        if table:
            make = self.shop.chair
            self.beside(table, make, int(self.rng.integers(2, 8)))
        if self.rng.random() < 0.5:
            self.against(self.shop.cupboard)

    def bath(self) -> None:
        rng, shop = self.rng, self.shop
        for make, share in ((shop.bath, 0.7), (shop.toilet, 0.85), (shop.vanity, 0.95), (shop.cupboard, 0.4)):
            if rng.random() < share:
                self.against(make, tries=14, away=(0.01, 0.04))
        if rng.random() < 0.3:
            self.against(shop.appliance)

    def hall(self) -> None:
        rng, shop = self.rng, self.shop
        if rng.random() < 0.5:
            self.against(lambda: shop.stairs_up(self.height))
        for make in (shop.cupboard, shop.shelf, shop.plant, shop.table):
            if rng.random() < 0.4:
                self.against(make)
        for _ in range(int(rng.integers(1, 4))):
            self.door()

    def study(self) -> None:
        rng, shop = self.rng, self.shop
        for _ in range(int(rng.integers(1, 3))):
            if self.against(shop.desk):
                self.beside(self.footprints[-1], shop.office_chair if rng.random() < 0.7 else shop.chair, 2)
        for make in (shop.shelf, shop.shelf, shop.cupboard, shop.sofa):
            if rng.random() < 0.6:
                self.against(make)

    def fill(self) -> None:
        """What makes a room lived in: further pieces by its size, and things on the floor."""
        rng, shop = self.rng, self.shop
        makes = (
            shop.cupboard,
            shop.shelf,
            shop.chair,
            shop.plant,
            shop.lamp,
            shop.bin,
            shop.table,
            shop.sofa,
            shop.bin,
        )
        area = self.length * self.width
        for _ in range(int(rng.integers(0, 3 + int(area / 5)))):
            self.against(makes[int(rng.integers(len(makes)))], tries=5, away=(0.02, 0.2))
        for _ in range(int(rng.integers(0, 2 + int(area / 8)))):
            self.around(shop.chair, tries=4)
        if rng.random() < 0.05:
            self.against(lambda: shop.stairs_up(self.height))
        if rng.random() < 0.06:
            self.around(shop.wheelchair)
        if rng.random() < 0.04:
            self.around(shop.ladder)
        self.scatter(int(rng.choice([0, 1, 3, 6, 10, 15], p=[0.12, 0.18, 0.25, 0.22, 0.15, 0.08])))
