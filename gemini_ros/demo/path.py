"""What stands in the robot's way, and what one camera alone can say about where it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.ground_plane import points_of_pixels
from gemini_ros.core.labels import LabelSet

_MIN_POINTS = 8
_DEPTH_OF_THING_M = 0.3


@dataclass(frozen=True)
class Obstacle:
    """The nearest thing in the path: its class and its distance ahead of base_link in metres."""

    name: str
    distance_m: float


def nearest_in_path(
    segmentation: Segmentation,
    depth: npt.NDArray[np.float32],
    intrinsics: Intrinsics,
    base_from_camera: npt.NDArray[np.float64],
    label_set: LabelSet,
    *,
    width_m: float,
    range_m: float = 6.0,
    height_m: float = 2.0,
) -> Obstacle | None:
    """The nearest points of a lethal class in the corridor straight ahead, and which class most of them are.

    ``depth`` float32 (H, W) in metres places the labels. ``None`` where fewer than 8 points are in the corridor.
    """
    lethal = label_set.nav_table("lethal")[segmentation.labels] & np.isfinite(depth)
    rows, columns = np.nonzero(lethal)
    points = points_of_pixels(depth[rows, columns], rows, columns, intrinsics) @ base_from_camera[:3, :3].T
    points += base_from_camera[:3, 3]
    x, y, z = points.T
    inside = (np.abs(y) <= width_m / 2) & (x > 0) & (x <= range_m) & (z <= height_m)
    if inside.sum() < _MIN_POINTS:
        return None
    ahead, labels = x[inside], segmentation.labels[rows[inside], columns[inside]]
    # A few points between an edge and what is behind it float in the air: the nearest fiftieth does not count.
    distance = float(np.sort(ahead)[max(_MIN_POINTS - 1, len(ahead) // 50)])
    of_thing = labels[ahead <= distance + _DEPTH_OF_THING_M]
    return Obstacle(label_set.names[int(np.bincount(of_thing).argmax())], distance)
