"""A warehouse from a seed: a corridor or a hall with racks, goods, doors, vehicles, and things left in the aisle."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gemini_ros.simulation.scenes.builder import Builder
from gemini_ros.simulation.scenes.furniture import equipment, fixtures, goods, vehicles
from gemini_ros.simulation.scenes.furniture.parts import Piece
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import Scene, Surface, block

LONGEST_M = 26.0
PEOPLE_SHARES = (0.08, 0.27, 0.3, 0.22, 0.13)
WALL_SHARES = {
    "rack": 0.3,
    "stacks": 0.13,
    "door": 0.17,
    "pallet": 0.15,
    "vehicle": 0.07,
    "pipe": 0.04,
    "pillar": 0.03,
    "cones": 0.04,
    "gap": 0.07,
}
AISLE_SHARES = {"cone": 0.4, "stack": 0.2, "pallet": 0.25, "vehicle": 0.15}


def generate_scene(seed: int, scene: int = 0) -> Scene:
    """The warehouse number ``scene`` of a ``seed``; the same numbers always give the same warehouse."""
    rng = np.random.default_rng([seed, scene])
    hall = rng.random() < 0.35
    width = float(rng.uniform(7, 13) if hall else rng.uniform(2.6, 7))
    length = float(rng.uniform(12, LONGEST_M))
    height = float(rng.uniform(3.4, 6.5) if hall else rng.uniform(2.6, 5))
    builder = Warehouse(Sampler(rng, float(rng.uniform(2, 29))), length, width, height)
    builder.shell()
    builder.furnish()
    return builder.finish((seed, scene), PEOPLE_SHARES)


class Warehouse(Builder):
    """A warehouse in the making: the shell, then what stands in it."""

    def shell(self) -> None:
        """Floor, walls, ceiling, lamps, markings, signs."""
        half_l, half_w = self.length / 2, self.width / 2
        floor = self.floor_surface()
        self.plane((half_l, 0, 0), (0, 0, 1), half_l, half_w, floor, "floor", self.sampler.temperature(1, -1))
        self.upper_shell()
        if self.rng.random() < 0.6:
            self._markings()

    def floor_surface(self) -> Surface:
        rng = self.rng
        kind = str(rng.choice(["concrete", "tile", "concrete", "wood", "paint"], 1)[0])
        tile_m, shine = float(rng.uniform(1.2, 3)), float(rng.uniform(0.05, 0.5))
        return self.sampler.surface(kind, 1, tile_m=tile_m, shine=shine)

    def upper_shell(self) -> None:
        """Ceiling, walls and lamps."""
        rng, sampler, half_l, half_w = self.rng, self.sampler, self.length / 2, self.width / 2
        kind = str(rng.choice(["paint", "corrugated", "concrete", "paint"]))
        roof = sampler.surface(kind, 1, tile_m=float(rng.uniform(1.5, 3)))
        self.plane((half_l, 0, self.height), (0, 0, -1), half_l, half_w, roof, "ceiling", sampler.temperature(1, 2))
        for axis in ((0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0)):
            self._wall(axis)
        self._lamps()

    def _wall(self, inward: tuple[int, int, int]) -> None:
        rng, sampler = self.rng, self.sampler
        kind = str(rng.choice(["brick", "concrete", "paint", "corrugated", "paint"]))
        surface = sampler.surface(kind, 2, tile_m=float(rng.uniform(1.2, 2.4)))
        half = self.length / 2 if inward[1] else self.width / 2
        middle = (self.length / 2 * (1 - inward[0]), -inward[1] * self.width / 2)
        warm = sampler.temperature(2.5, -0.5)
        self.plane((*middle, self.height / 2), inward, half, self.height / 2, surface, "wall", warm)
        if rng.random() < 0.35:
            band = sampler.surface("paint", 3, tile_m=2.0)
            top = float(rng.uniform(0.4, 1.3))
            at = (middle[0] + 0.004 * inward[0], middle[1] + 0.004 * inward[1], top / 2)
            self.plane(at, inward, half, top / 2, band, "wall", warm)
        for _ in range(rng.integers(0, 4)):
            along, size = float(rng.uniform(-0.85, 0.85)) * half, rng.uniform(0.15, 0.5, 2)
            at = (
                middle[0] + abs(inward[1]) * along + 0.008 * inward[0],
                middle[1] + abs(inward[0]) * along + 0.008 * inward[1],
                float(rng.uniform(1.3, min(2.4, self.height - 0.6))),
            )
            sign = sampler.surface("sign", 4)
            self.plane(at, inward, float(size[0]), float(size[1]), sign, "wall", sampler.temperature(1))

    def _lamps(self) -> None:
        rng, sampler = self.rng, self.sampler
        rows = 1 if self.width < 6 or self.length > LONGEST_M else 2
        count = max(2, min(6, round(self.length / 4)) // rows)
        spots = [
            (self.length * (i + 0.5) / count, (row - (rows - 1) / 2) * self.width / 2)
            for i in range(count)
            for row in range(rows)
        ]
        self.lamps = tuple((x, y, self.height - 0.2) for x, y in spots)
        surface = sampler.surface("lacquer", 2, emission=1.0)
        along = rng.random() < 0.5
        half = (0.6, 0.1, 0.03) if along else (0.1, 0.6, 0.03)
        warm = sampler.temperature(4, 16)
        for x, y in spots:
            self.primitives.append(block((x, y, self.height - 0.05), half, surface, "ceiling", warm))
        beam = sampler.surface("metal", 2)
        if rng.random() < 0.5:
            for x in np.arange(1.0, self.length, rng.uniform(2, 4)):
                size = (0.06, self.width / 2, 0.1)
                center = (float(x), 0.0, self.height - 0.1)
                self.primitives.append(block(center, size, beam, "ceiling", sampler.temperature(1, 2)))

    def _markings(self) -> None:
        color = ((1, 0.85, 0.15), (1, 1, 1), (0.9, 0.3, 0.2))[self.rng.integers(3)]
        paint = self.sampler.surface("lacquer", 2, tint=color)
        offset = self.width * float(self.rng.uniform(0.15, 0.35))
        for side in (-1, 1):
            at = (self.length / 2, side * offset, 0.004)
            self.plane(at, (0, 0, 1), self.length / 2, 0.05, paint, "floor", self.sampler.ambient - 1)

    def furnish(self) -> None:
        """Both long walls, the end walls' doors, a double row in wide halls, then the aisles."""
        rng = self.rng
        for side in (-1, 1):
            self.line(side * self.width / 2, -side, float(rng.uniform(0.3, 2)))
        if self.width > 8 and rng.random() < 0.8:
            start = float(rng.uniform(2.5, 4))
            for side in (-1, 1):
                self.line(side * 0.03, side, start, stop=self.length - 3, row=True)
        for x, yaw in ((0.03, math.pi / 2), (self.length - 0.03, -math.pi / 2)):
            if rng.random() < 0.6:
                self.place(fixtures.door(self.sampler, self.height), x, float(rng.uniform(-0.3, 0.3)) * self.width, yaw)
        for _ in range(int(rng.integers(2, 6 + int(self.width / 2)))):
            self._obstacle()

    def line(self, wall_y: float, inward: int, x: float, stop: float | None = None, row: bool = False) -> None:
        """Pieces along a wall (or one side of a row of racks) at ``wall_y``; the room is on the ``inward`` side."""
        rng, sampler = self.rng, self.sampler
        stop = self.length - 0.5 if stop is None else stop
        depth_limit = 1.2 if self.width > 4.5 else 0.7
        while x < stop:
            kind = str(rng.choice(list(WALL_SHARES), p=list(WALL_SHARES.values())))
            if row and kind in ("door", "pipe"):
                kind = "rack"
            if kind == "gap" or (kind == "rack" and self.width < 3.2):
                x += float(rng.uniform(0.6, 1.6))
                continue
            for piece in _WALL_PIECES[kind](sampler, self.height):
                flush = kind in ("door", "rack", "pillar", "pipe")
                away = 0.02 if flush else float(rng.uniform(0.05, 0.3))
                y = wall_y + inward * (piece.half_y + away if kind != "door" else 0.02)
                yaw = (0.0 if flush else float(rng.normal(0, 0.06))) + (math.pi if inward > 0 else 0.0)
                if piece.half_y * 2 <= depth_limit + 0.4 and x + 2 * piece.half_x < stop:
                    self.place(piece, x + piece.half_x, y, yaw)
                x += 2 * piece.half_x + float(rng.uniform(0.05, 0.3))
            x += float(rng.uniform(0.0, 0.8))

    def _obstacle(self) -> None:
        """One thing in the open that leaves a way past; tried at a few places, left out when there is no room."""
        rng = self.rng
        kind = str(rng.choice(list(AISLE_SHARES), p=list(AISLE_SHARES.values())))
        piece = _AISLE_PIECES[kind](self.sampler)
        for _ in range(8):
            x, y = float(rng.uniform(1.5, self.length - 1)), float(rng.uniform(-0.45, 0.45)) * self.width
            if self.place(piece, x, y, float(rng.uniform(-math.pi, math.pi)), gap=0.25):
                return


def _rack(sampler: Sampler, hall_height: float) -> Piece:
    height = min(hall_height - 0.3, sampler.uniform(1.7, 4.2))
    return goods.rack(sampler, sampler.uniform(1.5, 2.9), sampler.uniform(0.5, 0.95), height)


def _vehicle(sampler: Sampler) -> Piece:
    kind = sampler.rng.random()
    if kind < 0.45:
        return vehicles.forklift(sampler)
    return vehicles.pallet_truck(sampler) if kind < 0.75 else vehicles.carrier(sampler)


# What stands at a wall of a hall of some height, and what stands in an aisle.
_WALL_PIECES: dict[str, Callable[[Sampler, float], list[Piece]]] = {
    "rack": lambda sampler, height: [_rack(sampler, height)],
    "stacks": lambda sampler, _: [goods.stack(sampler) for _ in range(sampler.rng.integers(1, 4))],
    "door": lambda sampler, height: [fixtures.door(sampler, height)],
    "pallet": lambda sampler, _: [goods.pallet(sampler, int(sampler.rng.integers(0, 4)))],
    "vehicle": lambda sampler, _: [_vehicle(sampler)],
    "pipe": lambda sampler, height: [fixtures.pipe(sampler, height)],
    "pillar": lambda sampler, height: [fixtures.pillar(sampler, height)],
    "cones": lambda sampler, _: [equipment.cone(sampler) for _ in range(sampler.rng.integers(1, 3))],
}
_AISLE_PIECES: dict[str, Callable[[Sampler], Piece]] = {
    "cone": equipment.cone,
    "stack": goods.stack,
    "pallet": lambda sampler: goods.pallet(sampler, int(sampler.rng.choice([0, 0, 1, 2]))),
    "vehicle": _vehicle,
}
