"""A drive of minutes through a furnished place: round after round past stops all over its floor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.simulation.cameras.viewpoint import Base
from gemini_ros.simulation.drive import (
    BRAKING_M_S2,
    COURSE_SHADOWS,
    SCENES_TRIED,
    SPEED_M_S,
    STEP_M,
    STRIDE,
    Drive,
    Person,
    Round,
    Standing,
    Way,
    require_drivable,
    walking_reach,
)
from gemini_ros.simulation.scenes.courses import FLOORS
from gemini_ros.simulation.scenes.floor_plan import CLEARANCE_M, Cell, Disc, FloorPlan
from gemini_ros.simulation.scenes.people import Stand, walking
from gemini_ros.simulation.scenes.places import generate_place
from gemini_ros.simulation.scenes.scene import Primitive, Scene
from gemini_ros.simulation.wheel_way import WheelWay, wheel_way

TOUR_PLACES = ("home", "office", "warehouse")
LONGEST_S = 200.0
LEAST_AREA_M2, LEAST_REACH_M = 4.0, 4.0
STOP_M2 = 2.5
"""One stop a round for so much floor, within ``STOPS``."""
STOPS = (3, 10)
SPOT_DEG = 75.0
"""The robot turns on the spot where its way bends by more."""
STANDING_SHARE = 0.5
_WAY_STREAM = 15
_POINT_M = 0.05
_SMOOTHINGS = 150
_PERSON_M = 0.35
_APART_M = 0.7  # of a walking person from the robot, beyond the person's reach
_FOLLOWS_S, _FOLLOW_HZ, _FOLLOW_M_S = 2.2, 10, 1.3
_NEAREST_M = 0.75


@dataclass(frozen=True)
class TourOptions:
    """Where a drive goes. Another ``way`` goes past other stops of the same rooms, with persons at other places.

    ``place`` is one of ``TOUR_PLACES``, ``floor`` one of ``courses.FLOORS``. A ``follower`` is a person who walks
    behind the robot.
    """

    place: str
    way: int = 0
    floor: str = "plain"
    follower: bool = False

    def __post_init__(self) -> None:
        if self.place not in TOUR_PLACES:
            raise ValueError(f"place {self.place!r}, expected one of {', '.join(TOUR_PLACES)} for a drive")
        if self.floor not in FLOORS:
            raise ValueError(f"floor {self.floor!r}, expected one of {', '.join(FLOORS)}")
        if self.way < 0:
            raise ValueError(f"way {self.way}, expected 0 or more")


def plan_tour(seed: int, *, duration_s: float, options: TourOptions, light: str = "day") -> Drive:
    """A drive through the first scene of ``seed`` that has room for a robot.

    The scene depends on nothing else. Each round ends where the drive began. ``light`` is one of ``SCHEDULES``. Raises
    ``ValueError`` for an unknown light or an impossible duration, and if no scene has room.
    """
    require_drivable(light, duration_s, LONGEST_S, "place")
    scene = _scene(seed, options.place)
    if options.follower and not scene.figures:
        raise ValueError(f"seed {seed}: nobody in this {options.place} could follow the robot: take another seed")
    rng = np.random.default_rng([*scene.seed, _WAY_STREAM, options.way])
    plan, standing = _standing(scene, rng, options.follower)
    track = _tour(plan, rng, duration_s)
    people = _people(scene, rng, plan, track, duration_s, standing, options.follower)
    return Drive(_with_floor(scene, options.floor), duration_s, light, track, people, shadows=COURSE_SHADOWS)


def _scene(seed: int, place: str) -> Scene:
    for number in range(SCENES_TRIED):
        scene = generate_place(place, seed, number)
        if _roomy(FloorPlan(scene)):
            return scene
    raise ValueError(
        f"seed {seed}: none of {SCENES_TRIED} scenes of {place} has {LEAST_AREA_M2:g} m2 of floor, {LEAST_REACH_M:g} m "
        f"long, where a robot keeps {CLEARANCE_M:g} m clear of everything: take another seed"
    )


def _roomy(plan: FloorPlan) -> bool:
    return plan.area_m2 >= LEAST_AREA_M2 and plan.reach_m >= LEAST_REACH_M


def _with_floor(scene: Scene, floor: str) -> Scene:
    """The same scene on a black or mirroring floor."""
    looks: dict[str, dict[str, Any]] = {
        "plain": {},
        "black": {"tint": (0.1, 0.1, 0.1), "optics": "black"},
        "mirror": {"optics": "mirror"},
    }
    look = looks[floor]

    def laid(part: Primitive) -> Primitive:
        is_floor = part.shape == "plane" and part.label == "floor"
        return replace(part, surface=replace(part.surface, **look)) if is_floor else part

    return replace(scene, primitives=tuple(map(laid, scene.primitives)))


def _tour(plan: FloorPlan, rng: np.random.Generator, duration_s: float) -> WheelWay:
    """Rounds past ever other stops until they last for ``duration_s``."""
    home = _airy(plan, rng)
    legs: list[npt.NDArray[np.float64]] = []
    while True:
        legs += [_smoothed(plan, leg) for leg in _joined(_round(plan, rng, home))]
        track = wheel_way(legs, speed_m_s=SPEED_M_S, gain_m_s2=BRAKING_M_S2)
        if track.duration_s >= duration_s:
            return track


def _airy(plan: FloorPlan, rng: np.random.Generator) -> Cell:
    """A cell of the region, at the more open ones of ten."""
    cells = plan.cells()
    drawn = cells[rng.integers(len(cells), size=10)]
    x, y = np.transpose([plan.place((int(r), int(c))) for r, c in drawn])
    row, column = drawn[int(np.argmax(plan.clearance(x, y)))]
    return int(row), int(column)


def _round(plan: FloorPlan, rng: np.random.Generator, home: Cell) -> list[npt.NDArray[np.float64]]:
    """Ways (N, 2) from stop to stop and back home. Each further stop is that of some which is farthest from all."""
    count = int(np.clip(round(plan.area_m2 / STOP_M2), *STOPS))
    stops, fields = [home], [plan.field(home)]
    for _ in range(count):
        drawn = [_airy(plan, rng) for _ in range(6)]
        stop = max(drawn, key=lambda cell: min(float(field[cell]) for field in fields))
        if min(float(field[stop]) for field in fields) > 0.5:
            stops.append(stop)
            fields.append(plan.field(stop))
    lengths = np.array([[field[stop] for stop in stops] for field in fields])
    order = _shortest(lengths)
    if rng.random() < 0.5:
        order = [0, *reversed(order[1:])]
    turns = [*order, 0]
    return [plan.way(stops[a], fields[b]) for a, b in pairwise(turns) if a != b]


def _shortest(lengths: npt.NDArray[np.float64]) -> list[int]:
    """An order of the stops, the first one first, whose closed round no reversal of a part makes shorter."""
    n, order, found = len(lengths), list(range(len(lengths))), True

    def total(turn: Sequence[int]) -> float:
        return float(sum(lengths[a, b] for a, b in zip(turn, [*turn[1:], turn[0]], strict=True)))

    while found:
        found = False
        for i in range(1, n - 1):
            for j in range(i + 1, n):
                other = [*order[:i], *reversed(order[i : j + 1]), *order[j + 1 :]]
                if total(other) < total(order) - 1e-9:
                    order, found = other, True
    return order


def _joined(legs: Sequence[npt.NDArray[np.float64]]) -> list[npt.NDArray[np.float64]]:
    """Legs that go on in about one direction as one; the others end where the robot turns on the spot."""
    found: list[npt.NDArray[np.float64]] = []
    for leg in legs:
        if len(leg) < 2:
            continue
        if found:
            before, after = _heading(found[-1][::-1]) + math.pi, _heading(leg)
            if abs(math.remainder(after - before, 2 * math.pi)) < math.radians(SPOT_DEG):
                found[-1] = np.concatenate([found[-1], leg[1:]])
                continue
        found.append(leg)
    return found


def _heading(leg: npt.NDArray[np.float64]) -> float:
    """Of the first half metre."""
    dx, dy = leg[min(5, len(leg) - 1)] - leg[0]
    return math.atan2(dy, dx)


def _smoothed(plan: FloorPlan, leg: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The leg as an elastic band that is as short and smooth as the clearance of its points allows."""
    rolled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(leg, axis=0).T))])
    at = np.linspace(0, rolled[-1], max(3, round(rolled[-1] / _POINT_M) + 1))
    points = np.stack([np.interp(at, rolled, leg[:, k]) for k in (0, 1)], 1)
    for _ in range(_SMOOTHINGS):
        moved = points.copy()
        moved[1:-1] = (points[:-2] + 2 * points[1:-1] + points[2:]) / 4
        clear = plan.clearance(moved[:, 0], moved[:, 1]) >= CLEARANCE_M
        points = np.where(clear[:, None], moved, points)
    return points


def _standing(scene: Scene, rng: np.random.Generator, follower: bool) -> tuple[FloorPlan, dict[int, Standing]]:
    """Persons who stand about, by the number of their figure, and the floor that is left beside them."""
    plan, found = FloorPlan(scene), {}
    discs: list[Disc] = []
    for number in range(int(follower), len(scene.figures)):
        if rng.random() >= STANDING_SHARE:
            continue
        x, y = plan.place(_airy(plan, rng))
        beside = FloorPlan(scene, [*discs, (x, y, _PERSON_M)])
        if _roomy(beside) and beside.area_m2 > 0.6 * plan.area_m2:
            plan, discs = beside, [*discs, (x, y, _PERSON_M)]
            found[number] = Standing(x, y, float(rng.uniform(-math.pi, math.pi)))
    return plan, found


def _people(
    scene: Scene,
    rng: np.random.Generator,
    plan: FloorPlan,
    track: WheelWay,
    duration_s: float,
    standing: dict[int, Standing],
    follower: bool,
) -> tuple[Person, ...]:
    """For each figure who it is; None where there is no room for a walk clear of everything and of the robot."""
    times = np.arange(0, duration_s, 0.2)
    robot = np.array([[base.x, base.y] for base in (track.at(track.travelled(float(t))) for t in times)])
    people: list[Person] = []
    taken = [(robot, _APART_M)]
    for number, figure in enumerate(scene.figures):
        person: Person
        if follower and number == 0:
            person = follow(plan, track, duration_s)
        else:
            person = standing.get(number) or _walker(rng, plan, walking_reach(figure), times, taken)
        people.append(person)
        if isinstance(person, Round):
            taken.append((_walked(person, times), walking_reach(figure)))
    return tuple(people)


def _walker(
    rng: np.random.Generator,
    plan: FloorPlan,
    reach: float,
    times: npt.NDArray[np.float64],
    taken: Sequence[tuple[npt.NDArray[np.float64], float]],
) -> Round | None:
    for _ in range(40):
        x, y = plan.place(_airy(plan, rng))
        straight, radius = float(rng.uniform(0.5, 3)), float(rng.uniform(0.2, 0.35))
        person = Round(x, y, straight, radius, float(rng.uniform(0.4, 1.0)), float(rng.uniform(0, 8)))
        walk = _walked(person, times)
        if (plan.clearance(walk[:, 0], walk[:, 1]) >= reach).all() and all(
            np.hypot(*(walk - other).T).min() >= reach + radius for other, radius in taken
        ):
            return person
    return None


def _walked(person: Round, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.array([[stand.x, stand.y] for stand in (person.stand(float(t)) for t in times)])


@dataclass(frozen=True, eq=False)
class Follower:
    """A person at places (N, 2), ``_FOLLOW_HZ`` of them a second; away where the robot needs the room."""

    places: npt.NDArray[np.float64]
    walked: npt.NDArray[np.float64]
    yaw: npt.NDArray[np.float64]
    there: npt.NDArray[np.bool_]

    def stand(self, time_s: float) -> Stand | None:
        at = time_s * _FOLLOW_HZ
        near = min(round(at), len(self.there) - 1)
        if not self.there[near]:
            return None
        numbers = np.arange(len(self.there))
        x, y, walked, yaw = (
            float(np.interp(at, numbers, values)) for values in (*self.places.T, self.walked, self.yaw)
        )
        return Stand(x, y, yaw, walking(2 * math.pi * walked / STEP_M, STRIDE))


def follow(plan: FloorPlan, track: Way, duration_s: float) -> Follower:
    """A person who goes where the robot was a moment ago, and steps aside where it turns and comes back."""
    count = math.ceil(duration_s * _FOLLOW_HZ) + 1
    bases: list[Base] = [track.at(track.travelled(i / _FOLLOW_HZ)) for i in range(count)]
    robot = np.array([[base.x, base.y] for base in bases])
    behind = round(_FOLLOWS_S * _FOLLOW_HZ)
    start = bases[0]
    here = robot[0] - 1.2 * np.array([math.cos(start.yaw), math.sin(start.yaw)])
    angles = np.arange(0, 2 * math.pi, math.pi / 8)
    steps = np.stack([np.cos(angles), np.sin(angles)], 1) * _FOLLOW_M_S / _FOLLOW_HZ
    moves = np.concatenate([np.zeros((1, 2)), steps / 2, steps])
    places, there = [], []
    for i in range(count):
        target, tried = robot[max(0, i - behind)], here + moves
        near = np.hypot(*(tried - robot[i]).T)
        room = plan.clearance(tried[:, 0], tried[:, 1])
        cost = np.hypot(*(tried - target).T) + 5 * np.maximum(0, 0.9 - near) + 5 * np.maximum(0, 0.3 - room)
        best = int(np.argmin(cost + 1e-3 * np.hypot(*moves.T)))
        here = tried[best]
        places.append(here)
        there.append(bool(near[best] >= _NEAREST_M and room[best] >= 0.2))
    walk = np.array(places)
    moved = np.diff(walk, axis=0, prepend=walk[:1])
    facing = np.unwrap(np.arctan2(robot[:, 1] - walk[:, 1], robot[:, 0] - walk[:, 0]))
    return Follower(walk, np.cumsum(np.hypot(*moved.T)), facing, np.array(there))
