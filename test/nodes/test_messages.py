"""Exact messages from arrays, on grids that are not square."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import PointField

from gemini_ros.bags import messages
from gemini_ros.core.clouds import POINT
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.costmap.scan import Scan
from gemini_ros.core.encodings import decode_image, intrinsics_from_camera_info, stamp_ns
from gemini_ros.core.frames import Intrinsics
from gemini_ros.nodes.messages import (
    camera_info_message,
    cloud_message,
    header,
    image_message,
    occupancy_message,
    scan_message,
)

HEAD = header(1_700_000_000_123_456_789, "camera_color_optical_frame")


def test_header_keeps_every_nanosecond():
    assert (HEAD.stamp.sec, HEAD.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert header(-5, "").stamp.sec == 0


@pytest.mark.parametrize(("shape", "modality"), [((3, 5), "labels"), ((3, 5, 3), "rgb")])
@pytest.mark.parametrize("layout", ["contiguous", "strided"])
def test_an_image_reads_back_as_it_was(shape: tuple[int, ...], modality: str, layout: str):
    values = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    given = values if layout == "contiguous" else np.repeat(values, 2, axis=1)[:, ::2]
    message = image_message(given, HEAD)
    assert (message.width, message.height, message.step) == (5, 3, 5 * (3 if modality == "rgb" else 1))
    assert stamp_ns(message) == 1_700_000_000_123_456_789
    np.testing.assert_array_equal(decode_image(message, modality), values)


def test_camera_info_reads_back():
    intrinsics = Intrinsics(64, 48, 50.5, 51.5, 31.25, 23.75)
    message = camera_info_message(intrinsics, HEAD)
    assert intrinsics_from_camera_info(message) == intrinsics
    assert list(message.p) == [50.5, 0, 31.25, 0, 0, 51.5, 23.75, 0, 0, 0, 1, 0]


def test_occupancy_rows_run_along_x_from_the_smallest_y():
    data = np.array([[-1, 0, 98], [100, 50, -1]], np.int8)
    message = occupancy_message(Occupancy(data, 0.25, (-1.5, 2.75), 7_000_000_001), "odom")
    assert list(message.data) == [-1, 0, 98, 100, 50, -1]
    assert (message.info.width, message.info.height, message.info.resolution) == (3, 2, 0.25)
    assert (message.info.origin.position.x, message.info.origin.position.y) == (-1.5, 2.75)
    assert message.info.origin.orientation.w == 1.0
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (7, 1, "odom")


def fields_of(message) -> dict[str, np.ndarray]:
    """The points of a cloud, read by its fields alone."""
    kinds = {PointField.FLOAT32: "<f4", PointField.UINT8: "u1"}
    layout = {
        "names": [field.name for field in message.fields],
        "formats": [kinds[field.datatype] for field in message.fields],
        "offsets": [field.offset for field in message.fields],
        "itemsize": message.point_step,
    }
    points = np.frombuffer(message.data, np.dtype(layout)).reshape(message.height, message.width)
    return {name: points[name] for name in layout["names"]}


@pytest.mark.parametrize("count", [0, 3])
def test_a_cloud_reads_back_by_its_fields(count: int):
    points = np.array([(1.5, -2.0, 3.0, 7, 200)] * count, POINT)
    message = cloud_message(points, HEAD)
    assert (message.height, message.width, message.row_step, message.is_dense) == (1, count, 16 * count, True)
    read = fields_of(message)
    assert list(read) == ["x", "y", "z", "label", "confidence"]
    assert all((read[name][0] == points[name]).all() for name in read)
    stored = messages.point_cloud(points, 1, "c")
    assert bytes(stored.data) == bytes(message.data)
    assert [(f.name, f.offset, f.datatype) for f in stored.fields] == [
        (f.name, f.offset, f.datatype) for f in message.fields
    ]


def test_an_organised_cloud_keeps_rows_and_columns():
    points = np.arange(30, dtype=np.float32).reshape(2, 5, 3)
    message = cloud_message(points, HEAD)
    assert (message.height, message.width, message.point_step, message.row_step) == (2, 5, 12, 60)
    assert not message.is_dense
    np.testing.assert_array_equal(np.stack(list(fields_of(message).values()), -1), points)
    assert bytes(messages.point_cloud(points, 1, "c").data) == bytes(message.data)


def test_a_scan_says_where_its_beams_are():
    scan = Scan(np.array([1.0, np.nan, np.inf, 2.0], np.float32), 5.0)
    message = scan_message(scan, HEAD)
    assert message.angle_min == pytest.approx(-np.pi)
    assert message.angle_increment == pytest.approx(np.pi / 2)
    assert message.angle_max == pytest.approx(np.pi / 2)
    assert (message.range_min, message.range_max) == (0.0, 5.0)
    np.testing.assert_array_equal(np.array(message.ranges), scan.ranges)
    np.testing.assert_array_equal(messages.laser_scan(scan, 1, "base_link").ranges, scan.ranges)
