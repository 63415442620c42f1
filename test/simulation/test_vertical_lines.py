"""Vertical lines through solids, against MuJoCo's rays."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from gemini_ros.core.transforms import from_xyz_rpy
from gemini_ros.simulation.cameras.mujoco_model import SHAPE_NAMES
from gemini_ros.simulation.vertical_lines import half_extents, intersect

SIZES = {
    "box": (0.5, 0.3, 0.2),
    "cylinder": (0.3, 0.4, 0),
    "capsule": (0.2, 0.4, 0),
    "ellipsoid": (0.5, 0.3, 0.2),
    "plane": (0.5, 0.3, 1.0),
}
TURNS = [(0, 0, 0), (0, 0, 0.7), (np.pi / 2, 0, 0.3), (0.4, -0.6, 1.1), (0, np.pi / 2, 0)]


@pytest.mark.parametrize("shape", SIZES)
def test_they_enter_and_leave_where_rays_do(shape):
    kinds = {name: kind for kind, name in SHAPE_NAMES.items()}
    for turn in TURNS:
        rotation, position = from_xyz_rpy(0, 0, 0, *turn)[:3, :3], np.array([0.2, -0.1, 0.5])
        if shape == "plane" and abs(rotation[2, 2]) < 0.1:
            continue  # an upright plane counts as a thin wall, which no vertical ray meets
        x, y = np.random.default_rng(1).uniform(-0.8, 0.8, (2, 300))
        low, high = intersect(shape, SIZES[shape], rotation, position, x, y)
        size = np.array(SIZES[shape], float)
        for start_z, direction, found in ((5.0, -1.0, high), (-5.0, 1.0, low)):
            if shape == "plane" and direction > 0:
                continue  # MuJoCo's planes have one side
            rays = [
                mujoco.mju_rayGeom(
                    position, rotation.ravel().copy(), size, np.array([a, b, start_z]), np.array([0, 0, direction]),
                    kinds[shape],
                )
                for a, b in zip(x, y, strict=True)
            ]  # fmt: skip
            distance = np.array([np.ravel(ray)[0] for ray in rays])
            np.testing.assert_array_equal(distance >= 0, np.isfinite(found))
            hit = distance >= 0
            assert hit.any()
            np.testing.assert_allclose(found[hit], start_z + direction * distance[hit], atol=1e-6)
        met = np.isfinite(low)
        reach = half_extents(shape, SIZES[shape], rotation)
        assert (np.abs(x - position[0])[met] <= reach[0]).all()
        assert (np.abs(y - position[1])[met] <= reach[1]).all()


def test_an_upright_plane_is_a_thin_wall():
    rotation = from_xyz_rpy(0, 0, 0, 0, np.pi / 2, 0)[:3, :3]
    x = np.array([-0.006, -0.004, 0.004, 0.006, 0.0])
    low, high = intersect("plane", (0.5, 0.3, 0), rotation, np.array([0, 0, 0.5]), x, np.array([0, 0, 0, 0, 0.31]))
    np.testing.assert_array_equal(np.isfinite(low), [False, True, True, False, False])
    np.testing.assert_allclose([low[1], high[1]], [0, 1])


def test_an_unknown_shape_is_refused():
    with pytest.raises(ValueError, match="shape 'cone', expected box"):
        intersect("cone", (1, 1, 1), np.eye(3), np.zeros(3), np.zeros(1), np.zeros(1))
