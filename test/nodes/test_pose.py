"""The camera's pose from odometry, and from TF behind the interface of tf2_ros."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from threading import Timer
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import Point, Quaternion, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from rclpy.clock import ClockType
from rclpy.time import Time as RosTime

from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.transforms import camera_in_base, from_xyz_rpy
from gemini_ros.nodes.segmenter import pose
from gemini_ros.nodes.segmenter.pose import OdometryPose, PoseUnknown, TfPose, pose_source
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.pose import OdometryPoses
from test.nodes.rig import live_node, robot, stamp

MOUNTING = (0.3, 0.1, 0.5, 0.0, 0.0, 0.0)
SECOND = 1_000_000_000


def odometry(stamp_ns: int, x: float, frame: str = "odom", w: float = 1.0) -> Odometry:
    message = Odometry()
    message.header.stamp, message.header.frame_id = stamp(stamp_ns), frame
    message.pose.pose.position = Point(x=x, y=2.0)
    message.pose.pose.orientation = Quaternion(w=w)
    return message


@pytest.fixture
def r(ros_environment):
    with robot(()) as made:
        yield made


def heard(r, messages: list[Odometry], source: OdometryPose, at_ns: int):
    r.until(lambda: r.odometry.get_subscription_count())
    for message in messages:
        r.odometry.publish(message)

    def arrived() -> bool:
        try:
            return source.at(at_ns, "camera").warning == ""
        except PoseUnknown:
            return True

    r.until(arrived)


def test_odometry_is_interpolated_at_the_stamp_and_carries_the_mounting(r):
    source = OdometryPose(r.node, "odom", MOUNTING)
    heard(r, [odometry(SECOND, 1.0), odometry(SECOND + SECOND // 10, 1.2)], source, SECOND + SECOND // 20)
    r.spin(0.1)
    found = source.at(SECOND + SECOND // 20, "camera")
    assert (found.frame, found.warning) == ("odom", "")
    assert found.robot == pytest.approx((1.1, 2.0, 0.0))
    # One metre along the optical axis is one metre ahead of the camera.
    assert found.grid_from_camera @ [0, 0, 1, 1] == pytest.approx([1.1 + 0.3 + 1.0, 2.1, 0.5, 1.0])
    with pytest.raises(PoseUnknown, match=r"no odometry within 0.1 s"):
        source.at(10 * SECOND, "camera")


def test_a_pose_at_or_after_the_stamp_is_waited_for(r):
    """Odometry of 20 Hz comes later than the image between two of its stamps; turning, the older pose is wrong."""
    source = OdometryPose(r.node, "odom", MOUNTING)
    heard(r, [odometry(SECOND, 1.0)], source, SECOND)
    image_ns = SECOND + SECOND // 25
    later = Timer(0.03, lambda: source._take(odometry(SECOND + SECOND // 20, 1.2)))
    later.start()
    start = time.monotonic()
    source.wait(image_ns)
    assert time.monotonic() - start < 0.09
    assert source.at(image_ns, "camera").robot[0] == pytest.approx(1.16)
    later.join()
    # Nothing comes in time: the nearest pose has to do. Nothing came for long: no image waits.
    start = time.monotonic()
    source.wait(2 * SECOND)
    assert 0.08 < time.monotonic() - start < 0.5
    start = time.monotonic()
    source.wait(10 * SECOND)
    assert time.monotonic() - start < 0.05


def test_without_odometry_the_grid_stays_with_the_robot(r):
    found = OdometryPose(r.node, "odom", MOUNTING).at(SECOND, "camera")
    assert found.frame == "base_link"
    assert found.robot == (0.0, 0.0, 0.0)
    assert "no odometry: the grid is in base_link and does not accumulate" in found.warning
    assert found.grid_from_camera @ [0, 0, 1, 1] == pytest.approx([1.3, 0.1, 0.5, 1.0])


def test_without_mounting_there_is_no_pose(r):
    with pytest.raises(PoseUnknown, match=r"set camera.in_base"):
        OdometryPose(r.node, "odom", None).at(SECOND, "camera")


def test_another_frame_is_not_taken_for_the_grids(r):
    source = OdometryPose(r.node, "odom", MOUNTING)
    heard(r, [odometry(SECOND, 1.0, "map")], source, SECOND)
    with pytest.raises(PoseUnknown, match=r"odometry is in frame 'map', costmap.frame is 'odom'"):
        source.at(SECOND, "camera")


def test_odometry_without_orientation_is_named(r):
    source = OdometryPose(r.node, "odom", MOUNTING)
    r.until(lambda: r.odometry.get_subscription_count())
    r.odometry.publish(odometry(SECOND, 1.0, w=0.0))
    r.until(lambda: "odometry is unusable" in source.at(SECOND, "camera").warning)


class TransformError(Exception):
    pass


class ExtrapolationError(TransformError):
    pass


class Buffer:
    """tf2_ros.Buffer as far as it is used: exact stamps, time 0 = the latest."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], dict[int, float]] = {}

    def clear(self) -> None:
        self.known = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        link = self.known.setdefault((transform.header.frame_id, transform.child_frame_id), {})
        link[stamp_ns(transform)] = transform.transform.translation.x

    set_transform_static = set_transform

    def can_transform(self, target: str, source: str, time, timeout) -> bool:
        self.waited = (target, source, time.nanoseconds, timeout.nanoseconds)
        return time.nanoseconds in self.known.get((target, source), {})

    def lookup_transform(self, target: str, source: str, time) -> TransformStamped:
        if (target, source) not in self.known:
            raise TransformError(f"{target} is not known")
        transforms = self.known[target, source]
        at = time.nanoseconds or max(transforms)
        if at not in transforms:
            raise ExtrapolationError("into the future")
        message = TransformStamped()
        message.header.stamp = stamp(at)
        message.transform.translation = Vector3(x=transforms[at])
        return message


class Listener:
    """tf2_ros.TransformListener as far as it is used: ``hear`` stands for a message on /tf, or on /tf_static."""

    def __init__(self, buffer, node) -> None:
        self.buffer = buffer

    def hear(self, parent: str, child: str, stamp_ns: int, x: float = 0.0, *, static: bool = False) -> None:
        message = TransformStamped(child_frame_id=child)
        message.header.stamp, message.header.frame_id = stamp(stamp_ns), parent
        message.transform.translation, message.transform.rotation = Vector3(x=x), Quaternion(w=1.0)
        (self.buffer.set_transform_static if static else self.buffer.set_transform)(message, "default_authority")

    def unregister(self) -> None:
        pass


@pytest.fixture
def tf(monkeypatch) -> SimpleNamespace:
    """A stand-in for tf2_ros, which has no wheel."""
    module = SimpleNamespace(
        Buffer=Buffer,
        TransformListener=Listener,
        TransformException=TransformError,
        ExtrapolationException=ExtrapolationError,
    )
    monkeypatch.setattr(pose, "tf2_ros", module)
    return module


@pytest.fixture
def tf_pose(r, tf) -> Iterator[Callable[..., TfPose]]:
    made: list[TfPose] = []

    def make(*frames: str) -> TfPose:
        made.append(TfPose(r.node, "odom", *frames))
        return made[-1]

    yield make
    for source in made:
        source.close()


def test_tf_gives_camera_and_robot_at_the_stamp(tf_pose):
    source = tf_pose()
    source._tf.buffer.known = {("odom", "base_link"): {SECOND: 3.0}, ("base_link", "camera"): {SECOND: 0.5}}
    found = source.at(SECOND, "camera")
    assert (found.frame, found.robot, found.warning) == ("odom", (3.0, 0.0, 0.0), "")
    np.testing.assert_allclose(found.grid_from_camera, from_xyz_rpy(3.5, 0, 0, 0, 0, 0))


def test_tf_is_waited_for_once_it_knows_the_grid(tf_pose):
    source = tf_pose()
    source.wait(SECOND)
    assert not hasattr(source._tf.buffer, "waited")
    source._tf.buffer.known = {("odom", "base_link"): {SECOND: 3.0}, ("base_link", "camera"): {SECOND: 0.5}}
    source.at(SECOND, "camera")
    source.wait(SECOND + 1)
    assert source._tf.buffer.waited == ("odom", "base_link", SECOND + 1, SECOND // 10)


def test_a_tf_that_died_is_not_waited_for(tf_pose):
    source = tf_pose()
    source._tf.buffer.known = {("odom", "base_link"): {SECOND: 3.0}, ("base_link", "camera"): {SECOND: 0.5}}
    source.at(SECOND, "camera")
    source.wait(2 * SECOND + 1)
    assert not hasattr(source._tf.buffer, "waited")
    source.wait(2 * SECOND)
    assert source._tf.buffer.waited == ("odom", "base_link", 2 * SECOND, SECOND // 10)


def test_two_threads_that_ask_for_a_transform_first_share_one_listener(r, tf, monkeypatch):
    made: list[Buffer] = []

    class Slow(Buffer):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)
            time.sleep(0.05)

    monkeypatch.setattr(tf, "Buffer", Slow)
    source = OdometryPose(r.node, "odom", MOUNTING)

    def ask(said: str) -> None:
        with pytest.raises(LookupError, match=said):
            source.transform("odom", "camera", SECOND)

    threads = [threading.Thread(target=ask, args=("odom is not known",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    source.close()
    assert len(made) == 1
    ask("TF is not listened to any more")
    assert len(made) == 1


def test_tf_holds_the_latest_transform_for_a_tenth_of_a_second(tf_pose):
    source = tf_pose()
    source._tf.buffer.known = {("odom", "base_link"): {SECOND: 3.0}, ("base_link", "camera"): {SECOND: 0.5}}
    assert source.at(SECOND + SECOND // 10, "camera").robot == (3.0, 0.0, 0.0)
    with pytest.raises(PoseUnknown, match="into the future"):
        source.at(SECOND + SECOND // 10 + 1, "camera")


def test_a_joint_of_the_camera_that_is_late_does_not_take_the_robot_back_with_it(tf_pose):
    source = tf_pose()
    late = SECOND - SECOND // 10
    source._tf.buffer.known = {
        ("odom", "base_link"): {late: 2.9, SECOND: 3.0},
        ("base_link", "camera"): {late: 0.5},
        ("odom", "camera"): {late: 3.4},
    }
    np.testing.assert_allclose(source.at(SECOND, "camera").grid_from_camera, from_xyz_rpy(3.5, 0, 0, 0, 0, 0))
    source._tf.buffer.known["base_link", "camera"] = {late - 1: 0.5}
    with pytest.raises(PoseUnknown, match=r"TF base_link from 'camera': into the future"):
        source.at(SECOND, "camera")


def test_tf_without_odometry_falls_back_to_the_robot_until_it_was_there(tf_pose):
    source = tf_pose()
    source._tf.buffer.known = {("base_link", "camera"): {SECOND: 0.5}}
    found = source.at(SECOND, "camera")
    assert found.frame == "base_link"
    assert "does not accumulate" in found.warning
    source._tf.buffer.known = {("odom", "base_link"): {SECOND: 3.0}, ("base_link", "camera"): {SECOND: 0.5}}
    assert source.at(SECOND, "camera").frame == "odom"
    source._tf.buffer.known = {("base_link", "camera"): {SECOND: 0.5}}
    with pytest.raises(PoseUnknown, match="odom is not known"):
        source.at(SECOND, "camera")


def test_tf_without_the_camera_names_the_cure(tf_pose):
    source = tf_pose()
    source._tf.buffer.known = {("odom", "base_link"): {SECOND: 3.0}}
    with pytest.raises(PoseUnknown, match=r"TF base_link from 'camera': .* or set camera.in_base"):
        source.at(SECOND, "camera")


def test_where_tf_knows_no_odometry_the_motion_is_that_of_the_topic(r, tf_pose):
    """Our own bags: /odom and /tf_static, and no transform from odom."""
    source = tf_pose()
    source._tf.buffer.known = {("base_link", "camera"): {SECOND: 0.5}}
    heard(r, [odometry(SECOND, 1.0)], source, SECOND)
    found = source.at(SECOND, "camera")
    assert (found.frame, found.warning, found.robot) == ("odom", "", pytest.approx((1.0, 2.0, 0.0)))
    np.testing.assert_allclose(found.grid_from_camera, from_xyz_rpy(1.5, 2.0, 0, 0, 0, 0))


def test_tf_that_is_late_at_the_start_is_late_and_not_unknown(tf_pose):
    """The grid must not begin in the robot's frame, only to be thrown away."""
    source = tf_pose()
    source._tf.buffer.known = {
        ("odom", "base_link"): {SECOND: 3.0},
        ("base_link", "camera"): {SECOND: 0.5, 2 * SECOND: 0.5},
    }
    with pytest.raises(
        PoseUnknown, match=r"TF odom from base_link has nothing near the image's stamp: into the future"
    ):
        source.at(2 * SECOND, "camera")


def test_the_robots_frame_is_a_parameter(tf_pose):
    source = tf_pose("base_footprint")
    source._tf.buffer.known = {("odom", "base_footprint"): {SECOND: 3.0}, ("base_footprint", "camera"): {SECOND: 0.5}}
    assert source.at(SECOND, "camera").robot == (3.0, 0.0, 0.0)
    source = tf_pose("base_footprint")
    source._tf.buffer.known = {("base_footprint", "camera"): {SECOND: 0.5}}
    found = source.at(SECOND, "camera")
    assert found.frame == "base_footprint"
    assert "TF odom from base_footprint is not known, no odometry: the grid is in base_footprint" in found.warning


def test_tf_forgets_when_the_clock_jumps_back(r, tf_pose):
    source = tf_pose()
    clock = r.node.get_clock()
    clock._set_ros_time_is_active(True)
    clock.set_ros_time_override(RosTime(seconds=10, clock_type=ClockType.ROS_TIME))
    source._tf.buffer.known = {("odom", "base_link"): {SECOND: 3.0}}
    clock.set_ros_time_override(RosTime(seconds=11, clock_type=ClockType.ROS_TIME))
    assert source._tf.buffer.known
    clock.set_ros_time_override(RosTime(seconds=10.9, clock_type=ClockType.ROS_TIME))
    assert not source._tf.buffer.known


def test_tf_gives_back_what_it_took(r, tf):
    before = sorted(r.node.get_node_names())
    clock, entities = r.node.get_clock(), len(list(r.node.subscriptions))
    source = TfPose(r.node, "odom")
    assert "robot_tf" in r.node.get_node_names()
    source.close()
    r.until(lambda: sorted(r.node.get_node_names()) == before)
    assert len(list(r.node.subscriptions)) == entities
    assert "tf" not in [thread.name for thread in threading.enumerate()]
    clock._set_ros_time_is_active(True)  # a jump: nobody hears it any more


def test_the_mounting_decides_for_odometry_and_its_absence_for_tf(r, tf):
    source = pose_source(r.node, "odom", None)
    assert isinstance(source, TfPose)
    source.close()
    assert isinstance(pose_source(r.node, "odom", MOUNTING), OdometryPose)


def test_without_tf2_ros_it_is_odometry(r, monkeypatch):
    monkeypatch.setattr(pose, "tf2_ros", None)
    assert isinstance(pose_source(r.node, "odom", None), OdometryPose)


def odometries(*sources: tuple[str, str], mounting=MOUNTING) -> OdometryPoses:
    """What several publishers send in turns: each at its own place, one every 10 ms up to the first second."""
    poses = OdometryPoses("odom", camera_in_base(mounting))
    for i in range(101):
        frame, child = sources[i % len(sources)]
        message = odometry(i * SECOND // 100, float(i % len(sources)), frame)
        message.child_frame_id = child
        assert poses.take(message) == ""
    return poses


def test_odometry_in_alternating_frames_is_told_and_never_mixed():
    found = odometries(("odom", "base_link"), ("map", "base_link")).at(SECOND // 2, "camera")
    assert found.robot[0] == 0.0, "the other frame is a metre off"
    assert "odometry is in frame 'map', costmap.frame is 'odom'" in found.warning
    assert "let one node publish it, and remap the other" in found.warning


def test_an_odometry_in_another_frame_is_forgotten_a_second_after_it_stopped():
    poses = odometries(("odom", "base_link"), ("map", "base_link"))
    for i in range(100, 250):
        poses.take(odometry(i * SECOND // 100, 0.0, "odom"))
    # The helper's messages have no child_frame_id, those before had.
    assert poses.at(2 * SECOND, "camera").warning == ""


def test_the_odometry_of_a_camera_is_no_pose_of_the_base():
    with pytest.raises(PoseUnknown, match=r"odometry is the pose of 'zed_camera_link', expected base_link: publish"):
        odometries(("odom", "zed_camera_link")).at(SECOND // 2, "camera")
    found = odometries(("odom", "base_link"), ("odom", "camera_link")).at(SECOND // 2, "camera")
    assert found.robot[0] == 0.0
    assert "odometry is the pose of 'camera_link'" in found.warning


@pytest.mark.parametrize(("child", "told"), [("", False), ("robot1/base_footprint", False), ("imu_link", True)])
def test_an_odd_child_frame_is_doubtful(child, told):
    warning = odometries(("odom", child)).at(SECOND // 2, "camera").warning
    assert ("set its child_frame_id" in warning) == told
    assert bool(warning) == told


def test_no_end_of_frames_is_no_end_of_memory():
    poses = odometries(*((f"odom{i}", "base_link") for i in range(50)), ("odom", "base_link"))
    assert len(poses._sources) <= 8


def test_an_unknown_mounting_hides_no_fault_of_the_odometry(r, tf_pose):
    poses = OdometryPoses("odom", None)
    poses.take(odometry(SECOND, 1.0, "map"))
    with pytest.raises(
        PoseUnknown, match=r"set camera\.in_base .*; odometry is in frame 'map', costmap.frame is 'odom'"
    ):
        poses.at(SECOND, "camera")
    poses = OdometryPoses("odom", None)
    poses.take(odometry(SECOND, 1.0, w=0.0))
    with pytest.raises(PoseUnknown, match=r"set camera\.in_base .*; odometry is unusable"):
        poses.at(SECOND, "camera")
    source = tf_pose()
    heard(r, [odometry(SECOND, 1.0, "map")], source, SECOND)
    r.until(lambda: source._sources)
    with pytest.raises(PoseUnknown, match=r"TF base_link from 'camera': .*in_base; odometry is in frame 'map'"):
        source.at(SECOND, "camera")


def alternating(source: TfPose, *publishers: tuple[str, float, int], count: int = 40) -> str:
    """TF from several publishers in turns (parent, x, how far behind their stamps are in ms); what the pose is told."""
    hear = source._tf._listener.hear
    hear("base_footprint", "base_link", 1, static=True)
    for i in range(count):
        parent, x, behind_ms = publishers[i % len(publishers)]
        hear(parent, "base_footprint", SECOND + i * 20_000_000 - behind_ms * 1_000_000, x + 0.01 * i)
    buffer = source._tf.buffer
    buffer.known |= {("odom", "base_link"): {SECOND: 3.0}, ("base_link", "camera"): {SECOND: 0.5}}
    return source.at(SECOND, "camera").warning


@pytest.mark.parametrize(
    ("publishers", "told"),
    [
        ([("odom", 0.0, 0)], False),
        ([("odom", 0.0, 0), ("odom", 0.0, 0)], False),  # two that agree in all do no harm
        ([("odom", 0.0, 0), ("odom", 0.3, 0)], True),
        ([("odom", 0.0, 0), ("odom", 0.0, 0), ("odom", -0.3, 0)], True),
        ([("odom", 0.0, 0), ("odom", 0.0, 30)], True),
        ([("odom", 0.0, 0), ("map", 0.0, 0)], True),
    ],
    ids=["one", "equal", "apart", "of other rates", "later", "other parent"],
)
def test_two_nodes_that_publish_one_link_of_tf_are_told(tf_pose, publishers, told):
    warning = alternating(tf_pose(), *publishers)
    assert bool(warning) == told
    assert ("to base_footprint alternates between two publishers: let one node publish it" in warning) == told


def test_a_second_publisher_of_tf_is_forgotten_once_it_has_gone(tf_pose):
    source = tf_pose()
    assert alternating(source, ("odom", 0.0, 0), ("odom", 0.3, 0))
    for i in range(40, 62):
        source._tf._listener.hear("odom", "base_footprint", SECOND + i * 20_000_000, 0.01 * i)
    assert source.at(SECOND, "camera").warning == ""


def test_a_robot_that_turns_back_and_other_links_raise_no_doubt(tf_pose):
    source = tf_pose()
    for i in range(60):  # an arm that swings, and a robot that drives there and back at 2 m/s
        source._tf._listener.hear("base_link", "gripper", SECOND + i * 20_000_000, i % 2)
        source._tf._listener.hear("odom", "base_link", SECOND + i * 20_000_000, 0.04 * abs(30 - i))
    source._tf.buffer.known |= {("odom", "base_link"): {SECOND: 3.0}, ("base_link", "camera"): {SECOND: 0.5}}
    assert source.at(SECOND, "camera").warning == ""


def test_the_map_of_the_node_reads_its_clock_itself(ros_environment):
    """A reading of the clock that had to wait for a slow network is no clock that jumped back."""
    with live_node() as live, robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["labels"], "rgb", "depth")
        mapper = live.node._configured.costmap
        mapper.render(Instant.of(1))
        assert not mapper.clearings
