"""Heights over the ground ahead: ramps, drift, and what is no ramp."""

from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap import SemanticCostmap
from gemini_ros.core.costmap.surface import _follow_in_loops, _follow_in_numpy
from gemini_ros.core.frames import Intrinsics, Segmentation
from test.core.costmap.scene import CAMERA, CONFIG, FLOOR, LABELS, Box, Scene, Slope, at, share

FINE = Intrinsics(320, 240, 262.0, 262.0, 159.5, 119.5)
RISE = np.tan(np.radians(5.0))


def free_ahead(scene):
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(*scene.see(at(), FINE, noise_per_m=0.002), FINE, at(), 0)
    return share(costmap.render(0, (0, 0)), 0, (1.0, 4.0), (-0.5, 0.5))


@pytest.mark.parametrize("rise", [RISE, -RISE])
@pytest.mark.parametrize("begin", [1.2, 2.0, 3.0])
def test_a_ramp_ahead_changes_free_recall_by_at_most_two_points(rise, begin):
    flat = free_ahead(Scene())
    assert flat > 0.9
    assert free_ahead(Scene((Slope(end=begin), Slope(begin, rise=rise)))) >= flat - 0.02


@pytest.mark.parametrize(
    "scene",
    [Scene(boxes=(Box((1.5, -2, 0), (6, 2, 0.12), FLOOR),)), Scene((Slope(end=1.5), Slope(1.5, rise=0.25)))],
    ids=["step", "steep ramp"],
)
def test_a_step_and_a_steep_ramp_are_not_free_even_where_they_are_called_floor(scene):
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(*scene.see(at()), CAMERA, at(), 0)
    assert share(costmap.render(0, (0, 0)), 0, (2.0, 3.0), (-0.3, 0.3)) == 0


def test_only_what_is_called_passable_is_followed():
    scene = Scene((Slope(end=1.5), Slope(1.5, rise=RISE)))
    said, depth = scene.see(at())
    unknown = Segmentation(np.full_like(said.labels, 255), said.confidence)
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(unknown, depth, CAMERA, at(), 0)
    assert share(costmap.render(0, (0, 0)), 100, (3.3, 4.0), (-0.3, 0.3)) > 0.1


@pytest.mark.parametrize("height", [0.08, 0.1, 0.12, 0.15])
@pytest.mark.parametrize("near", [0.4, 0.7])
def test_low_things_at_the_edge_of_the_blind_zone_are_not_free_where_they_are_called_floor(near, height):
    scene = Scene(boxes=(Box((near, -2, 0), (1.2, 2, height), FLOOR),))
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(*scene.see(at(), FINE, noise_per_m=0.002), FINE, at(), 0)
    occupancy = costmap.render(0, (0, 0))
    assert share(occupancy, 0, (near, 1.2), (-0.3, 0.3)) == 0


@pytest.mark.parametrize("height", [0.1, 0.15])
@pytest.mark.parametrize("floor", [2.0, 2.3, 2.6])
def test_low_things_behind_a_floor_that_is_not_measured_are_not_free_where_they_are_called_floor(floor, height):
    scene = Scene(boxes=(Box((3.0, -2, 0), (4.0, 2, height), FLOOR),))
    said, depth = scene.see(at(), FINE)
    _, flat = Scene().see(at(), FINE)
    ray_x = (flat * (np.arange(240) - FINE.cy)[:, None] / FINE.fy) * at()[0, 1] + flat * at()[0, 2] + at()[0, 3]
    depth[(flat == depth) & (ray_x > floor) & (ray_x < 3.0)] = np.nan
    costmap = SemanticCostmap(replace(CONFIG, tilt_error_deg=0.5), LABELS)  # as where the floor fits
    costmap.update(Segmentation(said.labels, np.full_like(said.confidence, 215)), depth, FINE, at(), 0)
    assert share(costmap.render(0, (0, 0)), 0, (3.1, 4.0), (-0.3, 0.3)) == 0


def test_both_ways_to_follow_are_equal():
    rng = np.random.default_rng(1)
    for _ in range(20):
        z, ranges, tolerance = (rng.normal(0, 0.1, (7, 5)).astype(np.float32) for _ in range(3))
        ranges = np.cumsum(np.abs(ranges), axis=0)[::-1].astype(np.float32).copy()
        counts = rng.random((7, 5)) < 0.8
        z[~counts] = np.nan
        made = np.zeros((2, 7, 5), np.float32)
        for heights, follow in zip(made, (_follow_in_numpy, _follow_in_loops), strict=True):
            follow(heights, z, ranges, np.abs(tolerance), counts, np.float32(0.12))
        np.testing.assert_array_equal(*made)
