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


def followed(ranges, heights):
    """The height and the slope of the ground at the last of the points of one column, by both ways."""
    far, z = (np.array(values, np.float32)[::-1] for values in (ranges, heights))
    rows, columns = np.array([far**0, 0 * far, (z - 0.5) / far, 0 * far], np.float32), np.zeros((4, 1, 1), np.float32)
    images = [np.full((len(far), 1), value, np.uint8) for value in (0, 255)]
    sampled, numbers = (np.arange(len(far)), np.zeros(1, int)), np.array([0.5, 1, 0.006, 7, 0.1228], np.float32)
    made = np.zeros((2, 2, len(far), 1), np.float32)
    for grids, follow in zip(made, (_follow_in_numpy, _follow_in_loops), strict=True):
        follow(*grids, *images, far[:, None], columns, rows, *sampled, np.ones(256, bool), np.uint8(30), numbers)
    np.testing.assert_array_equal(*made)
    return made[0, :, 0, 0]


NEAR = np.arange(0.8, 3.05, 0.1)


@pytest.mark.parametrize("rise", [RISE, -RISE])
def test_a_ramp_is_followed_over_a_gap_of_a_metre_and_what_stands_behind_it_is_not(rise):
    ramp, beyond = rise * np.maximum(NEAR - 1, 0), 3 * rise
    assert followed([*NEAR, 4.0], [*ramp, beyond]) == pytest.approx([beyond, rise], abs=0.003)
    assert followed([*NEAR, 4.0], [*ramp, beyond + 0.12]) == pytest.approx([2 * rise, rise], abs=0.003)
    assert followed([*NEAR, 4.0], [*0 * NEAR, 0.12]) == pytest.approx([0, 0])


@pytest.mark.parametrize("height", [-0.1, 0.1])
def test_what_a_ramp_could_be_behind_a_gap_far_away_is_not_known(height):
    """Over a gap of 0.8 m beyond 4 m; what is higher than a ramp could be stands on the ground before it."""
    ranges, level = [*NEAR, 3.5, 3.9, 4.7], [*0 * NEAR, 0.0, 0.0]
    assert np.isnan(followed(ranges, [*level, height])[0])
    assert followed(ranges, [*level, 2 * height])[0] == pytest.approx(0, abs=1e-6)
    assert followed(ranges, [*level, 0.0])[0] == pytest.approx(0, abs=1e-6)


def test_ground_bends_by_no_more_than_its_slope_against_the_ground_before_it():
    """A way down of ten degrees behind one of five; at once it is none."""
    bend = -RISE * np.maximum(NEAR - 1, 0) - RISE * np.maximum(NEAR - 2, 0)
    assert followed(NEAR, bend)[0] == pytest.approx(bend[-1], abs=0.01)
    assert followed(NEAR, -0.25 * np.maximum(NEAR - 1, 0))[0] > -0.1


def test_both_ways_to_follow_are_equal():
    rng = np.random.default_rng(1)
    passable = np.arange(256) < 2
    for number in range(40):
        rays = rng.normal(0, 0.01, (4, 1, 9)).astype(np.float32), np.zeros((4, 24), np.float32)
        rays[1][0], rays[1][2] = 1.0, -np.geomspace(0.1, 1, 24)
        depth = (0.5 / (0.08 - rays[1][2]))[:, None] * (1 + rng.normal(0, 0.02 * (number % 2), (24, 9)))
        depth[rng.random(depth.shape) < 0.1] = np.nan
        images = (
            rng.integers(0, 2 + number % 2, (24, 9), np.uint8),
            rng.integers(0, 256, (24, 9), np.uint8),
            depth.astype(np.float32),
        )
        sampled, numbers = (np.arange(24), np.arange(9)), np.array([0.5, 1, 0.006, 7, 0.12], np.float32)
        made = np.zeros((2, 2, 24, 9), np.float32)
        for grids, follow in zip(made, (_follow_in_numpy, _follow_in_loops), strict=True):
            follow(*grids, *images, *rays, *sampled, passable, np.uint8(30), numbers)
        np.testing.assert_array_equal(*made)
        assert number % 2 or made[0, 1].any()
