"""What a piece of furniture is and what its parts are made from; x runs along the wall behind it, -y is its front."""

from __future__ import annotations

from dataclasses import dataclass

from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import UPRIGHT, Primitive, Surface, Vector, block, rod, z_towards

LABEL = "obstacle"


@dataclass(frozen=True)
class Piece:
    """Something that stands on the floor, in a frame of its own: origin on the floor at its middle, z up.

    ``parts`` count objects by their ``instance`` from 0; ``half_x``, ``half_y`` and ``height`` in metres are what it
    occupies.
    """

    parts: tuple[Primitive, ...]
    half_x: float
    half_y: float
    height: float
    label: str

    @property
    def objects(self) -> int:
        return 1 + max(part.instance for part in self.parts)


def obstacle(parts: list[Primitive], half_x: float, half_y: float, height: float) -> Piece:
    """A piece that is neither vehicle nor drop."""
    return Piece(tuple(parts), half_x, half_y, height, LABEL)


def box(sampler: Sampler, center: Vector, half: Vector, surface: Surface, yaw: float = 0.0) -> Primitive:
    """A box of these half sizes, at room temperature like all parts made here."""
    return block(center, half, surface, LABEL, sampler.temperature(1), yaw)


def cylinder(sampler: Sampler, a: Vector, b: Vector, radius: float, surface: Surface) -> Primitive:
    """A cylinder from point ``a`` to point ``b``."""
    return rod(a, b, radius, surface, LABEL, sampler.temperature(1), shape="cylinder")


def ellipsoid(sampler: Sampler, center: Vector, half: Vector, surface: Surface) -> Primitive:
    return Primitive("ellipsoid", center, half, surface, LABEL, sampler.temperature(1), UPRIGHT)


def legs(sampler: Sampler, half_x: float, half_y: float, height: float, surface: Surface) -> list[Primitive]:
    """Four legs, square or round."""
    thick = sampler.uniform(0.012, 0.04)
    spots = [(sx * (half_x - thick), sy * (half_y - thick)) for sx in (-1, 1) for sy in (-1, 1)]
    if sampler.chance(0.5):
        return [box(sampler, (x, y, height / 2), (thick, thick, height / 2), surface) for x, y in spots]
    return [cylinder(sampler, (x, y, 0), (x, y, height), thick, surface) for x, y in spots]


def front_plane(
    sampler: Sampler, at: Vector, half_x: float, half_z: float, kind: str, emission: float = 0.0
) -> Primitive:
    """A picture that faces -y."""
    surface = sampler.surface(kind, 4, emission=emission, shine=0.2, flat=True)
    return Primitive("plane", at, (half_x, half_z, 0.0), surface, LABEL, sampler.temperature(2), z_towards((0, -1, 0)))


def fronts(
    sampler: Sampler, x: float, y: float, half_x: float, low: float, high: float, columns: int, rows: int
) -> list[Primitive]:
    """Doors or drawers with handles at the front ``y``."""
    front, metal = sampler.solid(), sampler.surface("metal", 2, tint=sampler.tint(0.3))
    parts = []
    for column in range(columns):
        for row in range(rows):
            center = (x + (2 * column + 1 - columns) * half_x / columns, y, low + (row + 0.5) * (high - low) / rows)
            half = (half_x / columns - 0.006, 0.012, (high - low) / rows / 2 - 0.006)
            parts.append(box(sampler, center, half, front))
            knob = (center[0], y - 0.025, center[2] + half[2] * 0.5)
            parts.append(box(sampler, knob, (0.04, 0.008, 0.008), metal))
    return parts


def curtain(
    sampler: Sampler, x: float, y: float, half_x: float, low: float, high: float, surface: Surface
) -> list[Primitive]:
    """A curtain: upright folds beside each other."""
    count = max(2, int(2 * half_x / 0.07))
    return [
        box(
            sampler,
            (x + (2 * i + 1 - count) * half_x / count, y + 0.02 * (-1) ** i, (low + high) / 2),
            (half_x / count, 0.015, (high - low) / 2),
            surface,
        )
        for i in range(count)
    ]
