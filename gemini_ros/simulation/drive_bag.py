"""A simulated drive as a bag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from gemini_ros.bags import messages
from gemini_ros.bags.topics import BASE_FRAME, COLOR_FRAME, DEFAULT_TOPICS, ODOM_FRAME
from gemini_ros.bags.transform_tree import STATIC_TOPIC
from gemini_ros.bags.writer import BagWriter
from gemini_ros.simulation.drive import Drive, DriveCamera, plan_drive

CAMERA_HZ, THERMAL_HZ, ODOM_HZ = 10, 9, 50
START_NS = 1_700_000_000_000_000_000
LATENCY_NS = {"odom": 1_000_000, "rgb": 12_000_000, "depth": 18_000_000, "thermal": 25_000_000, "labels": 18_000_000}
SUPERSAMPLE = 2


def write_drive_bag(
    path: str | Path,
    *,
    seed: int,
    duration_s: float = 10.0,
    size: tuple[int, int] = (320, 240),
    light: str = "day",
    person_at_s: float | None = None,
) -> Path:
    """Write a drive (``simulation.drive.plan_drive``) as an MCAP bag and return its path.

    RGB (JPEG), depth (16UC1 PNG, millimetres) and true labels (PNG) at 10 Hz under equal stamps, thermal (mono16 PNG,
    centi-Kelvin) at 9 Hz, each image with its camera_info, odometry at 50 Hz, the camera's mounting in ``/tf_static``.
    All images are on one pixel grid of ``size``; colour is rendered at twice that. Raises ``ValueError`` as
    ``plan_drive`` does.
    """
    drive = plan_drive(seed, duration_s=duration_s, light=light, person_at_s=person_at_s)
    with (
        DriveCamera(drive, size, supersample=SUPERSAMPLE) as camera,
        BagWriter(path, transient_local=[STATIC_TOPIC]) as bag,
    ):
        mounting = messages.transforms(camera.base_from_camera, START_NS, BASE_FRAME, COLOR_FRAME)
        bag.write(STATIC_TOPIC, mounting, START_NS)
        for time_s, write in _events(drive):
            write(bag, drive, camera, time_s)
    return Path(path)


def _events(drive: Drive) -> list[tuple[float, Callable[[BagWriter, Drive, DriveCamera, float], None]]]:
    """What is recorded when, in order of time; at one time odometry first."""
    rates = ((ODOM_HZ, _write_odometry), (CAMERA_HZ, _write_camera), (THERMAL_HZ, _write_thermal))
    events = [
        (float(time_s), order, write)
        for order, (rate, write) in enumerate(rates)
        for time_s in np.arange(round(drive.duration_s * rate)) / rate
    ]
    return [(time_s, write) for time_s, _, write in sorted(events, key=lambda event: event[:2])]


def _write_odometry(bag: BagWriter, drive: Drive, camera: DriveCamera, time_s: float) -> None:
    stamp = _stamp(time_s)
    message = messages.odometry(drive.odom_from_base(time_s), stamp, ODOM_FRAME, BASE_FRAME)
    bag.write(_topic("odom"), message, stamp + LATENCY_NS["odom"])


def _write_camera(bag: BagWriter, drive: Drive, camera: DriveCamera, time_s: float) -> None:
    simulated, stamp = camera.frame(time_s), _stamp(time_s)
    rgb, depth = simulated.frame.rgb, simulated.frame.depth
    assert rgb is not None and depth is not None
    info = messages.camera_info(camera.intrinsics, stamp, COLOR_FRAME)
    bag.write(_topic("rgb_info"), info, stamp + LATENCY_NS["rgb"])
    bag.write(_topic("rgb"), messages.compressed_rgb(rgb, stamp, COLOR_FRAME), stamp + LATENCY_NS["rgb"])
    bag.write(_topic("depth_info"), info, stamp + LATENCY_NS["depth"])
    bag.write(_topic("depth"), messages.compressed_depth(depth, stamp, COLOR_FRAME), stamp + LATENCY_NS["depth"])
    labels = messages.compressed_labels(simulated.labels, stamp, COLOR_FRAME)
    bag.write(_topic("labels"), labels, stamp + LATENCY_NS["labels"])


def _write_thermal(bag: BagWriter, drive: Drive, camera: DriveCamera, time_s: float) -> None:
    stamp = _stamp(time_s)
    receipt = stamp + LATENCY_NS["thermal"]
    bag.write(_topic("thermal_info"), messages.camera_info(camera.intrinsics, stamp, COLOR_FRAME), receipt)
    image = messages.compressed_thermal(camera.temperature(time_s), stamp, COLOR_FRAME)
    bag.write(_topic("thermal"), image, receipt)


def _topic(stream: str) -> str:
    topic = getattr(DEFAULT_TOPICS, stream)
    assert isinstance(topic, str)
    return topic


def _stamp(time_s: float) -> int:
    return START_NS + round(time_s * 1e9)
