"""Clouds: what stands and what is ground by the rules of the map, one point a voxel, equal in numba and numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.clouds import POINT, CloudMaker, Clouds, organised
from gemini_ros.core.costmap import SemanticCostmap
from gemini_ros.core.frames import Intrinsics, Segmentation
from test.core.costmap.scene import (
    BARREL,
    CAMERA,
    CONFIG,
    FLOOR,
    GRASS,
    LABELS,
    WALL,
    Box,
    Scene,
    Slope,
    at,
    looks,
)

pytestmark = pytest.mark.once
BOX = Box((2.0, -0.3, 0.0), (2.4, 0.3, 0.2))
HANGING = Box((1.5, -2.0, 2.1), (4.0, 2.0, 2.2))


def made(segmentation, depth, camera=CAMERA, voxel_m=0.05, numba=False) -> Clouds:
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(segmentation, depth, camera, at(), 0)
    maker = CloudMaker(voxel_m, CONFIG.range_m)
    if numba:
        maker.warm_up()
    return maker.make(segmentation, depth, costmap.levels, camera, costmap.reader)


def over_ground(points: np.ndarray) -> np.ndarray:
    """(3, n) in the base."""
    optical = np.stack([points[name] for name in "xyz"])
    return at()[:3, :3] @ optical + at()[:3, 3:]


def test_what_stands_is_an_obstacle_and_the_floor_is_ground():
    clouds = made(*Scene(boxes=(BOX, HANGING)).see(at()))
    x, y, z = over_ground(clouds.obstacles)
    assert x.min() > 1.95
    assert (np.abs(y) < 0.35).all()
    assert (z < 0.25).all()
    assert set(clouds.obstacles["label"]) == {WALL}
    assert set(clouds.obstacles["confidence"]) == {255}
    assert np.abs(over_ground(clouds.ground)[2]).max() < 0.02
    assert set(clouds.ground["label"]) == {FLOOR}


def test_labels_refine_downwards_only():
    said, depth = Scene(boxes=(BOX,)).see(at())
    # A box that is called floor stands all the same; a floor that is called a wall is an obstacle.
    floor = replace(said, labels=np.full_like(said.labels, FLOOR))
    assert len(made(floor, depth).obstacles) > 50
    wall = made(replace(said, labels=np.full_like(said.labels, WALL)), depth)
    assert len(wall.ground) == 0
    assert over_ground(wall.obstacles)[2].min() < 0.01
    grass = made(replace(said, labels=np.where(said.labels == FLOOR, GRASS, said.labels).astype(np.uint8)), depth)
    assert set(grass.ground["label"]) == {GRASS}
    unsure = made(Segmentation(said.labels, np.full_like(said.confidence, 100)), depth)
    assert len(unsure.ground) == 0
    assert len(unsure.obstacles) > 50


def test_what_lies_below_the_ground_is_in_neither_cloud():
    said, depth = Scene((Slope(end=1.5), Slope(1.5, z=-0.4))).see(at())
    clouds = made(replace(said, labels=np.full_like(said.labels, 255)), depth)
    assert len(clouds.ground) == 0
    assert over_ground(made(said, depth).ground)[2].min() > -0.1


@pytest.mark.parametrize("voxel_m", [0.05, 0.2])
def test_one_point_is_kept_of_each_voxel(voxel_m):
    clouds = made(*Scene(boxes=(BOX,)).see(at()), voxel_m=voxel_m)
    for points in vars(clouds).values():
        voxels = np.stack([np.floor(points[name] / np.float32(voxel_m) + 1e-6) for name in "xyz"])
        assert len(np.unique(voxels, axis=1).T) == pytest.approx(len(points), abs=0.02 * len(points))
    every = made(*Scene(boxes=(BOX,)).see(at()), voxel_m=0.0)
    assert len(every.obstacles) > 4 * len(clouds.obstacles)


def test_nothing_of_four_pixels_is_missed():
    """One pixel wide or high, far away, with pixels that lie closer than voxels."""
    camera = Intrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)
    said, depth = Scene().see(at(), camera)
    depth[100:110, 333] = 3.0
    depth[90, 400:406] = 3.0
    points = made(said, depth, camera).obstacles
    assert (np.abs(points["x"] - 3 * (333 - 319.5) / 525) < 1e-3).any()
    assert (np.abs(points["y"] - 3 * (90 - 239.5) / 525) < 1e-3).any()


@pytest.mark.parametrize("lens", [None, BARREL])
@pytest.mark.parametrize("size", [(160, 120), (643, 481)])
def test_numba_and_numpy_are_equal(lens, size):
    pytest.importorskip("numba")
    camera = replace(CAMERA.scaled(*size), lens=lens)
    said, depth = Scene(boxes=(BOX,)).see(at(), camera, noise_per_m=0.01)
    random = np.random.default_rng(0)
    depth[random.random(depth.shape) < 0.1] = np.nan
    depth[random.random(depth.shape) < 0.01] = 1e9
    said = Segmentation(said.labels, random.integers(0, 256, depth.shape).astype(np.uint8))
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(said, depth, camera, at(), 0)
    fast, slow = CloudMaker(0.05, CONFIG.range_m), CloudMaker(0.05, CONFIG.range_m)
    fast.warm_up()
    for _ in range(2):  # nothing of the first frame is left in the second
        a, b = (maker.make(said, depth, costmap.levels, camera, costmap.reader) for maker in (fast, slow))
        assert len(b.obstacles) > 50
        assert a.obstacles.tobytes() == b.obstacles.tobytes()
        assert a.ground.tobytes() == b.ground.tobytes()


def test_a_frame_without_obstacles_gives_an_empty_cloud():
    clouds = made(*Scene().see(at()))
    assert clouds.obstacles.shape == (0,)
    assert clouds.obstacles.dtype == POINT


def test_organised_points_are_those_of_their_pixels():
    _, depth = Scene(boxes=(BOX,)).see(at())
    depth[5, 7], depth[6, 8], depth[7, 9] = np.nan, 0.0, np.inf
    rows, columns = np.arange(1, 120, 2), np.arange(1, 160, 2)
    points = organised(depth, CAMERA, rows, columns)
    expected = looks(CAMERA)[1::2, 1::2] * np.where((depth > 0) & (depth < np.inf), depth, np.nan)[1::2, 1::2, None]
    np.testing.assert_allclose(points, expected, rtol=1e-5)
    assert points.shape == (60, 80, 3)
    assert np.isnan(points[2, 3]).all()
    assert np.isnan(organised(depth, CAMERA, np.arange(8), np.arange(10))[[6, 7], [8, 9]]).all()
