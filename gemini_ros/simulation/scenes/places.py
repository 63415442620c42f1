"""Homes, offices and warehouses under one set of labels: the navigation groups of ``config/labels/nav5.yaml``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gemini_ros.simulation.scenes.homes import generate_home
from gemini_ros.simulation.scenes.offices import generate_office
from gemini_ros.simulation.scenes.scene import Figure, Primitive, Scene
from gemini_ros.simulation.scenes.warehouses import generate_scene

PLACES = ("warehouse", "home", "office", "mixed")
MIXED = {"home": 0.4, "office": 0.3, "warehouse": 0.3}
LABEL_SET = "nav5"
GROUPS = {"floor": "floor", "person": "person", "vehicle": "vehicle", "drop": "drop"}  # all else is an obstacle
_GENERATORS = {"home": generate_home, "office": generate_office, "warehouse": generate_scene}
_PLACE_STREAM = 5


def generate_place(place: str, seed: int, scene: int = 0) -> Scene:
    """Scene number ``scene`` of a ``seed`` at one of ``PLACES``, labelled by navigation group.

    ``mixed`` draws the place by ``MIXED``. The same arguments give the same scene. Raises ``ValueError`` for an unknown
    place.
    """
    if place not in PLACES:
        raise ValueError(f"place {place!r}, expected one of {', '.join(PLACES)}")
    if place == "mixed":
        rng = np.random.default_rng([seed, scene, _PLACE_STREAM])
        place = str(rng.choice(list(MIXED), p=list(MIXED.values())))
    return grouped(_GENERATORS[place](seed, scene))


def grouped(scene: Scene) -> Scene:
    """The same scene with the group of each label, of the set ``LABEL_SET``."""
    return replace(
        scene,
        primitives=tuple(_group(p) for p in scene.primitives),
        figures=tuple(_grouped_figure(figure) for figure in scene.figures),
        label_set=LABEL_SET,
    )


def _group(primitive: Primitive) -> Primitive:
    return replace(primitive, label=GROUPS.get(primitive.label, "obstacle"))


def _grouped_figure(figure: Figure) -> Figure:
    return replace(figure, links=tuple(replace(k, parts=tuple(map(_group, k.parts))) for k in figure.links))
