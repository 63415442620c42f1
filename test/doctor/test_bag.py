import re

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagError
from gemini_ros.bags.topics import DEFAULT_TOPICS
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.cli import main
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.frames import Intrinsics
from gemini_ros.doctor.bag import check_bag
from gemini_ros.pipeline.streams import StreamChoice

TENTH = 100_000_000
RGB = np.zeros((4, 6, 3), np.uint8)
DEPTH = np.ones((4, 6), np.float32)


def write(tmp_path, *stored):
    path = tmp_path / "a.mcap"
    with BagWriter(path) as bag:
        for topic, message, stamp in stored:
            bag.write(topic, message, stamp)
    return path


def rgb(stamp, image=RGB):
    return DEFAULT_TOPICS.rgb, messages.compressed_rgb(image, stamp, "camera"), stamp


def depth(stamp, image=DEPTH):
    return DEFAULT_TOPICS.depth, messages.compressed_depth(image, stamp, "camera"), stamp


def test_counts_rates_gaps(tmp_path):
    stamps = [0, 1, 2, 3, 6]
    check = check_bag(write(tmp_path, *(rgb(TENTH * (10 + i)) for i in stamps), depth(TENTH * 10)))
    found = {topic.stream: topic for topic in check.topics}
    assert check.passed
    assert found["rgb"].count == 5
    assert found["rgb"].rate_hz == pytest.approx(4 / 0.6)
    assert found["rgb"].longest_gap_s == pytest.approx(0.3)
    assert found["rgb"].sizes == {(6, 4)}
    assert (found["depth"].rate_hz, found["depth"].longest_gap_s) == (None, None)


def test_rate_is_of_the_stamps_not_of_receipt(tmp_path):
    late = [(topic, message, 5_000_000_000 + i) for i, (topic, message, _) in enumerate([rgb(TENTH), rgb(2 * TENTH)])]
    (topic,) = check_bag(write(tmp_path, *late)).topics
    assert topic.rate_hz == pytest.approx(10)


def test_stamps_that_go_backward(tmp_path):
    stored = [(topic, message, i) for i, (topic, message, _) in enumerate([rgb(5), rgb(9), rgb(3), rgb(4)])]
    check = check_bag(write(tmp_path, *stored))
    assert check.topics[0].errors == {"stamps go backward": 1}
    assert not check.passed


def test_images_that_cannot_be_used(tmp_path):
    data = bytes(messages.compressed_rgb(RGB, 2, "camera").data)[:-9]
    cut = [(DEFAULT_TOPICS.rgb, messages.compressed_image(data, "jpeg", stamp, "camera"), stamp) for stamp in (2, 3)]
    check = check_bag(write(tmp_path, rgb(1), *cut))
    ((error, times),) = check.topics[0].errors.items()
    assert "truncated" in error and times == 2
    assert any("truncated" in line and "(2 x)" in line for line in check.lines())


def test_camera_without_calibration(tmp_path):
    info = messages.camera_info(Intrinsics(6, 4, 5, 5, 3, 2), 1, "camera")
    info.k[:] = 0
    check = check_bag(write(tmp_path, rgb(1), (DEFAULT_TOPICS.rgb_info, info, 1)))
    (error,) = next(topic.errors for topic in check.topics if topic.stream == "rgb_info")
    assert error.startswith("camera_info: ")


def test_a_camera_info_of_another_size(tmp_path):
    for size, binning, passed in (((12, 8), 0, False), ((12, 8), 2, True), ((6, 4), 0, True)):
        info = messages.camera_info(Intrinsics(*size, 5, 5, 3, 2), 1, "camera")
        info.binning_x = info.binning_y = binning
        check = check_bag(write(tmp_path, rgb(1), (DEFAULT_TOPICS.rgb_info, info, 1)))
        said = (
            f"{DEFAULT_TOPICS.rgb_info}: camera_info of 12x8, the images are 6x4: publish the camera_info of the images"
        )
        assert check.passed == passed
        assert [error.startswith(said) for error in check.errors] == [True] * (not passed)


def test_streams_of_different_size(tmp_path):
    check = check_bag(write(tmp_path, rgb(1), depth(1, DEPTH[:2])))
    (error,) = check.errors
    assert error.startswith("depth: depth 6x2, rgb 6x4: the images lie on another pixel grid, and cannot be registered")
    assert "rgb: no camera_info. Enable align_depth" in error
    assert not check.passed


def test_one_stream_of_different_sizes(tmp_path):
    check = check_bag(write(tmp_path, rgb(1), rgb(2, RGB[:2])))
    assert check.errors == ("rgb: images of different size (6x2, 6x4): set the camera's resolution",)


def test_unaligned_depth_of_equal_size(tmp_path):
    image = messages.compressed_depth(DEPTH, 1, "camera_depth_optical_frame")
    check = check_bag(write(tmp_path, rgb(1), (DEFAULT_TOPICS.depth, image, 1)))
    (error,) = check.errors
    assert "'camera_depth_optical_frame' is not that of RGB, 'camera'" in error and "align_depth" in error
    name = "/camera/aligned_depth_to_color/image_raw/compressed"
    check = check_bag(write(tmp_path, rgb(1), (name, image, 1)))
    assert check.passed and "is taken to lie on the grid of RGB" in check.notes[0]


def test_topics_that_are_no_stream_are_listed_and_not_judged(tmp_path):
    """Damage, stamps that jump and stamps of zero of another topic are none of ours."""
    cut = messages.compressed_image(b"cut", "jpeg", 0, "other")
    backward = [
        ("/imu", messages.odometry(np.eye(4), stamp, "map", "imu"), 10 + i) for i, stamp in enumerate((9, 3, 0))
    ]
    other = [("/yolo/debug_image", cut, 1), ("/yolo/debug_image", cut, TENTH)]
    odom = ("/odom", messages.odometry(np.eye(4), 1), 1)
    check = check_bag(write(tmp_path, rgb(1), odom, *other, *backward))
    assert check.passed
    found = {topic.topic: topic for topic in check.topics}
    assert (found["/yolo/debug_image"].count, found["/yolo/debug_image"].longest_gap_s) == (2, None)
    assert found["/imu"].stream is None
    assert any("other odometry: /imu (3 messages, imu in map)" in line for line in check.lines())


def test_a_definition_of_another_topic_that_cannot_be_read_is_a_note(tmp_path):
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        for topic, message, stamp in (rgb(1), rgb(TENTH)):
            msgtype = message.__msgtype__
            connection = next((c for c in bag.connections if c.topic == topic), None)
            connection = connection or bag.add_connection(topic, msgtype, typestore=TYPESTORE)
            bag.write(connection, stamp, TYPESTORE.serialize_cdr(message, msgtype))
        event = bag.add_connection("/add/_service_event", "a/srv/B_Event", msgdef="}{", rihs01="RIHS01_0")
        bag.write(event, 5, bytes(20))
    check = check_bag(path)
    assert check.passed
    assert check.notes[0].startswith("/add/_service_event: the definition of a/srv/B_Event in the bag cannot be used")
    assert {topic.topic: topic.count for topic in check.topics}["/add/_service_event"] == 1


def test_stamps_of_zero(tmp_path):
    """They are no gap of 1.7e9 s: of images they are an error, of a camera_info that is latched they are nothing."""
    info = messages.camera_info(Intrinsics(6, 4, 5, 5, 3, 2), 0, "camera")
    start = 1_700_000_000_000_000_000
    check = check_bag(write(tmp_path, (DEFAULT_TOPICS.rgb_info, info, start), rgb(start), rgb(start + TENTH)))
    assert check.passed
    assert [topic.longest_gap_s for topic in check.topics] == [None, pytest.approx(0.1)]
    unstamped = (DEFAULT_TOPICS.rgb, rgb(0)[1], start + 1)
    check = check_bag(write(tmp_path, rgb(start), unstamped, rgb(start + TENTH)))
    assert check.topics[0].errors == {"stamp 0: the driver has to stamp what it measures with the time it did": 1}
    assert check.topics[0].longest_gap_s == pytest.approx(0.1)


UNIX = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("depth_stamps", "said"),
    [
        ((0, 1, 2), ""),
        ((0.15, 1.15, 2.15), ""),
        ((0.4, 1.4, 2.4), "not paired for 0.2 s: .* 40 ms apart (depth after rgb), sync.slop_s allows 20 ms: set sync"),
        ((90, 91, 92), "rgb and depth have not paired for 0.2 s: the nearest stamps are 8800 ms apart"),
        (
            (1000 - UNIX / TENTH, 1001 - UNIX / TENTH),
            "(depth before rgb), .*: synchronise the clocks of the two cameras",
        ),
    ],
)
def test_streams_that_never_pair(tmp_path, depth_stamps, said):
    """Depth may be stamped by another clock, or since boot."""
    stored = [rgb(UNIX + i * TENTH) for i in range(3)]
    stored += [(*depth(UNIX + round(of * TENTH))[:2], UNIX + i * TENTH) for i, of in enumerate(depth_stamps)]
    errors = check_bag(write(tmp_path, *stored)).errors
    assert len(errors) == bool(said)
    assert not said or re.search(re.escape(said).replace(r"\.\*", ".*"), errors[0])


def test_images_under_one_stamp(tmp_path):
    one = [(*rgb(UNIX)[:2], UNIX + i) for i in range(4)]
    said = "the stamp of the image before it: the driver has to stamp each image with the time of its exposure"
    assert check_bag(write(tmp_path, *one)).topics[0].errors == {said: 3}


def test_stamps_before_1970(tmp_path):
    early = [(DEFAULT_TOPICS.rgb, messages.compressed_rgb(RGB, 0, "camera"), UNIX + i) for i in range(2)]
    for i, (_, message, _) in enumerate(early):
        message.header.stamp.sec = i - 5
    (error,) = check_bag(write(tmp_path, *early)).topics[0].errors
    assert error.startswith("stamps before 1970")


@pytest.mark.parametrize(("blank", "said"), [((0, 1), 2), ((0,), 0), ((), 0)])
def test_depth_that_never_measures(tmp_path, blank, said):
    stored = [rgb(1), rgb(2), *(depth(1 + i, DEPTH * np.nan if i in blank else DEPTH) for i in range(2))]
    check = check_bag(write(tmp_path, *stored))
    errors = next(topic.errors for topic in check.topics if topic.stream == "depth")
    text = "no pixel of any image is a measurement: is the lens covered, or depth.scale wrong?"
    assert errors == ({text: said} if said else {})


def test_images_are_read_by_the_parameters_of_the_camera_file(tmp_path):
    """Thermal counts of 8 bits with a row of telemetry, and depth in millimetres as 32FC1: what the run reads too."""
    topics = {stream: f"/cam/{stream}/image_raw" for stream in ("rgb", "depth", "thermal")}
    info = messages.camera_info(Intrinsics(6, 4, 5, 5, 3, 2), 1, "camera")
    path = write(
        tmp_path,
        ("/cam/rgb/camera_info", info, 1),
        ("/cam/thermal/camera_info", info, 1),
        (topics["rgb"], messages.image(RGB, "rgb8", 1, "camera"), 1),
        (topics["depth"], messages.image(1500 * DEPTH, "32FC1", 1, "camera"), 1),
        (topics["thermal"], messages.image(np.full((5, 6), 90, np.uint8), "mono8", 1, "camera"), 1),
    )
    streams = [
        f"{s}: {{image: {t}, camera_info: /cam/{s}/camera_info, image_transport: raw}}" for s, t in topics.items()
    ]
    values = {"depth.scale": 0.001, "thermal.scale": 0.5, "thermal.offset": -20.0, "thermal.skip_rows": 1}
    file = tmp_path / "cam.yaml"
    file.write_text("\n".join([*streams, *(f"{name}: {value}" for name, value in values.items())]))
    check = check_bag(path, StreamChoice(str(file)))
    assert check.passed, check.lines()
    assert {topic.stream: topic.sizes for topic in check.topics}["thermal"] == {(6, 4)}
    file.write_text("\n".join(streams))
    errors = {topic.stream: " ".join(topic.errors) for topic in check_bag(path, StreamChoice(str(file))).topics}
    assert "give thermal.scale" in errors["thermal"] and "set depth.scale to 0.001" in errors["depth"]


@pytest.mark.parametrize(
    ("name", "p", "said"),
    [
        ("image_rect", 5.0, ""),
        ("image_rect", 0.0, "P is zero and the images are rectified: publish P, or set camera.rectification"),
        ("image_raw", 5.0, "distortion_model 'fov' with D"),
    ],
)
def test_a_camera_info_is_read_as_that_of_raw_or_of_rectified_images(tmp_path, name, p, said):
    """Rectified images need P alone, whatever lens they were seen through."""
    info = messages.camera_info(Intrinsics(6, 4, 5, 5, 3, 2), 1, "camera")
    info.distortion_model, info.d = "fov", np.array([0.9])
    info.p = info.p * (p > 0)
    image = messages.image(RGB, "rgb8", 1, "camera")
    check = check_bag(write(tmp_path, ("/camera/color/camera_info", info, 1), (f"/camera/color/{name}", image, 1)))
    errors = " ".join(error for topic in check.topics for error in topic.errors)
    assert said in errors and check.passed == (not said)


def test_another_camera_of_the_frame_and_size_of_rgb(tmp_path):
    """As simulators have it: what tells depth of its own camera is its camera_info."""
    infos = [
        (topic, messages.camera_info(Intrinsics(6, 4, focal, focal, 3, 2), 1, "camera"), 1)
        for topic, focal in ((DEFAULT_TOPICS.rgb_info, 5), (DEFAULT_TOPICS.depth_info, 3))
    ]
    check = check_bag(write(tmp_path, *infos, rgb(1), depth(1)))
    assert check.passed and check.notes == ("depth: 6x4 in 'camera' is registered onto the grid of RGB",)


def test_a_bag_of_our_own_outputs(tmp_path):
    """The first map of a node comes before any clock, with stamp 0."""
    start = 1_700_000_000_000_000_000
    grid = Occupancy(np.full((4, 4), -1, np.int8), 0.1, (0.0, 0.0), 0)
    labels = [
        ("/segmenter/labels", messages.image(RGB[..., 0], "mono8", start + i, "camera"), start + i) for i in (0, 1)
    ]
    maps = [("/segmenter/costmap", messages.occupancy_grid(grid, "odom"), start + i) for i in (2, 3)]
    check = check_bag(write(tmp_path, *labels, *maps))
    assert check.passed
    assert check.notes == ("no stream of a camera: these are what a segmenter published",)
    assert all(topic.longest_gap_s is None and topic.stream is None for topic in check.topics)


def test_message_that_is_none(tmp_path):
    path = tmp_path / "a.mcap"
    with BagWriter(path) as bag:
        bag.write(*rgb(1))
        bag.write_raw("/odom", "nav_msgs/msg/Odometry", b"\x00\x01\x00\x00\x05", 1)
    check = check_bag(path)
    assert [len(topic.errors) for topic in check.topics] == [0, 1]


def test_no_images(tmp_path):
    with pytest.raises(BagError, match="no colour, depth or thermal image"):
        check_bag(write(tmp_path, ("/odom", messages.odometry(np.eye(4), 1), 1)))


def test_command(tmp_path, capsys):
    assert main(["bag", "check", str(write(tmp_path, rgb(1), rgb(TENTH + 1)))]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if DEFAULT_TOPICS.rgb in line)
    assert line.split() == [DEFAULT_TOPICS.rgb, "2", "10.000", "0.100", "6x4", "rgb"]
    mixed = str(write(tmp_path, rgb(5), depth(5, DEPTH[:2])))
    assert main(["bag", "check", mixed]) == 1
    assert "error: depth: depth 6x2, rgb 6x4" in capsys.readouterr().out
    assert main(["bag", "check", mixed, "--topic", "depth="]) == 0
    assert f"stream: rgb      {DEFAULT_TOPICS.rgb} (1 images, " in capsys.readouterr().out
    assert main(["bag", "check", mixed, "--camera", "realsense"]) == 2
    assert "camera realsense: no images on /camera/camera/color/image_raw" in capsys.readouterr().err
    assert main(["bag", "check", str(tmp_path / "gone.mcap")]) == 2
    assert "gone.mcap: no such file" in capsys.readouterr().err
