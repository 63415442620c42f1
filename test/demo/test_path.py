"""What stands in the way, on the exactly known world of the drive."""

import numpy as np
import pytest

from gemini_ros.core.costmap.without_depth import flat_ground_depth
from gemini_ros.core.frames import Segmentation
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.transforms import camera_in_base, from_xyz_rpy
from gemini_ros.demo.path import nearest_in_path
from test.evaluation.drive import BOX, CAMERA, FLOOR, MOUNTING, view

LABELS = load_label_set("warehouse")
BASE_FROM_CAMERA = camera_in_base(MOUNTING)
PERSON = LABELS.names.index("person")
LETHAL = LABELS.nav_table("lethal")


def said(labels):
    return Segmentation(labels, np.full(labels.shape, 255, np.uint8))


def nearest(labels, depth, width_m=0.8):
    return nearest_in_path(said(labels), depth, CAMERA, BASE_FROM_CAMERA, LABELS, width_m=width_m)


@pytest.mark.parametrize("x", [0.0, 1.0, 2.0])
def test_distance_and_name_of_the_box_ahead(x):
    depth, labels = view(from_xyz_rpy(x, 0, 0, 0, 0, 0))
    found = nearest(labels, depth)
    assert found.name == "box"
    assert found.distance_m == pytest.approx(4.0 - x, abs=0.02)
    labels[labels == BOX] = PERSON
    assert nearest(labels, depth).name == "person"


def test_what_is_beside_the_path_or_far_or_free_is_not_in_it():
    depth, labels = view(from_xyz_rpy(1.0, 1.2, 0, 0, 0, 0))
    assert (labels == BOX).sum() > 20
    assert nearest(labels, depth) is None
    assert nearest(labels, depth, width_m=2.4) is not None
    depth, labels = view(from_xyz_rpy(-3.0, 0, 0, 0, 0, 0))
    assert nearest(labels, depth) is None
    depth, labels = view(np.eye(4))
    labels[labels == BOX] = FLOOR
    assert nearest(labels, depth) is None


def test_flat_floor_puts_the_foot_of_an_obstacle_where_it_is():
    true_depth, labels = view(from_xyz_rpy(1.5, 0, 0, 0, 0, 0))
    depth = flat_ground_depth(LETHAL[labels], CAMERA, BASE_FROM_CAMERA)
    floor = np.isfinite(depth) & (labels == FLOOR)
    np.testing.assert_allclose(depth[floor], true_depth[floor], rtol=1e-5)
    feet = np.isfinite(depth) & (labels == BOX)
    assert (feet.sum(axis=0) <= 1).all(), "one pixel of each image column, the rest is behind it"
    # An edge column may show nothing but the box's top, above the horizon: it tells no place.
    missed = (labels == BOX).any(axis=0) & ~feet.any(axis=0)
    assert missed.sum() <= 1
    # One row of pixels is worth 8 cm of floor at this distance.
    assert nearest(labels, depth).distance_m == pytest.approx(2.5, abs=0.1)


def test_flat_floor_ends_at_the_horizon():
    nothing = np.zeros((CAMERA.height, CAMERA.width), bool)
    depth = flat_ground_depth(nothing, CAMERA, camera_in_base((0, 0, 0.6, 0, 0, 0)))
    assert np.isnan(depth[: int(CAMERA.cy) + 1]).all()
    below = depth[int(CAMERA.cy) + 1 :]
    assert np.isfinite(below).all()
    assert (np.diff(below[:, 0]) < 0).all()
