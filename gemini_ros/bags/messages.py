"""Building messages for a bag: from arrays, poses and cameras to rosbags messages."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.bags.writer import TYPESTORE
from gemini_ros.core.clouds import POINT, XYZ
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.costmap.scan import Scan
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.image_files import encode_image_file
from gemini_ros.core.lens import POLYNOMIALS, Lens
from gemini_ros.core.transforms import to_xyz_quaternion

JPEG_QUALITY = 95
JPEG_FORMAT = "rgb8; jpeg compressed bgr8"
_PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 6)  # sixteen bits of noise: a fifth smaller than with the fastest level
_NANO = 1_000_000_000
# encoding -> (type of one value, shape of one pixel)
_TYPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "rgb8": ("uint8", (3,)),
    "bgr8": ("uint8", (3,)),
    "mono8": ("uint8", ()),
    "mono16": ("uint16", ()),
    "16UC1": ("uint16", ()),
    "32FC1": ("float32", ()),
}
_FIELD_TYPES = {"<f4": 7, "|u1": 2}  # sensor_msgs/PointField


def header(stamp_ns: int, frame_id: str) -> Any:
    """std_msgs/Header."""
    seconds, nanoseconds = divmod(stamp_ns, _NANO)
    return _make("std_msgs/msg/Header", _make("builtin_interfaces/msg/Time", seconds, nanoseconds), frame_id)


def image(array: np.ndarray, encoding: str, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/Image of ``array`` (H, W) or (H, W, 3), whose type must be that of ``encoding``."""
    _require_type(array, encoding)
    height, width = array.shape[:2]
    data = np.ascontiguousarray(array).view(np.uint8).ravel()
    return _make(
        "sensor_msgs/msg/Image", header(stamp_ns, frame_id), height, width, encoding, 0, data.size // height, data
    )


def compressed_image(data: bytes | npt.NDArray[np.uint8], form: str, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/CompressedImage of an image file's bytes; ``form`` is its ``format`` string."""
    array = np.frombuffer(data, np.uint8)
    return _make("sensor_msgs/msg/CompressedImage", header(stamp_ns, frame_id), form, array)


def png_image(array: np.ndarray, encoding: str, stamp_ns: int, frame_id: str) -> Any:
    """CompressedImage (PNG) of ``array``, whose type must be that of ``encoding``; ``rgb8`` is in RGB order.

    The format is compressed_image_transport's: without ``bgr8`` at its end, its subscribers exchange red and blue.
    """
    _require_type(array, encoding)
    data = encode_image_file(array[..., ::-1] if encoding == "bgr8" else array, ".png", *_PNG_OPTIONS)
    return compressed_image(data, f"{encoding}; png compressed {'bgr8' if array.ndim == 3 else ''}", stamp_ns, frame_id)


def compressed_rgb(rgb: npt.NDArray[np.uint8], stamp_ns: int, frame_id: str, quality: int = JPEG_QUALITY) -> Any:
    """CompressedImage (JPEG) of ``rgb`` uint8 (H, W, 3)."""
    data = encode_image_file(rgb, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)
    return compressed_image(data, JPEG_FORMAT, stamp_ns, frame_id)


def compressed_depth(depth: npt.NDArray[np.float32], stamp_ns: int, frame_id: str) -> Any:
    """CompressedImage (16-bit PNG, millimetres, 0 = none) of ``depth`` float32 (H, W) metres, NaN = none."""
    return png_image(to_uint16(depth, 1000.0), "16UC1", stamp_ns, frame_id)


def compressed_thermal(thermal: npt.NDArray[np.float32], stamp_ns: int, frame_id: str) -> Any:
    """CompressedImage (16-bit PNG, centi-Kelvin, 0 = none) of ``thermal`` float32 (H, W) Celsius, NaN = none."""
    return png_image(to_uint16(thermal, 100.0, 27315.0), "mono16", stamp_ns, frame_id)


def compressed_labels(labels: npt.NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Any:
    """CompressedImage (8-bit PNG) of ``labels`` uint8 (H, W)."""
    return png_image(labels, "mono8", stamp_ns, frame_id)


def camera_info(intrinsics: Intrinsics, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/CameraInfo of a camera: a pinhole's, as of rectified images, or with the lens of raw ones."""
    i, lens = intrinsics, intrinsics.lens or Lens(POLYNOMIALS[0])
    k = np.array([i.fx, 0, i.cx, 0, i.fy, i.cy, 0, 0, 1], np.float64)
    return _make(
        "sensor_msgs/msg/CameraInfo",
        header(stamp_ns, frame_id),
        i.height,
        i.width,
        lens.model,
        np.array(lens.coefficients or [0.0] * 5, np.float64),
        k,
        np.array(lens.rotation, np.float64),
        np.insert(k, (3, 6, 9), 0.0),
        0,
        0,
        _make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False),
    )


def odometry(
    parent_from_child: npt.NDArray[np.float64], stamp_ns: int, frame_id: str = "odom", child_frame_id: str = "base_link"
) -> Any:
    """nav_msgs/Odometry of a pose, (4, 4); no velocity, no covariance."""
    zero = _make("geometry_msgs/msg/Vector3", 0.0, 0.0, 0.0)
    return _make(
        "nav_msgs/msg/Odometry",
        header(stamp_ns, frame_id),
        child_frame_id,
        _make("geometry_msgs/msg/PoseWithCovariance", _pose(parent_from_child), np.zeros(36)),
        _make("geometry_msgs/msg/TwistWithCovariance", _make("geometry_msgs/msg/Twist", zero, zero), np.zeros(36)),
    )


def pose_stamped(parent_from_child: npt.NDArray[np.float64], stamp_ns: int, frame_id: str) -> Any:
    """geometry_msgs/PoseStamped of a pose, (4, 4)."""
    return _make("geometry_msgs/msg/PoseStamped", header(stamp_ns, frame_id), _pose(parent_from_child))


def transforms(parent_from_child: npt.NDArray[np.float64], stamp_ns: int, parent: str, child: str) -> Any:
    """tf2_msgs/TFMessage of one transform, (4, 4), in metres."""
    xyz, xyzw = to_xyz_quaternion(parent_from_child)
    transform = _make(
        "geometry_msgs/msg/Transform",
        _make("geometry_msgs/msg/Vector3", *map(float, xyz)),
        _make("geometry_msgs/msg/Quaternion", *map(float, xyzw)),
    )
    stamped = _make("geometry_msgs/msg/TransformStamped", header(stamp_ns, parent), child, transform)
    return _make("tf2_msgs/msg/TFMessage", [stamped])


def occupancy_grid(occupancy: Occupancy, frame_id: str) -> Any:
    """nav_msgs/OccupancyGrid; its first row is the one of the smallest y, as in ``Occupancy``."""
    rows, columns = occupancy.data.shape
    head = header(occupancy.stamp_ns, frame_id)
    origin = _make(
        "geometry_msgs/msg/Pose",
        _make("geometry_msgs/msg/Point", *map(float, occupancy.origin_xy), 0.0),
        _make("geometry_msgs/msg/Quaternion", 0.0, 0.0, 0.0, 1.0),
    )
    info = _make("nav_msgs/msg/MapMetaData", head.stamp, occupancy.resolution_m, columns, rows, origin)
    return _make("nav_msgs/msg/OccupancyGrid", head, info, np.ascontiguousarray(occupancy.data).ravel())


def point_cloud(points: np.ndarray, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/PointCloud2 of ``POINT`` (n,), or organised of float32 (H, W, 3), where NaN is no point."""
    kind = POINT if points.dtype == POINT else XYZ
    height, width = (1, len(points)) if kind is POINT else points.shape[:2]
    fields = [
        _make("sensor_msgs/msg/PointField", name, (kind.fields or {})[name][1], _FIELD_TYPES[kind[name].str], 1)
        for name in kind.names or ()
    ]
    data = np.ascontiguousarray(points).reshape(-1).view(np.uint8)
    size, row = kind.itemsize, width * kind.itemsize
    head = header(stamp_ns, frame_id)
    return _make("sensor_msgs/msg/PointCloud2", head, height, width, fields, False, size, row, data, kind is POINT)


def laser_scan(scan: Scan, stamp_ns: int, frame_id: str) -> Any:
    """sensor_msgs/LaserScan; NaN is unknown, and infinite is clear up to ``range_max``."""
    first, step = scan.angle_min, scan.angle_increment
    angles = first, first + (len(scan.ranges) - 1) * step, step
    times, ranges = (0.0, 0.0), (0.0, scan.range_max, scan.ranges, np.zeros(0, np.float32))
    return _make("sensor_msgs/msg/LaserScan", header(stamp_ns, frame_id), *angles, *times, *ranges)


def string(text: str) -> Any:
    """std_msgs/String."""
    return _make("std_msgs/msg/String", text)


def _pose(parent_from_child: npt.NDArray[np.float64]) -> Any:
    xyz, xyzw = to_xyz_quaternion(parent_from_child)
    return _make(
        "geometry_msgs/msg/Pose",
        _make("geometry_msgs/msg/Point", *map(float, xyz)),
        _make("geometry_msgs/msg/Quaternion", *map(float, xyzw)),
    )


def to_uint16(values: np.ndarray, scale: float, offset: float = 0.0) -> npt.NDArray[np.uint16]:
    """``scale`` x ``values`` + ``offset`` rounded to 1-65535; 0 where that is NaN or does not fit."""
    scaled = np.rint(values.astype(np.float64) * scale + offset)
    return np.where((scaled >= 1) & (scaled <= 65535), scaled, 0).astype(np.uint16)


def _require_type(array: np.ndarray, encoding: str) -> None:
    kind, channels = _TYPES[encoding]
    if array.dtype != kind or array.shape[2:] != channels or array.ndim < 2:
        raise ValueError(f"{encoding} image from {array.dtype} {array.shape}, expected {kind} (H, W{channels})")


def _make(msgtype: str, *fields: Any) -> Any:
    return TYPESTORE.types[msgtype](*fields)
