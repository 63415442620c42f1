"""When a frame is evidence, and when what it said is forgotten: clocks that jump, stamps ahead, poses that jump."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.frames import Frame, Intrinsics, Segmentation
from gemini_ros.core.labels import LabelClass, LabelSet
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.pose import OdometryPoses
from test.core.costmap.scene import CAMERA, MOUNTING, PERSON, Box, Scene, at, cell
from test.core.costmap.scene import LABELS as SCENE_LABELS

S = 1_000_000_000
SIZE = (6, 8)
LABELS = LabelSet("test", "this test", 255, (LabelClass(0, "floor", (1, 1, 1), "free", 0, False),))
DOWN = np.array([[1, 0, 0, 0.0], [0, -1, 0, 0], [0, 0, -1, 1], [0, 0, 0, 1]])
"""Straight down from 1 m."""


class World:
    """A mapper whose camera looks at a floor, with odometry at the origin from ``first_s`` on."""

    def __init__(self, first_s: float = 0.0, until_s: float = 30.0, clock=None) -> None:
        self.poses = OdometryPoses("odom", DOWN, keep_ns=1000 * S)
        for tenth in range(round(first_s * 10), round(until_s * 10)):
            assert self.poses.take(odometry(tenth / 10, 0.0, 0.0)) == ""
        self.mapper = Mapper(CostmapConfig(), LABELS, self.poses, clock=clock)

    def see(self, stamp_s: float, receipt: tuple[float, float], now: tuple[float, float] | None = None, offset_s=0.0):
        depth = np.ones(SIZE, np.float32)
        frame = Frame.from_images(ns(stamp_s), "camera", {"depth": depth}, Intrinsics(8, 6, 8.0, 8.0, 3.5, 2.5))
        said = Segmentation(np.zeros(SIZE, np.uint8), np.full(SIZE, 255, np.uint8))
        seen = Seen(ns(stamp_s), ns(stamp_s + offset_s), instant(*receipt))
        self.mapper.integrate(frame, said, seen, instant(*(now or receipt)))
        return seen

    def free(self, clock_s: float, steady_s: float) -> int:
        return int((self.mapper.render(instant(clock_s, steady_s))[0].data == 0).sum())


def odometry(stamp_s: float, x: float, yaw: float) -> Any:
    """What the pipeline reads of a nav_msgs/Odometry."""
    stamp = SimpleNamespace(sec=ns(stamp_s) // S, nanosec=ns(stamp_s) % S)
    orientation = SimpleNamespace(x=0.0, y=0.0, z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    pose = SimpleNamespace(position=SimpleNamespace(x=x, y=0.0, z=0.0), orientation=orientation)
    header = SimpleNamespace(stamp=stamp, frame_id="odom")
    return SimpleNamespace(header=header, child_frame_id="base_link", pose=SimpleNamespace(pose=pose))


def ns(seconds: float) -> int:
    return round(seconds * S)


def instant(clock_s: float, steady_s: float) -> Instant:
    return Instant(ns(clock_s), ns(steady_s))


def test_a_stamp_ahead_of_the_clock_is_no_evidence_then_or_later():
    world = World()
    world.see(10.0, (5.0, 100.0))
    assert "5 s ahead of the clock" in world.mapper.fault
    assert [world.free(clock, 95 + clock) for clock in (5.0, 9.5, 10.0, 10.1)] == [0, 0, 0, 0]
    world.see(10.2, (10.15, 105.0))
    assert world.mapper.fault == ""
    assert world.free(10.2, 105.05) > 0


def test_a_clock_that_stands_or_is_set_keeps_nothing_alive():
    """The steady clock goes on: a second after the last receipt nothing is known, whatever the node's clock says."""
    world = World()
    world.see(10.0, (10.0, 100.0))
    assert world.free(10.0, 101.0) > 0
    assert world.free(10.0, 101.1) == 0
    assert world.free(10.5, 100.5) > 0


def test_the_map_is_cleared_when_the_clock_jumps_back_and_does_not_rise_again():
    world = World()
    world.see(10.0, (10.0, 10.0))
    assert world.free(10.05, 10.05) > 0
    assert world.free(3.0, 3.0) == 0
    assert [world.free(clock, clock) for clock in (9.95, 10.0, 10.1)] == [0, 0, 0]
    assert list(world.mapper.news) == ["the map was cleared: the clock jumped back by 7.05 s"]


def test_a_frame_from_before_the_jump_is_no_evidence_after_it():
    world = World()
    world.see(10.0, (10.0, 10.0), now=(3.0, 3.0))
    assert world.mapper.fault == "the frame came before the clock jumped back"
    assert [world.free(clock, clock) for clock in (3.0, 10.0)] == [0, 0]


def test_two_readings_of_the_clock_in_turn_are_no_jump():
    world = World()
    world.see(10.0, (10.0, 10.0), now=(10.06, 10.06))
    assert world.free(10.0, 10.0) > 0
    assert not world.mapper.news


class Clock:
    """A clock that is set by hand, as a simulated one is: there is no steady clock beside it."""

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s

    def __call__(self) -> Instant:
        return Instant.of(ns(self.at_s))


def test_a_reading_of_the_clock_that_had_to_wait_is_no_jump():
    """A network that completes depth takes longer than 0.1 s; meanwhile the map is rendered."""
    clock = Clock(10.0)
    world = World(clock=clock)
    for tenth in range(100, 120, 3):
        stale = tenth / 10, tenth / 10
        clock.at_s = stale[0] + 0.25
        world.see(stale[0], stale, now=stale)
        assert world.free(*stale) > 0
    assert not world.mapper.news
    clock.at_s = 3.0
    assert world.free(*stale) == 0
    assert list(world.mapper.news) == ["the map was cleared: the clock jumped back by 9.05 s"]


def test_a_clock_that_jumps_while_the_pose_is_asked_for_takes_the_frame_with_it():
    clock = Clock(10.0)
    world = World(clock=clock)
    at = world.poses.at

    def jumping(stamp, camera_frame):
        clock.at_s = 3.0
        return at(stamp, camera_frame)

    world.poses.at = jumping  # type: ignore[method-assign]
    world.see(10.0, (10.0, 10.0))
    assert world.mapper.fault == "the frame came before the clock jumped back"
    for clock.at_s in (3.0, 9.95, 10.0, 10.1):
        assert world.free(clock.at_s, clock.at_s) == 0


def test_small_steps_back_add_up_to_a_jump():
    world = World()
    world.see(10.0, (10.0, 100.0))
    assert world.free(9.94, 100.01) > 0
    assert world.free(9.88, 100.02) == 0
    assert list(world.mapper.news) == ["the map was cleared: the clock jumped back by 0.12 s"]


def test_stamps_that_go_back_clear_the_map_and_are_told_a_clock_that_is_set_a_little_is_not():
    world = World()
    world.see(10.0, (10.0, 100.0))
    world.see(9.95, (10.05, 100.05))
    assert not world.mapper.news
    assert world.free(10.05, 100.05) > 0
    world.see(9.8, (10.1, 100.1))
    assert list(world.mapper.news) == ["the map was cleared: the stamps of the images went back by 0.2 s"]
    assert sum(world.mapper.clearings.values()) == 1


def test_the_pose_is_that_of_the_corrected_stamp_and_the_header_keeps_the_raw_one():
    world = World(until_s=0.0)
    for tenth in range(100, 120):
        world.poses.take(odometry(tenth / 10, 2.0 * (tenth - 100) / 10, 0.0))
    seen = world.see(11.0, (11.5, 11.5), offset_s=0.5)
    assert world.mapper.robot[0] == pytest.approx(3.0)
    occupancy, frame = world.mapper.render_frame(seen, instant(11.5, 11.5))
    assert (occupancy.stamp_ns, frame) == (ns(11.0), "odom")
    assert (occupancy.data == 0).any()


@pytest.mark.parametrize("step_m", [2.0, 100.0])
def test_odometry_that_jumps_clears_the_map_and_is_said(step_m):
    world = World(until_s=10.1)
    world.see(10.0, (10.0, 10.0))
    assert world.free(10.0, 10.0) > 0
    world.poses.take(odometry(10.1, step_m, 0.0))
    assert world.free(10.1, 10.1) == 0
    assert f"jumped by {step_m:g} m" in world.mapper.news[0]
    world.see(10.1, (10.1, 10.1))
    assert world.free(10.1, 10.1) > 0


@pytest.mark.parametrize("back_s", [0.02, 0.1, 0.9])
def test_odometry_that_starts_anew_with_a_stamp_a_little_earlier_jumps(back_s):
    world = World(until_s=0.0)
    for tenth in range(95, 101):
        world.poses.take(odometry(tenth / 10, 5.0, 0.0))
    world.see(10.0, (10.0, 10.0))
    assert world.free(10.0, 10.0) > 0
    for twentieth in range(5):
        world.poses.take(odometry(10.0 - back_s + twentieth / 20, 0.0, 0.0))
    assert world.free(10.05, 10.05) == 0
    assert world.poses.jumps == 1
    assert f"jumped by 5 m and 0 rad with a stamp that goes back by {back_s:g} s" in world.mapper.news[0]


def test_odometry_whose_messages_change_places_does_not_jump():
    poses = World(until_s=0.0).poses
    for tenth in (100, 101, 103, 102, 104, 106, 105, 107):
        poses.take(odometry(tenth / 10, 3.0 * (tenth - 100) / 10, 0.0))
    assert poses.jumps == 0


def test_odometry_that_turns_on_the_spot_in_one_message_jumps_too():
    world = World(until_s=10.1)
    world.see(10.0, (10.0, 10.0))
    world.poses.take(odometry(10.1, 0.0, 2.0))
    assert world.free(10.1, 10.1) == 0


@pytest.mark.parametrize("x", [1e308, 1e15, -1.1e7, float("nan"), float("inf")])
def test_a_position_that_no_robot_reaches_is_refused_with_its_reason(x):
    world = World(until_s=10.1)
    assert "within 1e+07" in world.poses.take(odometry(10.1, x, 0.0))
    world.see(10.05, (10.05, 10.05))
    assert world.free(10.05, 10.05) > 0


def test_an_orientation_of_another_norm_is_refused_with_its_reason():
    world = World()
    message = odometry(30.0, 0.0, 0.0)
    message.pose.pose.orientation.w = 1e300
    assert "norm 1e+300" in world.poses.take(message)


def test_the_last_map_is_unknown_and_where_the_map_was():
    world = World()
    world.see(10.0, (10.0, 10.0))
    rendered, frame = world.mapper.render(instant(10.0, 10.0))
    last, last_frame = world.mapper.unknown(ns(10.5))
    assert (last.data == -1).all()
    assert (last.origin_xy, last.stamp_ns, last_frame) == (rendered.origin_xy, ns(10.5), frame)
    assert last.data.shape == rendered.data.shape


def test_the_map_is_empty_while_the_policy_stops():
    world = World()
    world.see(10.0, (10.0, 10.0))
    assert not world.mapper.follow("degrade:rgb")
    assert world.free(10.0, 10.0) > 0
    assert world.mapper.follow("stop:depth")
    assert world.free(10.0, 10.0) == 0
    assert not world.mapper.follow("stop:rgb+depth")
    world.see(10.1, (10.1, 10.1))
    assert world.mapper.fault == "stopped while a modality is missing"
    assert not world.mapper.follow("normal")
    world.see(10.2, (10.2, 10.2))
    assert world.free(10.2, 10.2) > 0


@pytest.mark.parametrize(("z_m", "pitch"), [(1.0, 0.0), (-3.0, 0.0), (0.0, 0.0875), (1.0, -0.0875)])
def test_heights_are_over_what_the_robot_stands_on(z_m, pitch):
    """The z of odometry drifts, and on a ramp the robot is tilted with the ground: the map stays as it is."""
    maps = []
    for z, tilt in ((0.0, 0.0), (z_m, pitch)):
        world = World(until_s=0.0)
        message = odometry(10.0, 1.0, 0.0)
        message.pose.pose.position.z = z
        message.pose.pose.orientation = SimpleNamespace(x=0.0, y=math.sin(tilt / 2), z=0.0, w=math.cos(tilt / 2))
        assert world.poses.take(message) == ""
        world.see(10.0, (10.0, 10.0))
        maps.append(world.mapper.render(instant(10.0, 10.0))[0])
    assert (maps[0].data == 0).any()
    np.testing.assert_array_equal(maps[0].data, maps[1].data)


def test_labels_alone_are_projected_only_where_that_is_wanted_and_it_is_said():
    for without_depth, said in (("unknown", "the frame has no depth"), ("project", "taken for flat")):
        poses = OdometryPoses("odom", camera_in_base([0.0, 0.0, 0.5, 0.0, 0.3, 0.0]))
        poses.take(odometry(10.0, 0.0, 0.0))
        mapper = Mapper(CostmapConfig(without_depth=without_depth), LABELS, poses)
        frame = Frame(
            ns(10.0), "camera", thermal=np.ones(SIZE, np.float32), intrinsics=Intrinsics(8, 6, 8.0, 8.0, 3.5, 2.5)
        )
        mapper.integrate(frame, Segmentation(np.zeros(SIZE, np.uint8), np.full(SIZE, 255, np.uint8)))
        known, text = mapper.status(instant(10.0, 10.0))
        assert known == (without_depth == "project")
        assert said in text


def test_labels_alone_of_a_camera_below_the_floor_are_no_evidence_and_it_is_said():
    poses = OdometryPoses("odom", camera_in_base([0.0, 0.0, -0.5, 0.0, 0.3, 0.0]))
    poses.take(odometry(10.0, 0.0, 0.0))
    mapper = Mapper(CostmapConfig(without_depth="project"), LABELS, poses)
    frame = Frame(
        ns(10.0), "camera", thermal=np.ones(SIZE, np.float32), intrinsics=Intrinsics(8, 6, 8.0, 8.0, 3.5, 2.5)
    )
    mapper.integrate(frame, Segmentation(np.zeros(SIZE, np.uint8), np.full(SIZE, 255, np.uint8)))
    assert mapper.fault == (
        "the camera is -0.5 m over the plane that the robot stands on, expected above it: correct z of camera.in_base, "
        "or the transform that TF has of the camera"
    )
    assert (mapper.render(instant(10.0, 10.0))[0].data == -1).all()


@pytest.mark.parametrize(("later_s", "margin_m"), [(0.05, 0.2), (0.5, 0.8), (0.9, 1.44)])
@pytest.mark.parametrize("stands", [False, True], ids=["clock", "steady clock alone"])
def test_the_margin_of_what_moves_grows_while_no_frame_comes(later_s, margin_m, stands):
    poses = OdometryPoses("odom", MOUNTING)
    poses.take(odometry(10.0, 0.0, 0.0))
    mapper = Mapper(CostmapConfig(floor_fit=False), SCENE_LABELS, poses)
    said, depth = Scene(boxes=(Box((3.0, -0.2, 0.0), (3.3, 0.2, 1.6), PERSON),)).see(at())
    frame = Frame.from_images(ns(10.0), "camera", {"depth": depth}, CAMERA)
    mapper.integrate(frame, said, Seen(ns(10.0), ns(10.0), instant(10.0, 50.0)), instant(10.0, 50.0))
    occupancy, _ = mapper.render(instant(10.0 + later_s * (not stands), 50.0 + later_s))
    lethal = [x for x in np.arange(1.0, 3.0, 0.05) if cell(occupancy, x + 0.01, 0.02) == 100]
    assert 3.0 - min(lethal) == pytest.approx(margin_m, abs=0.06)


def test_what_the_floor_said_of_the_mounting_stays_unless_it_is_not_to_correct_it():
    world = World()
    world.see(10.0, (10.0, 10.0))
    floor = world.mapper._costmap.floor
    floor.tilt = np.array([0.02, 0.0, 0.0])
    world.mapper.reconfigure(CostmapConfig(size_m=6.0))
    assert "mounting corrected by 1.15 and" in geometry_of(world)
    world.mapper.reconfigure(CostmapConfig(size_m=6.0, floor_fit=False))
    assert "mounting corrected by 0.00 and" in geometry_of(world)
    assert (world.mapper._taken.pose.grid_from_camera == world.poses.at(ns(10.1), "camera").grid_from_camera).all()


def geometry_of(world: World) -> str:
    world.see(10.1, (10.1, 10.1))
    return world.mapper.geometry


def test_what_the_map_sees_of_low_things_is_told():
    world = World()
    assert world.mapper.geometry == ""
    world.see(10.0, (10.0, 10.0))
    assert "5 cm up to" in world.mapper.geometry
    assert "pixels of floor, expected 2000" in world.mapper.geometry


def test_another_shape_starts_an_empty_map():
    world = World()
    world.see(10.0, (10.0, 10.0))
    world.mapper.reconfigure(CostmapConfig(size_m=4.0, resolution_m=0.1))
    occupancy, _ = world.mapper.render(instant(10.0, 10.0))
    assert occupancy.data.shape == (40, 40)
    assert (occupancy.data == -1).all()
    world.see(10.1, (10.1, 10.1))
    assert world.free(10.1, 10.1) > 0


def test_the_robot_has_a_heading():
    world = World(until_s=0.0)
    world.poses.take(odometry(10.0, 1.0, 0.5))
    world.see(10.0, (10.0, 10.0))
    assert world.mapper.robot == pytest.approx((1.0, 0.0, 0.5))


def test_a_pose_is_awaited_until_there_is_one_at_the_stamp_and_not_where_odometry_is_silent():
    poses = World(until_s=10.1).poses
    assert [poses.awaits(ns(at)) for at in (9.9, 10.0, 10.01, 11.0, 11.01)] == [False, False, True, True, False]
    assert not OdometryPoses("odom", DOWN).awaits(ns(1.0))
