"""numpy arrays to ROS messages, by the way that costs microseconds.

rclpy checks and copies every element of a list or ndarray given to a ``uint8[]`` field (80 ms for a 640x480 rgb8
image); an ``array.array`` of the right type is taken over as it is (0.04 ms).
"""

from __future__ import annotations

import array
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from nav_msgs.msg import MapMetaData, OccupancyGrid
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2, PointField
from std_msgs.msg import Header

from gemini_ros.core.clouds import POINT, XYZ
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.costmap.scan import Scan
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.lens import POLYNOMIALS, Lens


def time_message(stamp_ns: int) -> Time:
    """builtin_interfaces/Time; negative stamps do not exist in ROS and become 0."""
    seconds, nanoseconds = divmod(max(stamp_ns, 0), 1_000_000_000)
    return Time(sec=seconds, nanosec=nanoseconds)


def header(stamp: int, frame_id: str) -> Header:
    return Header(stamp=time_message(stamp), frame_id=frame_id)


_ONE_CHANNEL = {"uint8": "mono8", "uint16": "16UC1", "float32": "32FC1"}


def image_message(image: npt.NDArray[Any], head: Header) -> Image:
    """sensor_msgs/Image: uint8 (H, W) as mono8, (H, W, 3) in RGB order as rgb8; uint16 as 16UC1, float32 as 32FC1."""
    encoding = _ONE_CHANNEL[image.dtype.name] if image.ndim == 2 else "rgb8"
    height, width = image.shape[:2]
    message = Image(header=head, height=height, width=width, encoding=encoding, step=image[0].nbytes)
    message.data = _array("B", image)
    return message


def camera_info_message(intrinsics: Intrinsics, head: Header) -> CameraInfo:
    """sensor_msgs/CameraInfo of a camera: a pinhole's, as of rectified images, or with the lens of raw ones."""
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    lens = intrinsics.lens or Lens(POLYNOMIALS[0])
    return CameraInfo(
        header=head,
        width=intrinsics.width,
        height=intrinsics.height,
        distortion_model=lens.model,
        d=list(lens.coefficients or [0.0] * 5),
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=list(lens.rotation),
        p=[fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def occupancy_message(occupancy: Occupancy, frame_id: str) -> OccupancyGrid:
    """nav_msgs/OccupancyGrid; its first row is the one of the smallest y, as in ``Occupancy``."""
    rows, columns = occupancy.data.shape
    x, y = occupancy.origin_xy
    stamp = time_message(occupancy.stamp_ns)
    info = MapMetaData(
        map_load_time=stamp,
        resolution=occupancy.resolution_m,
        width=columns,
        height=rows,
        origin=Pose(position=Point(x=float(x), y=float(y))),
    )
    message = OccupancyGrid(header=Header(stamp=stamp, frame_id=frame_id), info=info)
    message.data = _array("b", occupancy.data)
    return message


_FIELD_TYPES = {"<f4": PointField.FLOAT32, "|u1": PointField.UINT8}
FIELDS = {
    kind: [
        PointField(name=name, offset=kind.fields[name][1], datatype=_FIELD_TYPES[kind[name].str], count=1)
        for name in kind.names or ()
    ]
    for kind in (POINT, XYZ)
    if kind.fields
}


def planar_pose_message(place: tuple[float, float, float], head: Header) -> PoseStamped:
    """geometry_msgs/PoseStamped of x, y in metres and yaw in radians."""
    x, y, yaw = place
    turn = Quaternion(z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    return PoseStamped(header=head, pose=Pose(position=Point(x=x, y=y), orientation=turn))


def cloud_message(points: np.ndarray, head: Header) -> PointCloud2:
    """sensor_msgs/PointCloud2 of ``POINT`` (n,), or organised of float32 (H, W, 3), where NaN is no point."""
    kind = POINT if points.dtype == POINT else XYZ
    height, width = (1, len(points)) if kind is POINT else points.shape[:2]
    message = PointCloud2(
        header=head,
        height=height,
        width=width,
        fields=FIELDS[kind],
        point_step=kind.itemsize,
        row_step=width * kind.itemsize,
        is_dense=kind is POINT,
    )
    message.data = _array("B", points)
    return message


def scan_message(scan: Scan, head: Header) -> LaserScan:
    """sensor_msgs/LaserScan; NaN is unknown, and infinite is clear up to ``range_max``."""
    message = LaserScan(
        header=head,
        angle_min=scan.angle_min,
        angle_max=scan.angle_min + (len(scan.ranges) - 1) * scan.angle_increment,
        angle_increment=scan.angle_increment,
        range_max=scan.range_max,
    )
    message.ranges = _array("f", scan.ranges)
    return message


def _array(typecode: str, values: np.ndarray) -> array.array:
    data = array.array(typecode)
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return data
