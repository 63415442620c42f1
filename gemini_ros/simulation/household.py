"""What stands in homes and offices, as in ``furniture``; x runs along the wall behind a piece and -y is its front."""

from __future__ import annotations

import math

import numpy as np

from gemini_ros.simulation.furniture import Piece, Shop
from gemini_ros.simulation.interiors import FABRICS, SOLIDS, make_picture
from gemini_ros.simulation.scene import UPRIGHT, Primitive, Surface, Vector, rod, z_towards

LABEL = "obstacle"


class Household(Shop):
    """Furniture and small things of random shape, colour and material."""

    def surface(self, kind: str, variants: int = 2, **look: object) -> Surface:
        name = f"{kind}{self.rng.integers(variants)}"
        if name not in self.textures:
            self.textures[name] = make_picture(kind, self.rng)
        return Surface(name, **look)  # type: ignore[arg-type]

    def tint(self, low: float = 0.55, spread: float = 0.2) -> Vector:
        """A random multiplier of a picture's colours."""
        base = self.rng.uniform(low, 1.1)
        red, green, blue = (float(base * (1 + v)) for v in self.rng.uniform(-spread, spread, 3))
        return red, green, blue

    def fabric(self) -> Surface:
        return self.surface(str(self.rng.choice(FABRICS)), 3, tint=self.tint(), shine=0.0)

    def solid(self) -> Surface:
        """Wood, lacquer, metal or stone."""
        kind = str(self.rng.choice(SOLIDS))
        return self.surface(
            kind, 3, tint=self.tint(0.25 if kind == "lacquer" else 0.5), shine=float(self.uniform(0, 0.5))
        )

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def box(self, center: Vector, half: Vector, surface: Surface, yaw: float = 0.0) -> Primitive:
        return self.block(center, half, surface, LABEL, self.about(1), yaw)

    def rod(self, a: Vector, b: Vector, radius: float, surface: Surface, shape: str = "cylinder") -> Primitive:
        return rod(a, b, radius, surface, LABEL, self.about(1), shape=shape)

    def lump(self, center: Vector, half: Vector, surface: Surface) -> Primitive:
        return Primitive("ellipsoid", center, half, surface, LABEL, self.about(1), UPRIGHT)

    def piece(self, parts: list[Primitive], half_x: float, half_y: float, height: float) -> Piece:
        return Piece(tuple(parts), half_x, half_y, height, LABEL)

    def thing(self, x: float, y: float, z: float, largest: float) -> list[Primitive]:
        """A small thing standing at a point, within ``largest`` metres of it: book, bottle, bowl, bag, device."""
        rng, kind = self.rng, self.rng.random()
        look = self.surface("lacquer", 3, tint=self.tint(0.15, 0.7), shine=0.3)
        if kind < 0.4:
            half = rng.uniform(0.12, 0.7, 2) * largest
            tall = self.uniform(0.02, 0.12) if kind < 0.2 else self.uniform(0.05, 0.35) * min(1.0, 4 * largest)
            skin = self.surface(str(rng.choice(["books", "cardboard", "sign", "picture"])), 2) if kind < 0.15 else look
            size = (float(half[0]), float(half[1]), max(0.015, tall / 2))
            return [self.box((x, y, z + size[2]), size, skin, self.uniform(0, 3))]
        radius = min(self.uniform(0.025, 0.16), largest * 0.9)
        if kind < 0.75:
            tall = self.uniform(0.06, 0.32)
            parts = [self.rod((x, y, z), (x, y, z + tall), radius * 0.6, look)]
            if kind < 0.55:
                parts.append(self.rod((x, y, z + tall), (x, y, z + tall * 1.4), radius * 0.25, look))
            return parts
        flat = self.uniform(0.35, 1.0)
        skin = self.fabric() if kind < 0.9 else look
        return [self.lump((x, y, z + radius * flat), (radius, radius * self.uniform(0.5, 1), radius * flat), skin)]

    def clutter(
        self, half_x: float, half_y: float, z: float, count: int, x: float = 0.0, y: float = 0.0
    ) -> list[Primitive]:
        """Things on a surface of these half sizes about (x, y), in cells of a grid so that none is in another."""
        if count <= 0 or min(half_x, half_y) < 0.05:
            return []
        cell = max(0.12, 2 * min(half_x, half_y) / max(1, round(min(half_x, half_y) / 0.15)))
        columns, rows = max(1, int(2 * half_x / cell)), max(1, int(2 * half_y / cell))
        parts: list[Primitive] = []
        for spot in self.rng.permutation(columns * rows)[:count]:
            at_x = x + (spot % columns + 0.5) * 2 * half_x / columns - half_x
            at_y = y + (spot // columns + 0.5) * 2 * half_y / rows - half_y
            parts += self.thing(float(at_x), float(at_y), z, cell / 2 * 0.7)
        return parts

    def legs(self, half_x: float, half_y: float, height: float, surface: Surface) -> list[Primitive]:
        """Four legs, square or round."""
        thick = self.uniform(0.012, 0.04)
        spots = [(sx * (half_x - thick), sy * (half_y - thick)) for sx in (-1, 1) for sy in (-1, 1)]
        if self.chance(0.5):
            return [self.box((x, y, height / 2), (thick, thick, height / 2), surface) for x, y in spots]
        return [self.rod((x, y, 0), (x, y, height), thick, surface) for x, y in spots]

    def bed(self) -> Piece:
        half_x, half_y = self.uniform(0.42, 0.98), self.uniform(0.9, 1.1)
        frame, cover, sheet = self.solid(), self.fabric(), self.fabric()
        low, thick = self.uniform(0.08, 0.32), self.uniform(0.1, 0.18)
        top = low + 2 * thick
        parts = [self.box((0, 0, low + thick), (half_x - 0.02, half_y - 0.03, thick), sheet)]
        if self.chance(0.6):
            parts.append(self.box((0, 0, low / 2 + 0.05), (half_x, half_y, low / 2 + 0.05), frame))
        else:
            parts += self.legs(half_x, half_y, low, frame)
        blanket = half_y * self.uniform(0.5, 0.95)
        drop = self.uniform(0.05, top / 2 - 0.01)
        parts.append(self.box((0, blanket - half_y, top + 0.015 - drop), (half_x, blanket, drop + 0.02), cover))
        for _ in range(int(self.rng.integers(0, 5))):  # folds
            at = (self.uniform(-0.7, 0.7) * half_x, self.uniform(-0.8, 0.3) * half_y, top + 0.02)
            parts.append(
                self.lump(at, (self.uniform(0.1, 0.3), self.uniform(0.05, 0.25), self.uniform(0.03, 0.1)), cover)
            )
        for number in range(int(self.rng.integers(1, 5))):
            side = (-1) ** number * half_x * 0.5 if half_x > 0.6 else 0.0
            at = (side, half_y - 0.25 - 0.12 * (number // 2), top + 0.06 + 0.05 * (number // 2))
            parts.append(self.lump(at, (min(0.36, half_x * 0.75), 0.2, 0.08), self.fabric()))
        height = top + 0.15
        if self.chance(0.7):
            board = self.uniform(top, 1.3)
            parts.append(self.box((0, half_y - 0.02, board / 2), (half_x, 0.03, board / 2), frame))
            height = max(height, board)
        if self.chance(0.3):
            foot = self.uniform(low, 0.8)
            parts.append(self.box((0, 0.03 - half_y, foot / 2), (half_x, 0.03, foot / 2), frame))
        if half_x < 0.6 and self.chance(0.25):  # bunk
            upper = self.uniform(1.2, 1.5)
            parts += self.legs(half_x, half_y, upper + 0.5, frame)
            parts.append(self.box((0, 0, upper), (half_x, half_y, 0.06), frame))
            parts.append(self.box((0, 0, upper + 0.14), (half_x - 0.04, half_y - 0.04, 0.08), self.fabric()))
            height = upper + 0.5
        return self.piece(parts, half_x, half_y, height)

    def sofa(self) -> Piece:
        """Sofa or armchair."""
        half_x, half_y = (
            (self.uniform(0.38, 0.5) if self.chance(0.35) else self.uniform(0.65, 1.3)),
            self.uniform(0.38, 0.5),
        )
        skin = self.fabric()
        seat, arm, back, width = (
            self.uniform(0.36, 0.48),
            self.uniform(0.48, 0.68),
            self.uniform(0.65, 1.0),
            self.uniform(0.07, 0.16),
        )
        lift = self.uniform(0, 0.12) if self.chance(0.6) else 0.0
        parts = [
            self.box((0, 0, (seat - 0.1 + lift) / 2), (half_x, half_y, (seat - 0.1 - lift) / 2), skin),
            self.box((0, half_y - 0.11, (back + lift) / 2), (half_x, 0.1, (back - lift) / 2), skin),
        ]
        for side in (-1, 1):
            at = (side * (half_x - width / 2), 0.0, (arm + lift) / 2)
            parts.append(self.box(at, (width / 2, half_y, (arm - lift) / 2), skin))
            if self.chance(0.4):
                ends = [(side * (half_x - width / 2), sy * (half_y - 0.03), arm) for sy in (-1, 1)]
                parts.append(self.rod(ends[0], ends[1], width / 2, skin))
        if lift:
            parts += self.legs(half_x, half_y, lift, self.solid())
        count = max(1, round(half_x * 2 / 0.75))
        inner = half_x - width
        for i in range(count):
            x = (2 * i + 1 - count) * inner / count
            parts.append(self.box((x, -0.08, seat - 0.05), (inner / count * 0.97, half_y - 0.1, 0.07), skin))
            parts.append(self.box((x, half_y - 0.26, seat + 0.2), (inner / count * 0.95, 0.07, 0.2), skin))
        for _ in range(int(self.rng.integers(0, 4))):
            at = (self.uniform(-0.8, 0.8) * inner, self.uniform(-0.1, 0.1), seat + 0.15)
            parts.append(self.lump(at, (0.2, 0.1, 0.18), self.fabric()))
        return self.piece(parts, half_x, half_y, max(back, seat + 0.4))

    def chair(self) -> Piece:
        half, seat, back = self.uniform(0.19, 0.27), self.uniform(0.4, 0.5), self.uniform(0.75, 1.1)
        wood, skin = self.solid(), self.fabric() if self.chance(0.5) else self.solid()
        parts = [self.box((0, 0, seat), (half, half, self.uniform(0.012, 0.05)), skin)]
        parts += self.legs(half, half, seat, wood)
        thick = self.uniform(0.01, 0.025)
        if self.chance(0.5):
            parts.append(
                self.box((0, half - thick, (seat + back) / 2 + 0.05), (half, thick, (back - seat) / 2 - 0.05), skin)
            )
        else:
            slats = int(self.rng.integers(2, 6))
            for z in np.linspace(seat + 0.1, back - 0.03, slats):
                parts.append(self.box((0, half - thick, float(z)), (half, thick * 0.7, 0.025), wood))
        for side in (-1, 1):
            parts.append(
                self.rod(
                    (side * (half - 0.015), half - thick, seat),
                    (side * (half - 0.015), half - thick, back),
                    0.016,
                    wood,
                )
            )
            if self.chance(0.3):
                z = seat + 0.2
                parts.append(self.box((side * half, 0, z), (0.02, half, 0.015), wood))
                parts.append(self.rod((side * half, 0.03 - half, seat), (side * half, 0.03 - half, z), 0.015, wood))
        return self.piece(parts, half + 0.02, half + 0.02, back)

    def office_chair(self) -> Piece:
        seat, back = self.uniform(0.42, 0.55), self.uniform(0.8, 1.2)
        dark, skin = self.surface("lacquer", 3, tint=self.tint(0.1)), self.fabric()
        parts = [self.rod((0, 0, 0.08), (0, 0, seat), 0.03, dark)]
        for angle in np.arange(5) * 2 * math.pi / 5 + self.uniform(0, 1):
            tip = (0.3 * math.cos(angle), 0.3 * math.sin(angle), 0.06)
            parts += [self.rod((0, 0, 0.11), tip, 0.022, dark), self.lump(tip, (0.03, 0.03, 0.05), dark)]
        parts.append(self.box((0, 0, seat + 0.03), (0.24, 0.24, 0.04), skin))
        parts.append(self.box((0, 0.23, (seat + back) / 2 + 0.08), (0.22, 0.035, (back - seat) / 2 - 0.08), skin))
        parts.append(self.rod((0, 0.2, seat), (0, 0.24, seat + 0.25), 0.02, dark))
        if self.chance(0.6):
            for side in (-1, 1):
                parts.append(self.box((side * 0.27, 0, seat + 0.22), (0.03, 0.15, 0.015), dark))
                parts.append(self.rod((side * 0.27, 0, seat), (side * 0.27, 0, seat + 0.22), 0.015, dark))
        return self.piece(parts, 0.32, 0.32, back)

    def table(self, half_x: float | None = None, half_y: float | None = None, height: float | None = None) -> Piece:
        """A table of any height with things on it; round, on legs, on a pedestal, or with a cloth."""
        half_x = self.uniform(0.3, 0.95) if half_x is None else half_x
        half_y = self.uniform(0.25, 0.5) if half_y is None else half_y
        height = self.uniform(0.68, 0.8) if height is None else height
        wood, thick = self.solid(), self.uniform(0.012, 0.03)
        parts, kind = [], self.rng.random()
        if kind < 0.15:
            half_x = half_y = min(half_x, 0.6)
            parts += [
                self.rod((0, 0, height - 2 * thick), (0, 0, height), half_x, wood),
                self.rod((0, 0, 0), (0, 0, height), 0.05, wood),
            ]
            parts.append(self.rod((0, 0, 0), (0, 0, 0.03), half_x * 0.6, wood))
            spread = half_x * 0.65
        else:
            parts.append(self.box((0, 0, height - thick), (half_x, half_y, thick), wood))
            parts += self.legs(half_x - 0.03, half_y - 0.03, height - 2 * thick, wood)
            spread = 0.9 * half_x
            if kind < 0.3:
                cloth, hang = self.fabric(), self.uniform(0.03, height / 2 - 0.05)
                parts.append(self.box((0, 0, height + 0.005 - hang), (half_x + 0.01, half_y + 0.01, hang), cloth))
            elif kind < 0.45:
                parts.append(self.box((0, 0, height * 0.3), (half_x - 0.06, half_y - 0.06, 0.015), wood))
        parts += self.clutter(
            spread, half_y * (0.65 if kind < 0.15 else 0.9), height + 0.006, int(self.rng.integers(0, 12))
        )
        return self.piece(parts, half_x + 0.02, half_y + 0.02, height + 0.45)

    def desk(self) -> Piece:
        """Desk with drawers, monitors, papers."""
        half_x, half_y, height = self.uniform(0.5, 0.95), self.uniform(0.28, 0.42), self.uniform(0.7, 0.78)
        wood, dark = self.solid(), self.surface("lacquer", 3, tint=self.tint(0.08, 0.1))
        parts = [self.box((0, 0, height - 0.015), (half_x, half_y, 0.015), wood)]
        for side in (-1, 1):
            if self.chance(0.5):
                width = self.uniform(0.14, 0.24)
                x = side * (half_x - width)
                parts.append(self.box((x, 0.02, height / 2 - 0.02), (width, half_y - 0.03, height / 2 - 0.02), wood))
                parts += self._fronts(x, 0.05 - half_y, width, 0.05, height - 0.06, 1, int(self.rng.integers(2, 5)))
            else:
                parts.append(
                    self.box(
                        (side * (half_x - 0.02), 0, height / 2 - 0.02), (0.02, half_y - 0.02, height / 2 - 0.02), wood
                    )
                )
        for _ in range(int(self.rng.integers(0, 3))):
            x, tall = self.uniform(-0.6, 0.6) * half_x, self.uniform(0.14, 0.24)
            parts.append(self.rod((x, half_y * 0.55, height), (x, half_y * 0.55, height + 0.15), 0.02, dark))
            parts.append(self.box((x, half_y * 0.5, height + 0.12 + tall), (tall * 1.5, 0.02, tall), dark))
            parts.append(
                self.front_plane((x, half_y * 0.5 - 0.022, height + 0.12 + tall), tall * 1.4, tall * 0.92, "screen")
            )
        parts.append(self.box((0, -half_y * 0.5, height + 0.012), (0.2, 0.07, 0.012), dark))
        parts += self.clutter(half_x * 0.92, half_y * 0.25, height, int(self.rng.integers(1, 8)), y=-half_y * 0.1)
        tall = height + 0.6
        if self.chance(0.3):
            top = self.uniform(1.2, 1.7)
            parts.append(self.box((0, half_y - 0.1, top), (half_x, 0.1, 0.015), wood))
            parts += [
                self.box((s * (half_x - 0.02), half_y - 0.1, (top + height) / 2), (0.02, 0.1, (top - height) / 2), wood)
                for s in (-1, 1)
            ]
            parts += self.clutter(half_x * 0.9, 0.08, top + 0.016, int(self.rng.integers(0, 8)), y=half_y - 0.1)
            tall = top + 0.4
        return self.piece(parts, half_x, half_y, tall)

    def front_plane(self, at: Vector, half_x: float, half_z: float, kind: str, emission: float = 0.0) -> Primitive:
        """A picture that faces -y."""
        surface = self.surface(kind, 4, emission=emission, shine=0.2, flat=True)
        return Primitive("plane", at, (half_x, half_z, 0.0), surface, LABEL, self.about(2), z_towards((0, -1, 0)))

    def _fronts(
        self, x: float, y: float, half_x: float, low: float, high: float, columns: int, rows: int
    ) -> list[Primitive]:
        """Doors or drawers with handles at the front ``y``."""
        front, metal = self.solid(), self.surface("metal", 2, tint=self.tint(0.3))
        parts = []
        for column in range(columns):
            for row in range(rows):
                center = (x + (2 * column + 1 - columns) * half_x / columns, y, low + (row + 0.5) * (high - low) / rows)
                half = (half_x / columns - 0.006, 0.012, (high - low) / rows / 2 - 0.006)
                parts.append(self.box(center, half, front))
                knob = (center[0], y - 0.025, center[2] + half[2] * 0.5)
                parts.append(self.box(knob, (0.04, 0.008, 0.008), metal))
        return parts

    def cupboard(self, height: float | None = None) -> Piece:
        """Wardrobe, dresser, chest of drawers, sideboard, filing cabinet, night stand."""
        rng = self.rng
        height = (
            float(rng.choice([self.uniform(0.4, 0.7), self.uniform(0.7, 1.2), self.uniform(1.6, 2.2)]))
            if height is None
            else height
        )
        half_x, half_y = (
            (self.uniform(0.22, 0.45) if height < 0.7 and self.chance(0.5) else self.uniform(0.3, 0.9)),
            self.uniform(0.18, 0.32),
        )
        wood = self.solid()
        lift = self.uniform(0.05, 0.18) if self.chance(0.3) else 0.0
        parts = [self.box((0, 0.02, (height + lift) / 2), (half_x, half_y - 0.02, (height - lift) / 2), wood)]
        if lift:
            parts += self.legs(half_x, half_y, lift, wood)
        rows = int(rng.integers(1, 5)) if height < 1.4 else int(rng.integers(1, 3))
        parts += self._fronts(0, 0.02 - half_y, half_x, 0.04 + lift, height - 0.03, max(1, round(half_x / 0.3)), rows)
        top = height
        if height < 1.3:
            parts += self.clutter(half_x * 0.9, half_y * 0.8, height, int(rng.integers(0, 8)))
            top += 0.45
            if self.chance(0.25) and half_x > 0.4:
                tall = self.uniform(0.2, 0.4)
                parts.append(
                    self.box((0, half_y - 0.04, height + tall + 0.05), (min(half_x, tall * 1.7), 0.03, tall), wood)
                )
                parts.append(
                    self.front_plane(
                        (0, half_y - 0.075, height + tall + 0.05), min(half_x, tall * 1.7) - 0.02, tall - 0.02, "screen"
                    )
                )
                top += 2 * tall - 0.3
        return self.piece(parts, half_x, half_y, max(top, height))

    def shelf(self) -> Piece:
        """Open shelf with rows of books and things."""
        rng, half_x, half_y = self.rng, self.uniform(0.3, 0.95), self.uniform(0.12, 0.24)
        height, count, wood = self.uniform(0.7, 2.2), int(self.rng.integers(2, 6)), self.solid()
        parts = [self.box((s * (half_x - 0.012), 0, height / 2), (0.012, half_y, height / 2), wood) for s in (-1, 1)]
        if self.chance(0.7):
            parts.append(self.box((0, half_y - 0.008, height / 2), (half_x, 0.008, height / 2), self.solid()))
        levels = np.linspace(self.uniform(0.04, 0.15), height - 0.012, count + 1)
        room = float(levels[1] - levels[0]) - 0.06
        for level in levels:
            parts.append(self.box((0, 0, float(level)), (half_x, half_y, 0.012), wood))
            tall = min(self.uniform(0.14, 0.34), room) if level < levels[-1] else 0.2
            if tall > 0.1 and level < levels[-1] and self.chance(0.65):
                width = half_x * self.uniform(0.3, 0.93)
                x = self.uniform(-1, 1) * (half_x - 0.03 - width)
                back = self.uniform(0.0, half_y * 0.3)
                row = (x, back, float(level) + 0.012 + tall / 2)
                parts.append(self.box(row, (width, half_y - back - 0.02, tall / 2), self.surface("books", 6)))
            elif room > 0.25:
                parts += self.clutter(half_x * 0.85, half_y * 0.8, float(level) + 0.013, int(rng.integers(0, 6)))
        return self.piece(parts, half_x, half_y, height + 0.4)

    def kitchen(self, length: float, room_height: float) -> Piece:
        """A counter with cupboards above and below, a sink or a stove in it, appliances on it."""
        rng, half_x, half_y, top = self.rng, length / 2, self.uniform(0.29, 0.34), self.uniform(0.84, 0.95)
        body, stone, metal = self.solid(), self.solid(), self.surface("metal", 2, tint=(0.9, 0.9, 0.9), shine=0.7)
        count = max(1, round(length / 0.55))
        parts = [
            self.box((0, 0.04, top / 2 + 0.03), (half_x, half_y - 0.05, top / 2 - 0.05), body),
            self.box((0, 0.07, 0.05), (half_x, half_y - 0.1, 0.05), self.surface("lacquer", 2, tint=self.tint(0.1))),
            self.box((0, 0, top - 0.02), (half_x, half_y, 0.02), stone),
            *self._fronts(0, 0.02 - half_y, half_x, 0.1, top - 0.05, count, int(rng.integers(1, 3))),
        ]
        if self.chance(0.8):
            parts.append(
                self.box(
                    (0, half_y - 0.01, top + 0.25), (half_x, 0.01, 0.25), self.surface("tile", 3, tint=self.tint())
                )
            )
        basin = self.uniform(-0.6, 0.6) * half_x
        parts.append(self.box((basin, 0, top + 0.004), (0.3, 0.2, 0.005), metal))
        if self.chance(0.6):
            parts.append(self.rod((basin, 0.2, top), (basin, 0.2, top + 0.25), 0.014, metal))
            parts.append(self.rod((basin, 0.2, top + 0.25), (basin, 0.02, top + 0.25), 0.012, metal))
        parts += self.clutter(half_x * 0.92, half_y * 0.55, top + 0.01, int(rng.integers(2, 12)), y=0.1)
        for _ in range(int(rng.integers(0, 3))):
            size = (self.uniform(0.1, 0.26), self.uniform(0.1, 0.16), self.uniform(0.08, 0.17))
            at = (self.uniform(-1, 1) * max(0.0, half_x - 0.3), half_y - 0.2, top + size[2])
            parts.append(self.box(at, size, self.surface("lacquer", 3, tint=self.tint(0.2), shine=0.5)))
        height = top + 0.4
        if self.chance(0.7):
            low, high = self.uniform(1.35, 1.5), min(room_height - 0.05, self.uniform(1.95, 2.3))
            parts.append(self.box((0, half_y - 0.17, (low + high) / 2), (half_x, 0.16, (high - low) / 2), body))
            parts += self._fronts(0, half_y - 0.34, half_x, low, high, count, 1)
            height = high
        return self.piece(parts, half_x, half_y, height)

    def appliance(self) -> Piece:
        """Refrigerator, stove, washing machine, copier."""
        half_x, half_y = self.uniform(0.27, 0.45), self.uniform(0.27, 0.38)
        height = self.uniform(0.82, 0.95) if self.chance(0.5) else self.uniform(1.2, 1.9)
        look = self.surface("lacquer", 3, tint=self.tint(0.25, 0.1), shine=0.5)
        dark = self.surface("lacquer", 3, tint=self.tint(0.1, 0.1), shine=0.5)
        parts = [self.box((0, 0.02, height / 2), (half_x, half_y - 0.02, height / 2), look)]
        split = self.uniform(0.3, 0.7) * height
        for low, high in ((0.06, split), (split, height - 0.02)):
            parts.append(
                self.box(
                    (0, 0.02 - half_y, (low + high) / 2),
                    (half_x - 0.01, 0.015, (high - low) / 2 - 0.008),
                    look if self.chance(0.8) else dark,
                )
            )
            parts.append(
                self.rod(
                    (half_x - 0.06, -half_y - 0.01, low + 0.05),
                    (half_x - 0.06, -half_y - 0.01, high - 0.03),
                    0.012,
                    dark,
                )
            )
        if height < 1:
            parts += self.clutter(half_x * 0.8, half_y * 0.7, height, int(self.rng.integers(0, 5)))
        return self.piece(parts, half_x, half_y + 0.02, height + (0.4 if height < 1 else 0.0))

    def lamp(self) -> Piece:
        height, radius = self.uniform(1.2, 1.8), self.uniform(0.12, 0.24)
        metal = self.surface("metal", 2, tint=self.tint(0.2))
        shade = self.surface("plaster", 2, emission=self.uniform(0, 0.9))
        parts = [
            self.rod((0, 0, 0), (0, 0, 0.03), 0.14, metal),
            self.rod((0, 0, 0), (0, 0, height - 0.2), 0.014, metal),
        ]
        parts.append(self.rod((0, 0, height - 0.3), (0, 0, height), radius, shade))
        return self.piece(parts, max(0.15, radius), max(0.15, radius), height)

    def plant(self) -> Piece:
        height, radius = self.uniform(0.4, 1.8), self.uniform(0.1, 0.22)
        pot, green = self.solid(), self.surface("leaves", 3)
        parts = [
            self.rod((0, 0, 0), (0, 0, height * 0.28), radius * 0.7, pot),
            self.rod((0, 0, 0), (0, 0, height * 0.7), 0.015, self.surface("wood")),
        ]
        for _ in range(int(self.rng.integers(4, 11))):
            angle, away, z = (
                self.uniform(0, 6.28),
                self.uniform(0.2, 0.75) * radius * 1.6,
                self.uniform(0.4, 0.92) * height,
            )
            leaf = rod(
                (0, 0, z - 0.1),
                (away * math.cos(angle), away * math.sin(angle), z),
                self.uniform(0.015, 0.05),
                green,
                LABEL,
                self.about(1),
            )
            parts.append(leaf)
        parts.append(self.lump((0, 0, height * 0.75), (radius, radius, height * 0.22), green))
        return self.piece(parts, radius * 1.5, radius * 1.5, height)

    def toilet(self) -> Piece:
        white = self.surface("lacquer", 1, tint=self.tint(0.85, 0.08), shine=0.6)
        parts = [
            self.box((0, 0.25, 0.58), (0.2, 0.09, 0.19), white),
            self.lump((0, -0.06, 0.27), (0.19, 0.28, 0.16), white),
            self.rod((0, 0.0, 0), (0, 0.0, 0.3), 0.11, white),
            self.lump((0, -0.06, 0.41), (0.19, 0.24, 0.03), white),
        ]
        return self.piece(parts, 0.21, 0.35, 0.8)

    def bath(self) -> Piece:
        """Bath tub, often behind a curtain."""
        half_x, half_y, height = self.uniform(0.7, 0.85), self.uniform(0.34, 0.4), self.uniform(0.4, 0.58)
        white = self.surface("lacquer", 1, tint=self.tint(0.85, 0.08), shine=0.6)
        parts = [self.box((0, 0, 0.06), (half_x, half_y, 0.06), white)]
        parts += [self.box((0, s * (half_y - 0.035), height / 2), (half_x, 0.035, height / 2), white) for s in (-1, 1)]
        parts += [self.box((s * (half_x - 0.05), 0, height / 2), (0.05, half_y, height / 2), white) for s in (-1, 1)]
        tall = height
        if self.chance(0.5):
            share = self.uniform(0.2, 0.9)
            parts += self.hanging((1 - share) * half_x, -half_y + 0.03, share * half_x, 0.15, 2.0, self.fabric())
            tall = 2.05
        return self.piece(parts, half_x, half_y + 0.03, tall)

    def hanging(self, x: float, y: float, half_x: float, low: float, high: float, surface: Surface) -> list[Primitive]:
        """A curtain: upright folds beside each other."""
        count = max(2, int(2 * half_x / 0.07))
        return [
            self.box(
                (x + (2 * i + 1 - count) * half_x / count, y + 0.02 * (-1) ** i, (low + high) / 2),
                (half_x / count, 0.015, (high - low) / 2),
                surface,
            )
            for i in range(count)
        ]

    def vanity(self) -> Piece:
        """Wash basin on a cupboard or a column, with a mirror above."""
        half_x, half_y, top = self.uniform(0.25, 0.7), self.uniform(0.22, 0.3), self.uniform(0.75, 0.9)
        white, metal = (
            self.surface("lacquer", 1, tint=self.tint(0.85, 0.08), shine=0.6),
            self.surface("metal", 2, shine=0.7),
        )
        parts = [self.box((0, 0, top - 0.03), (half_x, half_y, 0.03), white if self.chance(0.5) else self.solid())]
        if self.chance(0.65):
            parts.append(
                self.box((0, 0.03, top / 2 - 0.03), (half_x - 0.02, half_y - 0.04, top / 2 - 0.03), self.solid())
            )
            parts += self._fronts(0, 0.02 - half_y, half_x - 0.03, 0.08, top - 0.08, max(1, round(half_x / 0.25)), 1)
        else:
            parts.append(self.rod((0, 0.05, 0), (0, 0.05, top), 0.09, white))
        parts.append(self.lump((0, -0.03, top), (0.2, half_y * 0.7, 0.03), white))
        parts.append(self.rod((0, half_y * 0.7, top), (0, half_y * 0.7, top + 0.15), 0.015, metal))
        parts += self.clutter(half_x * 0.9, 0.06, top, int(self.rng.integers(0, 6)), y=half_y * 0.65)
        high = self.uniform(1.5, 1.95)
        parts.append(
            self.box(
                (0, half_y - 0.02, (high + top + 0.2) / 2),
                (half_x, 0.015, (high - top - 0.2) / 2),
                self.surface("plaster", 3, shine=0.9),
            )
        )
        return self.piece(parts, half_x, half_y, high)

    def bin(self) -> Piece:
        """Waste basket, pouf, basket, suitcase, cardboard box, bag: low things that stand about."""
        kind, look, tall = (
            self.rng.random(),
            self.surface("lacquer", 3, tint=self.tint(0.15, 0.6)),
            self.uniform(0.15, 0.6),
        )
        half = self.uniform(0.1, 0.28)
        if kind < 0.35:
            return self.piece([self.rod((0, 0, 0), (0, 0, tall), half, look)], half, half, tall)
        if kind < 0.65:
            skin = self.surface("cardboard", 4) if kind < 0.5 else look
            return self.piece([self.box((0, 0, tall / 2), (half, half * 0.8, tall / 2), skin)], half, half, tall)
        parts = [self.lump((0, 0, tall * 0.42), (half, half * 0.7, tall / 2), self.fabric())]
        return self.piece(parts, half, half, tall)

    def litter(self) -> Piece:
        """Something small on the floor: shoes, toys, clothes, a bag, books, a cable drum."""
        kind, half = self.rng.random(), self.uniform(0.05, 0.25)
        if kind < 0.3:  # clothes
            skin = self.fabric()
            parts = [
                self.lump(
                    (self.uniform(-0.5, 0.5) * half, self.uniform(-0.5, 0.5) * half, 0.02),
                    (half * 0.7, half * 0.5, self.uniform(0.03, 0.12)),
                    skin,
                )
                for _ in range(3)
            ]
            return self.piece(parts, half * 1.25, half * 1.1, 0.15)
        if kind < 0.5:  # shoes
            look = self.surface("lacquer", 3, tint=self.tint(0.1, 0.6))
            parts = [
                self.lump((s * 0.07, self.uniform(-0.03, 0.03), 0.035), (0.045, 0.13, 0.05), look) for s in (-1, 1)
            ]
            return self.piece(parts, 0.12, 0.16, 0.09)
        parts = self.thing(0, 0, 0.0, half)
        return self.piece(parts, half * 1.05, half * 1.05, 0.45)

    def screen_wall(self, length: float, height: float) -> Piece:
        """A partition between desks, or a low wall."""
        parts = [self.box((0, 0, height / 2), (length / 2, 0.03, height / 2), self.fabric())]
        if self.chance(0.5):
            parts.append(self.box((0, 0, height), (length / 2, 0.04, 0.015), self.surface("metal", 2)))
        return self.piece(parts, length / 2, 0.045, height + 0.02)

    def whiteboard(self) -> Piece:
        """A board on a stand with wheels."""
        half, metal = self.uniform(0.45, 0.9), self.surface("metal", 2)
        parts = [self.box((0, 0, 1.35), (half, 0.02, 0.5), self.surface("lacquer", 1, tint=(1, 1, 1), shine=0.5))]
        for side in (-1, 1):
            parts += [
                self.rod((side * half, 0, 0.05), (side * half, 0, 1.85), 0.02, metal),
                self.rod((side * half, -0.25, 0.04), (side * half, 0.25, 0.04), 0.025, metal),
            ]
        return self.piece(parts, half + 0.03, 0.28, 1.87)

    def stairs_up(self, room_height: float) -> Piece:
        """Steps along +y: the lowest at the front."""
        half_x, rise, run = self.uniform(0.4, 0.75), self.uniform(0.15, 0.19), self.uniform(0.25, 0.3)
        count = int(self.rng.integers(3, max(4, min(13, int(room_height / rise)))))
        look, half_y = (
            self.surface(str(self.rng.choice(["wood", "plank", "carpet", "concrete", "marble"])), 3, tint=self.tint()),
            count * run / 2,
        )
        parts = []
        for step in range(count):
            top = (step + 1) * rise
            at = (0.0, -half_y + (step + 0.5) * run, top / 2)
            parts.append(self.block(at, (half_x, run / 2, top / 2), look, "drop", self.about(1)))
        return Piece(tuple(parts), half_x, half_y, min(room_height, count * rise), "drop")

    def ladder(self) -> Piece:
        """Step ladder: in the way, and thin."""
        metal, height = self.surface("metal", 2), self.uniform(1.2, 1.9)
        parts = []
        for side in (-1, 1):
            parts += [
                self.rod((side * 0.22, -0.35, 0), (side * 0.15, 0, height), 0.02, metal),
                self.rod((side * 0.22, 0.35, 0), (side * 0.15, 0, height), 0.02, metal),
            ]
        for z in np.arange(0.25, height, 0.25):
            parts.append(self.box((0, float(-0.35 * (1 - z / height)), float(z)), (0.18, 0.03, 0.01), metal))
        return self.piece(parts, 0.25, 0.38, height)

    def wheelchair(self) -> Piece:
        """A wheelchair or a service trolley: it rolls, so it is a vehicle."""
        dark, skin = self.surface("lacquer", 3, tint=self.tint(0.1, 0.2)), self.fabric()
        warm, parts = self.about(1), []
        if self.chance(0.5):
            for side in (-1, 1):
                parts.append(
                    rod((side * 0.27, 0.1, 0.3), (side * 0.3, 0.1, 0.3), 0.3, dark, "vehicle", warm, shape="cylinder")
                )
                parts.append(
                    rod(
                        (side * 0.23, -0.35, 0.09),
                        (side * 0.26, -0.35, 0.09),
                        0.09,
                        dark,
                        "vehicle",
                        warm,
                        shape="cylinder",
                    )
                )
                parts.append(self.block((side * 0.25, -0.05, 0.65), (0.03, 0.2, 0.02), dark, "vehicle", warm))
            parts.append(self.block((0, -0.05, 0.47), (0.22, 0.22, 0.03), skin, "vehicle", warm))
            parts.append(self.block((0, 0.18, 0.72), (0.22, 0.02, 0.25), skin, "vehicle", warm))
            parts.append(self.block((0, -0.48, 0.12), (0.18, 0.08, 0.015), dark, "vehicle", warm))
            return Piece(tuple(parts), 0.32, 0.6, 1.0, "vehicle")
        for z in (0.15, 0.5, 0.88):
            parts.append(self.block((0, 0, z), (0.4, 0.24, 0.015), self.solid(), "vehicle", warm))
        for x in (-0.38, 0.38):
            for y in (-0.22, 0.22):
                parts.append(rod((x, y, 0.08), (x, y, 0.95), 0.015, dark, "vehicle", warm, shape="cylinder"))
                parts.append(
                    rod((x - 0.012, y, 0.05), (x + 0.012, y, 0.05), 0.05, dark, "vehicle", warm, shape="cylinder")
                )
        return Piece(tuple(parts), 0.42, 0.26, 1.0, "vehicle")
