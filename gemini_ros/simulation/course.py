"""A drive through a hazard course: past what stands in the way, before persons who cross it, over ramps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gemini_ros.simulation.cameras.viewpoint import Base
from gemini_ros.simulation.drive import (
    BRAKING_M,
    SPEED_M_S,
    VIEW_AHEAD_M,
    Crossing,
    Drive,
    Standing,
    braked_distance,
    require_drivable,
)
from gemini_ros.simulation.scenes.courses import CourseOptions, generate_course
from gemini_ros.simulation.scenes.hazards import Hazard
from gemini_ros.simulation.scenes.scene import Scene
from gemini_ros.simulation.scenes.slalom import Slalom

LONGEST_S = 60.0
HALF_WHEELBASE_M = 0.25
WALK_M_S = 1.1
CROSSES_BEFORE_M = (2.2, 2.8)  # how far before the robot a person is in the middle of its way
STOP_M = 0.8  # between the robot's origin and a hazard that it stops before
_DRIVE_STREAM = 9


@dataclass(frozen=True)
class CourseTrack:
    """The way through a course at ``SPEED_M_S`` until ``brake_s``; on ramps the robot stands on its wheels."""

    slalom: Slalom
    scene: Scene
    brake_s: float = math.inf

    def travelled(self, time_s: float) -> float:
        return braked_distance(time_s, self.brake_s)

    def at(self, distance: float) -> Base:
        """Pose at a distance along the way."""
        x, y, yaw = self.slalom.at(distance)
        behind, before = self.scene.level([x - HALF_WHEELBASE_M, x + HALF_WHEELBASE_M]).tolist()
        slope = (before - behind) / (2 * HALF_WHEELBASE_M)
        pitch = math.atan(-slope * math.cos(yaw))
        roll = math.atan(-slope * math.sin(yaw) * math.cos(pitch))
        return Base(x, y, yaw, (behind + before) / 2, pitch, roll)


def plan_course(seed: int, *, duration_s: float, light: str = "day", options: CourseOptions | None = None) -> Drive:
    """The drive through the course of a ``seed``; ``light`` is one of ``SCHEDULES``.

    Its cameras are 0.4 to 0.7 m high and look 6 to 14 degrees down. Raises ``ValueError`` for an unknown light or an
    impossible duration.
    """
    require_drivable(light, duration_s, LONGEST_S, "course")
    course = generate_course(seed, SPEED_M_S * duration_s + VIEW_AHEAD_M, options)
    rng = np.random.default_rng([seed, _DRIVE_STREAM])
    mounting = (0.0, 0.0, float(rng.uniform(0.4, 0.7)), 0.0, math.radians(float(rng.uniform(6, 14))), 0.0)
    people = tuple(_person(hazard, course.slalom, rng) for hazard in course.hazards if hazard.group == "person")
    track = CourseTrack(course.slalom, course.scene)
    if options is not None and options.approach and course.hazards:
        first = course.hazards[0]
        stop = course.slalom.distance_at(first.x - first.half_x - STOP_M)
        track = replace(track, brake_s=(stop - BRAKING_M) / SPEED_M_S)
    return Drive(course.scene, duration_s, light, track, people, course.hazards, mounting)


def _person(hazard: Hazard, slalom: Slalom, rng: np.random.Generator) -> Standing | Crossing:
    if hazard.kind == "person_standing":
        return Standing(hazard.x, hazard.y, float(rng.uniform(-math.pi, math.pi)))
    side = float(rng.choice([-1, 1]))
    offset, beyond = float(rng.uniform(1.0, 1.4)), float(rng.uniform(1.1, 1.4))
    arrives_s = slalom.distance_at(hazard.x - float(rng.uniform(*CROSSES_BEFORE_M))) / SPEED_M_S
    start_y, end_y = hazard.y + side * offset, hazard.y - side * beyond
    return Crossing(hazard.x, start_y, end_y, arrives_s - offset / WALK_M_S, WALK_M_S)


def describe_hazards(drive: Drive, start_ns: int) -> list[dict[str, Any]]:
    """For each hazard of a drive: what it is, where, how large, and when the robot is nearest to it.

    Metres in the odometry's frame, heights over the floor there. ``nearest`` is between the robot's origin and the
    hazard's edge; of a person who crosses, the place is where the way is crossed, and ``nearest`` is to the person.
    """
    times = np.arange(0, drive.duration_s + 1e-9, 0.02)
    bases = [drive.base(float(t)) for t in times]
    persons = iter(drive.people)
    described = []
    for number, hazard in enumerate(drive.hazards or ()):
        person = next(persons) if hazard.group == "person" else None
        if isinstance(person, Crossing):
            stands = [person.stand(float(t)) for t in times]
            distances = [
                max(0.0, math.hypot(s.x - b.x, s.y - b.y) - hazard.half_x) for s, b in zip(stands, bases, strict=True)
            ]
        else:
            distances = [hazard.footprint.distance(base.x, base.y) for base in bases]
        nearest = int(np.argmin(distances))
        described.append(
            {
                "id": number,
                "kind": hazard.kind,
                "group": hazard.group,
                "center": [round(hazard.x, 4), round(hazard.y, 4)],
                "size": [round(2 * hazard.half_x, 4), round(2 * hazard.half_y, 4)],
                "bottom_m": round(hazard.bottom, 4),
                "top_m": round(hazard.top, 4),
                "nearest": {
                    "time_s": round(float(times[nearest]), 2),
                    "stamp_ns": start_ns + round(float(times[nearest]) * 1e9),
                    "distance_m": round(distances[nearest], 4),
                },
            }
        )
    return described
