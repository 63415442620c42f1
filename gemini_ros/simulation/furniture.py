"""What stands in the hall, each piece in its own frame: origin on the floor at its middle, x forward, z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gemini_ros.simulation.scene import Primitive, Surface, Vector, about_z, rod
from gemini_ros.simulation.textures import Texture, make_texture

DARK = (0.22, 0.22, 0.23)
PAINTS = (
    (1, 0.75, 0.1),
    (0.9, 0.2, 0.1),
    (0.3, 0.5, 0.9),
    (0.92, 0.92, 0.92),
    (0.25, 0.65, 0.35),
    (1, 0.5, 0.1),
)


@dataclass(frozen=True)
class Piece:
    """Parts whose ``instance`` counts objects from 0, and the half sizes of what they occupy."""

    parts: tuple[Primitive, ...]
    half_x: float
    half_y: float
    height: float
    label: str

    @property
    def objects(self) -> int:
        return 1 + max(part.instance for part in self.parts)


class Shop:
    """Makes pieces for one scene: its random numbers, its pictures, its air temperature."""

    def __init__(self, rng: np.random.Generator, ambient: float) -> None:
        self.rng = rng
        self.ambient = ambient
        self.textures: dict[str, Texture] = {}
        self.rack_paint = PAINTS[rng.integers(len(PAINTS))]

    def surface(self, kind: str, variants: int = 2, **look: object) -> Surface:
        """A surface of one of ``variants`` pictures of this kind; pictures are made when first wanted."""
        name = f"{kind}{self.rng.integers(variants)}"
        if name not in self.textures:
            self.textures[name] = make_texture(kind, self.rng)
        return Surface(name, **look)  # type: ignore[arg-type]

    def about(self, spread: float, offset: float = 0.0) -> float:
        """A temperature near that of the air."""
        return self.ambient + offset + float(self.rng.uniform(-spread, spread))

    def block(
        self,
        center: Vector,
        half: Vector,
        surface: Surface,
        label: str,
        temperature: float,
        yaw: float = 0.0,
        instance: int = 0,
    ) -> Primitive:
        return Primitive("box", center, half, surface, label, temperature, about_z(yaw), instance)

    def carton(self, center: Vector, half: Vector, yaw: float, instance: int) -> Primitive:
        shade = tuple(float(v) for v in self.rng.uniform(0.75, 1, 3))
        surface = self.surface("cardboard", 5, tint=shade)
        return self.block(center, half, surface, "box", self.about(1.2), yaw, instance)

    def rack(self, width: float, depth: float, height: float) -> Piece:
        """Shelves along x with cartons on them."""
        rng, shelves = self.rng, int(self.rng.integers(2, 5))
        post = self.surface("lacquer", 2, tint=self.rack_paint, shine=0.4)
        board = self.surface("metal", 3, shine=0.4) if rng.random() < 0.6 else self.surface("wood")
        steel = self.about(0.5)
        parts = [
            self.block((x, y, height / 2), (0.035, 0.035, height / 2), post, "rack", steel)
            for x in (-width / 2 + 0.035, width / 2 - 0.035)
            for y in (-depth / 2 + 0.035, depth / 2 - 0.035)
        ]
        spacing = (height - 0.15) / shelves
        for shelf in range(shelves):
            z = 0.12 + shelf * spacing
            parts.append(self.block((0, 0, z), (width / 2, depth / 2, 0.025), board, "rack", steel))
            parts += self._row(width, depth, z + 0.025, spacing - 0.1, 1 + max(p.instance for p in parts))
        return Piece(tuple(parts), width / 2, depth / 2, height, "rack")

    def _row(self, width: float, depth: float, z: float, room: float, first: int) -> list[Primitive]:
        rng, row, x = self.rng, [], -width / 2 + 0.1
        while True:
            half = rng.uniform(0.12, 0.34)
            if x + 2 * half > width / 2 - 0.08:
                return row
            if rng.random() < 0.72:
                half_z = float(min(rng.uniform(0.08, 0.4), room / 2))
                half_y = depth * 0.42 * rng.uniform(0.7, 1)
                y = rng.uniform(-1, 1) * (depth / 2 - 0.02 - half_y)
                size = (half * 0.93, half_y, half_z)
                row.append(self.carton((x + half, y, z + half_z), size, rng.normal(0, 0.03), first + len(row)))
            x += 2 * half + rng.uniform(0.01, 0.08)

    def stack(self) -> Piece:
        """One to three cartons on each other."""
        rng, parts, z = self.rng, [], 0.0
        base = rng.uniform(0.15, 0.45, 2)
        for level in range(int(rng.integers(1, 4))):
            half_z = float(rng.uniform(0.1, 0.32))
            half_x, half_y = (float(v) for v in base * rng.uniform(0.75, 1, 2) * 0.98**level)
            parts.append(
                self.carton((0, 0, z + half_z), (half_x, half_y, half_z), rng.normal(0, 0.08) if level else 0.0, level)
            )
            z += 2 * half_z
        return Piece(tuple(parts), float(base[0]), float(base[1]), z, "box")

    def pallet(self, layers: int) -> Piece:
        """Euro pallet, 1.2 m x 0.8..1.1 m, with layers of cartons."""
        rng, half_y = self.rng, float(self.rng.uniform(0.4, 0.55))
        wood = self.surface("wood", 2)
        if rng.random() < 0.15:
            wood = self.surface("lacquer", 2, tint=PAINTS[rng.integers(len(PAINTS))])
        parts = []
        count = int(rng.choice([1, 1, 1, 2, 4])) if layers == 0 else 1
        warm = self.about(1.0)
        for tier in range(count):
            z = tier * 0.145
            for y in (-half_y + 0.05, 0, half_y - 0.05):
                parts.append(self.block((0, y, z + 0.055), (0.6, 0.05, 0.055), wood, "pallet", warm))
            for x in np.linspace(-0.54, 0.54, 7):
                parts.append(self.block((float(x), 0, z + 0.127), (0.06, half_y, 0.015), wood, "pallet", warm))
        z, half_z, nth = count * 0.145, float(rng.uniform(0.12, 0.24)), 1
        for _ in range(layers):
            for x in (-0.3, 0.3):
                for y in (-half_y / 2, half_y / 2):
                    if rng.random() < 0.88:
                        size = (0.29, half_y * 0.47, half_z * 0.99)
                        parts.append(self.carton((x, y, z + half_z), size, rng.normal(0, 0.02), nth))
                        nth += 1
            z += 2 * half_z
        return Piece(tuple(parts), 0.62, half_y + 0.02, z, "pallet")

    def forklift(self) -> Piece:
        rng, hot = self.rng, self.rng.random() < 0.65
        paint = self.surface("lacquer", 2, tint=PAINTS[rng.integers(len(PAINTS))], shine=0.5)
        dark = self.surface("lacquer", 2, tint=DARK, shine=0.3)
        motor = self.about(3, 15 if hot else 1)
        k = float(rng.uniform(0.85, 1.1))
        parts = [
            self.block((-0.35 * k, 0, 0.5 * k), (0.62 * k, 0.45 * k, 0.32 * k), paint, "vehicle", motor - 6 * hot),
            self.block((-0.75 * k, 0, 0.78 * k), (0.24 * k, 0.42 * k, 0.2 * k), paint, "vehicle", motor),
            self.block((-0.3 * k, 0, 0.92 * k), (0.2 * k, 0.22 * k, 0.1 * k), dark, "vehicle", self.about(1)),
            self.block((-0.5 * k, 0, 1.12 * k), (0.05 * k, 0.22 * k, 0.25 * k), dark, "vehicle", self.about(1)),
            self.block((-0.35 * k, 0, 2.03 * k), (0.52 * k, 0.45 * k, 0.03 * k), dark, "vehicle", self.about(1)),
            self.block((0.36 * k, 0, 0.45 * k), (0.03 * k, 0.4 * k, 0.07 * k), dark, "vehicle", self.about(1)),
            self.block((0.36 * k, 0, 1.2 * k), (0.03 * k, 0.4 * k, 0.04 * k), dark, "vehicle", self.about(1)),
        ]
        lift = float(rng.uniform(0.04, 0.5))
        for side in (-1, 1):
            y = side * 0.36 * k
            parts.append(self.block((0.34 * k, y, 1.1 * k), (0.05, 0.05, 1.0 * k), dark, "vehicle", self.about(1)))
            fork = self.block((0.85 * k, y * 0.7, lift), (0.5 * k, 0.055, 0.02), dark, "vehicle", self.about(1))
            parts.append(fork)
            for x0, x1 in ((-0.78, -0.72), (0.12, 0.0)):
                ends = ((x0 * k, 0.43 * side * k, 0.8 * k), (x1 * k, 0.41 * side * k, 2.02 * k))
                parts.append(rod(*ends, 0.03, dark, "vehicle", self.about(1)))
            for x, radius in ((-0.7, 0.2), (0.2, 0.24)):
                ends = ((x * k, 0.3 * side * k, radius * k), (x * k, 0.5 * side * k, radius * k))
                tyre = self.about(1, 7 if hot else 0)
                parts.append(rod(*ends, radius * k, dark, "vehicle", tyre, shape="cylinder"))
        return Piece(tuple(parts), 1.36 * k, 0.52 * k, 2.06 * k, "vehicle")

    def pallet_truck(self) -> Piece:
        """Hand pallet truck: two low forks, a pump and a handle."""
        paint = self.surface("lacquer", 2, tint=PAINTS[self.rng.integers(len(PAINTS))], shine=0.4)
        dark = self.surface("lacquer", 2, tint=DARK)
        steel = self.about(0.8)
        parts = [self.block((0.2, side * 0.19, 0.11), (0.55, 0.08, 0.035), paint, "vehicle", steel) for side in (-1, 1)]
        parts += [
            self.block((-0.42, 0, 0.28), (0.1, 0.2, 0.22), paint, "vehicle", steel),
            rod((-0.5, 0, 0.4), (-0.72, 0, 1.15), 0.03, dark, "vehicle", steel),
            rod((-0.72, -0.16, 1.15), (-0.72, 0.16, 1.15), 0.025, dark, "vehicle", steel),
            rod((-0.46, -0.1, 0.1), (-0.46, 0.1, 0.1), 0.1, dark, "vehicle", steel, shape="cylinder"),
        ]
        return Piece(tuple(parts), 0.78, 0.3, 1.2, "vehicle")

    def carrier(self) -> Piece:
        """Low automated vehicle with a bumper, sometimes with a load."""
        rng, k = self.rng, float(self.rng.uniform(0.8, 1.2))
        paint = self.surface("lacquer", 2, tint=PAINTS[rng.integers(len(PAINTS))], shine=0.5)
        dark = self.surface("lacquer", 2, tint=DARK)
        warm = self.about(1, float(rng.uniform(2, 10)))
        parts = [
            self.block((0, 0, 0.18), (0.5 * k, 0.33 * k, 0.12), paint, "vehicle", warm),
            self.block((0, 0, 0.1), (0.53 * k, 0.35 * k, 0.05), dark, "vehicle", self.about(1)),
            self.block((0, 0, 0.32), (0.42 * k, 0.3 * k, 0.02), dark, "vehicle", warm - 1),
            *(
                rod(
                    (x * k, y * k, 0.09),
                    (x * k, y * k * 1.2, 0.09),
                    0.09,
                    dark,
                    "vehicle",
                    warm,
                    shape="cylinder",
                )
                for x in (-0.3, 0.3)
                for y in (-0.27, 0.27)
            ),
        ]
        if rng.random() < 0.5:
            half_z = float(rng.uniform(0.12, 0.35))
            parts.append(self.carton((0, 0, 0.34 + half_z), (0.34 * k, 0.26 * k, half_z), 0.0, 1))
        return Piece(tuple(parts), 0.54 * k, 0.37 * k, 1.0, "vehicle")

    def cone(self) -> Piece:
        k = float(self.rng.uniform(0.75, 1.35))
        color = (1.0, 0.36, 0.06) if self.rng.random() < 0.8 else (0.95, 0.85, 0.1)
        orange = self.surface("lacquer", 2, tint=color)
        white = self.surface("lacquer", 2, tint=(1.1, 1.1, 1.1))
        foot = orange if self.rng.random() < 0.5 else self.surface("lacquer", 2, tint=DARK)
        cool = self.about(0.8)
        parts = [self.block((0, 0, 0.015), (0.17 * k, 0.17 * k, 0.015), foot, "cone", cool)]
        for step in range(8):
            low, high = 0.03 + 0.07 * k * step, 0.03 + 0.07 * k * (step + 1)
            look = white if step in (3, 5) else orange
            ring = rod((0, 0, low), (0, 0, high), (0.125 - 0.013 * step) * k, look, "cone", cool, shape="cylinder")
            parts.append(ring)
        return Piece(tuple(parts), 0.18 * k, 0.18 * k, 0.6 * k, "cone")

    def door(self, room_height: float) -> Piece:
        """Door leaf in a frame, or a roller shutter; x along the wall, -y into the room."""
        rng, shutter = self.rng, self.rng.random() < 0.3
        half = float(rng.uniform(1.1, 1.8) if shutter else rng.uniform(0.42, 0.9))
        height = float(min(room_height - 0.25, rng.uniform(2.4, 3.4) if shutter else rng.uniform(2.0, 2.4)))
        leaf = self.surface("shutter" if shutter else "door", 2, shine=0.3)
        metal = self.surface("metal", 6)
        warm = self.about(2, float(rng.choice([-6, -3, 0, 3, 6])))
        parts = [self.block((0, 0, height / 2), (half, 0.03, height / 2), leaf, "door", warm)]
        for side in (-1, 1):
            parts.append(
                self.block(
                    (side * (half + 0.04), 0, height / 2),
                    (0.04, 0.06, height / 2),
                    metal,
                    "door",
                    self.about(1),
                )
            )
        parts.append(self.block((0, 0, height + 0.04), (half + 0.08, 0.06, 0.04), metal, "door", self.about(1)))
        if not shutter:
            parts.append(
                rod(
                    (half - 0.22, -0.07, 1.03),
                    (half - 0.08, -0.07, 1.03),
                    0.018,
                    metal,
                    "door",
                    self.about(1),
                )
            )
        return Piece(tuple(parts), half + 0.08, 0.09, height + 0.08, "door")

    def pillar(self, height: float) -> Piece:
        half = float(self.rng.uniform(0.12, 0.28))
        parts = [
            self.block((0, 0, height / 2), (half, half, height / 2), self.surface("paint", 3), "wall", self.about(1))
        ]
        if self.rng.random() < 0.5:
            guard = self.surface("hazard", 1)
            parts.append(self.block((0, 0, 0.5), (half + 0.01, half + 0.01, 0.5), guard, "wall", self.about(1)))
        return Piece(tuple(parts), half + 0.01, half + 0.01, height, "wall")

    def pipe(self, height: float) -> Piece:
        warm = self.ambient + float(self.rng.choice([0, 0, 15, 30]))
        tube = rod((0, 0, 0), (0, 0, height), 0.06, self.surface("metal", 6), "wall", warm, shape="cylinder")
        return Piece((tube,), 0.07, 0.07, height, "wall")
