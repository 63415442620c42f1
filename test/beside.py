"""A robot with a D455 whose depth is not aligned and a Boson above it, in a world of which every ray is known.

``scale`` 1 gives the cameras' own sizes: RGB 1280x720, depth 848x480, thermal 640x512.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.bags import messages
from gemini_ros.bags.writer import BagWriter
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.lens import Lens
from gemini_ros.core.transforms import BODY_FROM_OPTICAL, Matrix, from_xyz_rpy
from test.core.scene import FLOOR_M, depth_of, points_of

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
FRAMES = {
    "rgb": "camera_color_optical_frame",
    "depth": "camera_depth_optical_frame",
    "thermal": "boson_camera",
}
PLACES: dict[str, Matrix] = {  # in the optical frame of RGB
    "rgb": np.eye(4),
    "depth": from_xyz_rpy(-0.059, 0.0, 0.0, 0.0, 0.003, 0.002),
    "thermal": from_xyz_rpy(0.0, -0.05, 0.0, 0.0, 0.0, 0.0),  # as in config/cameras/realsense_boson.yaml
}
TOPICS = {
    "rgb": "/camera/camera/color/image_raw",
    "depth": "/camera/camera/depth/image_rect_raw",
    "thermal": "/flir_boson/image_raw",
}
BASE_FROM_RGB = from_xyz_rpy(0.2, 0.0, FLOOR_M, 0.0, 0.0, 0.0) @ BODY_FROM_OPTICAL


def camera(stream: str, scale: float = 1.0) -> Intrinsics:
    """The camera of a stream."""
    of = {
        "rgb": Intrinsics(1280, 720, 645.0, 645.0, 640.0, 362.0),
        "depth": Intrinsics(848, 480, 425.0, 425.0, 423.0, 239.0),
        "thermal": Intrinsics(640, 512, 686.0, 686.0, 318.0, 257.0).through(
            Lens("plumb_bob", (-0.35, 0.15, 0.001, 0.0005, 0.0))
        ),
    }[stream]
    return of.scaled(round(of.width * scale), round(of.height * scale))


@lru_cache(maxsize=32)
def depth_at(stream: str, scale: float, ahead_m: float) -> np.ndarray:
    """float64 (H, W) metres that a camera sees once the robot is ``ahead_m`` further."""
    return depth_of(camera(stream, scale), from_xyz_rpy(0, 0, ahead_m, 0, 0, 0) @ PLACES[stream])


def warmth_at(stream: str, scale: float, ahead_m: float) -> np.ndarray:
    """float32 (H, W) degrees Celsius: what the surface has where a camera's pixels see it, smooth in space."""
    own = points_of(camera(stream, scale), depth_at(stream, scale, ahead_m))
    x, y, z = np.tensordot(PLACES[stream][:3, :3], own, axes=1) + PLACES[stream][:3, 3][:, None, None]
    return (22 + 4 * np.sin(3 * x) * np.cos(2 * y) + 3 * np.sin(2 * (z + ahead_m))).astype(np.float32)


@dataclass(frozen=True)
class Shot:
    """What one camera sees at one instant, in the form of its driver."""

    stream: str
    stamp_ns: int
    image: np.ndarray
    encoding: str


def shots(stream: str, count: int, scale: float) -> Iterator[Shot]:
    """The images of a stream, 5 cm of way between one and the next; no two are equal."""
    random = np.random.default_rng(ord(stream[0]))
    for i in range(count):
        stamp, ahead = START_NS + i * PERIOD_NS, 0.05 * i
        if stream == "depth":
            millimetres = np.nan_to_num(1000 * depth_at(stream, scale, ahead))
            values = np.round(millimetres + random.integers(-1, 2, millimetres.shape)).clip(0).astype(np.uint16)
            yield Shot(stream, stamp, values, "16UC1")
        elif stream == "thermal":
            noise = random.normal(0, 0.02, (camera(stream, scale).height, camera(stream, scale).width))
            values = np.round(100 * (warmth_at(stream, scale, ahead) + noise + 273.15)).astype(np.uint16)
            yield Shot(stream, stamp + 4_000_000, values, "mono16")
        else:
            grey = 8 * (warmth_at(stream, scale, ahead) - 8)
            values = grey[..., None] + random.integers(-3, 4, (*grey.shape, 3))
            yield Shot(stream, stamp, values.clip(0, 255).astype(np.uint8), "rgb8")


def camera_info(stream: str, scale: float, stamp: int) -> Any:
    """sensor_msgs/CameraInfo with the lens."""
    of = camera(stream, scale)
    message = messages.camera_info(of, stamp, FRAMES[stream])
    if of.lens is not None:
        message.distortion_model, message.d = of.lens.model, np.array(of.lens.coefficients)
    return message


def static_transforms(*streams: str) -> Any:
    """tf2_msgs/TFMessage: RGB in base_link, and ``streams`` beside RGB."""
    found = messages.transforms(BASE_FROM_RGB, START_NS, "base_link", FRAMES["rgb"])
    for stream in streams:
        found.transforms += messages.transforms(PLACES[stream], START_NS, FRAMES["rgb"], FRAMES[stream]).transforms
    return found


def write_bag(
    path: Path,
    count: int = 6,
    scale: float = 0.5,
    streams: tuple[str, ...] = ("rgb", "depth", "thermal"),
    tf: tuple[str, ...] = ("depth",),
    odom: bool = True,
) -> Path:
    """``count`` images of each of ``streams``, with their camera_info; ``tf``: the streams that /tf_static places."""
    events: list[tuple[int, str, Any]] = [(START_NS - 10, "/tf_static", static_transforms(*tf))]
    for stream in streams:
        for shot in shots(stream, count, scale):
            place = TOPICS[stream].rpartition("/")[0]
            events.append((shot.stamp_ns, f"{place}/camera_info", camera_info(stream, scale, shot.stamp_ns)))
            image = messages.image(shot.image, shot.encoding, shot.stamp_ns, FRAMES[stream])
            events.append((shot.stamp_ns + 5_000_000, TOPICS[stream], image))
    for i in range(5 * count if odom else 0):
        stamp = START_NS + i * PERIOD_NS // 5
        events.append((stamp, "/odom", messages.odometry(from_xyz_rpy(0.01 * i, 0, 0, 0, 0, 0), stamp)))
    with BagWriter(path, transient_local=["/tf_static"]) as writer:
        for receipt, topic, message in sorted(events, key=lambda event: event[0]):
            writer.write(topic, message, receipt)
    return path
