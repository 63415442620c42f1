"""The recorder as a process of its own, fed over real DDS."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import QosDurability
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from gemini_ros.bags.reader import BagReader
from gemini_ros.core.encodings import decode_image
from gemini_ros.nodes.messages import header, image_message
from gemini_ros.nodes.tool import tool_node
from test.nodes.listener import start_cli

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LIMIT_S = 10.0


def wait_until(condition, what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_S} s"
        time.sleep(0.02)


def interrupt(process, times: int = 1) -> tuple[int, str, str, float]:
    start = time.monotonic()
    for _ in range(times):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
    out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out, err, time.monotonic() - start


def test_what_is_sent_is_in_the_bag(ros_environment, tmp_path):
    path = tmp_path / "out" / "x.mcap"
    topics = ["/labels", "/grid", "/lossy", "never"]
    images = [np.full((6, 11), i, np.uint8) for i in range(30)]
    with tool_node("sender") as node:
        labels = node.create_publisher(Image, "/labels", QoSProfile(depth=50))
        grid = node.create_publisher(String, "/grid", LATCHED)
        lossy = node.create_publisher(Header, "/lossy", BEST_EFFORT)
        grid.publish(String(data="before anyone listened"))
        recorder = start_cli("bag", "record", "--topics", *topics, "--out", path, environment=ros_environment)
        for publisher in (labels, grid, lossy):
            wait_until(publisher.get_subscription_count, publisher.topic_name)
        before = time.time_ns()
        lossy.publish(Header(frame_id="lossy"))
        for i, image in enumerate(images):
            labels.publish(image_message(image, header(1_000_000_000 + i, "camera")))
        assert not path.exists()
        status, out, err, took = interrupt(recorder, times=2)
    assert status == 0, err
    assert took < 2.0
    assert "/labels" in out
    assert "never" in err

    with BagReader(path) as reader:
        assert reader.topics == {
            "/grid": "std_msgs/msg/String",
            "/labels": "sensor_msgs/msg/Image",
            "/lossy": "std_msgs/msg/Header",
        }
        assert reader.counts == {"/grid": 1, "/labels": 30, "/lossy": 1}
        assert reader.qos["/grid"].durability is QosDurability.TRANSIENT_LOCAL
        stored = list(reader.messages(["/labels"]))
        assert all(before < message.receipt_ns < time.time_ns() for message in stored)
        for i, message in enumerate(stored):
            decoded = reader.deserialize(message)
            np.testing.assert_array_equal(decode_image(decoded, "labels"), images[i])
            assert decoded.header.stamp.nanosec == i
        assert reader.deserialize(next(reader.messages(["/grid"]))).data == "before anyone listened"
    assert [p.name for p in path.parent.iterdir()] == ["x.mcap"]


def test_nothing_came_is_a_failure_and_no_file(ros_environment, tmp_path):
    path = tmp_path / "out" / "x.mcap"
    recorder = start_cli("bag", "record", "--topics", "/a", "--out", path, environment=ros_environment)
    wait_until(lambda: list(tmp_path.glob("out/.x-*")), "recorder")
    status, out, err, _ = interrupt(recorder)
    assert status == 1
    assert "/a" in err and f"no message came: {path} is not written" in out and "wrote" not in out
    assert not list(path.parent.iterdir())


def test_a_bag_that_is_there_is_never_recorded_over(ros_environment, tmp_path, capfd):
    from gemini_ros.cli import main

    path = tmp_path / "out" / "x.mcap"
    path.parent.mkdir()
    path.write_bytes(b"a drive")
    assert main(["bag", "record", "--topics", "/a", "--out", str(path)]) == 2
    assert f"{path}: exists already, expected a new name" in capfd.readouterr().err
    assert path.read_bytes() == b"a drive" and [file.name for file in path.parent.iterdir()] == ["x.mcap"]


def test_a_name_that_is_no_mcap_is_refused(ros_environment, tmp_path, capfd):
    from gemini_ros.cli import main

    assert main(["bag", "record", "--topics", "/a", "--out", str(tmp_path / "x.bag")]) == 2
    assert "expected a name that ends in .mcap" in capfd.readouterr().err
    assert not list(Path(tmp_path).glob("*.mcap"))


@pytest.mark.parametrize("topic", ["/bad topic", "/a//b"])
def test_a_name_that_is_no_topic_is_refused(topic, ros_environment, tmp_path, capfd):
    from gemini_ros.cli import main

    assert main(["bag", "record", "--topics", topic, "--out", str(tmp_path / "x.mcap")]) == 2
    assert topic in capfd.readouterr().err
