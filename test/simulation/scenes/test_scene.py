from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gemini_ros.core.transforms import from_xyz_quaternion
from gemini_ros.simulation.scenes.scene import Footprint, Surface, about_z, moved, multiply, rod, z_towards

SURFACE = Surface("paint0")
metres = st.floats(-3, 3)
angles = st.floats(-math.pi, math.pi)
footprints = st.builds(Footprint, metres, metres, st.floats(0.05, 2), st.floats(0.05, 2), angles)


def rotation(quaternion):
    w, x, y, z = quaternion
    return from_xyz_quaternion((0, 0, 0), (x, y, z, w))[:3, :3]


def inside(footprint, count=25):
    """Points spread over a footprint, edges included."""
    along = np.linspace(-1, 1, count)
    c, s = math.cos(footprint.yaw), math.sin(footprint.yaw)
    grid = np.stack(np.meshgrid(along * footprint.half_x, along * footprint.half_y), -1).reshape(-1, 2)
    return grid @ np.array([[c, s], [-s, c]]) + (footprint.x, footprint.y)


def test_distance_to_a_turned_footprint():
    turned = Footprint(1.0, 2.0, half_x=2.0, half_y=0.5, yaw=math.pi / 2)
    assert turned.distance(1.0, 5.0) == pytest.approx(1.0)
    assert turned.distance(2.5, 2.0) == pytest.approx(1.0)
    assert turned.distance(1.5 + 3.0, 4.0 + 4.0) == pytest.approx(5.0)
    assert turned.distance(1.4, 3.9) == 0


@given(footprints, footprints)
def test_footprints_overlap_where_they_share_points(a, b):
    nearest = min(b.distance(x, y) for x, y in inside(a))
    spacing = max(a.half_x, a.half_y) * math.hypot(2, 2) / 24
    if a.overlaps(b):
        assert nearest <= spacing
    else:
        assert nearest > 0


@given(footprints, footprints, st.floats(0, 1))
def test_a_kept_margin_is_a_distance(a, b, margin):
    if not a.overlaps(b, margin):
        assert min(b.distance(x, y) for x, y in inside(a)) >= margin - 1e-9


@given(st.tuples(metres, metres, metres).filter(lambda v: np.linalg.norm(v) > 0.1))
@example((0.0, 0.0, -2.0))
@example((0.0, 6.103515625e-05, -2.0))  # so near -z that a cosine does not tell
@example((5e-324, 5e-324, -1.0))
def test_z_is_turned_towards_a_direction(direction):
    quaternion = z_towards(direction)
    expected = np.array(direction) / np.linalg.norm(direction)
    np.testing.assert_allclose(rotation(quaternion)[:, 2], expected, atol=1e-12)
    assert math.hypot(*quaternion) == pytest.approx(1, abs=1e-12)
    assert quaternion[3] == 0  # no turn about z: the shortest rotation


@given(angles, angles)
def test_product_of_rotations(a, b):
    product = multiply(about_z(a), multiply(z_towards((1, 0, 0)), about_z(b)))
    expected = rotation(about_z(a)) @ rotation(z_towards((1, 0, 0))) @ rotation(about_z(b))
    np.testing.assert_allclose(rotation(product), expected, atol=1e-9)


def test_a_moved_rod_ends_where_its_ends_were_moved():
    part = rod((0.5, 0, 1), (0.5, 1, 1), 0.1, SURFACE, "rack", 20.0, shape="cylinder")
    placed = moved(part, 3.0, 4.0, math.pi / 2, first_instance=7)
    half = placed.size[1] * rotation(placed.quaternion)[:, 2]
    np.testing.assert_allclose(placed.position - half, (3.0, 4.5, 1), atol=1e-9)
    np.testing.assert_allclose(placed.position + half, (2.0, 4.5, 1), atol=1e-9)
    assert placed.instance == 7
    assert placed.size[0] == 0.1
