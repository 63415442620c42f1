"""What cameras of all kinds see of homes and offices."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.simulation.cameras.handheld import (
    FIELDS_DEG,
    HEIGHTS_M,
    NEAR_M,
    PITCH_DEG,
    ROLL_DEG,
    draw_near_view,
    draw_view,
    render_place,
)
from gemini_ros.simulation.scenes.places import generate_place

SIZE = (80, 60)


@pytest.fixture(scope="module")
def scenes():
    return [generate_place(place, 4, n) for place in ("home", "office") for n in range(15)]


@pytest.fixture(scope="module")
def frames():
    return [f for n in range(4) for f in render_place("mixed", 5, frames=2, size=SIZE, scene=n)]


def test_the_camera_is_in_the_room_and_in_nothing(scenes):
    rng = np.random.default_rng(0)
    for scene in scenes:
        view = draw_view(scene, rng)
        base = view.base
        assert 0 < base.x < scene.length
        assert abs(base.y) < scene.width / 2
        assert all(f.height < view.height or f.distance(base.x, base.y) > 0.1 for f in scene.footprints)
        assert HEIGHTS_M[0] <= view.height <= min(HEIGHTS_M[1], scene.height)
        assert PITCH_DEG[0] <= np.degrees(view.pitch) <= PITCH_DEG[1]
        assert abs(np.degrees(view.roll)) <= ROLL_DEG
        assert FIELDS_DEG[0] <= view.field_deg <= FIELDS_DEG[1]


def test_a_view_from_close_by_is_beside_a_thing_and_turned_to_it(scenes):
    rng = np.random.default_rng(0)
    for scene in scenes:
        view = draw_near_view(scene, rng)
        x, y, yaw = view.base.x, view.base.y, view.base.yaw
        near = [f for f in scene.footprints if NEAR_M[0] <= f.distance(x, y) <= NEAR_M[1]]
        turns = [np.arctan2(f.y - y, f.x - x) - yaw for f in near]
        assert min(abs(np.arctan2(np.sin(turn), np.cos(turn))) for turn in turns) < 1.0
        assert all(f.height < view.height or f.distance(x, y) > 0.1 for f in scene.footprints)


def test_same_numbers_same_views(frames):
    for one, other in zip(frames[2:4], render_place("mixed", 5, frames=2, size=SIZE, scene=1), strict=True):
        np.testing.assert_array_equal(one.frame.rgb, other.frame.rgb)
        np.testing.assert_array_equal(one.frame.depth, other.frame.depth)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_floor_pixels_lie_on_the_floor_through_every_lens(frames):
    assert len({f.frame.intrinsics.fx for f in frames}) == len(frames)
    seen = 0
    for f in frames:
        camera, rows_columns = f.frame.intrinsics, np.argwhere(f.labels == 0)
        rows, columns = rows_columns.T
        z = f.clean_depth[rows, columns]
        points = np.stack([(columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z, z, z**0])
        heights = (f.odom_from_base @ f.base_from_camera @ points)[2]
        assert np.abs(heights).max(initial=0) < 0.04
        seen += len(heights)
    assert seen > 1000


def test_depth_sensors_differ_between_views():
    """Some are in-filled, some have holes: a sensor is drawn for each view."""
    views = [f for n in range(6) for f in render_place("home", 6, frames=2, size=(40, 30), scene=n)]
    whole = [bool(np.isfinite(f.frame.depth).all()) for f in views]
    assert 0 < sum(whole) < len(whole)
