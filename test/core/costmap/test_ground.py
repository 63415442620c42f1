"""Free comes from ground: measured, or between two rows that belong together."""

from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap import SemanticCostmap
from gemini_ros.core.costmap.grid import CostmapConfig
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.transforms import camera_in_base
from test.core.costmap.scene import FLOOR, GRASS, LABELS, WALL, cell

# Two columns; neighbouring rows see the ground 10 cm below at 13, 20 and 40 cm: 2.5 cm a cell, so 3 and 8 cells apart.
CAMERA = Intrinsics(2, 3, 4.0, 4.0, 0.0, -1.0)
CELL = 0.025
LEVEL = camera_in_base([CELL / 2, CELL / 2, 0.1, 0.0, 0.0, 0.0])
CONFIG = CostmapConfig(
    size_m=2.0, resolution_m=CELL, min_height_m=0.05, tilt_error_deg=0, depth_noise_per_m=0, max_slope_deg=0,
    floor_fit=False,
)  # fmt: skip
DEPTHS = [0.4, 0.2, 0.4 / 3]


def seen(depths=DEPTHS, labels=(FLOOR,) * 3, confidence=(255,) * 3, pose=LEVEL):
    """The map of one image column, from the top row to the bottom one; the other column measures nothing."""
    depth = np.full((3, 2), np.nan, np.float32)
    depth[:, 0] = depths
    said = Segmentation(
        np.repeat(np.array(labels, np.uint8)[:, None], 2, 1), np.repeat(np.array(confidence, np.uint8)[:, None], 2, 1)
    )
    maps = []
    for warm in (False, True):
        costmap = SemanticCostmap(CONFIG, LABELS)
        if warm:
            costmap.warm_up()
        costmap.update(said, depth, CAMERA, pose, 0)
        maps.append(costmap.render(0, (0, 0)))
    np.testing.assert_array_equal(maps[0].data, maps[1].data)
    return [cell(maps[0], CELL * (number + 0.5), CELL / 2) for number in range(40)]


def test_between_two_rows_on_one_plane_there_is_ground():
    assert seen() == [-1] * 5 + [0] * 12 + [-1] * 23


@pytest.mark.parametrize(("height_m", "between"), [(0.17, 0), (0.18, -1)])
def test_a_gap_that_a_wheel_falls_into_is_never_ground(height_m, between):
    """The rows see the ground 34 and 36 cm apart."""
    pose = camera_in_base([CELL / 2, CELL / 2, height_m, 0.0, 0.0, 0.0])
    found = seen([4 * height_m, 2 * height_m, np.nan], pose=pose)
    assert found[int((2 * height_m + CELL) / CELL) + 1 : int(4 * height_m / CELL) - 1] == [between] * 11


@pytest.mark.parametrize(
    ("depths", "far", "near"),
    [
        ([0.4, np.nan, 0.4 / 3], [-1] * 7 + [0], [-1] * 2),
        ([np.nan, 0.2, 0.4 / 3], [-1] * 8, [0, 0]),
        ([0.4, 0.2, np.nan], [0] * 8, [-1] * 2),
    ],
    ids=["hole between", "top missing", "bottom missing"],
)
def test_no_ground_is_made_up_over_a_hole_in_the_depth(depths, far, near):
    found = seen(depths)
    assert found[9:17] == far
    assert found[6:8] == near


def test_two_rows_at_different_heights_do_not_belong_together():
    assert seen([0.26, 0.2, 0.4 / 3])[9] == -1  # 3.5 cm higher, and still ground
    assert seen([0.29, 0.2, 0.4 / 3])[9:11] == [0, 0]  # 2.75 cm


@pytest.mark.parametrize(
    ("after", "far", "between"), [(1.40, 1.32, -1), (1.47, 1.32, 0), (np.nan, 1.32, -1), (np.nan, 1.2, 0)]
)
def test_ground_that_begins_to_fall_goes_on_falling(after, far, between):
    """Three times as far apart as on the plane, on a slope of 3.5 degrees: the wall of a hole, unless it goes on."""
    config = CostmapConfig(tilt_error_deg=0, depth_noise_per_m=0, floor_fit=False)
    camera, pose = Intrinsics(2, 4, 200.0, 200.0, 0.0, -16.0), camera_in_base([0.025, 0.025, 0.1, 0.0, 0.0, 0.0])
    said = Segmentation(np.full((4, 2), FLOOR, np.uint8), np.full((4, 2), 255, np.uint8))
    depth = np.repeat(np.array([after, far, 0.1 / 0.09, np.nan], np.float32)[:, None], 2, 1)
    for warm in (False, True):
        costmap = SemanticCostmap(config, LABELS)
        if warm:
            costmap.warm_up()
        costmap.update(said, depth, camera, pose, 0)
        assert cell(costmap.render(0, (0, 0)), far - 0.025, 0.025) == between


@pytest.mark.parametrize(("far", "between"), [(FLOOR, 0), (GRASS, 40), (WALL, -1), (255, -1)])
def test_the_worse_of_the_two_says_what_lies_between(far, between):
    found = seen(labels=(far, FLOOR, FLOOR))
    assert found[9:16] == [between] * 7
    assert found[5:9] == [0] * 4


def test_a_label_without_confidence_makes_no_ground_between():
    assert seen(confidence=(100, 255, 255))[9:17] == [-1] * 8


def test_a_view_from_above_needs_no_filling():
    """Looking straight down no row is far from the next."""
    costmap = SemanticCostmap(replace(CONFIG, size_m=10.0, resolution_m=0.25), LABELS)
    down = np.diag([1.0, -1.0, -1.0, 1.0])
    down[:3, 3] = 0.125, 0.125, 2.0
    camera = Intrinsics(5, 3, 8.0, 8.0, 2.0, 1.0)
    costmap.update(
        Segmentation(np.zeros((3, 5), np.uint8), np.full((3, 5), 255, np.uint8)),
        np.full((3, 5), 2.0, np.float32),
        camera,
        down,
        0,
    )
    assert (costmap.render(0, (0, 0)).data == 0).sum() == 15
