"""Without depth: labels on the plane that the robot drives on, where that is allowed.

It assumes that all that is seen lies on a flat floor, which nothing measures. Classes that are passable are projected,
and the foot of what is not. The cost grows with what a pixel covers of the ground along the view, since a label that is
off by a pixel is off by that much. It never clears what depth saw.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.grid import LETHAL, CostmapConfig
from gemini_ros.core.costmap.meaning import SURE
from gemini_ros.core.costmap.points import MIN_RANGE_M, PixelReader, View
from gemini_ros.core.frames import UNLABELLED, Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix

NOTHING = -1
_MOST_COST = 98
_WORST_CELLS = 8.0
"""A pixel that covers more of the ground than this many cells says nothing; the cost grows up to there."""


def flat_ground_depth(
    is_obstacle: npt.NDArray[np.bool_], intrinsics: Intrinsics, grid_from_camera: Matrix
) -> npt.NDArray[np.float32]:
    """Depth float32 (H, W) in metres that a robot with one colour camera has to assume: all lies on a flat floor.

    From below, each image column is followed to its first pixel of ``is_obstacle`` (H, W), which is taken for the foot
    of the obstacle; what is above it in the image is hidden behind it: NaN, as is all at and above the horizon, and
    all that a camera sees which is not above the floor.
    """
    down, height_m = -np.tensordot(grid_from_camera[2, :3], pixel_rays(intrinsics), axes=1), grid_from_camera[2, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where((down > 0) & (height_m > 0), height_m / down, np.nan)
    obstacle = is_obstacle & (down > 0)
    feet_below = np.cumsum(obstacle[::-1], axis=0)[::-1] - obstacle
    return np.where(feet_below > 0, np.nan, depth).astype(np.float32)


def project_labels(
    segmentation: Segmentation, view: View, reader: PixelReader, label_set: LabelSet, config: CostmapConfig
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    """What labels alone say of each cell of the window, int8 (cells, cells): -1 nothing, else as in a map; and where
    something stands that moves, bool (cells, cells)."""
    labels = segmentation.labels
    lethal, known = label_set.nav_table("lethal"), label_set.nav_table("unknown")
    depth = flat_ground_depth(lethal[labels] | (labels == UNLABELLED), view.intrinsics, view.pose)
    covers = np.abs(np.diff(depth, axis=0, append=np.float32(np.nan))) * np.float32(1 / config.resolution_m)
    with np.errstate(invalid="ignore"):
        counts = (depth >= MIN_RANGE_M) & (depth <= config.range_m) & (covers <= _WORST_CELLS) & ~known[labels]
        counts &= lethal[labels] | (reader.certainty(segmentation.confidence) >= SURE)
    v, u = np.nonzero(counts)
    x, y, _ = view.points(v, u, depth[v, u])
    cost_of = np.zeros(256, np.float32)
    cost_of[: len(label_set)] = [c.cost for c in label_set.classes]
    footprint = _MOST_COST * covers[v, u] / np.float32(_WORST_CELLS)
    cost = np.minimum(np.maximum(cost_of[labels[v, u]], footprint), _MOST_COST)
    stands = lethal[labels[v, u]]
    value = np.where(stands, LETHAL, cost).astype(np.int8)
    side = config.cells + 2
    cells, moving = np.full((side, side), NOTHING, np.int8), np.zeros((side, side), bool)
    flat = np.clip(y, 0, side - 1).astype(np.intp) * side + np.clip(x, 0, side - 1).astype(np.intp)
    np.maximum.at(cells.reshape(-1), flat, value)
    moves = np.isin(labels[v, u], [c.id for c in label_set.classes if c.dynamic])
    moving.reshape(-1)[flat[stands & moves]] = True
    return cells[1:-1, 1:-1], moving[1:-1, 1:-1]
