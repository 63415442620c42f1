"""The projector where the numbers are large."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap import CostmapConfig, SemanticCostmap
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.lens import Lens
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import camera_in_base
from test.core.costmap.scene import BARREL, FISHEYE

CONFIG = CostmapConfig(size_m=3.125, resolution_m=0.0625, max_slope_deg=0.0)
INTRINSICS = Intrinsics(8, 6, 8.0, 8.0, 3.5, 2.5)
DEPTH = np.full((6, 8), 2.0, np.float32)


def map_seen_from(x_m: float, y_m: float, kernel: str) -> np.ndarray:
    """The map of a camera that looks straight down on labels that all differ."""
    costmap = SemanticCostmap(CONFIG, load_label_set("warehouse"))
    if kernel == "numba":
        pytest.importorskip("numba")
        costmap.warm_up()
    labels = np.arange(48, dtype=np.uint8).reshape(6, 8) % 10
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[:3, 3] = x_m, y_m, 2.0
    costmap.update(Segmentation(labels, np.full((6, 8), 255, np.uint8)), DEPTH, INTRINSICS, pose, 0)
    return costmap.render(0, (x_m, y_m)).data


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
@pytest.mark.parametrize("cell", range(8))
def test_far_from_the_origin_every_point_keeps_its_cell(kernel, cell):
    """Odometry in UTM: 5800 km north, where two neighbours in float32 are eight cells apart."""
    x, y = (cell + 0.75) * 0.0625, (7 - cell + 0.75) * 0.0625
    near, far = map_seen_from(x, y, kernel), map_seen_from(500_000 + x, 5_800_000 + y, kernel)
    assert (near >= 0).sum() > 40
    np.testing.assert_array_equal(near, far)


LENSES = {
    "barrel": (60.0, Lens("plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.0))),
    "rational": (60.0, Lens("rational_polynomial", (8.5, -2.6, 0.0003, -0.0002, -0.9, 8.7, -0.5, -2.1))),
    "fisheye": (30.0, FISHEYE),
    "beyond 85 degrees": (24.0, Lens("equidistant", (0.0, 0.0, 0.0, 0.0))),
    "of a pair": (60.0, BARREL),
}


def cells_of(camera: Intrinsics, depth: np.ndarray, pose: np.ndarray, kernel: str) -> np.ndarray:
    costmap = SemanticCostmap(CostmapConfig(size_m=6.0, resolution_m=0.05), load_label_set("warehouse"))
    if kernel == "numba":
        pytest.importorskip("numba")
        costmap.warm_up()
    labels = Segmentation(np.zeros(depth.shape, np.uint8), np.full(depth.shape, 255, np.uint8))
    costmap.update(labels, depth, camera, pose, 0)
    return costmap.render(0, (0.0, 0.0)).data


@pytest.mark.parametrize("name", LENSES)
def test_through_a_lens_the_floor_is_where_its_pixels_look(name: str):
    """Depth of a floor, by the rays that OpenCV's models give: flat and free wherever it is seen, in both kernels.

    Beside the cells that are hit only those between two pixels of an image column are free.
    """
    focal, lens = LENSES[name]
    camera = Intrinsics(96, 64, focal, focal, 47.5, 31.5, lens)
    pose = camera_in_base((0.2, 0.0, 0.6, 0.0, 0.5, 0.0))
    rays = pixel_rays(camera).astype(np.float64)
    down = np.tensordot(pose[:3, :3], rays, axes=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(down[2] < -0.02, -0.6 / down[2], np.nan).astype(np.float32)
        x, y = (pose[i, 3] + down[i] * depth for i in (0, 1))
    found = {kernel: cells_of(camera, depth, pose, kernel) for kernel in ("numpy", "numba")}
    np.testing.assert_array_equal(found["numpy"], found["numba"])
    assert set(np.unique(found["numpy"])) == {-1, 0}
    seen = hit(x, y)
    between = seen.copy()
    for part in np.arange(1, 32) / 32:
        between |= hit(*(a[:-1] + part * (a[1:] - a[:-1]) for a in (x, y)))

    def off(data: np.ndarray) -> int:
        return int((seen & (data != 0)).sum() + ((data == 0) & ~between).sum())

    assert off(found["numpy"]) <= 0.01 * seen.sum() + 2  # of rounding
    assert off(cells_of(replace(camera, lens=None), depth, pose, "numpy")) > 5  # the lens matters here


def hit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which cells of the window of 6 m points (any shape) lie in."""
    cells = np.zeros((120, 120), bool)
    with np.errstate(invalid="ignore"):
        near = (np.abs(x) < 3) & (np.abs(y) < 3)
    cells[np.floor(y[near] / 0.05).astype(int) + 60, np.floor(x[near] / 0.05).astype(int) + 60] = True
    return cells
