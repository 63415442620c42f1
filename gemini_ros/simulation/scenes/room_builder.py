"""A room of a home or an office in the making: its walls, and furniture placed against them or in the open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gemini_ros.simulation.scenes.builder import Builder
from gemini_ros.simulation.scenes.furniture import clutter, fixtures
from gemini_ros.simulation.scenes.furniture.parts import Piece
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import Footprint, Vector


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
    """A room in the making. ``spots`` is where its windows and lamps shine from."""

    def __init__(self, rng: np.random.Generator, length: float, width: float, height: float) -> None:
        super().__init__(Sampler(rng, float(rng.uniform(16, 27))), length, width, height)
        half_l, half_w = length / 2, width / 2
        self.walls = [
            Wall(half_l, half_w, 0.0, half_l),
            Wall(0.0, 0.0, math.pi / 2, half_w),
            Wall(half_l, -half_w, math.pi, half_l),
            Wall(length, 0.0, -math.pi / 2, half_w),
        ]
        self.spots: list[Vector] = []

    def against(
        self,
        piece: Piece,
        *,
        tries: int = 8,
        away: tuple[float, float] = (0.02, 0.08),
        wall: Wall | None = None,
    ) -> bool:
        """A piece with its back to a wall; False where none of the tries finds room."""
        rng = self.rng
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

    def around(self, piece: Piece, *, tries: int = 10, gap: float = 0.05) -> Footprint | None:
        """A piece anywhere in the room, at any angle; where it stands now."""
        rng = self.rng
        for _ in range(tries):
            yaw = float(rng.uniform(-math.pi, math.pi)) if rng.random() < 0.5 else float(rng.integers(4)) * math.pi / 2
            x, y = float(rng.uniform(0.2, self.length - 0.2)), float(rng.uniform(-0.5, 0.5)) * (self.width - 0.4)
            if self.place(piece, x, y, yaw, gap=gap):
                return self.footprints[-1]
        return None

    def beside(self, place: Footprint, make: Callable[[Sampler], Piece], count: int) -> None:
        """Up to ``count`` pieces, chairs mostly, around a table, their fronts towards it, some pushed away."""
        rng = self.rng
        for _ in range(count):
            piece, side = make(self.sampler), int(rng.integers(4))
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
            make = clutter.litter if self.rng.random() < 0.7 else clutter.basket
            self.around(make(self.sampler), tries=4, gap=0.03)

    def doors(self, most: int) -> None:
        """Up to ``most`` doors."""
        for _ in range(int(self.rng.integers(0, most + 1))):
            self.door()

    def door(self) -> None:
        """A door in one of the walls, unless it does not fit there."""
        rng = self.rng
        wall = self.walls[int(rng.integers(len(self.walls)))]
        piece = fixtures.door(self.sampler, min(self.height, 2.6))
        if wall.half > piece.half_x + 0.05:
            along = float(rng.uniform(-1, 1)) * (wall.half - piece.half_x - 0.05)
            self.place(piece, *wall.at(along, 0.02), wall.yaw, gap=0.0)

    def light(self) -> None:
        """The lamps of the scene: some of the windows and lamps it has, six at most."""
        order = self.rng.permutation(len(self.spots))[: int(self.rng.integers(2, 7))]
        self.lamps = tuple(self.spots[i] for i in order)
