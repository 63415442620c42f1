"""Cameras upside down and on their side: where their pixels look, and that their maps are those of an upright one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap import SemanticCostmap
from gemini_ros.core.costmap.completed import CompletedDepth
from gemini_ros.core.costmap.meaning import GROUND
from gemini_ros.core.costmap.upright import quarter_turns, turned_camera, turned_image, turned_pose
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.lens import Lens
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import camera_in_base
from test.core.costmap.scene import BARREL, CONFIG, FISHEYE, LABELS, TURN, Box, S, Scene, Slope, at, cell, share

CAMERA = Intrinsics(320, 240, 262.0, 262.0, 159.5, 119.5)
UNEVEN = Intrinsics(32, 20, 30.0, 28.0, 14.0, 11.0)
PRISM = Lens("rational_polynomial", (0.1, 0.02, 0.01, -0.02, 0.01, 0.05, 0.01, 0.0, 0.01, -0.004, 0.006, 0.003), TURN)
ROLLS = [math.pi, math.pi / 2, -math.pi / 2]
EDGE = Scene((Slope(end=1.5), Slope(1.5, z=-0.4)))


def mounting(roll: float, pitch: float = 0.25):
    return camera_in_base([0.0, 0.0, 0.5, roll, pitch, 0.0])


@pytest.mark.parametrize("pitch", [-0.3, 0.0, 0.3, 1.4])
@pytest.mark.parametrize(
    ("roll_deg", "turns"),
    [(0, 0), (40, 0), (-40, 0), (50, 3), (90, 3), (130, 3), (140, 2), (180, 2), (-90, 1), (-50, 1)],
)
def test_how_often_an_image_is_turned(roll_deg, turns, pitch):
    assert quarter_turns(at(1.0, 2.0, 0.7, mounting(math.radians(roll_deg), pitch))) == turns


@pytest.mark.parametrize("roll", [0.0, 1.0, math.pi])
def test_a_camera_that_looks_straight_down_is_not_turned(roll):
    assert quarter_turns(mounting(roll, math.pi / 2)) == 0


@pytest.mark.parametrize("lens", [None, BARREL, FISHEYE, PRISM], ids=["pinhole", "barrel", "fisheye", "prism"])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_every_pixel_looks_to_where_it_did(lens, turns):
    camera, pose = replace(UNEVEN, lens=lens), at(1.0, 2.0, 0.7, mounting(0.4))
    before = np.tensordot(pose[:3, :3], pixel_rays(camera).astype(float), axes=1)
    turned = turned_camera(camera, turns)
    after = np.tensordot(turned_pose(pose, turns)[:3, :3], pixel_rays(turned).astype(float), axes=1)
    assert np.isfinite(before).any()
    for a, b in zip(after, before, strict=True):
        np.testing.assert_allclose(a, turned_image(b, turns), atol=2e-6)


def drive(roll: float, scene: Scene, *, depth: bool = True, fast: bool = False, **settings) -> SemanticCostmap:
    """The map after ten frames ahead, the last of them at 0.36 m."""
    costmap = SemanticCostmap(replace(CONFIG, floor_fit=False, **settings), LABELS)
    if fast:
        costmap.warm_up()
    for number in range(10):
        pose = at(0.04 * number, mounting=mounting(roll))
        said, measured = scene.see(pose, CAMERA)
        said = Segmentation(said.labels, np.full_like(said.labels, 200))  # not so sure as to hide an edge
        costmap.update(said, measured if depth else None, CAMERA, pose, number * S // 10)
    return costmap


def rendered(costmap: SemanticCostmap):
    return costmap.render(9 * S // 10, (0.36, 0.0))


@pytest.mark.parametrize("roll", ROLLS)
def test_drops_are_found_whichever_way_up_the_camera_is(roll):
    upright, rolled = rendered(drive(0.0, EDGE)), rendered(drive(roll, EDGE))
    along = [(x, 0.02) for x in np.arange(0.9, 1.8, 0.05)]
    assert [cell(rolled, *place) for place in along] == [cell(upright, *place) for place in along]
    assert cell(rolled, 1.52, 0.02) == 100
    assert share(rolled, 0, (1.55, 4.0), (-0.4, 0.4)) == 0


@pytest.mark.parametrize("roll", ROLLS)
def test_a_ramp_is_free_whichever_way_up_the_camera_is(roll):
    ramp = Scene((Slope(end=1.5), Slope(1.5, 6.0, 0.0, math.tan(math.radians(5)))))
    assert share(rendered(drive(roll, ramp)), 0, (1.6, 3.5), (-0.3, 0.3)) > 0.99


@pytest.mark.parametrize("roll", ROLLS)
def test_labels_alone_stand_on_their_foot_whichever_way_up_the_camera_is(roll):
    box = Scene(boxes=(Box((2.01, -0.4, 0.0), (2.2, 0.4, 0.6)),))
    occupancy = rendered(drive(roll, box, depth=False, without_depth="project"))
    assert 0 <= cell(occupancy, 1.7, 0.02) < 99
    assert 100 in [cell(occupancy, x, 0.02) for x in (1.97, 2.02, 2.07)]
    assert cell(occupancy, 3.0, 0.02) == -1


@pytest.mark.parametrize("roll", ROLLS)
def test_completed_depth_marks_what_stands_whichever_way_up_the_camera_is(roll):
    config = replace(CONFIG, floor_fit=False, completed_depth=True)
    costmap, pose = SemanticCostmap(config, LABELS), mounting(roll)
    said, depth = Scene(boxes=(Box((2.01, -0.2, 0.0), (2.2, 0.2, 0.6)),)).see(pose, CAMERA)
    measured = np.where(said.labels == 1, np.float32(np.nan), depth)
    costmap.update(
        said, measured, CAMERA, pose, S, completed=CompletedDepth(depth, np.full(depth.shape, 255, np.uint8))
    )
    assert cell(costmap.render(S, (0, 0)), 2.02, 0.02) == 100


@pytest.mark.parametrize("roll", [0.0, *ROLLS])
def test_the_levels_are_those_of_the_image_as_it_came(roll):
    costmap = drive(roll, Scene(boxes=(Box((2.0, 0.3, 0.0), (2.2, 0.8, 0.6)),)))
    pose = at(0.36, mounting=mounting(roll))
    said, depth = Scene(boxes=(Box((2.0, 0.3, 0.0), (2.2, 0.8, 0.6)),)).see(pose, CAMERA)
    near = depth < 3
    heights = np.tensordot(pose[2, :3], pixel_rays(CAMERA), axes=1) * depth + pose[2, 3]
    assert costmap.levels.shape == depth.shape
    assert (said.labels[near] == 1).any()
    np.testing.assert_array_equal((costmap.levels == GROUND)[near & (np.abs(heights) < 0.02)], True)
    np.testing.assert_array_equal((costmap.levels == GROUND)[near & (heights > 0.3)], False)


@pytest.mark.parametrize("roll", ROLLS)
def test_numba_and_numpy_are_equal(roll):
    pytest.importorskip("numba")
    np.testing.assert_array_equal(rendered(drive(roll, EDGE)).data, rendered(drive(roll, EDGE, fast=True)).data)
