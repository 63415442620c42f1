"""A warehouse from a seed: a corridor or a hall with racks, goods, doors, vehicles, and things left in the aisle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gemini_ros.simulation.furniture import Piece, Shop
from gemini_ros.simulation.people import make_figure
from gemini_ros.simulation.scene import (
    Footprint,
    Primitive,
    Scene,
    Surface,
    Vector,
    about_z,
    moved,
    multiply,
    z_towards,
)

LONGEST_M = 26.0
PEOPLE = (0, 1, 2, 3, 4)
PEOPLE_SHARES = (0.08, 0.27, 0.3, 0.22, 0.13)
WALL_PIECES = ("rack", "stacks", "door", "pallet", "vehicle", "pipe", "pillar", "cones", "gap")
WALL_SHARES = (0.3, 0.13, 0.17, 0.15, 0.07, 0.04, 0.03, 0.04, 0.07)
AISLE_PIECES = ("cone", "stack", "pallet", "vehicle")
AISLE_SHARES = (0.4, 0.2, 0.25, 0.15)
# Planes that face along x or y stand with their own y axis up, so that pictures on them do.
_UPRIGHT_PLANES = {
    (round(math.sin(yaw)), round(-math.cos(yaw)), 0): multiply(about_z(yaw), z_towards((0, -1, 0)))
    for yaw in (0.0, math.pi / 2, math.pi, -math.pi / 2)
}


def generate_scene(seed: int, scene: int = 0) -> Scene:
    """The warehouse number ``scene`` of a ``seed``; the same numbers always give the same warehouse."""
    rng = np.random.default_rng([seed, scene])
    hall = rng.random() < 0.35
    width = float(rng.uniform(7, 13) if hall else rng.uniform(2.6, 7))
    length = float(rng.uniform(12, LONGEST_M))
    height = float(rng.uniform(3.4, 6.5) if hall else rng.uniform(2.6, 5))
    builder = _Warehouse(Shop(rng, float(rng.uniform(2, 29))), length, width, height)
    builder.shell()
    builder.furnish()
    return builder.finish((seed, scene))


class Builder:
    """Collects what stands where; refuses what would stand inside something else."""

    def __init__(self, shop: Shop, length: float, width: float, height: float) -> None:
        self.rng, self.shop = shop.rng, shop
        self.length, self.width, self.height = length, width, height
        self.primitives: list[Primitive] = []
        self.footprints: list[Footprint] = []
        self.instances = 1
        self.lamps: tuple[Vector, ...] = ()

    def place(self, piece: Piece, x: float, y: float, yaw: float, *, gap: float = 0.03) -> bool:
        """Put a piece on the floor if it fits into the hall and keeps ``gap`` metres from all others."""
        print_ = Footprint(x, y, piece.half_x, piece.half_y, yaw, piece.height, piece.label)
        hall = self.length / 2, self.width / 2
        c, s = abs(math.cos(yaw)), abs(math.sin(yaw))
        reach_x, reach_y = c * piece.half_x + s * piece.half_y, s * piece.half_x + c * piece.half_y
        inside = abs(x - hall[0]) + reach_x <= hall[0] + 0.1 and abs(y) + reach_y <= hall[1] + 0.1
        if not inside or piece.height > self.height or any(print_.overlaps(o, gap) for o in self.footprints):
            return False
        self.primitives += [moved(part, x, y, yaw, self.instances) for part in piece.parts]
        self.footprints.append(print_)
        self.instances += piece.objects
        return True

    def plane(
        self,
        at: Vector,
        normal: tuple[int, int, int],
        half_x: float,
        half_y: float,
        surface: Surface,
        label: str,
        temperature: float,
    ) -> None:
        """A rectangle seen from the side that ``normal`` points to."""
        turn = _UPRIGHT_PLANES.get(normal) or z_towards(normal)
        size = (half_x, half_y, 0.0)
        self.primitives.append(Primitive("plane", at, size, surface, label, temperature, turn))

    def finish(self, seed: tuple[int, int], people_shares: Sequence[float] = PEOPLE_SHARES) -> Scene:
        """The scene, with persons who are placed view by view."""
        rng = self.rng
        count = int(rng.choice(PEOPLE, p=people_shares))
        figures = tuple(make_figure(self.shop, n, self.instances + n) for n in range(count))
        color = tuple(float(v) for v in rng.uniform((0.88, 0.85, 0.72), (1, 1, 1)))
        return Scene(
            seed,
            self.length,
            self.width,
            self.height,
            self.shop.ambient,
            self.shop.textures,
            tuple(self.primitives),
            tuple(self.footprints),
            self.lamps,
            color,  # type: ignore[arg-type]
            figures,
        )


class _Warehouse(Builder):
    def shell(self) -> None:
        """Floor, walls, ceiling, lamps, markings, signs."""
        rng, shop, half_l, half_w = self.rng, self.shop, self.length / 2, self.width / 2
        kinds = rng.choice(["concrete", "tile", "concrete", "wood", "paint"], 1)
        floor = shop.surface(str(kinds[0]), 1, tile_m=float(rng.uniform(1.2, 3)), shine=float(rng.uniform(0.05, 0.5)))
        self.plane((half_l, 0, 0), (0, 0, 1), half_l, half_w, floor, "floor", shop.about(1, -1))
        kind = str(rng.choice(["paint", "corrugated", "concrete", "paint"]))
        roof = shop.surface(kind, 1, tile_m=float(rng.uniform(1.5, 3)))
        self.plane((half_l, 0, self.height), (0, 0, -1), half_l, half_w, roof, "ceiling", shop.about(1, 2))
        for axis in ((0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0)):
            self._wall(axis)
        self._lamps()
        if rng.random() < 0.6:
            self._markings()

    def _wall(self, inward: tuple[int, int, int]) -> None:
        rng, shop = self.rng, self.shop
        kind = str(rng.choice(["brick", "concrete", "paint", "corrugated", "paint"]))
        surface = shop.surface(kind, 2, tile_m=float(rng.uniform(1.2, 2.4)))
        half = self.length / 2 if inward[1] else self.width / 2
        middle = (self.length / 2 * (1 - inward[0]), -inward[1] * self.width / 2)
        warm = shop.about(2.5, -0.5)
        self.plane((*middle, self.height / 2), inward, half, self.height / 2, surface, "wall", warm)
        if rng.random() < 0.35:
            band = shop.surface("paint", 3, tile_m=2.0)
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
            sign = shop.surface("sign", 4)
            self.plane(at, inward, float(size[0]), float(size[1]), sign, "wall", shop.about(1))

    def _lamps(self) -> None:
        rng, shop = self.rng, self.shop
        rows = 1 if self.width < 6 else 2
        count = max(2, min(6, round(self.length / 4)) // rows)
        spots = [
            (self.length * (i + 0.5) / count, (row - (rows - 1) / 2) * self.width / 2)
            for i in range(count)
            for row in range(rows)
        ]
        self.lamps = tuple((x, y, self.height - 0.2) for x, y in spots)
        surface = shop.surface("lacquer", 2, emission=1.0)
        along = rng.random() < 0.5
        half = (0.6, 0.1, 0.03) if along else (0.1, 0.6, 0.03)
        warm = shop.about(4, 16)
        for x, y in spots:
            self.primitives.append(shop.block((x, y, self.height - 0.05), half, surface, "ceiling", warm))
        beam = shop.surface("metal", 2)
        if rng.random() < 0.5:
            for x in np.arange(1.0, self.length, rng.uniform(2, 4)):
                size = (0.06, self.width / 2, 0.1)
                center = (float(x), 0.0, self.height - 0.1)
                self.primitives.append(shop.block(center, size, beam, "ceiling", shop.about(1, 2)))

    def _markings(self) -> None:
        color = ((1, 0.85, 0.15), (1, 1, 1), (0.9, 0.3, 0.2))[self.rng.integers(3)]
        paint = self.shop.surface("lacquer", 2, tint=color)
        offset = self.width * float(self.rng.uniform(0.15, 0.35))
        for side in (-1, 1):
            at = (self.length / 2, side * offset, 0.004)
            self.plane(at, (0, 0, 1), self.length / 2, 0.05, paint, "floor", self.shop.ambient - 1)

    def furnish(self) -> None:
        """Both long walls, the end walls' doors, a double row in wide halls, then the aisles."""
        rng = self.rng
        for side in (-1, 1):
            self._line(side * self.width / 2, -side, float(rng.uniform(0.3, 2)))
        if self.width > 8 and rng.random() < 0.8:
            start = float(rng.uniform(2.5, 4))
            for side in (-1, 1):
                self._line(side * 0.03, side, start, stop=self.length - 3, row=True)
        for x, yaw in ((0.03, math.pi / 2), (self.length - 0.03, -math.pi / 2)):
            if rng.random() < 0.6:
                self.place(self.shop.door(self.height), x, float(rng.uniform(-0.3, 0.3)) * self.width, yaw)
        for _ in range(int(rng.integers(2, 6 + int(self.width / 2)))):
            self._obstacle()

    def _line(self, wall_y: float, inward: int, x: float, stop: float | None = None, row: bool = False) -> None:
        """Pieces along a wall (or one side of a row of racks) at ``wall_y``; the room is on the ``inward`` side."""
        rng, shop = self.rng, self.shop
        stop = self.length - 0.5 if stop is None else stop
        depth_limit = 1.2 if self.width > 4.5 else 0.7
        while x < stop:
            kind = str(rng.choice(WALL_PIECES, p=WALL_SHARES))
            if row and kind in ("door", "pipe"):
                kind = "rack"
            if kind == "gap" or (kind == "rack" and self.width < 3.2):
                x += float(rng.uniform(0.6, 1.6))
                continue
            if kind == "stacks":
                pieces = [shop.stack() for _ in range(rng.integers(1, 4))]
            elif kind == "cones":
                pieces = [shop.cone() for _ in range(rng.integers(1, 3))]
            else:
                pieces = [self._wall_piece(kind)]
            for piece in pieces:
                flush = kind in ("door", "rack", "pillar", "pipe")
                away = 0.02 if flush else float(rng.uniform(0.05, 0.3))
                y = wall_y + inward * (piece.half_y + away if kind != "door" else 0.02)
                yaw = (0.0 if flush else float(rng.normal(0, 0.06))) + (math.pi if inward > 0 else 0.0)
                if piece.half_y * 2 <= depth_limit + 0.4 and x + 2 * piece.half_x < stop:
                    self.place(piece, x + piece.half_x, y, yaw)
                x += 2 * piece.half_x + float(rng.uniform(0.05, 0.3))
            x += float(rng.uniform(0.0, 0.8))

    def _wall_piece(self, kind: str) -> Piece:
        rng, shop = self.rng, self.shop
        if kind == "rack":
            height = float(min(self.height - 0.3, rng.uniform(1.7, 4.2)))
            return shop.rack(float(rng.uniform(1.5, 2.9)), float(rng.uniform(0.5, 0.95)), height)
        if kind == "pallet":
            return shop.pallet(int(rng.integers(0, 4)))
        if kind == "vehicle":
            return self._vehicle()
        if kind == "door":
            return shop.door(self.height)
        if kind == "pipe":
            return shop.pipe(self.height)
        return shop.pillar(self.height)

    def _vehicle(self) -> Piece:
        kind = self.rng.random()
        if kind < 0.45:
            return self.shop.forklift()
        return self.shop.pallet_truck() if kind < 0.75 else self.shop.carrier()

    def _obstacle(self) -> None:
        """One thing in the open that leaves a way past; tried at a few places, left out when there is no room."""
        rng, shop = self.rng, self.shop
        kind = str(rng.choice(AISLE_PIECES, p=AISLE_SHARES))
        if kind == "cone":
            piece = shop.cone()
        elif kind == "stack":
            piece = shop.stack()
        elif kind == "pallet":
            piece = shop.pallet(int(rng.choice([0, 0, 1, 2])))
        else:
            piece = self._vehicle()
        for _ in range(8):
            x, y = float(rng.uniform(1.5, self.length - 1)), float(rng.uniform(-0.45, 0.45)) * self.width
            if self.place(piece, x, y, float(rng.uniform(-math.pi, math.pi)), gap=0.25):
                return
