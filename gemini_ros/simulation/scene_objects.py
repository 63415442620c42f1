"""The things of a simulated scene by instance: what each is, its colour, how warm it is, what it stands on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gemini_ros.core.documents import read_csv, read_json, read_yaml
from gemini_ros.core.files import atomic_path
from gemini_ros.simulation.scenes.sampler import DARK, PAINTS
from gemini_ros.simulation.scenes.scene import STUFF, Footprint, Primitive, Scene
from gemini_ros.simulation.scenes.warehouses import generate_scene

FILE = "objects.json"
COLORS = dict(zip(("yellow", "red", "blue", "white", "green", "orange"), PAINTS, strict=True))
_FLOOR_M = 0.03
_KINDS = {1.2: "pallet truck", 1.0: "carrier"}  # by the height of their footprints; a forklift's is higher


def scene_objects(scene: Scene) -> dict[int, dict[str, Any]]:
    """Each instance of a warehouse: ``class``, ``degrees`` (kelvin that its warmest part has above the air, below it
    the coldest), and ``color``, ``kind`` and ``on`` (a class) where it has one."""
    parts: dict[int, list[Primitive]] = {}
    for part in scene.primitives:
        if part.instance != STUFF:
            parts.setdefault(part.instance, []).append(part)
    found = {number: _describe(owned, scene) for number, owned in parts.items()}
    for figure in scene.figures:
        warm = [part.temperature for link in figure.links for part in link.parts]
        found[figure.instance] = {"class": "person", "degrees": _degrees(warm, scene.ambient), "on": "floor"}
    return dict(sorted(found.items()))


def complete_objects(folder: str | Path) -> Path:
    """Write or complete ``objects.json`` of a data set: ``{"scenes": {number: {instance: thing}}}``; returns its path.

    The scenes are made again from their seed, without images. Raises ``ValueError`` for a folder that `dataset
    simulate` did not write, or wrote with ``--place``.
    """
    folder = Path(folder)
    expected = "expected a data set of `gemini-ros dataset simulate` without --place"
    try:
        described = read_yaml(folder / "dataset.yaml")
    except FileNotFoundError as error:
        raise ValueError(f"{folder}: no dataset.yaml, {expected}") from error
    plan = described.get("plan") if isinstance(described, dict) else None
    if not isinstance(plan, dict) or type(plan.get("seed")) is not int or "place" in plan:
        raise ValueError(f"{folder}: {expected}")
    scenes = {row.get("scene", "") for row in read_csv(folder / "frames.csv")}
    if odd := sorted(scene for scene in scenes if not re.fullmatch(r"\d{1,6}", scene)):
        raise ValueError(f"{folder}/frames.csv: scene {odd[0]!r:.40}, expected a number")
    file = folder / FILE
    found = read_json(file) if file.exists() else {"scenes": {}}
    known = found.get("scenes") if isinstance(found, dict) else None
    if not isinstance(known, dict):
        raise ValueError(f"{file}: expected scenes by number: delete it, and it is written again")
    missing = sorted(map(int, scenes - set(known)))
    for scene in missing:
        things = scene_objects(generate_scene(plan["seed"], scene))
        known[str(scene)] = {str(number): thing for number, thing in things.items()}
    if missing:
        lines = ",\n".join(f"{json.dumps(n)}: {json.dumps(known[n])}" for n in sorted(known, key=int))
        with atomic_path(file) as part:
            part.write_text(f'{{"scenes": {{\n{lines}\n}}}}\n', encoding="utf-8")
    return file


def _describe(parts: Sequence[Primitive], scene: Scene) -> dict[str, Any]:
    label = parts[0].label
    x, y = (sum(part.position[axis] for part in parts) / len(parts) for axis in (0, 1))
    below = _footprint(scene, x, y, label)
    found: dict[str, Any] = {"class": label, "degrees": _degrees([p.temperature for p in parts], scene.ambient)}
    if color := _color(label, parts):
        found["color"] = color
    if label == "vehicle" and below:
        found["kind"] = _KINDS.get(round(below.height, 6), "forklift")
    if label == "box" and min(part.position[2] - part.size[2] for part in parts) > _FLOOR_M:
        # An upper layer of a pallet's load is on the pallet for some and on a box for others.
        known = below is not None and not (below.label == "pallet" and _is_upper(parts, scene))
        return found | ({"on": below.label} if below and known else {})
    return found if label in ("door", "wall") else found | {"on": "floor"}  # a door is in a wall


def _footprint(scene: Scene, x: float, y: float, label: str) -> Footprint | None:
    """What holds the point; of several the one whose middle is nearest. That of a vehicle is a vehicle's."""
    holding = [f for f in scene.footprints if f.distance(x, y) == 0 and (label == "box" or f.label == label)]
    return min(holding, key=lambda f: math.hypot(f.x - x, f.y - y), default=None)


def _is_upper(parts: Sequence[Primitive], scene: Scene) -> bool:
    """Whether another box is under these parts of a box."""
    for mine in parts:
        for other in scene.primitives:
            if other.label != "box" or other.instance == mine.instance or other.position[2] >= mine.position[2]:
                continue
            away = math.dist(mine.position[:2], other.position[:2])
            if away < min(*mine.size[:2]) + min(*other.size[:2]):
                return True
    return False


def _degrees(temperatures: Sequence[float], ambient: float) -> float:
    """The difference to the air that is largest, whichever its sign."""
    return round(max((t - ambient for t in temperatures), key=abs), 2)


def _color(label: str, parts: Sequence[Primitive]) -> str | None:
    """The paint of a vehicle, rack or cone. Its first painted part has it; grey things have none."""
    if label not in ("vehicle", "rack", "cone"):
        return None
    tints = [p.surface.tint for p in parts if p.surface.tint not in (DARK, (1.1, 1.1, 1.1), (1.0, 1.0, 1.0))]
    if not tints:
        return None
    return min(COLORS, key=lambda name: math.dist(COLORS[name], tints[0]))
