"""The plane-fit baseline on depth images rendered from exact geometry."""

import numpy as np
import pytest

from gemini_ros.core.frames import UNLABELLED, Intrinsics
from gemini_ros.evaluation.plane import segment_by_plane

CAMERA = Intrinsics(80, 60, 60.0, 62.0, 39.5, 29.5)
HEIGHT_M = 0.9
EITHER = 254  # the foot of an obstacle: within the tolerance of the floor
# REP 103: optical z forward, x right, y down, as seen from a body with x forward, y left, z up.
LEVEL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, HEIGHT_M], [0, 0, 0, 1]], float)


def pitched(degrees):
    """base_from_camera of a camera looking down by ``degrees``."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    down = np.array([[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0], [0, 0, 0, 1]])
    lifted = np.eye(4)
    lifted[2, 3] = HEIGHT_M
    return lifted @ down @ (np.linalg.inv(lifted) @ LEVEL)


def render(base_from_camera, box=None, noise=0.0):
    """Depth and truth of an endless floor and a wall ``box`` = (distance, left, right, top) in base metres."""
    v, u = np.mgrid[0:60, 0:80]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones_like(u, float)], -1)
    directions = rays @ base_from_camera[:3, :3].T
    with np.errstate(divide="ignore"):
        depth = np.where(directions[..., 2] < 0, -HEIGHT_M / directions[..., 2], np.nan)
    truth = np.where(np.isfinite(depth), 0, UNLABELLED)
    if box:
        distance, left, right, top = box
        at = distance / directions[..., 0]
        y, z = at * directions[..., 1], HEIGHT_M + at * directions[..., 2]
        hit = (y > right) & (y < left) & (z > 0) & (z < top)
        depth, truth = np.where(hit, at, depth), np.where(hit, np.where(z > 0.12, 1, EITHER), truth)
    depth[depth > 8] = np.nan
    truth[np.isnan(depth)] = UNLABELLED
    depth = depth + np.random.default_rng(3).normal(0, 1, depth.shape) * noise * depth**2
    return depth.astype(np.float32), truth.astype(np.uint8)


@pytest.mark.parametrize("degrees", [0, 12, 25])
@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_floor_and_obstacle_are_told_apart(degrees, noise):
    mounting = pitched(degrees)
    depth, truth = render(mounting, box=(3.0, 0.4, -0.3, 1.7), noise=noise)
    labels = segment_by_plane(depth, CAMERA, mounting).labels
    assert (truth == 1).sum() > 200
    assert (labels[truth == 0] == 0).mean() > 0.97
    assert (labels[truth == 1] == 1).mean() > 0.97
    assert (labels[np.isnan(depth)] == UNLABELLED).all()


def test_above_the_robot_is_not_an_obstacle():
    depth, truth = render(LEVEL, box=(5.0, 3, -3, 3.0))
    labels = segment_by_plane(depth, CAMERA, LEVEL, max_height_m=1.5).labels
    column = labels[:, 40][truth[:, 40] == 1]
    assert column[0] == UNLABELLED
    assert 1 in column


def test_confidence_is_given_where_something_is_said():
    depth, _ = render(LEVEL, box=(3.0, 0.4, -0.3, 1.7))
    said = segment_by_plane(depth, CAMERA, LEVEL)
    np.testing.assert_array_equal(said.confidence, np.where(said.labels == UNLABELLED, 0, 255))


@pytest.mark.parametrize("scene", ["nothing", "wall"])
def test_without_ground_nothing_is_said(scene):
    depth = np.full((60, 80), np.nan if scene == "nothing" else 1.0, np.float32)
    assert (segment_by_plane(depth, CAMERA, LEVEL).labels == UNLABELLED).all()


def test_same_depth_same_labels():
    depth, _ = render(pitched(10), box=(2.0, 1, 0, 1.0), noise=0.004)
    first, second = (segment_by_plane(depth, CAMERA, pitched(10)).labels for _ in range(2))
    np.testing.assert_array_equal(first, second)
