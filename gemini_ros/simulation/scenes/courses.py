"""Hazard courses: a hall in which something is in the robot's way every few metres, and the way past it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from gemini_ros.simulation.scenes.floor_hole import pit
from gemini_ros.simulation.scenes.furniture.parts import Piece
from gemini_ros.simulation.scenes.groups import grouped
from gemini_ros.simulation.scenes.hazards import GROUP_OF, GROUPS, KINDS, Hazard, Shape, shape
from gemini_ros.simulation.scenes.people import make_figure
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import Footprint, Primitive, Scene, Surface, moved, profile_height, z_towards
from gemini_ros.simulation.scenes.slalom import Slalom
from gemini_ros.simulation.scenes.warehouses import Warehouse

FLOORS = ("plain", "black", "mirror")
START_M, FIRST_M = 0.6, 3.4  # where the robot starts; how far before it the first hazard is
SPACING_M = (4.4, 4.9)  # from the near edge of a hazard to that of the next
CLEARANCE_M = 0.5  # between the middle of the robot and any hazard
MOST_RAMP_DEG = 10.0
MOST_DEPTH_M = 3.0
PERSON_RADIUS_M = 0.42
_SWERVE_M, _BEFORE_M, _BEHIND_M = 3.0, 0.2, 0.3
_COVERS_M = (0.0, 0.25)  # how far a hazard reaches over the line that the robot comes on
CROSSING_M = 1.9  # what a person who crosses needs on either side of the robot's line
_COURSE_STREAM = 8


@dataclass(frozen=True)
class CourseOptions:
    """What a course holds: kinds of ``hazards`` (``hazards.KINDS``), the floor, ramps between the hazards.

    ``drop_depth_m`` is the depth of holes and docks, drawn at random where it is None; ``floor`` is one of ``FLOORS``;
    ``ramp_deg`` the slope of ramps, up and down in turn. With ``approach`` there is one hazard: the robot drives at
    it and stops before it. Raises ``ValueError``.
    """

    hazards: tuple[str, ...] = KINDS
    drop_depth_m: float | None = None
    floor: str = "plain"
    ramp_deg: float = 0.0
    approach: bool = False

    def __post_init__(self) -> None:
        for kind in self.hazards:
            if kind not in KINDS:
                raise ValueError(f"hazard {kind!r}, expected one of {', '.join(KINDS)}")
        if self.floor not in FLOORS:
            raise ValueError(f"floor {self.floor!r}, expected one of {', '.join(FLOORS)}")
        if not 0 <= self.ramp_deg <= MOST_RAMP_DEG:
            raise ValueError(f"ramps of {self.ramp_deg} degrees, expected 0 to {MOST_RAMP_DEG:g}")
        if self.approach and not self.hazards:
            raise ValueError("an approach to no hazard: name hazards, or drive a course without --approach")
        depth = self.drop_depth_m
        if depth is not None and not 0 < depth <= MOST_DEPTH_M:
            raise ValueError(f"drops {depth} m deep, expected more than 0 and at most {MOST_DEPTH_M:g} m")


@dataclass(frozen=True)
class Course:
    """A scene with its hazards in the order of the way; ``Scene.figures`` are the persons among them, in that order."""

    scene: Scene
    slalom: Slalom
    hazards: tuple[Hazard, ...]


def parse_hazards(text: str) -> tuple[str, ...]:
    """Kinds of hazards from names of kinds and groups with commas between; ``none`` for none. Raises ``ValueError``."""
    names = [name.strip() for name in text.split(",")]
    if names == ["none"]:
        return ()
    for name in names:
        if name not in GROUPS and name not in KINDS:
            raise ValueError(f"hazard {name!r}, expected {', '.join(GROUPS)}, or of these {', '.join(KINDS)}; or none")
    return tuple(kind for kind in KINDS if kind in names or GROUP_OF[kind] in names)


def generate_course(seed: int, way_m: float, options: CourseOptions | None = None) -> Course:
    """The course of a ``seed`` that a robot drives for ``way_m`` metres; the same arguments give the same course."""
    rng = np.random.default_rng([seed, _COURSE_STREAM])
    width, height = float(rng.uniform(6.4, 8.4)), float(rng.uniform(3.4, 5.0))
    builder = _Hall(Sampler(rng, float(rng.uniform(5, 28))), START_M + way_m, width, height)
    builder.options = options or CourseOptions()
    builder.lay_out()
    builder.build()
    persons = [number for number, hazard in enumerate(builder.hazards) if hazard.group == "person"]
    figures = tuple(make_figure(builder.sampler, n, builder.instances + n) for n in range(len(persons)))
    for number, figure in zip(persons, figures, strict=True):
        builder.hazards[number] = replace(builder.hazards[number], top=1.75 * figure.scale)
    scene = replace(grouped(builder.assemble((seed, 0), figures)), profile=tuple(builder.profile))
    return Course(scene, builder.slalom, tuple(builder.hazards))


class _Hall(Warehouse):
    """A hall in the making around the way through its hazards."""

    options: CourseOptions

    def lay_out(self) -> None:
        """Decide on hazards, way and ramps; nothing is built yet."""
        self.hazards: list[Hazard] = []
        self.shapes: list[Shape] = []
        self.profile: list[tuple[float, float]] = []
        self._reserved: list[Footprint] = []
        kinds, swerves = self._kinds(), []
        start = line = self.sampler.uniform(0.2, 0.4) * float(self.rng.choice([-1, 1]))
        near, free_x = START_M + FIRST_M, START_M + _BEHIND_M
        while near < self.length - 2.5:
            far_x = near + 1.0
            if self.options.hazards:
                before, line = line, self._add_hazard(next(kinds), near, line)
                far_x = near + 2 * self.shapes[-1].half_x
                if line != before:
                    swerves.append((max(free_x, near - _SWERVE_M), near - _BEFORE_M, line))
            self._ramp(free_x, near)
            free_x, near = far_x + _BEHIND_M, near + self.sampler.uniform(*SPACING_M)
            if self.options.approach:
                swerves = []
                break
        self.slalom = Slalom((START_M, start), self.length, tuple(swerves))
        self._way = self.slalom.points()

    def _kinds(self) -> Iterator[str]:
        """Kinds by group: each group once, in random order, before any comes again."""
        groups = [[k for k in kinds if k in self.options.hazards] for kinds in GROUPS.values()]
        groups = [kinds for kinds in groups if kinds]
        while True:
            for number in self.rng.permutation(len(groups)):
                yield str(self.rng.choice(groups[number]))

    def _add_hazard(self, kind: str, near: float, line: float) -> float:
        """A hazard that begins at x = ``near`` in the way of a robot on ``line``; the line that leads past it."""
        side = 1 if line > 0 else -1
        inner = line - side * self.sampler.uniform(*_COVERS_M)
        drawn = self._shape(kind, side, inner)
        x, half = near + drawn.half_x, (drawn.half_x, drawn.half_y)
        self.shapes.append(drawn)
        if kind == "person_crossing":
            self.hazards.append(Hazard(kind, x, line, *half, drawn.bottom, drawn.top, 0))
            self._reserved.append(Footprint(x, line, 0.45, CROSSING_M))
            return line
        self.hazards.append(Hazard(kind, x, inner + side * drawn.half_y, *half, drawn.bottom, drawn.top, side))
        return inner - side * self.sampler.uniform(CLEARANCE_M + 0.02, CLEARANCE_M + 0.15)

    def _shape(self, kind: str, side: int, inner: float) -> Shape:
        if GROUP_OF[kind] == "person":
            return Shape(PERSON_RADIUS_M, PERSON_RADIUS_M, 0.0, 1.75)
        room = self.width / 2 - side * inner
        return shape(kind, self.sampler, side, room_m=room, drop_depth_m=self.options.drop_depth_m)

    def _ramp(self, start_x: float, end_x: float) -> None:
        """A ramp between two hazards, up and down in turn; the first hazard is on the level of the start."""
        if not self.profile:
            self.profile.append((0.0, 0.0))
        elif self.options.ramp_deg:
            slope, level, end_x = math.tan(math.radians(self.options.ramp_deg)), self.profile[-1][1], end_x - _BEFORE_M
            change = slope * (end_x - start_x)
            if level:  # down, to the level of the start at most
                change = -min(level, change)
                end_x = start_x - change / slope
            self.profile += [(start_x, level), (end_x, level + change)]

    def build(self) -> None:
        """Floor, hazards, shell, and furniture along the walls."""
        floor = self.floor_surface()
        if self.options.floor == "black":
            floor = replace(floor, tint=(0.1, 0.1, 0.1), optics="black")
        elif self.options.floor == "mirror":
            floor = replace(floor, shine=0.9, optics="mirror")
        self._lay_floor(floor, self.sampler.temperature(1, -1))
        for hazard, drawn in zip(self.hazards, self.shapes, strict=True):
            self._build_hazard(hazard, drawn, floor)
        self.upper_shell()
        for side in (-1, 1):
            self.line(side * self.width / 2, -side, self.sampler.uniform(0.3, 2))

    def _lay_floor(self, surface: Surface, warm: float) -> None:
        """Planes beside and between the holes, tilted on ramps; seams are also where nothing is."""
        holes = [h.footprint for h, drawn in zip(self.hazards, self.shapes, strict=True) if drawn.pit]
        edges = {0.0, self.length, *np.arange(2.0, self.length, 3.1).tolist(), *(x for x, _ in self.profile)}
        edges |= {hole.x + side * hole.half_x for hole in holes for side in (-1, 1)}
        for x0, x1 in pairwise(sorted(x for x in edges if 0 <= x <= self.length)):
            low = -self.width / 2
            inside = [hole for hole in holes if abs((x0 + x1) / 2 - hole.x) < hole.half_x]
            for y0, y1 in [(h.y - h.half_y, h.y + h.half_y) for h in inside] + [(self.width / 2, math.inf)]:
                if min(y0 - low, x1 - x0) > 1e-6:
                    self.primitives.append(self._slab(x0, x1, low, y0, surface, warm))
                low = y1

    def _slab(self, x0: float, x1: float, y0: float, y1: float, surface: Surface, warm: float) -> Primitive:
        z0, z1 = (float(z) for z in profile_height(self.profile, [x0, x1]))
        center = ((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2)
        size = (math.hypot(x1 - x0, z1 - z0) / 2, (y1 - y0) / 2, 0.0)
        return Primitive("plane", center, size, surface, "floor", warm, z_towards((z0 - z1, 0.0, x1 - x0)))

    def _build_hazard(self, hazard: Hazard, drawn: Shape, floor: Surface) -> None:
        z, print_ = float(profile_height(self.profile, hazard.x)), hazard.footprint
        if drawn.pit:
            side = floor if self.sampler.chance(0.4) else self.sampler.surface("concrete", 2, tile_m=1.5)
            bottom = floor if self.sampler.chance(0.6) else self.sampler.surface("concrete", 2, tile_m=1.5)
            pit(self, print_, drawn.pit, side, bottom, self.sampler.temperature(1), z)
        if hazard.kind != "person_crossing":
            self.footprints.append(print_)
        if drawn.parts:
            inner = hazard.y - hazard.side * hazard.half_y
            self.primitives += [moved(part, hazard.x, inner, 0.0, self.instances, z) for part in drawn.parts]
            self.instances += 1 + max(part.instance for part in drawn.parts)

    def place(self, piece: Piece, x: float, y: float, yaw: float, *, gap: float = 0.03, z: float = 0.0) -> bool:
        """Furniture keeps off the robot's way and off that of persons who cross it; on a ramp it sinks in a little."""
        print_, reach = Footprint(x, y, piece.half_x, piece.half_y, yaw), math.hypot(piece.half_x, piece.half_y)
        near = self._way[np.abs(self._way[:, 0] - x) < reach + CLEARANCE_M]
        if any(print_.distance(*point) < CLEARANCE_M for point in near.tolist()):
            return False
        if any(print_.overlaps(reserved) for reserved in self._reserved):
            return False
        z = float(profile_height(self.profile, [x - reach, x + reach]).min())
        return super().place(piece, x, y, yaw, gap=max(gap, 0.05), z=z)
