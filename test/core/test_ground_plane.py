"""The plane fits on depth images rendered from exact geometry."""

import numpy as np
import pytest

from gemini_ros.core.frames import UNLABELLED, Intrinsics
from gemini_ros.core.ground_plane import segment_by_plane, segment_floor

CAMERA = Intrinsics(80, 60, 60.0, 62.0, 39.5, 29.5)
HEIGHT_M = 0.9
UNKNOWN_CAMERA = Intrinsics(160, 120, 130.0, 132.0, 79.5, 59.5)  # of unknown mounting
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


def room(height=1.4, pitch=20.0, roll=0.0, table=None):
    """Depth of a room 4 m long and 3 m wide and which pixels are its floor; ``table``: height of a level top ahead."""
    a, b = np.radians([pitch, roll])
    tilt = np.array([[1, 0, 0], [0, np.cos(a), np.sin(a)], [0, -np.sin(a), np.cos(a)]])
    lean = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    v, u = np.mgrid[0:120, 0:160]
    rays = np.stack(
        [(u - UNKNOWN_CAMERA.cx) / UNKNOWN_CAMERA.fx, (v - UNKNOWN_CAMERA.cy) / UNKNOWN_CAMERA.fy, np.ones((120, 160))],
        -1,
    )
    x, y, z = np.moveaxis(rays @ (tilt @ lean).T, -1, 0)  # level camera: x right, y down, z ahead
    with np.errstate(divide="ignore"):
        walls = np.min([np.where(z > 0, 4 / z, np.inf), np.where(x != 0, 1.5 / np.abs(x), np.inf)], 0)
        ground = np.where(y > 0, height / y, np.inf)
        ceiling = np.where(y < 0, (height - 2.6) / y, np.inf)
    depth = np.minimum(np.minimum(walls, ceiling), ground)
    if table:
        with np.errstate(divide="ignore", invalid="ignore"):
            top = np.where(y > 0, (height - table) / y, np.inf)
        hit = (top < depth) & (np.abs(top * x) < 0.5) & (top * z > 1.2) & (top * z < 2.2)
        depth = np.where(hit, top, depth)
    return depth.astype(np.float32), np.isclose(depth, ground)


def iou(found, truth):
    return (found & truth).sum() / (found | truth).sum()


@pytest.mark.parametrize("pitch", [5, 20, 45])
@pytest.mark.parametrize("roll", [-7, 0, 7])
@pytest.mark.parametrize("height", [0.5, 1.6])
def test_a_floor_is_found_through_any_camera(height, pitch, roll):
    depth, truth = room(height, pitch, roll)
    assert iou(segment_floor(depth, UNKNOWN_CAMERA), truth) > 0.93


def test_a_table_is_not_the_floor_below_it():
    depth, truth = room(table=0.7)
    assert iou(segment_floor(depth, UNKNOWN_CAMERA), truth) > 0.9
    alone, _ = room(table=0.7)
    alone[truth] = np.nan
    assert segment_floor(alone, UNKNOWN_CAMERA).sum() > 100  # nothing lower is seen
    assert not segment_floor(alone, UNKNOWN_CAMERA, least_height_m=0.9).any()  # unless the camera is known to be higher


def test_holes_are_no_floor_and_noise_is_borne():
    depth, truth = room()
    rng = np.random.default_rng(0)
    depth += (0.003 * rng.standard_normal(depth.shape) * depth**2).astype(np.float32)
    holes = rng.random(depth.shape) < 0.02
    depth[holes] = np.nan
    found = segment_floor(depth, UNKNOWN_CAMERA)
    assert not found[holes].any()
    assert iou(found, truth & ~holes) > 0.85


def test_without_measurements_there_is_no_floor():
    assert not segment_floor(np.full((120, 160), np.nan, np.float32), UNKNOWN_CAMERA).any()
    assert not segment_floor(np.zeros((120, 160), np.float32), UNKNOWN_CAMERA).any()


def test_a_wall_is_no_floor():
    assert not segment_floor(np.full((120, 160), 2.0, np.float32), UNKNOWN_CAMERA).any()
