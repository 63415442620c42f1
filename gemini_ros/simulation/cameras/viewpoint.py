"""Where the camera looks from, and which views are not worth a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.labels import LabelSet
from gemini_ros.core.transforms import from_xyz_rpy
from gemini_ros.simulation.scenes.people import Stand, random_posture
from gemini_ros.simulation.scenes.scene import STUFF, Scene

CAMERA_CLEARANCE_M = 0.45
MAX_SHARE = 0.75
MIN_MEDIAN_DEPTH_M = 1.0
RARE = ("pallet", "person", "door", "vehicle", "cone")


@dataclass(frozen=True)
class Base:
    """Pose of the robot on the floor, metres and radians; the last three are 0 on a level floor."""

    x: float
    y: float
    yaw: float
    z: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


def base_matrix(base: Base) -> npt.NDArray[np.float64]:
    """odom_from_base, 4x4."""
    return from_xyz_rpy(base.x, base.y, base.z, base.roll, base.pitch, base.yaw)


def draw_base(scene: Scene, rng: np.random.Generator) -> Base:
    """A place clear of everything, mostly looking along the hall. Raises ``ValueError`` in a hall without room."""
    for _ in range(200):
        x = float(rng.uniform(0.5, scene.length - 0.5))
        y = float(rng.uniform(-0.5, 0.5)) * (scene.width - 1)
        if scene.clearance(x, y) < CAMERA_CLEARANCE_M:
            continue
        if rng.random() < 0.3:
            return Base(x, y, float(rng.uniform(-math.pi, math.pi)))
        along = 0.0 if x < scene.length / 2 else math.pi
        if rng.random() < 0.15:
            along += math.pi
        return Base(x, y, along + float(rng.normal(0, 0.35)))
    raise ValueError(f"scene {scene.seed}: no place {CAMERA_CLEARANCE_M} m clear of everything in 200 draws")


def draw_stands(scene: Scene, base: Base, rng: np.random.Generator) -> list[Stand | None]:
    """A place for each person: most of them before the camera, none in a thing, a wall, the camera or each other."""
    stands: list[Stand | None] = []
    taken = [(base.x, base.y, 0.6)]
    for figure in scene.figures:
        stand = _draw_stand(scene, base, rng, figure.scale, taken)
        stands.append(stand)
        if stand:
            taken.append((stand.x, stand.y, stand.posture.reach(figure.scale)))
    return stands


def _draw_stand(
    scene: Scene, base: Base, rng: np.random.Generator, scale: float, taken: list[tuple[float, float, float]]
) -> Stand | None:
    """A free place, or None where 25 draws find none; ``taken`` holds circles (x, y, radius)."""
    before_camera = rng.random() < 0.75
    posture = random_posture(rng)
    reach = posture.reach(scale)
    for _ in range(25):
        if before_camera:
            distance, bearing = float(rng.uniform(1.3, 7)), base.yaw + float(rng.uniform(-0.55, 0.55))
            x, y = base.x + distance * math.cos(bearing), base.y + distance * math.sin(bearing)
        else:
            x, y = float(rng.uniform(0, scene.length)), float(rng.uniform(-0.5, 0.5)) * scene.width
        apart = all(math.hypot(x - cx, y - cy) >= reach + radius for cx, cy, radius in taken)
        if apart and scene.clearance(x, y) >= reach:
            return Stand(x, y, float(rng.uniform(-math.pi, math.pi)), posture)
    return None


def reason_to_reject(
    labels: npt.NDArray[np.uint8],
    instances: npt.NDArray[np.uint16],
    depth: npt.NDArray[np.float32],
    label_set: LabelSet,
) -> str | None:
    """Why a view shows too little to learn from, or None: one wall, ceiling or object fills it, or it is too near."""
    shares = np.bincount(labels.ravel(), minlength=len(label_set)) / labels.size
    for name in ("wall", "ceiling", "door"):
        if shares[label_set.names.index(name)] > MAX_SHARE:
            return f"{name} fills {shares[label_set.names.index(name)]:.0%}"
    objects = np.bincount(instances.ravel())
    objects[STUFF] = 0
    if objects.max() > MAX_SHARE * labels.size:
        return f"one object fills {objects.max() / labels.size:.0%}"
    median = float(np.median(depth))
    if median < MIN_MEDIAN_DEPTH_M:
        return f"median depth {median:.2f} m"
    return None


def shows_rare(labels: npt.NDArray[np.uint8], label_set: LabelSet, share: float = 0.004) -> bool:
    """Whether a class that is seldom seen covers at least ``share`` of the view."""
    shares = np.bincount(labels.ravel(), minlength=len(label_set)) / labels.size
    return any(shares[label_set.names.index(name)] >= share for name in RARE)
