"""Faults under which everything seemed well: each is told, with its cure, and hides no other. One node for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from geometry_msgs.msg import Point
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from test.conftest import private_domain
from test.nodes.rig import HEIGHT, SENSOR_QOS, WIDTH, LiveNode, Robot, camera_info, image, live_node, robot

MS = 1_000_000


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Robot]:
    with pytest.MonkeyPatch.context() as patch, private_domain() as domain:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        with live_node(), robot() as r:
            r.meet()
            r.send_until(lambda: well(r), "rgb", "depth")
            yield r


def well(r: Robot) -> bool:
    """Everything is as it should be."""
    subjects = ("mode", "input rgb", "input depth", "costmap", "graph", "pipeline")
    return all(r.level(subject) == 0 for subject in subjects)


def repeat(r: Robot, step: Callable[[int], None], condition: Callable[[], bool], every_s: float = 0.1) -> None:
    """``step`` at the time of now, until ``condition``."""

    def turn() -> bool:
        step(r.now())
        r.spin(every_s)
        return condition()

    r.until(turn)


def recover(r: Robot) -> None:
    r.send_until(lambda: well(r), "rgb", "depth")


def depth_image(values: np.ndarray | float) -> Callable[[int], Image]:
    random = np.random.default_rng(1)

    def made(now: int) -> Image:
        depth = np.full((HEIGHT, WIDTH), values, np.float32) + random.normal(0, 1e-3, (HEIGHT, WIDTH))
        return image(depth.astype(np.float32), "32FC1", now)

    return made


@pytest.mark.parametrize(("policy", "level"), [("degrade", 1), ("hold", 1), ("stop", 2)])
def test_two_live_cameras_that_never_pair(running: Robot, policy: str, level: int):
    r = running
    assert r.set(missing__policy=policy) == ""

    def apart(now: int) -> None:
        r.send("rgb", stamp_ns=now)
        r.send("depth", stamp_ns=now + 50 * MS)

    repeat(r, apart, lambda: r.says("mode", "depth does not pair"))
    assert r.level("mode") == level
    assert r.figures("mode")["mode"] == f"{policy}:depth"
    for subject in ("mode", "input depth"):
        assert r.says(subject, "ms apart (depth "), r.diagnostics[subject].message
        assert r.says(subject, "sync.slop_s allows 20 ms: set sync.slop_s above 0.05")
    assert float(r.figures("input depth")["nearest_ms"]) == pytest.approx(50, abs=5)
    if policy != "degrade":
        repeat(r, apart, lambda: r.says("model", "frames per second, expected min_rate_hz 2 (every camera brings"))
        assert r.level("model") == 2
    r.until(lambda: max(r.heard["costmap"][-1].data) < 0)
    assert r.set(missing__policy="degrade") == ""
    recover(r)


@pytest.mark.parametrize(
    ("values", "subject", "told"),
    [
        (15.0, "costmap", f"0 of {WIDTH * HEIGHT} pixels lie within 0.05 to 7.071 m"),
        (
            np.where(np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH) == 999, 2.0, np.nan),
            "input depth",
            f"1 of {WIDTH * HEIGHT} pix",
        ),
    ],
    ids=["far", "one pixel"],
)
def test_depth_that_measures_nothing(running: Robot, values, subject: str, told: str):
    r = running
    made = depth_image(values)
    repeat(r, lambda now: void(r.send("rgb", "depth", stamp_ns=now, depth=made(now))), lambda: r.says(subject, told))
    assert r.level(subject) == 1
    repeat(r, lambda now: void(r.send("rgb", "depth", stamp_ns=now, depth=made(now))), lambda: r.says("mode", told))
    assert r.says("mode", "depth is blind, policy degrade: depth measures next to nothing")
    assert r.figures("mode")["mode"] == "degrade:depth"
    recover(r)


def test_images_that_never_lie_on_the_grid_are_in_the_mode(running: Robot):
    r = running

    def other_size(now: int) -> None:
        r.send("rgb", "depth", stamp_ns=now, rgb=r.rgb(now, (WIDTH + 2, HEIGHT)))

    repeat(r, other_size, lambda: r.says("mode", "depth is blind, policy degrade: depth 80x60, rgb 82x60"))
    assert r.says("input depth", "depth 80x60, rgb 82x60: the images lie on another pixel grid")
    assert r.figures("mode")["mode"] == "degrade:depth"
    assert r.level("mode") == 1
    recover(r)


def void(_value: object) -> None:
    """Nothing."""


def test_the_height_of_odometry_is_not_that_of_the_ground(running: Robot):
    """Heights are over the ground that the robot stands on: odometry that drifts upwards moves no floor."""
    r = running
    lifted_at = time.monotonic()

    def lifted(now: int) -> None:
        message = r.odom(now)
        message.pose.pose.position = Point(z=100.0)
        r.odometry.publish(message)
        r.send("rgb", "depth", stamp_ns=now, odom=False)

    repeat(r, lifted, lambda: time.monotonic() - lifted_at > 2 and r.says("costmap", "mapping"))
    assert (np.array(r.heard["costmap"][-1].data) >= 0).any()
    recover(r)


def test_dead_cameras_are_not_told_to_play_a_bag(running: Robot):
    r = running
    told: list[str] = []
    r.until(lambda: told.append(r.diagnostics["costmap"].message) or r.says("costmap", "no frame for 3 s"))
    assert not [text for text in told if "--clock" in text]
    assert r.level("costmap") == 1
    assert told[-1].startswith("unknown: no frame")
    recover(r)


def test_intrinsics_of_no_camera(running: Robot):
    r = running

    def short(now: int) -> None:
        for name in ("rgb", "depth"):
            r.infos[name].publish(camera_info(focal=1e-3))
        r.send("rgb", "depth", stamp_ns=now, info=False)

    repeat(r, short, lambda: r.says("input rgb", "fx 0.001") and r.says("costmap", "intrinsics are not known"))
    recover(r)


def test_odometry_in_alternating_frames_and_of_a_camera(running: Robot):
    r = running

    def publish(frame: str, child: str, now: int) -> None:
        message: Odometry = r.odom(now, frame=frame)
        message.child_frame_id = child
        r.odometry.publish(message)

    def both(now: int) -> None:
        publish("odom", "base_link", now)
        publish("map", "camera_link", now + 1)
        r.send("rgb", "depth", stamp_ns=now, odom=False)

    repeat(r, both, lambda: r.says("costmap", "odometry alternates between base_link in odom and camera_link in map"))

    def camera(now: int) -> None:
        publish("odom", "camera_link", now)
        r.send("rgb", "depth", stamp_ns=now, odom=False)

    repeat(r, camera, lambda: r.says("costmap", "unknown: odometry is the pose of 'camera_link', expected base_link"))
    recover(r)


def test_two_publishers_on_a_topic(running: Robot):
    r = running
    others = [
        r.node.create_publisher(kind, topic, SENSOR_QOS)
        for kind, topic in ((Image, "depth/image"), (type(camera_info()), "rgb/camera_info"), (Odometry, "odom"))
    ]
    topics = ("/depth/image", "/rgb/camera_info", "/odom")
    r.until(lambda: all(r.says("graph", f"2 publishers on {topic} (/robot, /robot)") for topic in topics))
    assert r.says("graph", "stop all but one, or remap the others")
    assert r.level("graph") == 1
    for publisher in others:
        r.node.destroy_publisher(publisher)
    recover(r)


@contextmanager
def second_node() -> Iterator[None]:
    node = LiveNode()
    try:
        yield
    finally:
        node.close()


def test_two_segmenters_in_a_namespace(running: Robot):
    r = running
    with second_node():
        r.until(lambda: r.says("graph", "2 nodes are called /segmenter"))
        assert r.says("graph", "-r __ns:=/NAMESPACE")
    recover(r)


def test_faults_that_are_true_at_once_are_told_at_once(running: Robot):
    r = running
    made, good = depth_image(500.0), depth_image(2.0)
    other = r.node.create_publisher(Image, "depth/image", SENSOR_QOS)

    def all_wrong(now: int) -> None:
        early = now - 5_000_000_000
        for name in ("rgb", "depth"):
            r.infos[name].publish(camera_info(focal=1e-3))
        r.odometry.publish(r.odom(early, frame="map"))
        r.send("rgb", "depth", stamp_ns=early, depth=made(early), info=False, odom=False)
        early += 20_000_000
        r.send("rgb", "depth", stamp_ns=early, depth=good(early), info=False, odom=False)

    def told() -> bool:
        return (
            r.says("costmap", "behind the node's clock")
            and r.says("costmap", "intrinsics are not known")
            and r.says("costmap", "odometry is in frame 'map'")
            and r.says("input depth", "measures next to nothing")
            and r.says("input rgb", "fx 0.001")
            and r.says("graph", "2 publishers on /depth/image")
        )

    repeat(r, all_wrong, told)
    r.node.destroy_publisher(other)
    recover(r)
