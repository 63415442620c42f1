import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagError
from gemini_ros.bags.topics import DEFAULT_TOPICS
from gemini_ros.bags.writer import BagWriter
from gemini_ros.cli import main
from gemini_ros.core.frames import Intrinsics
from gemini_ros.doctor.bag import check_bag

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
    late = [(topic, message, 5_000_000_000 + i) for i, (topic, message, _) in enumerate([rgb(0), rgb(TENTH)])]
    (topic,) = check_bag(write(tmp_path, *late)).topics
    assert topic.rate_hz == pytest.approx(10)


def test_stamps_that_go_backward(tmp_path):
    stored = [(topic, message, i) for i, (topic, message, _) in enumerate([rgb(5), rgb(9), rgb(3), rgb(4)])]
    check = check_bag(write(tmp_path, *stored))
    assert check.topics[0].errors == {"stamps go backward": 1}
    assert not check.passed


def test_images_that_cannot_be_used(tmp_path):
    cut = messages.compressed_image(bytes(messages.compressed_rgb(RGB, 2, "camera").data)[:-9], "jpeg", 2, "camera")
    check = check_bag(write(tmp_path, rgb(1), (DEFAULT_TOPICS.rgb, cut, 2), (DEFAULT_TOPICS.rgb, cut, 3)))
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
    found = "rgb 6x4, depth 6x2"
    assert check.errors == (f"images of different size ({found}): record aligned images, or register them to one grid",)
    assert not check.passed


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
    assert main(["bag", "check", str(write(tmp_path, rgb(5), depth(5, DEPTH[:2])))]) == 1
    assert "error: images of different size" in capsys.readouterr().out
    assert main(["bag", "check", str(tmp_path / "gone.mcap")]) == 2
    assert "gone.mcap: no such file" in capsys.readouterr().err
