"""Rendered views against the truth: labels, depth, thermal fixed to the world, brightness."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.cameras.render import render_scene
from gemini_ros.simulation.cameras.scene_camera import camera_intrinsics
from gemini_ros.simulation.drive import DriveCamera, plan_drive

SIZE = (160, 120)
LABELS = load_label_set("warehouse")


@pytest.fixture(scope="module")
def frames():
    return [f for scene in (1, 2, 3) for f in render_scene(11, scene=scene, frames=3, size=SIZE, light="day")]


def test_same_numbers_same_frames(frames):
    again = list(render_scene(11, scene=1, frames=2, size=SIZE, light="day"))
    for one, other in zip(frames, again, strict=False):
        for name, image in one.frame.images().items():
            np.testing.assert_array_equal(image, other.frame.images()[name])
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.odom_from_base, other.odom_from_base)


def test_light_changes_the_light_alone(frames):
    dark = next(render_scene(11, scene=1, frames=1, size=SIZE, light="black"))
    assert dark.light == "black"
    assert dark.frame.rgb.mean() < 25
    np.testing.assert_array_equal(dark.labels, frames[0].labels)
    np.testing.assert_array_equal(dark.clean_depth, frames[0].clean_depth)


def test_day_is_bright(frames):
    assert 95 < np.mean([f.frame.rgb.mean() for f in frames]) < 135
    assert min(f.frame.rgb.mean() for f in frames) > 70


def test_frames_hold_what_they_say(frames):
    for f in frames:
        assert f.frame.size == SIZE
        assert f.frame.intrinsics == camera_intrinsics(SIZE)
        assert f.labels.dtype == np.uint8
        assert f.labels.max() < len(LABELS)
        assert f.instances.dtype == np.uint16
        assert 0.4 <= f.base_from_camera[2, 3] <= 0.8
    assert [f.scene for f in frames] == [1] * 3 + [2] * 3 + [3] * 3


def test_an_instance_has_one_label_and_surfaces_have_none(frames):
    stuff = [LABELS.names.index(name) for name in ("floor", "wall", "ceiling")]
    for f in frames:
        for instance in np.unique(f.instances):
            labels = np.unique(f.labels[f.instances == instance])
            assert set(labels) <= set(stuff) if instance == 0 else len(labels) == 1


def test_measured_depth_is_the_true_one_within_its_noise(frames):
    for f in frames:
        measured, valid = f.frame.depth, np.isfinite(f.frame.depth)
        usable = (f.clean_depth > 0.3) & (f.clean_depth < 7)
        assert valid[usable].mean() > 0.7
        error = np.abs(measured - f.clean_depth)[valid & usable] / f.clean_depth[valid & usable]
        assert np.median(error) < 0.03
        assert not valid[f.clean_depth > 12].any()


def test_floor_pixels_lie_on_the_floor(frames):
    for f in frames:
        points = world_points(f)[f.labels == LABELS.names.index("floor")]
        assert abs(points[:, 2]).max() < 0.02


def test_an_unknown_light_is_refused():
    with pytest.raises(ValueError, match="noon"):
        next(render_scene(0, frames=1, light="noon"))


def test_thermal_pattern_stays_with_the_world():
    """A point of the floor keeps its temperature when the robot has moved on; a pixel of the image does not."""
    drive = plan_drive(71, duration_s=2.0)
    with DriveCamera(drive, SIZE) as camera:
        first, second = camera.frame(0.0), camera.frame(1.0)
    floor = LABELS.names.index("floor")
    points = world_points(first)[first.labels == floor]
    columns, rows = project(second, points)
    near = first.clean_depth[first.labels == floor] < 5
    inside = near & (columns >= 4) & (columns < SIZE[0] - 4) & (rows >= 4) & (rows < SIZE[1] - 4)
    columns, rows = columns[inside].round().astype(int), rows[inside].round().astype(int)
    same = second.labels[rows, columns] == floor
    before = first.frame.thermal[first.labels == floor][inside][same]
    after = second.frame.thermal[rows, columns][same]
    assert same.sum() > 1000
    both = (first.labels == floor) & (second.labels == floor) & (first.clean_depth < 5)
    in_world = np.corrcoef(before, after)[0, 1]
    on_screen = np.corrcoef(first.frame.thermal[both], second.frame.thermal[both])[0, 1]
    assert in_world > 0.9
    assert on_screen < 0.3


def world_points(f):
    camera = f.frame.intrinsics
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(columns.shape)], -1)
    odom_from_camera = f.odom_from_base @ f.base_from_camera
    return (rays * f.clean_depth[..., None]) @ odom_from_camera[:3, :3].T + odom_from_camera[:3, 3]


def project(f, points):
    camera, camera_from_odom = f.frame.intrinsics, np.linalg.inv(f.odom_from_base @ f.base_from_camera)
    x, y, z = (points @ camera_from_odom[:3, :3].T + camera_from_odom[:3, 3]).T
    return camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
