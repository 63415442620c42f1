"""The shell of a furnished room: floor with rugs and holes, walls with windows and pictures, partitions, lamps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gemini_ros.simulation.furniture import Piece
from gemini_ros.simulation.generate import Builder
from gemini_ros.simulation.household import LABEL, Household
from gemini_ros.simulation.interiors import FLOORS, WALLS
from gemini_ros.simulation.scene import Footprint, Primitive, Surface, Vector

MAX_SPAN_M = 12.0


@dataclass(frozen=True)
class Wall:
    """A wall to stand things against: its middle on the floor, the way ``yaw`` that a piece before it has, half length.

    It faces (sin yaw, -cos yaw); along it goes (cos yaw, sin yaw).
    """

    x: float
    y: float
    yaw: float
    half: float

    @property
    def normal(self) -> tuple[float, float]:
        return math.sin(self.yaw), -math.cos(self.yaw)

    def at(self, along: float, away: float) -> tuple[float, float]:
        """The point ``along`` metres from the middle and ``away`` metres before the wall."""
        nx, ny = self.normal
        return (self.x + along * math.cos(self.yaw) + away * nx, self.y + along * math.sin(self.yaw) + away * ny)


class RoomBuilder(Builder):
    """A room in the making; ``shop`` is its furniture."""

    shop: Household

    def __init__(self, rng: np.random.Generator, length: float, width: float, height: float) -> None:
        super().__init__(Household(rng, float(rng.uniform(16, 27))), length, width, height)
        half_l, half_w = length / 2, width / 2
        self.walls = [
            Wall(half_l, half_w, 0.0, half_l),
            Wall(0.0, 0.0, math.pi / 2, half_w),
            Wall(half_l, -half_w, math.pi, half_l),
            Wall(length, 0.0, -math.pi / 2, half_w),
        ]
        self.spots: list[Vector] = []

    def build(self, kind: str, *, hole_share: float, partition_share: float, doors: int) -> None:
        """Shell, then what the method ``kind`` puts in, at most so many doors more, what lies about, and lamps."""
        self.shell(hole_share=hole_share, partition_share=partition_share)
        getattr(self, kind)()
        for _ in range(int(self.rng.integers(0, doors + 1))):
            self.door()
        self.fill()
        self.light()

    def fill(self) -> None:
        """What makes a room lived in; by default nothing."""

    def shell(self, *, hole_share: float, partition_share: float) -> None:
        """Floor, walls and ceiling; with these probabilities a hole in the floor and a wall across the room."""
        rng, shop = self.rng, self.shop
        hole = self._hole() if rng.random() < hole_share else None
        self._floor(hole)
        ceiling = shop.surface("plaster", 1, tint=shop.tint(0.75, 0.1), tile_m=3.0)
        self.plane(
            (self.length / 2, 0, self.height),
            (0, 0, -1),
            self.length / 2,
            self.width / 2,
            ceiling,
            LABEL,
            shop.about(1),
        )
        for wall in list(self.walls):
            self._wall(wall)
        if hole is None and rng.random() < partition_share:
            self._partition()
        for wall in self.walls:
            if wall.half > 0.6 and rng.random() < 0.45:
                self.window(wall)
        self._ceiling_lamps()

    def _surface(self, kinds: tuple[str, ...], tile_m: float) -> Surface:
        rng, shop = self.rng, self.shop
        return shop.surface(
            str(rng.choice(kinds)), 2, tile_m=tile_m, tint=shop.tint(0.5, 0.2), shine=shop.uniform(0, 0.4)
        )

    def _floor(self, hole: Footprint | None) -> None:
        """One plane, or four around a hole."""
        rng, surface = self.rng, self._surface(FLOORS, float(self.rng.uniform(0.8, 3)))
        spans = [(0.0, self.length, -self.width / 2, self.width / 2)]
        if hole is not None:
            x0, x1, y0, y1 = hole.x - hole.half_x, hole.x + hole.half_x, hole.y - hole.half_y, hole.y + hole.half_y
            half = self.width / 2
            spans = [(0.0, x0, -half, half), (x1, self.length, -half, half), (x0, x1, -half, y0), (x0, x1, y1, half)]
        warm = self.shop.about(1, -1)
        for x0, x1, y0, y1 in spans:
            if min(x1 - x0, y1 - y0) > 1e-3:
                self.plane(
                    ((x0 + x1) / 2, (y0 + y1) / 2, 0), (0, 0, 1), (x1 - x0) / 2, (y1 - y0) / 2, surface, "floor", warm
                )
        if hole is not None:
            self._pit(hole, surface)
        for number in range(int(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15]))):
            self._rug(0.004 + 0.003 * number, hole)

    def _rug(self, z: float, hole: Footprint | None) -> None:
        rng, shop = self.rng, self.shop
        half_x, half_y = (
            float(rng.uniform(0.25, min(1.5, self.length * 0.4))),
            float(rng.uniform(0.25, min(1.2, self.width * 0.4))),
        )
        x, y = (
            float(rng.uniform(half_x, self.length - half_x)),
            float(rng.uniform(half_y, self.width - half_y)) - self.width / 2,
        )
        if hole is not None and Footprint(x, y, half_x, half_y).overlaps(hole, 0.05):
            return
        look = shop.surface(
            str(rng.choice(["carpet", "wallpaper", "stripes", "checks", "picture"])), 4, tint=shop.tint(), flat=True
        )
        self.plane((x, y, z), (0, 0, 1), half_x, half_y, look, "floor", shop.about(1))

    def _hole(self) -> Footprint:
        """Where the floor ends: an opening at an end wall or beside it, or a ledge across the whole room."""
        rng = self.rng
        length = float(rng.uniform(0.8, max(0.8, min(2.6, self.length * 0.4))))
        across = rng.random() < 0.3
        half_y = self.width / 2 if across else float(rng.uniform(0.4, max(0.4, min(0.8, self.width * 0.25))))
        y = 0.0 if across else float(rng.choice([-1, 1])) * (self.width / 2 - half_y) * float(rng.choice([1, 1, 0.5]))
        x = length / 2 if rng.random() < 0.5 else self.length - length / 2
        if not across and rng.random() < 0.4:
            x = float(rng.uniform(length / 2, self.length - length / 2))
        return Footprint(x, y, length / 2, half_y, 0.0, self.height, "drop")

    def _pit(self, hole: Footprint, floor: Surface) -> None:
        """The inside of a hole: sides, bottom, mostly steps; a railing on its long sides now and then."""
        rng, shop, warm = self.rng, self.shop, self.shop.about(1)
        steps = rng.random() < 0.7
        rise, run = float(rng.uniform(0.15, 0.19)), float(rng.uniform(0.24, 0.3))
        count = int(2 * hole.half_x / run)
        depth = (count + 1) * rise if steps else float(rng.uniform(0.25, 2.5))
        side = floor if rng.random() < 0.4 else self._surface(WALLS, 1.5)
        for normal, half in (
            ((1, 0, 0), hole.half_y),
            ((-1, 0, 0), hole.half_y),
            ((0, 1, 0), hole.half_x),
            ((0, -1, 0), hole.half_x),
        ):
            at = (hole.x - normal[0] * hole.half_x, hole.y - normal[1] * hole.half_y, -depth / 2)
            self.plane(at, normal, half, depth / 2, side, "drop", warm)
        bottom = floor if rng.random() < 0.5 else self._surface(FLOORS, 1.5)
        self.plane((hole.x, hole.y, -depth), (0, 0, 1), hole.half_x, hole.half_y, bottom, "drop", warm)
        if steps:
            tread = floor if rng.random() < 0.4 else shop.surface("plank", 2, tint=shop.tint())
            tread = Surface(tread.texture, tread.tint, None, tread.shine)
            down = 1 if hole.x < self.length / 2 else -1  # away from the nearer end wall
            for step in range(count):
                top = -(step + 1) * rise
                x = hole.x - down * (hole.half_x - (step + 0.5) * run)
                half = (run / 2, hole.half_y - 0.002, (top + depth) / 2)
                self.primitives.append(shop.block((x, hole.y, top - half[2]), half, tread, "drop", warm))
        self.footprints.append(hole)
        if hole.half_y < self.width / 2 and rng.random() < 0.4:
            self._railing(hole)

    def _railing(self, hole: Footprint) -> None:
        shop, metal = self.shop, self.shop.solid()
        y = hole.y - math.copysign(hole.half_y + 0.04, hole.y or 1.0)
        count = max(2, int(2 * hole.half_x / 0.15))
        parts = [
            shop.rod((float(x), 0, 0), (float(x), 0, 0.95), 0.012, metal)
            for x in np.linspace(0.03 - hole.half_x, hole.half_x - 0.03, count)
        ]
        parts.append(shop.rod((-hole.half_x, 0, 0.97), (hole.half_x, 0, 0.97), 0.025, metal))
        self.place(shop.piece(parts, hole.half_x, 0.03, 1.0), hole.x, y, 0.0, gap=0.005)

    def _wall(self, wall: Wall) -> None:
        rng, shop = self.rng, self.shop
        normal = (round(wall.normal[0]), round(wall.normal[1]), 0)
        self.plane(
            (wall.x, wall.y, self.height / 2),
            normal,
            wall.half,
            self.height / 2,
            self._surface(WALLS, float(rng.uniform(1, 2.5))),
            LABEL,
            shop.about(1.5),
        )
        if rng.random() < 0.2:  # tiles or panels up to the breast
            top = float(rng.uniform(0.6, 1.6))
            self.plane(
                (*wall.at(0, 0.004), top / 2),
                normal,
                wall.half,
                top / 2,
                self._surface(("tile", "plank", "wallpaper"), 1.2),
                LABEL,
                shop.about(1),
            )
        if rng.random() < 0.7:
            top, look = float(rng.uniform(0.05, 0.14)), shop.surface("lacquer", 2, tint=shop.tint(0.3, 0.2), flat=True)
            self.plane((*wall.at(0, 0.008), top / 2), normal, wall.half, top / 2, look, LABEL, shop.about(1))
        for _ in range(int(rng.integers(0, 5))):
            half = rng.uniform(0.1, min(0.5, wall.half * 0.4), 2)
            along, z = float(rng.uniform(-0.85, 0.85)) * (wall.half - half[0]), float(rng.uniform(1.25, 1.8))
            look = shop.surface(str(rng.choice(["picture", "picture", "picture", "sign", "screen"])), 6, flat=True)
            self.plane((*wall.at(along, 0.012), z), normal, float(half[0]), float(half[1]), look, LABEL, shop.about(1))

    def window(self, wall: Wall) -> None:
        """A window, a light at it, and curtains that reach the floor or do not."""
        rng, shop = self.rng, self.shop
        half = float(rng.uniform(0.3, min(1.2, wall.half * 0.6)))
        low = float(rng.choice([0.05, rng.uniform(0.7, 1.2)], p=[0.15, 0.85]))
        high = min(self.height - 0.15, float(rng.uniform(1.9, 2.4)))
        along, middle = float(rng.uniform(-1, 1)) * (wall.half - half - 0.1), (low + high) / 2
        normal = (round(wall.normal[0]), round(wall.normal[1]), 0)
        look = shop.surface("window", 3, emission=shop.uniform(0.1, 1.0), flat=True)
        self.plane((*wall.at(along, 0.014), middle), normal, half, (high - low) / 2, look, LABEL, shop.about(4, -3))
        self.spots.append((*wall.at(along, 0.4), middle))
        if rng.random() < 0.5:
            cloth, bottom = shop.fabric(), float(rng.choice([0.03, max(0.0, low - 0.15)]))
            width = half * float(rng.uniform(0.15, 0.55))
            parts: list[Primitive] = []
            for side in (-1, 1):
                parts += shop.hanging(side * (half - width + 0.1), 0.0, width, bottom, high + 0.08, cloth)
            piece = shop.piece(parts, half + 0.12, 0.045, high + 0.09)
            self.place(piece, *wall.at(along, 0.07), wall.yaw, gap=0.0)

    def _partition(self) -> None:
        """A wall across the room with an opening, which makes two rooms of it."""
        rng, shop = self.rng, self.shop
        if self.length < 4.5:
            return
        x, gap = float(rng.uniform(0.35, 0.65)) * self.length, float(rng.uniform(0.7, 1.8))
        middle = float(rng.uniform(-1, 1)) * max(0.0, self.width / 2 - gap / 2 - 0.1)
        lintel = self.height if rng.random() < 0.3 else min(self.height, float(rng.uniform(2.0, 2.3)))
        look = shop.surface(str(rng.choice(["plaster", "paint", "brick"])), 3, tint=shop.tint())
        half = self.width / 2
        for low, high in ((-half, middle - gap / 2), (middle + gap / 2, half)):
            if high - low < 0.05:
                continue
            size = (0.06, (high - low) / 2, self.height / 2)
            piece = shop.piece([shop.box((0, 0, self.height / 2), size, look)], 0.06, size[1], self.height)
            center = (low + high) / 2
            if self.place(piece, x, center, 0.0, gap=0.0):
                self.walls += [
                    Wall(x - 0.06, center, -math.pi / 2, size[1]),
                    Wall(x + 0.06, center, math.pi / 2, size[1]),
                ]
        if lintel < self.height - 0.01:
            at, size = (x, middle, (lintel + self.height) / 2), (0.06, gap / 2, (self.height - lintel) / 2)
            self.primitives.append(shop.box(at, size, look))

    def _ceiling_lamps(self) -> None:
        rng, shop = self.rng, self.shop
        bulb = shop.surface("lacquer", 2, emission=1.0)
        for _ in range(int(rng.integers(1, 4))):
            x, y = float(rng.uniform(0.2, 0.8)) * self.length, float(rng.uniform(-0.3, 0.3)) * self.width
            drop = float(rng.choice([0.06, rng.uniform(0.2, 0.7)]))
            half = (float(rng.uniform(0.1, 0.6)), float(rng.uniform(0.08, 0.3)), 0.03)
            self.primitives.append(
                shop.box((x, y, self.height - 0.03 if drop < 0.1 else self.height - drop), half, bulb)
            )
            self.spots.append((x, y, self.height - drop - 0.1))

    def against(
        self,
        make: Callable[[], Piece],
        *,
        tries: int = 8,
        away: tuple[float, float] = (0.02, 0.08),
        wall: Wall | None = None,
    ) -> bool:
        """A piece with its back to a wall; False where none of the tries finds room."""
        rng, piece = self.rng, make()
        for _ in range(tries):
            chosen = wall or self.walls[int(rng.integers(len(self.walls)))]
            room = chosen.half - piece.half_x - 0.02
            if room <= 0:
                continue
            along = float(rng.choice([-1.0, 1.0])) * room if rng.random() < 0.4 else float(rng.uniform(-room, room))
            x, y = chosen.at(along, piece.half_y + float(rng.uniform(*away)))
            if self.place(piece, x, y, chosen.yaw):
                return True
        return False

    def around(self, make: Callable[[], Piece], *, tries: int = 10, gap: float = 0.05) -> Footprint | None:
        """A piece anywhere in the room, at any angle; where it stands now."""
        rng, piece = self.rng, make()
        for _ in range(tries):
            yaw = float(rng.uniform(-math.pi, math.pi)) if rng.random() < 0.5 else float(rng.integers(4)) * math.pi / 2
            x, y = float(rng.uniform(0.2, self.length - 0.2)), float(rng.uniform(-0.5, 0.5)) * (self.width - 0.4)
            if self.place(piece, x, y, yaw, gap=gap):
                return self.footprints[-1]
        return None

    def beside(self, place: Footprint, make: Callable[[], Piece], count: int) -> None:
        """Up to ``count`` pieces, chairs mostly, around a table, their fronts towards it, some pushed away."""
        rng = self.rng
        for _ in range(count):
            piece, side = make(), int(rng.integers(4))
            reach = place.half_y if side % 2 == 0 else place.half_x
            along = float(rng.uniform(-0.7, 0.7)) * (place.half_x if side % 2 == 0 else place.half_y)
            turn = place.yaw + side * math.pi / 2
            away = reach + piece.half_y + float(rng.uniform(0.02, 0.25))
            x = place.x - away * math.sin(turn) + along * math.cos(turn)
            y = place.y + away * math.cos(turn) + along * math.sin(turn)
            self.place(piece, x, y, turn + float(rng.normal(0, 0.25)), gap=0.01)

    def scatter(self, count: int) -> None:
        """Small things left on the floor, and the few that are larger."""
        for _ in range(count):
            self.around(self.shop.litter if self.rng.random() < 0.7 else self.shop.bin, tries=4, gap=0.03)

    def door(self) -> None:
        rng = self.rng
        wall = self.walls[int(rng.integers(len(self.walls)))]
        piece = self.shop.door(min(self.height, 2.6))
        if wall.half > piece.half_x + 0.05:
            along = float(rng.uniform(-1, 1)) * (wall.half - piece.half_x - 0.05)
            self.place(piece, *wall.at(along, 0.02), wall.yaw, gap=0.0)

    def light(self) -> None:
        """The lamps of the scene: some of the windows and lamps it has, six at most."""
        order = self.rng.permutation(len(self.spots))[: int(self.rng.integers(2, 7))]
        self.lamps = tuple(self.spots[i] for i in order)
