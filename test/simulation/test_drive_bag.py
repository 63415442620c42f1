"""A simulated drive as a bag, read back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import (
    BASE_FRAME,
    BOXES_TOPIC,
    COLOR_FRAME,
    DEFAULT_TOPICS,
    HAZARDS_TOPIC,
    LABEL_SET_TOPIC,
    OCCUPANCY_TOPIC,
    POSE_TOPIC,
)
from gemini_ros.bags.transform_tree import STATIC_TOPIC, TransformTree
from gemini_ros.cli import main
from gemini_ros.core.encodings import decode_image, intrinsics_from_camera_info
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.pipeline.streams import find_topics
from gemini_ros.simulation.cameras.mujoco_model import build_model
from gemini_ros.simulation.course import describe_hazards, plan_course
from gemini_ros.simulation.drive import DriveCamera, MountingError, plan_drive
from gemini_ros.simulation.drive_bag import START_NS, write_drive_bag
from gemini_ros.simulation.ground_truth import GroundTruth
from gemini_ros.simulation.rig import Rig
from gemini_ros.simulation.scenes.courses import CourseOptions
from gemini_ros.simulation.tour import TourOptions, plan_tour

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
    assert stamps(messages, "rgb") == [json.loads(message.data)["stamp_ns"] for _, message in messages[BOXES_TOPIC]]
    without_header = ("/tf_static", OCCUPANCY_TOPIC, LABEL_SET_TOPIC, BOXES_TOPIC)
    for receipt, message in (entry for topic in messages if topic not in without_header for entry in messages[topic]):
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


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    path = tmp_path_factory.mktemp("course") / "course.mcap"
    options = CourseOptions(("person_crossing", "hole"))
    error = MountingError(0.0, 2.0, 0.0)
    write_drive_bag(
        path, seed=2, duration_s=0.6, size=(64, 48), course=options, mounting_error=error, z_drift=0.01
    )  # fmt: skip
    with BagReader(path) as reader:
        assert find_topics(reader) == DEFAULT_TOPICS
        assert {OCCUPANCY_TOPIC, HAZARDS_TOPIC, STATIC_TOPIC} <= {t for t in reader.topics if reader.qos[t]}
        found = {topic: [reader.deserialize(m) for m in reader.messages([topic])] for topic in reader.topics}
        return (
            found,
            TransformTree(reader).at(BASE_FRAME, COLOR_FRAME, 0),
            plan_course(2, duration_s=0.6, options=options),
        )


def test_a_course_says_what_is_where(course):
    messages, _, drive = course
    (text,) = messages[HAZARDS_TOPIC]
    stated = json.loads(text.data)
    assert stated["frame_id"] == "odom"
    (classes,) = messages[LABEL_SET_TOPIC]
    assert json.loads(classes.data) == {"name": "nav5", "classes": list(load_label_set("nav5").names)}
    assert stated["hazards"] == describe_hazards(drive, START_NS)
    first = messages[OCCUPANCY_TOPIC][0]
    assert (first.header.frame_id, first.header.stamp) == ("odom", messages[DEFAULT_TOPICS.rgb][0].header.stamp)
    model = build_model(drive.scene, load_label_set("nav5"), (16, 16), 56.0)
    expected = GroundTruth(model).at(drive.stands(0.0), START_NS)
    np.testing.assert_array_equal(first.data.reshape(expected.data.shape), expected.data)
    origin = first.info.origin.position
    np.testing.assert_allclose((origin.x, origin.y, first.info.resolution), (*expected.origin_xy, 0.05), atol=1e-7)


def test_the_mounting_is_the_known_one_and_images_are_taken_with_its_error(course):
    messages, mounting, drive = course
    np.testing.assert_allclose(mounting, camera_in_base(drive.mounting), atol=1e-9)
    with DriveCamera(drive, (64, 48), supersample=2, mounting_error=MountingError(0.0, 2.0, 0.0)) as camera:
        expected = camera.frame(0.3)
    np.testing.assert_array_equal(decode_image(messages[DEFAULT_TOPICS.labels][3], "labels"), expected.labels)


def test_odometry_is_planar_and_drifts_the_true_pose_does_not(course):
    messages, _, drive = course
    for number, (odometry, truth) in enumerate(zip(messages["/odom"], messages[POSE_TOPIC], strict=True)):
        base, place, true = drive.base(number / 50), odometry.pose.pose.position, truth.pose.position
        travelled = drive.track.travelled(number / 50)
        np.testing.assert_allclose((place.x, place.y, place.z), (base.x, base.y, 0.01 * travelled), atol=1e-9)
        np.testing.assert_allclose((true.x, true.y, true.z), (base.x, base.y, base.z), atol=1e-9)


def test_every_simulated_bag_has_the_true_grid(bag):
    messages, _ = bag
    grid = messages[OCCUPANCY_TOPIC][0][1]
    assert {0, 100} <= set(np.unique(grid.data).tolist()) <= {-1, 0, 50, 100, 101}
    assert HAZARDS_TOPIC not in messages


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"course": CourseOptions(), "person_at_s": 1.0}, "a course has persons of its own"),
        ({"z_drift": 0.5}, r"drift of z by 0.5 m a metre, expected at most 0.1"),
    ],
)
def test_contradictions_leave_no_bag(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        write_drive_bag(tmp_path / "x.mcap", seed=0, duration_s=1.0, **wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    path = tmp_path_factory.mktemp("place") / "home.mcap"
    words = ["--bag", str(path), "--place", "home", "--seed", "1", "--duration", "1", "--size", "64x48"]
    words += ["--camera-height", "0.3", "--camera-pitch", "12", "--depth-sensor", "structured", "--pose-drift", "0.05"]
    assert main(["dataset", "simulate", *words]) == 0
    with BagReader(path) as reader:
        assert find_topics(reader) == DEFAULT_TOPICS
        found = {topic: [reader.deserialize(m) for m in reader.messages([topic])] for topic in reader.topics}
        return found, TransformTree(reader).at(BASE_FRAME, COLOR_FRAME, 0)


def test_a_place_is_seen_by_the_camera_that_was_asked_for(place):
    messages, mounting = place
    rig = Rig(0.3, 12.0, "structured")
    with DriveCamera(
        plan_tour(1, duration_s=1, options=TourOptions("home")), (64, 48), supersample=2, rig=rig
    ) as camera:
        expected = camera.frame(0.7)
    np.testing.assert_allclose(mounting, expected.base_from_camera, atol=1e-9)
    assert mounting[2, 3] == pytest.approx(0.3)
    np.testing.assert_array_equal(decode_image(messages[DEFAULT_TOPICS.labels][7], "labels"), expected.labels)
    depth = decode_image(messages[DEFAULT_TOPICS.depth][7], "depth")
    np.testing.assert_allclose(depth, expected.frame.depth, atol=0.00051)
    (classes,) = messages[LABEL_SET_TOPIC]
    assert json.loads(classes.data)["name"] == "nav5"
    assert {0, 100} <= set(np.unique(messages[OCCUPANCY_TOPIC][0].data).tolist())
    assert HAZARDS_TOPIC not in messages


def test_odometry_of_a_bad_drive_leaves_the_true_pose(place):
    messages, _ = place
    drive = plan_tour(1, duration_s=1, options=TourOptions("home"))
    for number in (0, 49):
        base, travelled = drive.base(number / 50), drive.track.travelled(number / 50)
        told, true = messages["/odom"][number].pose.pose.position, messages[POSE_TOPIC][number].pose.position
        np.testing.assert_allclose((true.x, true.y), (base.x, base.y), atol=1e-9)
        assert np.hypot(told.x - base.x, told.y - base.y) == pytest.approx(0.05 * travelled)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--place", "course"], "place 'course', expected one of home, office, warehouse for a drive"),
        (["--place", "home", "--course"], "a drive goes through a course or round a place, not both"),
        (["--place", "home", "--person-at", "1"], "a place has persons of its own"),
        (["--way", "1"], "--way and --follower belong to a drive round a place: add --place"),
        (["--floor", "mirror"], "--floor belongs to a course or a place: add --course, or --place"),
        (
            ["--place", "home", "--duration", "300"],
            "duration 300.0 s, expected at least 0.1 s, which is one image, and at most 200 s of a place",
        ),
        (["--duration", "0.04"], "duration 0.04 s, expected at least 0.1 s"),
        (["--person-at", "-5"], "person at -5.0 s, expected 0 or more and less than the duration of 10.0 s"),
        (
            ["--scenes", "5", "--frames-per-scene", "3"],
            "--bag writes a drive, which takes no --scenes, --frames-per-scene: leave that out, or write a data set",
        ),
        (["--workers", "1", "--ray", "auto"], "--bag writes a drive, which takes no --workers, --ray: leave"),
    ],
)
def test_drives_that_cannot_be_are_said_in_one_sentence(tmp_path, capsys, words, message):
    assert main(["dataset", "simulate", "--bag", str(tmp_path / "x.mcap"), *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and message in said[0]
    assert list(tmp_path.iterdir()) == []
