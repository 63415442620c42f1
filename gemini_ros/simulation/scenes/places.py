"""Homes, offices, warehouses and hazard courses under one set of labels (``groups``)."""

from __future__ import annotations

import numpy as np

from gemini_ros.simulation.scenes.courses import FLOORS, CourseOptions, generate_course
from gemini_ros.simulation.scenes.groups import grouped
from gemini_ros.simulation.scenes.homes import generate_home
from gemini_ros.simulation.scenes.offices import generate_office
from gemini_ros.simulation.scenes.scene import Scene
from gemini_ros.simulation.scenes.warehouses import generate_scene

MIXTURES = {"mixed": {"home": 0.4, "office": 0.3, "warehouse": 0.3}, "near": {"home": 0.75, "office": 0.25}}
FLOOR_SHARES = (0.8, 0.1, 0.1)  # of courses with each of ``FLOORS``
COURSE_M = (9.0, 16.0)
FIRST_COURSE = 1_000_000
"""Courses to learn from have seeds from here on: those that a model is judged on have smaller ones."""
_PLACE_STREAM, _COURSE_STREAM = 5, 13


def generate_place(place: str, seed: int, scene: int = 0) -> Scene:
    """Scene number ``scene`` of a ``seed`` at one of ``PLACES``, labelled by navigation group.

    ``mixed`` and ``near`` draw the place by ``MIXTURES``; ``near`` is for views of furniture from close by
    (``cameras.handheld``). ``course`` has all hazards of ``hazards.KINDS``. The same arguments give the same scene.
    Raises ``ValueError`` for an unknown place.
    """
    if place not in PLACES:
        raise ValueError(f"place {place!r}, expected one of {', '.join(PLACES)}")
    if shares := MIXTURES.get(place):
        rng = np.random.default_rng([seed, scene, _PLACE_STREAM])
        place = str(rng.choice(list(shares), p=list(shares.values())))
    return grouped(_GENERATORS[place](seed, scene))


def _course(seed: int, number: int) -> Scene:
    rng = np.random.default_rng([seed, number, _COURSE_STREAM])
    options = CourseOptions(floor=str(rng.choice(FLOORS, p=FLOOR_SHARES)))
    return generate_course(int(rng.integers(FIRST_COURSE, 2**31)), float(rng.uniform(*COURSE_M)), options).scene


_GENERATORS = {"home": generate_home, "office": generate_office, "warehouse": generate_scene, "course": _course}
PLACES = (*_GENERATORS, *MIXTURES)
