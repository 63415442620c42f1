"""The scan of a map: exact ranges, NaN where an unknown cell comes first, inf only where all is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap import CostmapConfig, Occupancy, SemanticCostmap
from gemini_ros.core.costmap.scan import Scanner, nearest_ground_m
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.transforms import camera_in_base
from test.core.costmap.scene import CAMERA, LABELS, MOUNTING, Box, S, Scene, Slope, at, cell

pytestmark = pytest.mark.once
FINE = Intrinsics(320, 240, 262.0, 262.0, 159.5, 119.5)
SMALL = CostmapConfig(size_m=4.0, resolution_m=0.1, max_range_m=1.5)


def grid(value: int = 0) -> Occupancy:
    """40 x 40 cells of 0.1 m around the origin."""
    return Occupancy(np.full((40, 40), value, np.int8), 0.1, (-2.0, -2.0), 0)


def put(occupancy: Occupancy, x: float, y: float, value: int) -> Occupancy:
    occupancy.data[math.floor((y + 2) / 0.1 + 1e-6), math.floor((x + 2) / 0.1 + 1e-6)] = value
    return occupancy


def beam(scan, degrees: float) -> float:
    index = round((math.radians(degrees) - scan.angle_min) / scan.angle_increment) % len(scan.ranges)
    return float(scan.ranges[index])


def cast(occupancy: Occupancy, robot=(0.05, 0.05, 0.0), config=SMALL):
    return Scanner(config).scan(occupancy, robot, CAMERA, MOUNTING)


def test_the_range_is_to_the_middle_of_the_first_lethal_cell():
    scan = cast(put(put(grid(), 1.0, 0.0, 100), 1.3, 0.0, 100))
    assert beam(scan, 0) == pytest.approx(1.0, abs=1e-4)
    assert beam(scan, 90) == math.inf
    assert scan.range_max == 1.5


def test_ranges_are_in_the_base_whatever_its_yaw():
    occupancy = put(grid(), 0.0, 1.0, 100)
    assert beam(cast(occupancy, (0.05, 0.05, math.pi / 2)), 0) == pytest.approx(1.0, abs=1e-2)
    assert beam(cast(occupancy, (0.05, 0.05, math.pi / 2)), 90) == math.inf


def test_no_lethal_cell_lies_between_two_beams():
    for step in range(24):
        angle, occupancy = math.radians(15 * step + 2), grid()
        put(occupancy, 0.05 + 1.45 * math.cos(angle), 0.05 + 1.45 * math.sin(angle), 100)
        hit = np.isfinite(cast(occupancy).ranges)
        assert hit.any() or 1.45 * max(abs(math.cos(angle)), abs(math.sin(angle))) > 1.4, angle


def test_unknown_comes_first_or_behind():
    assert math.isnan(beam(cast(put(put(grid(), 1.1, 0.0, -1), 1.3, 0.0, 100)), 0))
    assert beam(cast(put(put(grid(), 1.1, 0.0, 100), 1.3, 0.0, -1)), 0) == pytest.approx(1.1, abs=1e-4)
    assert math.isnan(beam(cast(put(grid(), 1.4, 0.0, -1)), 0))
    assert beam(cast(put(grid(), 1.8, 0.0, -1)), 0) == math.inf  # beyond range_max
    assert np.isnan(cast(grid(-1)).ranges).all()


def test_cost_is_no_obstacle():
    assert beam(cast(grid(98)), 0) == math.inf


def test_unknown_nearer_than_the_nearest_visible_ground_is_passed_over():
    """The camera, 0.5 m high and pitched by 0.2, sees no ground nearer than 0.68 m."""
    nearest = nearest_ground_m(CAMERA, MOUNTING, np.zeros(1))[0]
    down = 0.2 + math.atan(59.5 / 131)
    assert nearest == pytest.approx(0.5 / math.tan(down), rel=0.01)
    assert beam(cast(put(grid(), nearest - 0.15, 0.0, -1)), 0) == math.inf
    assert math.isnan(beam(cast(put(grid(), nearest + 0.25, 0.0, -1)), 0))
    assert beam(cast(put(grid(), nearest - 0.15, 0.0, 100)), 0) == pytest.approx(nearest - 0.15, abs=0.06)


def test_the_nearest_ground_is_that_of_each_direction():
    angles = np.radians([0.0, 20.0, -20.0, 180.0])
    ahead, left, right, behind = nearest_ground_m(CAMERA, MOUNTING, angles)
    assert left == pytest.approx(ahead / math.cos(angles[1]), rel=0.02)
    assert right == pytest.approx(left, rel=0.02)
    assert behind == pytest.approx(ahead, rel=0.02)
    level = nearest_ground_m(CAMERA, camera_in_base([0.0, 0.0, 0.5, 0.0, -1.0, 0.0]), angles)
    assert not level.any()  # it sees no ground: nothing is passed over
    straight_down = camera_in_base([0.0, 0.0, 0.5, 0.0, math.pi / 2, 0.0])
    assert not nearest_ground_m(CAMERA, straight_down, angles).any()
    upside_down = nearest_ground_m(CAMERA, camera_in_base([0.0, 0.0, 0.5, math.pi, 0.2, 0.0]), angles[:1])
    assert upside_down[0] == pytest.approx(ahead, rel=0.02)


@pytest.mark.parametrize(("ahead_m", "pitch"), [(0.0, 0.3), (0.2, 0.3), (0.4, 0.3), (0.4, 0.2), (0.6, 0.3)])
def test_a_beam_is_clear_only_where_all_is_known_from_half_a_metre_behind_the_nearest_ground_on(ahead_m, pitch):
    """Beside a camera ahead of the base a beam enters its view far away, or not within range."""
    mounting = camera_in_base([ahead_m, 0.0, 0.5, 0.0, pitch, 0.0])
    costmap, scanner = SemanticCostmap(CostmapConfig(), LABELS), Scanner(CostmapConfig())
    costmap.update(*Scene().see(mounting, FINE), FINE, mounting, S)
    occupancy = costmap.render(S, (0.0, 0.0))
    scan = scanner.scan(occupancy, (0.0, 0.0, 0.0), FINE, mounting)
    angles = scan.angle_min + scan.angle_increment * np.arange(len(scan.ranges))
    clear = angles[np.isinf(scan.ranges)]
    assert len(clear) > 40
    from_m = nearest_ground_m(FINE, mounting, angles).min() + 0.5 + 0.1
    for angle in clear:
        way = np.arange(from_m, scan.range_max, 0.02)
        assert min(cell(occupancy, x, y) for x, y in zip(way * np.cos(angle), way * np.sin(angle), strict=True)) >= 0


def test_low_things_and_drops_are_in_the_scan():
    config = CostmapConfig()
    for scene, range_m in (
        (Scene(boxes=(Box((2.0, -0.5, 0.0), (2.3, 0.5, 0.12)),)), 2.0),
        (Scene((Slope(end=1.5), Slope(1.5, z=-0.4))), 1.5),
    ):
        costmap = SemanticCostmap(config, LABELS)
        for number in range(4):
            x = 0.03 * number
            said, depth = scene.see(at(x))
            dark = np.full_like(said.labels, 255)
            said = Segmentation(
                np.where(said.labels == 0, np.where(depth < 1.5, 0, dark), said.labels), said.confidence
            )
            costmap.update(said, depth, CAMERA, at(x), number * S // 10)
        occupancy = costmap.render(3 * S // 10, (x, 0.0))
        occupancy.data[occupancy.data < 0] = 0
        scan = Scanner(config).scan(occupancy, (x, 0.0, 0.0), CAMERA, MOUNTING)
        assert beam(scan, 0) == pytest.approx(range_m - x, abs=0.12)


def test_numba_and_numpy_are_equal():
    pytest.importorskip("numba")
    random = np.random.default_rng(0)
    fast, slow = Scanner(SMALL), Scanner(SMALL)
    fast.warm_up()
    for yaw in (0.0, 0.3, math.pi / 2, -2.0):
        data = random.choice(np.array([0, 0, 0, 0, 0, 0, 0, 50, -1, 100], np.int8), (40, 40))
        occupancy = replace(grid(), data=data)
        a, b = (made.scan(occupancy, (0.1, 0.033, yaw), CAMERA, MOUNTING).ranges for made in (fast, slow))
        assert np.isnan(b).any()
        assert np.isfinite(b).any()
        np.testing.assert_array_equal(a, b)
