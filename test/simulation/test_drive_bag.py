"""A simulated drive as a bag, read back."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import BASE_FRAME, COLOR_FRAME, DEFAULT_TOPICS
from gemini_ros.bags.transform_tree import TransformTree
from gemini_ros.core.encodings import decode_image, intrinsics_from_camera_info
from gemini_ros.pipeline.streams import find_topics
from gemini_ros.simulation.drive import DriveCamera, plan_drive
from gemini_ros.simulation.drive_bag import write_drive_bag

SIZE, DURATION = (96, 72), 1.0


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp("bag") / "drive.mcap"
    write_drive_bag(path, seed=4, duration_s=DURATION, size=SIZE)
    with BagReader(path) as reader:
        assert find_topics(reader) == DEFAULT_TOPICS
        messages = {topic: [] for topic in reader.topics}
        for stored in reader.messages():
            messages[stored.topic].append((stored.receipt_ns, reader.deserialize(stored)))
        yield messages, TransformTree(reader).at(BASE_FRAME, COLOR_FRAME, 0)


def stamps(messages, stream):
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for _, m in messages[getattr(DEFAULT_TOPICS, stream)]]


def test_rates_and_stamps(bag):
    messages, _ = bag
    for stream, rate in (("rgb", 10), ("depth", 10), ("labels", 10), ("thermal", 9), ("odom", 50)):
        found = stamps(messages, stream)
        assert len(found) == rate
        np.testing.assert_allclose(np.diff(found), 1e9 / rate, atol=2)
    assert stamps(messages, "rgb") == stamps(messages, "depth") == stamps(messages, "labels")
    for receipt, message in (entry for topic in messages if topic != "/tf_static" for entry in messages[topic]):
        latency = receipt - (message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)
        assert 0 < latency < 30_000_000


def test_images_are_those_of_the_drive(bag):
    messages, mounting = bag
    drive = plan_drive(4, duration_s=DURATION)
    with DriveCamera(drive, SIZE, supersample=2) as camera:
        expected, heat = camera.frame(0.3), camera.temperature(3 / 9)
    np.testing.assert_allclose(mounting, expected.base_from_camera, atol=1e-9)
    decoded = {s: decode_image(messages[getattr(DEFAULT_TOPICS, s)][3][1], s) for s in ("rgb", "depth", "labels")}
    np.testing.assert_array_equal(decoded["labels"], expected.labels)
    np.testing.assert_allclose(decoded["depth"], expected.frame.depth, atol=0.00051)
    assert np.abs(decoded["rgb"].astype(int) - expected.frame.rgb).mean() < 5
    thermal = decode_image(messages[DEFAULT_TOPICS.thermal][3][1], "thermal")
    np.testing.assert_allclose(thermal, heat, atol=0.0051)
    for stream in ("rgb_info", "depth_info", "thermal_info"):
        info = messages[getattr(DEFAULT_TOPICS, stream)][0][1]
        assert intrinsics_from_camera_info(info) == expected.frame.intrinsics


def test_odometry_is_the_robots_way(bag):
    messages, _ = bag
    drive = plan_drive(4, duration_s=DURATION)
    for number, (_, message) in enumerate(messages["/odom"]):
        place = message.pose.pose.position
        np.testing.assert_allclose((place.x, place.y, place.z), drive.odom_from_base(number / 50)[:3, 3], atol=1e-9)
        assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")


def test_an_impossible_drive_leaves_no_bag(tmp_path):
    with pytest.raises(ValueError, match="at most 30 s"):
        write_drive_bag(tmp_path / "x.mcap", seed=0, duration_s=100)
    assert list(tmp_path.iterdir()) == []
