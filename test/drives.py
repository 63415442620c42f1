"""Small bags of a made-up drive, for tests of what plays them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.bags import messages
from gemini_ros.bags.topics import BASE_FRAME, COLOR_FRAME, DEFAULT_TOPICS, ODOM_FRAME
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.transforms import camera_in_base, to_xyz_quaternion

SIZE = (160, 120)
MOUNTING = (0.2, 0.0, 0.5, 0.0, 0.1, 0.0)
START_NS = 1_700_000_000_000_000_000
_PERIODS_NS = {"rgb": 100_000_000, "depth": 100_000_000, "labels": 100_000_000, "thermal": 111_111_111}
_ODOM_NS = 20_000_000


def write_drive(
    path: Path, seconds: float, streams: Sequence[str] = ("rgb", "depth", "labels"), odom: bool = True
) -> Path:
    """A robot rolling along x through noise; messages are received 3 ms after their stamps. The mounting of the camera
    is in /tf_static where there is odometry."""
    rng = np.random.default_rng(0)
    events: list[tuple[int, str, Any]] = []
    duration_ns = round(seconds * 1e9)
    for stream in streams:
        for offset in range(0, duration_ns, _PERIODS_NS[stream]):
            stamp = START_NS + offset
            events.append((stamp, getattr(DEFAULT_TOPICS, stream), _image(stream, rng, stamp)))
            if stream != "labels":
                info = messages.camera_info(Intrinsics(*SIZE, 120.0, 120.0, 79.5, 59.5), stamp, COLOR_FRAME)
                events.append((stamp - 1, getattr(DEFAULT_TOPICS, f"{stream}_info"), info))
    if odom:
        events.append((START_NS - 2, "/tf_static", _mounting()))
        for offset in range(0, duration_ns, _ODOM_NS):
            pose = np.eye(4)
            pose[0, 3] = 0.5 * offset / 1e9
            events.append(
                (START_NS + offset, "/odom", messages.odometry(pose, START_NS + offset, ODOM_FRAME, BASE_FRAME))
            )
    with BagWriter(path, transient_local={"/tf_static"}) as writer:
        for stamp, topic, message in sorted(events, key=lambda event: event[:2]):
            writer.write(topic, message, stamp + 3_000_000)
    return path


def _image(stream: str, rng: np.random.Generator, stamp: int) -> Any:
    width, height = SIZE
    if stream == "rgb":
        return messages.compressed_rgb(rng.integers(0, 256, (height, width, 3), np.uint8), stamp, COLOR_FRAME)
    if stream == "depth":
        # A floor seen from the mounting's height, near at the bottom of the image.
        depth = np.repeat(np.linspace(6.0, 1.0, height, dtype=np.float32)[:, None], width, axis=1)
        return messages.compressed_depth(
            depth + rng.uniform(0, 0.1, depth.shape).astype(np.float32), stamp, COLOR_FRAME
        )
    if stream == "thermal":
        thermal = rng.uniform(10, 40, (height, width)).astype(np.float32)
        return messages.compressed_thermal(thermal, stamp, COLOR_FRAME)
    return messages.compressed_labels(rng.integers(0, 10, (height, width), np.uint8), stamp, COLOR_FRAME)


def _mounting() -> Any:
    make = TYPESTORE.types
    xyz, xyzw = to_xyz_quaternion(camera_in_base(MOUNTING))
    transform = make["geometry_msgs/msg/Transform"](
        make["geometry_msgs/msg/Vector3"](*map(float, xyz)), make["geometry_msgs/msg/Quaternion"](*map(float, xyzw))
    )
    stamped = make["geometry_msgs/msg/TransformStamped"](messages.header(START_NS, BASE_FRAME), COLOR_FRAME, transform)
    return make["tf2_msgs/msg/TFMessage"]([stamped])
