"""The floor found without knowing the camera's mounting, on depth of exact rooms."""

import numpy as np
import pytest

from gemini_ros.core.frames import Intrinsics
from gemini_ros.evaluation.floor_plane import segment_floor

CAMERA = Intrinsics(160, 120, 130.0, 132.0, 79.5, 59.5)


def room(height=1.4, pitch=20.0, roll=0.0, table=None):
    """Depth of a room 4 m long and 3 m wide and which pixels are its floor; ``table``: height of a level top ahead."""
    a, b = np.radians([pitch, roll])
    tilt = np.array([[1, 0, 0], [0, np.cos(a), np.sin(a)], [0, -np.sin(a), np.cos(a)]])
    lean = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    v, u = np.mgrid[0:120, 0:160]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones((120, 160))], -1)
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
    assert iou(segment_floor(depth, CAMERA), truth) > 0.93


def test_a_table_is_not_the_floor_below_it():
    depth, truth = room(table=0.7)
    assert iou(segment_floor(depth, CAMERA), truth) > 0.9
    alone, _ = room(table=0.7)
    alone[truth] = np.nan
    assert segment_floor(alone, CAMERA).sum() > 100  # nothing lower is seen
    assert not segment_floor(alone, CAMERA, least_height_m=0.9).any()  # unless the camera is known to be higher


def test_holes_are_no_floor_and_noise_is_borne():
    depth, truth = room()
    rng = np.random.default_rng(0)
    depth += (0.003 * rng.standard_normal(depth.shape) * depth**2).astype(np.float32)
    holes = rng.random(depth.shape) < 0.02
    depth[holes] = np.nan
    found = segment_floor(depth, CAMERA)
    assert not found[holes].any()
    assert iou(found, truth & ~holes) > 0.85


def test_without_measurements_there_is_no_floor():
    assert not segment_floor(np.full((120, 160), np.nan, np.float32), CAMERA).any()
    assert not segment_floor(np.zeros((120, 160), np.float32), CAMERA).any()


def test_a_wall_is_no_floor():
    assert not segment_floor(np.full((120, 160), 2.0, np.float32), CAMERA).any()
