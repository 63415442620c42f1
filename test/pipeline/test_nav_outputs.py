"""When a frame gives clouds and a scan, and when it is silent; images and points of one size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.nav_outputs import NavOutputs, OutputSize
from gemini_ros.pipeline.pose import OdometryPoses
from gemini_ros.pipeline.settings import make_settings
from test.core.costmap.scene import CAMERA, LABELS, MOUNTING, WALL, Box, S, Scene, at
from test.pipeline.test_mapping import odometry

pytestmark = pytest.mark.once
BOX = Scene(boxes=(Box((2.0, -0.3, 0.0), (2.4, 0.3, 0.2)),))


class World:
    """A mapper and what Nav2 takes of it."""

    def __init__(self, **values: Any) -> None:
        settings = make_settings({f"outputs.{name}": value for name, value in values.items()})
        self.poses = OdometryPoses("odom", MOUNTING)
        for tenth in range(30):
            assert self.poses.take(odometry(tenth / 10, 0.0, 0.0)) == ""
        self.mapper = Mapper(CostmapConfig(), LABELS, self.poses)
        self.nav = NavOutputs(self.mapper, settings)

    def tells(
        self, scene: Scene = BOX, stamp_s: float = 1.0, late_s: float = 0.05, depth: np.ndarray | None = None
    ) -> bool:
        said, seen_depth = scene.see(at())
        stamp = round(stamp_s * S)
        frame = Frame(stamp, "camera", depth=seen_depth if depth is None else depth, intrinsics=CAMERA)
        self.seen, self.now = Seen.of(stamp), Instant.of(stamp + round(late_s * S))
        self.mapper.integrate(frame, said, self.seen, self.now)
        return self.nav.tells(self.seen, self.now)


def test_what_stands_is_in_the_clouds_and_in_the_scan():
    world = World()
    assert world.tells()
    assert set(world.nav.clouds().obstacles["label"]) == {WALL}
    scan = world.nav.scan(world.seen, world.now)
    assert scan is not None
    assert scan.ranges[len(scan.ranges) // 2] == pytest.approx(2.02, abs=0.05)


def test_empty_is_not_silent():
    world = World()
    assert world.tells(Scene())
    clouds = world.nav.clouds()
    assert len(clouds.obstacles) == 0
    assert len(clouds.ground) > 100
    assert world.nav.scan(world.seen, world.now) is not None


def test_no_evidence_is_silent():
    world = World()
    nothing = np.full((120, 160), np.nan, np.float32)
    assert not world.tells(depth=nothing)
    assert "measures next to nothing" in world.nav.silence
    assert not world.tells(stamp_s=9.0)
    assert "odometry" in world.nav.silence
    assert world.tells()
    assert world.nav.silence == ""
    world.mapper.stop()
    assert not world.tells(stamp_s=1.1)
    assert "stopped" in world.nav.silence


def test_a_way_ahead_that_is_not_measured_is_silent_and_warned_of():
    world = World()
    _, depth = BOX.see(at())
    middle = depth.copy()
    middle[:, 30:130] = np.nan
    assert not world.tells(depth=middle)
    assert "less than 10 % of the way ahead (0.6 m wide, up to 3 m)" in world.nav.silence
    assert "no clouds and no scan: depth measures less" in world.mapper.warning
    assert world.mapper.fault == ""
    aside = depth.copy()
    aside[:, :30] = np.nan
    assert world.tells(depth=aside)
    assert world.mapper.warning == ""


def test_a_camera_that_looks_aside_is_not_asked_for_the_way_ahead():
    world = World()
    _, depth = BOX.see(at())
    depth[:, 30:130] = np.nan
    turned = replace(CAMERA, cx=2000.0)
    said = Segmentation(np.zeros((120, 160), np.uint8), np.full((120, 160), 255, np.uint8))
    world.mapper.integrate(Frame(S, "camera", depth=depth, intrinsics=turned), said, Seen.of(S), Instant.of(S))
    assert "way ahead" not in world.mapper.warning


def test_a_late_frame_is_silent():
    world = World()
    assert not world.tells(late_s=0.35)
    assert world.nav.silence == "the frame is 0.35 s old, expected outputs.max_age_s 0.3"
    assert World(max_age_s=0.5).tells(late_s=0.35)
    assert World(max_age_s=0.0).tells(late_s=0.9)


def test_before_any_frame_it_is_silent():
    world = World()
    assert not world.nav.tells(Seen.of(0), Instant.of(0))
    assert world.nav.silence == "no frame yet"


@pytest.mark.parametrize("size", [(4, 2), (8, 6), (16, 9), (3, 5)])
def test_images_and_points_share_one_size(size):
    out = OutputSize(size)
    depth = np.arange(1, 49, dtype=np.float32).reshape(6, 8)
    frame = Frame(1, "camera", depth=depth, intrinsics=CAMERA.scaled(8, 6))
    labels = depth.astype(np.uint8)
    said = out.segmentation(Segmentation(labels, labels[::-1].copy()))
    points, camera = out.points(frame), out.intrinsics(frame)
    assert points is not None
    assert camera is not None
    assert said.labels.shape == said.confidence.shape == points.shape[:2] == (camera.height, camera.width) == size[::-1]
    np.testing.assert_array_equal(points[..., 2], said.labels)  # the depth of the pixel whose label it is
    u, v = (
        (camera.fx * points[..., 0] / points[..., 2] + camera.cx),
        camera.fy * points[..., 1] / points[..., 2] + camera.cy,
    )
    wide, high = max(size[0] / 8, 1) / 2 + 0.01, max(size[1] / 6, 1) / 2 + 0.01
    assert (np.abs(u - np.arange(size[0])) <= wide).all()
    assert (np.abs(v - np.arange(size[1])[:, None]) <= high).all()


def test_without_a_size_they_have_that_of_the_grid():
    image = np.arange(48, dtype=np.uint8).reshape(6, 8)
    frame = Frame(1, "camera", depth=image.astype(np.float32), intrinsics=CAMERA.scaled(8, 6))
    out = OutputSize()
    assert out.image(image) is image
    assert out.intrinsics(frame) == frame.intrinsics
    points = out.points(frame)
    assert points is not None
    assert points.shape == (6, 8, 3)
    assert np.isnan(points[0, 0]).all()
    assert out.points(replace(frame, intrinsics=None)) is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("outputs.size", "320", "outputs.size: '320', expected WIDTHxHEIGHT"),
        ("outputs.voxel_m", 0.001, "outputs.voxel_m: 0.001, expected 0.02 or more, or 0"),
        ("outputs.max_age_s", -1.0, "outputs.max_age_s: -1, expected 0 to 60"),
    ],
)
def test_settings_that_cannot_be(name, value, told):
    with pytest.raises(ValueError, match=told.replace("(", r"\(")):
        make_settings({name: value})
