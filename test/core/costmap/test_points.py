"""The projector where the numbers are large."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.core.costmap import CostmapConfig, SemanticCostmap
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import load_label_set

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
