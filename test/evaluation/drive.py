"""A small bag with an exactly known world: a robot drives towards a box on an endless floor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.bags import messages
from gemini_ros.bags.topics import COLOR_FRAME, DEFAULT_TOPICS, OCCUPANCY_TOPIC
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.frames import UNLABELLED, Intrinsics
from gemini_ros.core.transforms import camera_in_base

CAMERA = Intrinsics(96, 64, 70.0, 72.0, 47.5, 31.5)
MOUNTING = (0.2, 0.0, 0.6, 0.0, 0.2, 0.0)
START_NS = 1_700_000_000_000_000_000
FLOOR, BOX = 0, 4
_BOX = (4.0, 0.5, -0.4, 0.8)  # face at x, from y to y, height: metres in odom

Tamper = Callable[[str, int, Any], Any]


def view(odom_from_base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth in metres (NaN = none) and labels of the world, (64, 96)."""
    odom_from_camera = odom_from_base @ camera_in_base(MOUNTING)
    v, u = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(u.shape)], -1)
    d = rays @ odom_from_camera[:3, :3].T
    eye = odom_from_camera[:3, 3]
    with np.errstate(divide="ignore"):
        depth = np.where(d[..., 2] < 0, -eye[2] / d[..., 2], np.nan)
        face = (_BOX[0] - eye[0]) / d[..., 0]
    y, z = eye[1] + face * d[..., 1], eye[2] + face * d[..., 2]
    hit = (y < _BOX[1]) & (y > _BOX[2]) & (z > 0) & (z < _BOX[3])
    depth = np.where(hit, face, depth)
    depth[depth > 8] = np.nan
    return depth.astype(np.float32), np.where(np.isnan(depth), UNLABELLED, np.where(hit, BOX, FLOOR)).astype(np.uint8)


def write_drive(
    path: Path,
    *,
    frames: int = 12,
    streams: tuple[str, ...] = ("rgb", "depth", "thermal", "labels", "odom", "info", "tf"),
    tamper: Tamper = lambda stream, index, message: message,
    occupancy: Occupancy | None = None,
) -> Path:
    """10 Hz images, 50 Hz odometry, 0.5 m/s ahead. ``tamper`` may change each message or return None to drop it.

    ``occupancy`` is the true map.
    """
    topics = DEFAULT_TOPICS
    events: list[tuple[int, str, int, str, Any]] = []
    for i in range(frames):
        stamp = START_NS + i * 100_000_000
        depth, labels = view(pose_at(i * 0.1))
        rgb = np.where((labels == BOX)[..., None], (190, 140, 80), (90, 90, 95)).astype(np.uint8)
        rgb[:, :, 0] += np.arange(CAMERA.width, dtype=np.uint8)
        rgb[0, 0] = i
        thermal = np.where(labels == BOX, 25.0, 18.0).astype(np.float32) + np.float32(0.1 * i)
        for stream, delay, topic, message in (
            ("rgb", 5, topics.rgb, messages.compressed_rgb(rgb, stamp, COLOR_FRAME)),
            ("depth", 9, topics.depth, messages.compressed_depth(depth, stamp + 2_000_000, COLOR_FRAME)),
            ("thermal", 8, topics.thermal, messages.compressed_thermal(thermal, stamp - 3_000_000, COLOR_FRAME)),
            ("labels", 7, topics.labels, messages.compressed_labels(labels, stamp, COLOR_FRAME)),
            ("info", 1, topics.rgb_info, messages.camera_info(CAMERA, stamp, COLOR_FRAME)),
        ):
            events.append((stamp + delay * 1_000_000, stream, i, topic or "", message))
    for i in range(5 * frames):
        stamp = START_NS + i * 20_000_000
        message = messages.odometry(pose_at(i * 0.02), stamp)
        events.append((stamp, "odom", i, topics.odom or "", message))
    events.append((START_NS, "tf", 0, "/tf_static", static_transforms()))
    with BagWriter(path, transient_local=["/tf_static", OCCUPANCY_TOPIC]) as writer:
        if occupancy is not None:
            writer.write(OCCUPANCY_TOPIC, messages.occupancy_grid(occupancy, "odom"), START_NS)
        for receipt_ns, stream, i, topic, message in sorted(events, key=lambda event: event[0]):
            changed = tamper(stream, i, message)
            if stream in streams and changed is not None:
                writer.write(topic, changed, receipt_ns)
    return path


def pose_at(seconds: float) -> np.ndarray:
    """odom_from_base (4, 4)."""
    pose = np.eye(4)
    pose[0, 3] = 0.5 * seconds
    return pose


def static_transforms() -> Any:
    """tf2_msgs/TFMessage: base_link -> camera_link -> optical frame."""
    types = TYPESTORE.types
    translation = types["geometry_msgs/msg/Vector3"](*MOUNTING[:3])
    half = MOUNTING[4] / 2
    body = types["geometry_msgs/msg/Quaternion"](0.0, float(np.sin(half)), 0.0, float(np.cos(half)))
    optical = types["geometry_msgs/msg/Quaternion"](-0.5, 0.5, -0.5, 0.5)
    zero = types["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0)
    make, transform = types["geometry_msgs/msg/TransformStamped"], types["geometry_msgs/msg/Transform"]
    return types["tf2_msgs/msg/TFMessage"](
        [
            make(messages.header(START_NS, "camera_link"), COLOR_FRAME, transform(zero, optical)),
            make(messages.header(START_NS, "base_link"), "camera_link", transform(translation, body)),
        ]
    )
