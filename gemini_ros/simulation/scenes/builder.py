"""A place in the making: what already stands in it, and whether something else fits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gemini_ros.simulation.scenes.furniture.parts import Piece
from gemini_ros.simulation.scenes.people import make_figure
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import (
    Figure,
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

PEOPLE = (0, 1, 2, 3, 4)
# Planes that face along x or y stand with their own y axis up, so that pictures on them do.
_UPRIGHT_PLANES = {
    (round(math.sin(yaw)), round(-math.cos(yaw)), 0): multiply(about_z(yaw), z_towards((0, -1, 0)))
    for yaw in (0.0, math.pi / 2, math.pi, -math.pi / 2)
}


class Builder:
    """Collects what stands where; refuses what would stand inside something else."""

    def __init__(self, sampler: Sampler, length: float, width: float, height: float) -> None:
        self.rng, self.sampler = sampler.rng, sampler
        self.length, self.width, self.height = length, width, height
        self.primitives: list[Primitive] = []
        self.footprints: list[Footprint] = []
        self.instances = 1
        self.lamps: tuple[Vector, ...] = ()

    def place(self, piece: Piece, x: float, y: float, yaw: float, *, gap: float = 0.03, z: float = 0.0) -> bool:
        """Put a piece on the floor, at height ``z``, if it fits into the hall and keeps ``gap`` metres from others."""
        print_ = Footprint(x, y, piece.half_x, piece.half_y, yaw, piece.height, piece.label)
        hall = self.length / 2, self.width / 2
        c, s = abs(math.cos(yaw)), abs(math.sin(yaw))
        reach_x, reach_y = c * piece.half_x + s * piece.half_y, s * piece.half_x + c * piece.half_y
        inside = abs(x - hall[0]) + reach_x <= hall[0] + 0.1 and abs(y) + reach_y <= hall[1] + 0.1
        if not inside or piece.height > self.height or any(print_.overlaps(o, gap) for o in self.footprints):
            return False
        self.primitives += [moved(part, x, y, yaw, self.instances, z) for part in piece.parts]
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

    def finish(self, seed: tuple[int, int], people_shares: Sequence[float]) -> Scene:
        """The scene; ``people_shares`` of 0 to 4 persons are drawn, who are placed view by view."""
        count = int(self.rng.choice(PEOPLE, p=people_shares))
        return self.assemble(seed, tuple(make_figure(self.sampler, n, self.instances + n) for n in range(count)))

    def assemble(self, seed: tuple[int, int], figures: tuple[Figure, ...]) -> Scene:
        """The scene with these persons."""
        color = tuple(float(v) for v in self.rng.uniform((0.88, 0.85, 0.72), (1, 1, 1)))
        return Scene(
            seed,
            self.length,
            self.width,
            self.height,
            self.sampler.ambient,
            self.sampler.textures,
            tuple(self.primitives),
            tuple(self.footprints),
            self.lamps,
            color,  # type: ignore[arg-type]
            figures,
        )
