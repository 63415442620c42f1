"""Scenes under one set of labels: the navigation groups of ``config/labels/nav5.yaml``."""

from __future__ import annotations

from dataclasses import replace

from gemini_ros.simulation.scenes.scene import Figure, Primitive, Scene

LABEL_SET = "nav5"
GROUPS = {"floor": "floor", "person": "person", "vehicle": "vehicle", "drop": "drop"}  # all else is an obstacle


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
