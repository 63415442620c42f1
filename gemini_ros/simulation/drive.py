"""A drive along the hall: the robot's smooth path, walking persons, one who steps into the way, light that fades."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gemini_ros.core.transforms import BODY_FROM_OPTICAL, camera_in_base, from_xyz_rpy
from gemini_ros.simulation.cameras.lighting import Illumination
from gemini_ros.simulation.cameras.scene_camera import SceneCamera, SimulatedFrame
from gemini_ros.simulation.cameras.viewpoint import CAMERA_CLEARANCE_M, Base, base_matrix
from gemini_ros.simulation.rig import Rig
from gemini_ros.simulation.scenes.hazards import Hazard
from gemini_ros.simulation.scenes.people import Posture, Stand, walking
from gemini_ros.simulation.scenes.scene import Figure, Scene
from gemini_ros.simulation.scenes.warehouses import LONGEST_M, generate_scene

CAMERA_HZ = 10
SPEED_M_S = 0.7
BRAKING_M_S2 = 0.5
BRAKING_M = SPEED_M_S**2 / (2 * BRAKING_M_S2)
REACTION_S = 0.9
VIEW_AHEAD_M = 4.0  # free way beyond the end, so that the drive does not end at a wall
STEP_M = 1.3  # double step of a person
STRIDE = 0.45
SCENES_TRIED = 50
COURSE_SHADOWS = 2  # each costs as much as the picture itself
_PLAN_STREAM, _FRAME_STREAM = 3, 4

# Fractions of the duration and shares of day light; in between interpolated by its logarithm, as the eye sees it.
SCHEDULES = {
    "day": ((0.0, 0.9),),
    "dim": ((0.0, 0.2),),
    "dark": ((0.0, 0.02),),
    "black": ((0.0, 0.0),),
    "fading": ((0.0, 0.9), (0.25, 0.9), (0.65, 0.002), (0.7, 0.0)),
}
_DARKEST = 1e-4  # less is black
_NAMES = (("day", 0.5), ("dim", 0.07), ("dark", 2 * _DARKEST))


def light_at(schedule: str, fraction: float) -> Illumination:
    """The light after ``fraction`` of a drive's duration; ``schedule`` is one of ``SCHEDULES``."""
    times, shares = zip(*SCHEDULES[schedule], strict=True)
    share = math.exp(np.interp(fraction, times, np.log(np.maximum(shares, _DARKEST))))
    return Illumination(share if share > 1.01 * _DARKEST else 0.0)


def light_name(light: Illumination) -> str:
    """The light level nearest to a share of day light."""
    return next((name for name, least in _NAMES if light.lamps >= least), "black")


def braked_distance(time_s: float, brake_s: float) -> float:
    """Metres after ``time_s`` of a robot that brakes to a stand from ``brake_s`` on."""
    braking = min(max(0.0, time_s - brake_s), SPEED_M_S / BRAKING_M_S2)
    moving = min(time_s, brake_s)
    return SPEED_M_S * (moving + braking) - BRAKING_M_S2 * braking**2 / 2


@dataclass(frozen=True)
class Track:
    """The robot's way: from (x, y) along ``direction`` (+1 or -1 in x), swaying ``sway`` metres.

    It drives at ``SPEED_M_S`` and brakes to a stand from ``brake_s`` on.
    """

    x: float
    y: float
    direction: int
    sway: float
    brake_s: float = math.inf

    def travelled(self, time_s: float) -> float:
        """Metres along the track after ``time_s`` seconds."""
        return braked_distance(time_s, self.brake_s)

    def at(self, distance: float) -> Base:
        """Pose at a distance along the track."""
        rate = 2 * math.pi / 6.0
        x = self.x + self.direction * distance
        slope = self.sway * rate * math.cos(rate * distance)
        heading = math.atan2(slope, self.direction)
        return Base(x, self.y + self.sway * math.sin(rate * distance), heading)


@dataclass(frozen=True)
class Round:
    """A person walking round and round: two straights of ``straight`` metres along x, joined by half circles."""

    x: float
    y: float
    straight: float
    radius: float
    speed: float
    start: float

    def stand(self, time_s: float) -> Stand:
        distance = self.start + self.speed * time_s
        half = self.straight + math.pi * self.radius
        lap = distance % (2 * half)
        back, along = lap >= half, lap % half
        turn = max(0.0, along - self.straight) / self.radius
        x = min(along, self.straight) - self.straight / 2 + self.radius * math.sin(turn)
        y = -self.radius * math.cos(turn)
        sign, yaw = (-1, turn + math.pi) if back else (1, turn)
        return Stand(self.x + sign * x, self.y + sign * y, yaw, walking(2 * math.pi * distance / STEP_M, STRIDE))


@dataclass(frozen=True)
class Crossing:
    """A person who waits beside the way and steps into it at ``time_s``, to stop at ``end_y``."""

    x: float
    start_y: float
    end_y: float
    time_s: float
    speed: float = 1.1

    def stand(self, time_s: float) -> Stand:
        whole = abs(self.end_y - self.start_y)
        walked = min(max(0.0, time_s - self.time_s) * self.speed, whole)
        side = math.copysign(1.0, self.end_y - self.start_y)
        still = walked in (0.0, whole)
        posture = Posture() if still else walking(2 * math.pi * walked / STEP_M, STRIDE)
        return Stand(self.x, self.start_y + side * walked, side * math.pi / 2, posture)


@dataclass(frozen=True)
class Standing:
    """A person who stays."""

    x: float
    y: float
    yaw: float

    def stand(self, time_s: float) -> Stand:
        return Stand(self.x, self.y, self.yaw)


class Somebody(Protocol):
    """A person: where and how at a time, None where not there."""

    def stand(self, time_s: float) -> Stand | None: ...


Person = Somebody | None


class Way(Protocol):
    """Where the robot is: metres travelled after a time, and the pose after these."""

    def travelled(self, time_s: float) -> float: ...

    def at(self, distance: float) -> Base: ...


@dataclass(frozen=True)
class Drive:
    """Everything that happens in a drive, as functions of the time in seconds since its start.

    ``hazards`` are those of a course, None elsewhere; ``mounting`` is where its camera is, x y z roll pitch yaw as of
    ``core.transforms.camera_in_base``, drawn for the scene where it is None. ``shadows``: how many lamps cast one, all
    or ``COURSE_SHADOWS`` by default.
    """

    scene: Scene
    duration_s: float
    schedule: str
    track: Way
    people: tuple[Person, ...]
    hazards: tuple[Hazard, ...] | None = None
    mounting: tuple[float, ...] | None = None
    shadows: int | None = None

    def base(self, time_s: float) -> Base:
        return self.track.at(self.track.travelled(time_s))

    def odom_from_base(self, time_s: float) -> npt.NDArray[np.float64]:
        """Pose of the robot, 4x4."""
        return base_matrix(self.base(time_s))

    def stands(self, time_s: float) -> list[Stand | None]:
        return [person.stand(time_s) if person else None for person in self.people]

    def light(self, time_s: float) -> Illumination:
        return light_at(self.schedule, time_s / self.duration_s)


def require_drivable(light: str, duration_s: float, longest_s: float, place: str) -> None:
    """Raise ``ValueError`` for a light that is not of ``SCHEDULES``, and for a drive that ``place`` has no room for or
    that is too short for one image.
    """
    if light not in SCHEDULES:
        raise ValueError(f"light {light!r}, expected one of {', '.join(SCHEDULES)}")
    if not 1 / CAMERA_HZ <= duration_s <= longest_s:
        raise ValueError(
            f"duration {duration_s} s, expected at least {1 / CAMERA_HZ:g} s, which is one image, and at most "
            f"{longest_s:g} s of a {place}"
        )


def plan_drive(seed: int, *, duration_s: float, light: str = "day", person_at_s: float | None = None) -> Drive:
    """A drive in the first warehouse of ``seed`` that has room for it.

    ``light`` is one of ``SCHEDULES``. At ``person_at_s`` a person steps into the way and the robot brakes. Raises
    ``ValueError`` for an unknown light, an impossible duration, a person outside the drive, or if no warehouse has
    room.
    """
    require_drivable(light, duration_s, (LONGEST_M - 1 - VIEW_AHEAD_M) / SPEED_M_S, "warehouse")
    if person_at_s is not None and not 0 <= person_at_s < duration_s:
        raise ValueError(f"person at {person_at_s} s, expected 0 or more and less than the duration of {duration_s} s")
    length = SPEED_M_S * duration_s + VIEW_AHEAD_M
    for number in range(SCENES_TRIED):
        scene = generate_scene(seed, number)
        rng = np.random.default_rng([seed, number, _PLAN_STREAM])
        track = _find_track(scene, rng, length)
        if track is None:
            continue
        crossing = None
        if person_at_s is not None:
            crossing = _find_crossing(scene, rng, track, person_at_s)
            if crossing is None:
                continue
            track = Track(track.x, track.y, track.direction, track.sway, person_at_s + REACTION_S)
        people = _find_walkers(scene, rng, track, crossing, duration_s)
        return Drive(scene, duration_s, light, track, people)
    raise ValueError(
        f"seed {seed}: none of {SCENES_TRIED} warehouses has {length:.1f} m of free way"
        + ("" if person_at_s is None else " with room for a person to step into it")
        + ": take another seed or a shorter drive"
    )


def _find_track(scene: Scene, rng: np.random.Generator, length: float) -> Track | None:
    for _ in range(60):
        direction = int(rng.choice([-1, 1]))
        room = scene.length - 1 - length
        if room <= 0:
            return None
        start = 0.5 + float(rng.uniform(0, room))
        x = start if direction > 0 else scene.length - start
        y = float(rng.uniform(-0.5, 0.5)) * max(0.0, scene.width - 1.2)
        track = Track(x, y, direction, float(rng.uniform(0.05, 0.2)))
        way = (track.at(float(s)) for s in np.arange(0, length, 0.15))
        if all(scene.clearance(base.x, base.y) >= CAMERA_CLEARANCE_M for base in way):
            return track
    return None


def _find_crossing(scene: Scene, rng: np.random.Generator, track: Track, time_s: float) -> Crossing | None:
    """A free line from beside the way into it, 2.7 to 3.5 m before where the robot will be."""
    if not scene.figures:
        return None
    reach = walking_reach(scene.figures[0])
    for _ in range(40):
        base = track.at(track.travelled(time_s) + float(rng.uniform(2.7, 3.5)))
        offset = float(rng.choice([-1, 1])) * float(rng.uniform(0.9, 1.8))
        line = np.arange(0, 1.01, 0.1) * offset + base.y
        if all(scene.clearance(base.x, float(y)) >= reach for y in line):
            return Crossing(base.x, base.y + offset, base.y, time_s)
    return None


def _find_walkers(
    scene: Scene, rng: np.random.Generator, track: Track, crossing: Crossing | None, duration_s: float
) -> tuple[Round | Crossing | None, ...]:
    """For each figure a round clear of things, of the robot and of each other; None where there is no room for it."""
    times = np.arange(0, duration_s, 0.2)
    robot = np.array([[b.x, b.y] for b in (track.at(track.travelled(float(t))) for t in times)])
    people: list[Round | Crossing | None] = [crossing] if crossing else []
    taken = [(robot, 0.7)] + [(_walk(person, times), walking_reach(scene.figures[0])) for person in people if person]
    for figure in scene.figures[len(people) :]:
        person = _find_round(scene, rng, track, walking_reach(figure), times, taken)
        people.append(person)
        if person:
            taken.append((_walk(person, times), walking_reach(figure)))
    return tuple(people)


def _find_round(
    scene: Scene,
    rng: np.random.Generator,
    track: Track,
    reach: float,
    times: npt.NDArray[np.float64],
    taken: list[tuple[npt.NDArray[np.float64], float]],
) -> Round | None:
    for _ in range(60):
        ahead = float(rng.uniform(2, 12))
        person = Round(
            x=track.x + track.direction * ahead,
            y=float(rng.uniform(-0.5, 0.5)) * scene.width,
            straight=float(rng.uniform(0.8, 4)),
            radius=float(rng.uniform(0.2, 0.35)),
            speed=float(rng.uniform(0.6, 1.2)),
            start=float(rng.uniform(0, 8)),
        )
        walk = _walk(person, times)
        apart = all(np.hypot(*(walk - other).T).min() >= reach + radius for other, radius in taken)
        if apart and all(scene.clearance(float(x), float(y)) >= reach for x, y in walk):
            return person
    return None


def _walk(person: Round | Crossing, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.array([[s.x, s.y] for s in (person.stand(float(t)) for t in times)])


def walking_reach(figure: Figure) -> float:
    return max(walking(phase, STRIDE).reach(figure.scale) for phase in np.arange(0, 2 * math.pi, 0.3))


@dataclass(frozen=True)
class MountingError:
    """How a camera really stands beside what is known of it: lifted (metres), pitched down, rolled (degrees)."""

    height_m: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0

    def __post_init__(self) -> None:
        if not (abs(self.height_m) <= 0.3 and abs(self.pitch_deg) <= 15 and abs(self.roll_deg) <= 15):
            raise ValueError(f"{self}, expected at most 0.3 m and 15 degrees")

    def applied(self, base_from_camera: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The mounting, 4x4, as it really is."""
        if self == MountingError():
            return base_from_camera
        turn = from_xyz_rpy(0, 0, 0, math.radians(self.roll_deg), math.radians(self.pitch_deg), 0)
        really = base_from_camera @ BODY_FROM_OPTICAL.T @ turn @ BODY_FROM_OPTICAL
        really[2, 3] += self.height_m
        return really


class DriveCamera:
    """The cameras on a drive, at any time of it; a context manager. Each instant has its own random numbers.

    ``rig`` says how they differ from those drawn for the scene. ``base_from_camera`` is the mounting as it is known;
    the images are taken with ``mounting_error`` beside it.
    """

    def __init__(
        self,
        drive: Drive,
        size: tuple[int, int],
        *,
        supersample: int = 1,
        mounting_error: MountingError = MountingError(),
        rig: Rig | None = None,
    ) -> None:
        self.drive = drive
        shadows = drive.shadows
        if shadows is None:
            shadows = len(drive.scene.lamps) if drive.hazards is None else COURSE_SHADOWS
        self._camera = SceneCamera(drive.scene, size, shadows=shadows, supersample=supersample)
        self.intrinsics = self._camera.intrinsics
        if drive.mounting is not None:
            self._camera.base_from_camera = camera_in_base(drive.mounting)
        rig = rig or Rig()
        self.base_from_camera = rig.mounted(self._camera.base_from_camera)
        self._camera.depth = rig.sensor(drive.scene.seed, self._camera.depth, self.intrinsics.fx)
        self._camera.base_from_camera = mounting_error.applied(self.base_from_camera)
        self.label_set = self._camera.label_set
        self.scene_model = self._camera.scene_model

    def __enter__(self) -> DriveCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self._camera.close()

    def frame(self, time_s: float) -> SimulatedFrame:
        """All images of one instant; the stamp counts from the start of the drive."""
        rng, light = self._look(time_s), self.drive.light(time_s)
        return self._camera.capture(light, light_name(light), round(time_s * 1e9), rng)

    def depth(self, time_s: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Measured depth, labels and true depth, (H, W) each, alone."""
        rng = self._look(time_s)
        labels, _, depth = self._camera.truth()
        return self._camera.measured(rng), labels, depth

    def temperature(self, time_s: float) -> npt.NDArray[np.float32]:
        """float32 (H, W) degrees Celsius: the thermal image alone."""
        return self._camera.temperature(self._look(time_s))

    def _look(self, time_s: float) -> np.random.Generator:
        self._camera.look(self.drive.base(time_s), self.drive.stands(time_s))
        return np.random.default_rng([*self.drive.scene.seed, _FRAME_STREAM, round(time_s * 1e6)])


def render_drive(drive: Drive, *, rate_hz: float, size: tuple[int, int] = (320, 240)) -> Iterator[SimulatedFrame]:
    """The frames of a drive at a fixed rate."""
    with DriveCamera(drive, size) as camera:
        for number in range(round(drive.duration_s * rate_hz)):
            yield camera.frame(number / rate_hz)
