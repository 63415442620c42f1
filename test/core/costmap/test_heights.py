"""The error budget of heights, and how far ahead it lets low things be seen."""

from dataclasses import replace
from math import radians, tan

import pytest

from gemini_ros.core.costmap import CostmapConfig, SemanticCostmap
from gemini_ros.core.costmap.heights import least_height, seen_ranges_m, view_begins_m
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.transforms import camera_in_base
from test.core.costmap.scene import CAMERA, CONFIG, LABELS, WALL, Box, Scene, at, cell


def test_the_budget_is_the_sum_of_its_parts():
    config = CostmapConfig(min_height_m=0.03, depth_noise_per_m=0.002)
    assert least_height(0.0, 0.1, 1.5, config) == 0.03
    assert least_height(4.0, -0.125, 0.5, config) == pytest.approx(0.03 + 4 * tan(radians(0.5)) + 3 * 0.032 * 0.125)


def test_low_things_are_seen_up_to_where_the_budget_reaches_them():
    ranges = seen_ranges_m(0.5, 1.5, CONFIG)
    assert list(ranges) == [0.05, 0.1, 0.15]
    for height, range_m in ranges.items():
        assert least_height(range_m, 0.5 / range_m, 1.5, CONFIG) < height
        assert least_height(range_m + 0.05, 0.5 / (range_m + 0.05), 1.5, CONFIG) >= height
    fitted = seen_ranges_m(0.5, 0.5, CONFIG)
    assert all(fitted[height] > ranges[height] for height in ranges)


@pytest.mark.parametrize(
    ("x", "tilt_deg", "expected"), [(1.21, 1.5, 100), (3.51, 1.5, -1), (1.21, 0.0, 100), (3.51, 0.0, 100)]
)
def test_a_low_box_stands_out_nearby_and_far_away_only_with_a_sure_tilt(x, tilt_deg, expected):
    """It has no label, so that the height alone decides."""
    config = replace(CONFIG, tilt_error_deg=tilt_deg, floor_fit=False, min_height_m=0.02)
    box = Scene(boxes=(Box((x, -0.5, 0.0), (x + 0.3, 0.5, 0.1)),))
    said, depth = box.see(at())
    said.labels[said.labels == WALL] = 255
    costmap = SemanticCostmap(config, LABELS)
    costmap.update(said, depth, CAMERA, at(), 0)
    assert cell(costmap.render(0, (0, 0)), x + 0.01, 0.0) == expected


def test_the_range_ends_where_noise_is_two_cells():
    assert CostmapConfig(resolution_m=0.05, depth_noise_per_m=0.01).range_m == pytest.approx(10**0.5)
    assert CostmapConfig(depth_noise_per_m=0.0).range_m == 8.0


@pytest.mark.parametrize(("pitch_deg", "expected"), [(10, 0.5 / tan(radians(38))), (90, 0.0), (-40, None)])
def test_the_view_of_the_ground_begins_at_the_lower_edge_of_the_image(pitch_deg, expected):
    """28 degrees below the axis of a camera 0.5 m high; one that looks straight down sees its own foot."""
    focal = 120 / tan(radians(28))
    pose = camera_in_base((0.0, 0.0, 0.5, 0.0, radians(pitch_deg), 0.0))
    found = view_begins_m(Intrinsics(321, 241, focal, focal, 160.0, 120.0), pose)
    assert found == (None if expected is None else pytest.approx(expected, abs=0.005))
