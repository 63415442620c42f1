"""Maps of labels alone: what is projected, how it is graded, and that depth comes first."""

from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap import SemanticCostmap
from gemini_ros.core.costmap.without_depth import flat_ground_depth
from gemini_ros.core.transforms import camera_in_base
from test.core.costmap.scene import BARREL, CAMERA, CONFIG, FISHEYE, LABELS, PERSON, WALL, Box, S, Scene, at, cell

PROJECT = replace(CONFIG, without_depth="project")
SCENE = Scene(boxes=(Box((2.01, -0.4, 0.0), (2.2, 0.4, 0.6)),))


def test_without_depth_nothing_is_known_by_default():
    costmap = SemanticCostmap(CONFIG, LABELS)
    said, _ = SCENE.see(at())
    assert costmap.update(said, None, CAMERA, at(), 0) is False
    assert (costmap.render(0, (0, 0)).data == -1).all()


def test_floor_is_graded_by_what_a_pixel_covers_and_an_obstacle_is_its_foot():
    costmap = SemanticCostmap(PROJECT, LABELS)
    said, _ = SCENE.see(at())
    assert costmap.update(said, None, CAMERA, at(), 0)
    occupancy = costmap.render(0, (0, 0))
    costs = [cell(occupancy, x, 0.8 * x / 3) for x in (0.9, 1.5, 2.5)]
    assert 0 <= costs[0] < costs[1] < costs[2] < 99
    assert 100 in [cell(occupancy, x, 0.0) for x in (1.97, 2.02, 2.07)]
    assert cell(occupancy, 3.0, 0.0) == -1
    assert (costmap.render(S + 1, (0, 0)).data == -1).all()


@pytest.mark.parametrize("lens", [BARREL, FISHEYE])
def test_the_ground_is_where_the_lens_looks(lens):
    camera = replace(CAMERA, lens=lens)
    said, depth = Scene().see(at(), camera)
    assumed = flat_ground_depth(said.labels == WALL, camera, at())
    seen = depth < 5
    assert seen.mean() > 0.3
    np.testing.assert_allclose(assumed[seen], depth[seen], rtol=1e-4)


def test_it_never_clears_what_depth_saw():
    costmap = SemanticCostmap(PROJECT, LABELS)
    costmap.update(*SCENE.see(at()), CAMERA, at(), 0)
    clear, _ = Scene().see(at())
    for number in range(1, 20):
        costmap.update(clear, None, CAMERA, at(), number * S // 5)
    assert cell(costmap.render(19 * S // 5, (0, 0)), 2.02, 0.0) == 100
    unlabelled, depth = Scene().see(at())
    unlabelled.labels[:] = 255
    costmap.update(unlabelled, depth, CAMERA, at(), 4 * S)
    costmap.update(clear, None, CAMERA, at(), 4 * S + 1)
    assert cell(costmap.render(4 * S + 1, (0, 0)), 1.2, 0.0) == -1


@pytest.mark.parametrize("height_m", [0.0, -0.5])
def test_a_camera_that_is_not_above_the_floor_projects_nothing(height_m):
    """Its rays would meet the floor behind it."""
    pose = camera_in_base([0.0, 0.0, height_m, 0.0, 0.2, 0.0])
    costmap = SemanticCostmap(PROJECT, LABELS)
    said, _ = SCENE.see(at())
    assert not np.isfinite(flat_ground_depth(said.labels == WALL, CAMERA, pose)).any()
    assert not costmap.update(said, None, CAMERA, pose, 0)
    assert (costmap.render(0, (0, 0)).data == -1).all()


@pytest.mark.parametrize(("label", "beside"), [(PERSON, 100), (WALL, None)])
def test_only_what_moves_has_a_margin(label, beside):
    scene = Scene(boxes=(Box((2.01, -0.2, 0.0), (2.2, 0.2, 1.6), label),))
    costmap = SemanticCostmap(PROJECT, LABELS)
    costmap.update(scene.see(at())[0], None, CAMERA, at(), 0)
    without, with_margin = (costmap.render(0, (0, 0), margin_m=margin_m) for margin_m in (0.0, 0.5))
    places = [(1.62, 0.02), (2.02, 0.52), (2.02, -0.52)]
    before = [cell(without, *place) for place in places]
    assert all(0 <= cost < 99 for cost in before)
    assert [cell(with_margin, *place) for place in places] == ([beside] * 3 if beside else before)


def test_labels_without_confidence_and_unlabelled_pixels_make_nothing_passable():
    costmap = SemanticCostmap(PROJECT, LABELS)
    said, _ = Scene().see(at())
    said.confidence[:] = 100
    assert not costmap.update(said, None, CAMERA, at(), 0)
    said.confidence[:], said.labels[:] = 255, 255
    assert not costmap.update(said, None, CAMERA, at(), 1)
    assert (costmap.render(1, (0, 0)).data == -1).all()
