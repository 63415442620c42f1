"""What a robot must not drive into, onto or over: low things, drops, stairs, panes of glass, overhangs, persons.

A hazard lies in a frame of its own: the robot comes along +x, the hazard reaches from y = 0 outwards to ``side`` (+1 or
-1), away from where the robot will pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gemini_ros.simulation.scenes.furniture import goods
from gemini_ros.simulation.scenes.furniture.parts import LABEL
from gemini_ros.simulation.scenes.sampler import DARK, Sampler
from gemini_ros.simulation.scenes.scene import Footprint, Primitive, Surface, block, moved, rod

GROUPS: dict[str, tuple[str, ...]] = {
    "low": ("carton", "pallet", "forks", "threshold", "cable"),
    "drop": ("hole", "dock", "stairs_down"),
    "stairs": ("stairs_up",),
    "person": ("person_standing", "person_crossing"),
    "pane": ("glass",),
    "overhang": ("table", "beam"),
}
KINDS = tuple(kind for kinds in GROUPS.values() for kind in kinds)
GROUP_OF = {kind: group for group, kinds in GROUPS.items() for kind in kinds}
DROP_DEPTHS_M = (0.1, 1.2)
HALF_WIDTHS_M = (0.4, 0.75)
_STEPS, _RISES_M, _RUNS_M = 6, (0.15, 0.19), (0.26, 0.3)


@dataclass(frozen=True)
class Hazard:
    """A hazard where it is: its rectangle in metres, the span of heights over the floor that its matter takes.

    ``side`` is +1 or -1 where it lies at larger or smaller y than the way past it, 0 for a person who crosses the way
    there. A drop ends at 0 and reaches down to ``bottom``.
    """

    kind: str
    x: float
    y: float
    half_x: float
    half_y: float
    bottom: float
    top: float
    side: int

    @property
    def group(self) -> str:
        return GROUP_OF[self.kind]

    @property
    def footprint(self) -> Footprint:
        return Footprint(self.x, self.y, self.half_x, self.half_y, 0.0, self.top, self.group)


@dataclass(frozen=True)
class Shape:
    """A hazard before it has a place: half sizes, span of heights, and its parts in its own frame.

    ``pit`` is how deep the floor is cut under it, 0 where it stands on the floor.
    """

    half_x: float
    half_y: float
    bottom: float
    top: float
    parts: tuple[Primitive, ...] = ()
    pit: float = 0.0


def shape(kind: str, sampler: Sampler, side: int, *, room_m: float, drop_depth_m: float | None = None) -> Shape:
    """A hazard of this kind; ``room_m`` is how far it may reach outwards, ``drop_depth_m`` the depth of holes."""
    if kind in ("hole", "dock"):
        depth = sampler.uniform(*DROP_DEPTHS_M) if drop_depth_m is None else drop_depth_m
        if kind == "dock":
            return Shape(0.9, room_m / 2, -depth, 0.0, pit=depth)
        return Shape(sampler.uniform(0.2, 0.6), sampler.uniform(*HALF_WIDTHS_M), -depth, 0.0, pit=depth)
    return _SHAPES[kind](sampler, side)


def _carton(sampler: Sampler, side: int) -> Shape:
    half = sampler.uniform(0.15, 0.3), sampler.uniform(0.25, 0.45), sampler.uniform(0.04, 0.15)
    part = goods.carton(sampler, (0.0, side * half[1], half[2]), half, 0.0, 0)
    return Shape(half[0], half[1], 0.0, 2 * half[2], (part,))


def _pallet(sampler: Sampler, side: int) -> Shape:
    piece = goods.pallet(sampler, 0)
    parts = tuple(moved(part, 0.0, side * piece.half_y, 0.0, 0) for part in piece.parts)
    return Shape(piece.half_x, piece.half_y, 0.0, piece.height, parts)


def _forks(sampler: Sampler, side: int) -> Shape:
    """The two forks of a truck that stands beside the way, lowered: their upper side 5 to 10 cm high."""
    dark = sampler.surface("lacquer", 2, tint=DARK, shine=0.3)
    paint = sampler.surface("lacquer", 2, tint=sampler.tint(), shine=0.4)
    top, steel = sampler.uniform(0.05, 0.1), sampler.temperature(1)
    parts = [block((x, side * 0.55, top - 0.02), (0.06, 0.55, 0.02), dark, "vehicle", steel) for x in (-0.24, 0.24)]
    parts += [
        block((0.0, side * 1.13, 0.5), (0.38, 0.03, 0.46), dark, "vehicle", steel),
        block((0.0, side * 1.3, 0.525), (0.4, 0.14, 0.525), paint, "vehicle", sampler.temperature(3, 8)),
    ]
    return Shape(0.4, 0.72, 0.0, 1.05, tuple(parts))


def _threshold(sampler: Sampler, side: int) -> Shape:
    half = sampler.uniform(0.04, 0.08), sampler.uniform(*HALF_WIDTHS_M), sampler.uniform(0.008, 0.025)
    look = sampler.surface("metal", 2) if sampler.chance(0.5) else sampler.solid()
    part = block((0.0, side * half[1], half[2]), half, look, LABEL, sampler.temperature(1))
    return Shape(half[0], half[1], 0.0, 2 * half[2], (part,))


def _cable(sampler: Sampler, side: int) -> Shape:
    """A cable of 1 to 3 cm on the floor, in waves."""
    radius, half_y = sampler.uniform(0.005, 0.015), sampler.uniform(*HALF_WIDTHS_M)
    wave, phase = sampler.uniform(0.05, 0.2), sampler.uniform(0, 2 * np.pi)
    dark = sampler.surface("lacquer", 3, tint=DARK if sampler.chance(0.5) else sampler.tint())
    along = np.linspace(radius, 2 * half_y - radius, 12)
    points = [(wave * float(np.sin(2.5 * y + phase)), side * float(y), radius) for y in along]
    warm = sampler.temperature(1, sampler.uniform(0, 5))
    parts = tuple(rod(a, b, radius, dark, LABEL, warm) for a, b in pairwise(points))
    return Shape(wave + radius, half_y, 0.0, 2 * radius, parts)


def _stairs_down(sampler: Sampler, side: int) -> Shape:
    rise, run, half_y = sampler.uniform(*_RISES_M), sampler.uniform(*_RUNS_M), sampler.uniform(*HALF_WIDTHS_M)
    look, warm = _tread(sampler), sampler.temperature(1)
    half_x, depth = _STEPS * run / 2, (_STEPS + 1) * rise
    parts = []
    for step in range(_STEPS):
        top = -(step + 1) * rise
        half = (run / 2, half_y - 0.002, (top + depth) / 2)
        parts.append(block(((step + 0.5) * run - half_x, side * half_y, top - half[2]), half, look, "drop", warm))
    return Shape(half_x, half_y, -depth, 0.0, tuple(parts), pit=depth)


def _stairs_up(sampler: Sampler, side: int) -> Shape:
    rise, run, half_y = sampler.uniform(*_RISES_M), sampler.uniform(*_RUNS_M), sampler.uniform(*HALF_WIDTHS_M)
    look, warm, half_x = _tread(sampler), sampler.temperature(1), _STEPS * run / 2
    parts = []
    for step in range(_STEPS):
        half_z = (step + 1) * rise / 2
        at = ((step + 0.5) * run - half_x, side * half_y, half_z)
        parts.append(block(at, (run / 2, half_y, half_z), look, "drop", warm))
    return Shape(half_x, half_y, 0.0, _STEPS * rise, tuple(parts))


def _tread(sampler: Sampler) -> Surface:
    kind = str(sampler.rng.choice(["wood", "plank", "concrete", "marble", "metal"]))
    return sampler.surface(kind, 3, tint=sampler.tint())


def _glass(sampler: Sampler, side: int) -> Shape:
    """A pane across the way, between two posts or free."""
    half_y, half_z = sampler.uniform(*HALF_WIDTHS_M), sampler.uniform(0.6, 1.05)
    clear = sampler.surface("lacquer", 2, tint=(0.8, 0.95, 0.9), shine=0.9, optics="glass")
    warm = sampler.temperature(1)
    parts = [block((0.0, side * half_y, half_z + 0.01), (0.006, half_y, half_z), clear, LABEL, warm)]
    if sampler.chance(0.5):
        metal = sampler.surface("metal", 2)
        for y in (0.02, 2 * half_y - 0.02):
            parts.append(block((0.0, side * y, half_z), (0.02, 0.02, half_z), metal, LABEL, warm))
    return Shape(0.02, half_y, 0.0, 2 * half_z + 0.01, tuple(parts))


def _table(sampler: Sampler, side: int) -> Shape:
    """A table top or the platform of a truck: its legs stand outside the way."""
    half_x, half_y, height = sampler.uniform(0.3, 0.5), sampler.uniform(0.55, 0.75), sampler.uniform(0.6, 1.1)
    look, warm = sampler.solid(), sampler.temperature(1)
    parts = [block((0.0, side * half_y, height), (half_x, half_y, 0.025), look, LABEL, warm)]
    for x in (-half_x + 0.03, half_x - 0.03):
        at = (x, side * (2 * half_y - 0.03), height / 2)
        parts.append(block(at, (0.03, 0.03, height / 2), look, LABEL, warm))
    return Shape(half_x, half_y, height - 0.025, height + 0.025, tuple(parts))


def _beam(sampler: Sampler, side: int) -> Shape:
    """A barrier or a load that sticks out: a bar from a post beside the way."""
    half_y, height = sampler.uniform(0.55, 0.75), sampler.uniform(0.5, 1.6)
    thick = sampler.uniform(0.025, 0.06)
    paint = sampler.surface("hazard" if sampler.chance(0.5) else "metal", 2)
    warm = sampler.temperature(1)
    post = (0.0, side * (2 * half_y - 0.06), height / 2)
    parts = (
        block((0.0, side * half_y, height), (thick, half_y, thick), paint, LABEL, warm),
        block(post, (0.06, 0.06, height / 2), paint, LABEL, warm),
    )
    return Shape(max(0.06, thick), half_y, height - thick, height + thick, parts)


_SHAPES: dict[str, Callable[[Sampler, int], Shape]] = {
    "carton": _carton,
    "pallet": _pallet,
    "forks": _forks,
    "threshold": _threshold,
    "cable": _cable,
    "stairs_down": _stairs_down,
    "stairs_up": _stairs_up,
    "glass": _glass,
    "table": _table,
    "beam": _beam,
}
