"""Small scenes for the map: depth and labels of slopes, holes and boxes, by rays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelClass, LabelSet
from gemini_ros.core.lens import Lens
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix, camera_in_base, from_xyz_rpy

FLOOR, WALL, PERSON, GRASS, GLASS = range(5)
LABELS = LabelSet(
    "scene",
    "these tests",
    255,
    (
        LabelClass(FLOOR, "floor", (1, 1, 1), "free", 0, False),
        LabelClass(WALL, "wall", (2, 2, 2), "lethal", 0, False),
        LabelClass(PERSON, "person", (3, 3, 3), "lethal", 0, True),
        LabelClass(GRASS, "grass", (4, 4, 4), "caution", 40, False),
        LabelClass(GLASS, "glass", (5, 5, 5), "lethal", 0, False, transparent=True),
    ),
)
CAMERA = Intrinsics(160, 120, 131.0, 131.0, 79.5, 59.5)
MOUNTING = camera_in_base([0.0, 0.0, 0.5, 0.0, 0.2, 0.0])
CONFIG = CostmapConfig()
S = 1_000_000_000
TURN = (0.9998, -0.0199, 0.0, 0.0199, 0.9998, 0.0, 0.0, 0.0, 1.0)
BARREL = Lens("plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.0), TURN)
FISHEYE = Lens("equidistant", (-0.02, 0.01, -0.005, 0.001))


@dataclass(frozen=True)
class Slope:
    """Ground from ``start`` to ``end`` along x that begins at height ``z`` and rises by ``rise`` a metre."""

    start: float = -100.0
    end: float = 100.0
    z: float = 0.0
    rise: float = 0.0


@dataclass(frozen=True)
class Box:
    """From the first to the second corner, (x, y, z) in metres."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    label: int = WALL


@dataclass(frozen=True)
class Scene:
    ground: tuple[Slope, ...] = (Slope(),)
    boxes: tuple[Box, ...] = ()
    labels: dict[int, int] = field(default_factory=dict)

    def see(
        self, pose: Matrix, camera: Intrinsics = CAMERA, noise_per_m: float = 0.0, seed: int = 0
    ) -> tuple[Segmentation, np.ndarray]:
        """Labels with full confidence, and depth float32 (H, W) up to 10 m, seen from ``pose`` (optical frame)."""
        rays, origin = looks(camera) @ pose[:3, :3].T, pose[:3, 3]
        depth, labels = np.full(rays.shape[:2], np.inf), np.full(rays.shape[:2], 255, np.uint8)
        with np.errstate(divide="ignore", invalid="ignore"):
            for slope in self.ground:
                above = origin[2] - slope.z - slope.rise * (origin[0] - max(slope.start, -100.0))
                d = above / (slope.rise * rays[..., 0] - rays[..., 2])
                x = origin[0] + d * rays[..., 0]
                nearer = (d > 0) & (x >= slope.start) & (x < slope.end) & (d < depth)
                depth[nearer], labels[nearer] = d[nearer], FLOOR
            for box in self.boxes:
                a, b = ((np.array(corner) - origin) / rays for corner in (box.low, box.high))
                enter, leave = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
                nearer = (enter < leave) & (enter > 0) & (enter < depth)
                depth[nearer], labels[nearer] = enter[nearer], box.label
        depth[depth > 10] = np.nan
        depth += np.random.default_rng(seed).normal(0, 1, depth.shape) * noise_per_m * depth**2
        return Segmentation(labels, np.full(labels.shape, 255, np.uint8)), depth.astype(np.float32)


def looks(camera: Intrinsics) -> np.ndarray:
    """Directions (H, W, 3) of all pixels."""
    if camera.lens is not None:
        return np.moveaxis(pixel_rays(camera).astype(np.float64), 0, -1)
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], -1)


def pit(near: float, far: float, depth: float) -> tuple[Slope, ...]:
    """Ground with a trench across the whole width; its far wall is seen as the floor behind it, foreshortened."""
    return (Slope(end=near), Slope(near, far, -depth), Slope(far))


def at(x: float = 0.0, y: float = 0.0, yaw: float = 0.0, mounting: Matrix = MOUNTING) -> Matrix:
    """The camera of a robot there."""
    return from_xyz_rpy(x, y, 0, 0, 0, yaw) @ mounting


def cell(occupancy, x: float, y: float) -> int:
    """What the map says of a place."""
    column, row = (
        int(np.floor(value / occupancy.resolution_m)) - round(origin / occupancy.resolution_m)
        for value, origin in zip((x, y), occupancy.origin_xy, strict=True)
    )
    return int(occupancy.data[row, column])


def share(occupancy, value: int, x: tuple[float, float], y: tuple[float, float]) -> float:
    """The share of the cells between two x and two y that the map says ``value`` of."""
    columns, rows = (
        slice(*(round((edge - origin) / occupancy.resolution_m) for edge in edges))
        for edges, origin in zip((x, y), occupancy.origin_xy, strict=True)
    )
    return float((occupancy.data[rows, columns] == value).mean())
