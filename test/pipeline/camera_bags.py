"""Bags as cameras' drivers fill them: topics with images of a kind, a size and a frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gemini_ros.bags import messages
from gemini_ros.bags.writer import BagWriter
from gemini_ros.core.frames import Intrinsics

SIZE, SMALL = (8, 6), (4, 3)
ENCODINGS = {
    "rgb8": np.zeros((*SIZE[::-1], 3), np.uint8),
    "bgr8": np.zeros((*SIZE[::-1], 3), np.uint8),
    "mono8": np.zeros(SIZE[::-1], np.uint8),
    "16UC1": np.full(SIZE[::-1], 1000, np.uint16),
    "mono16": np.full(SIZE[::-1], 29315, np.uint16),
    "32FC1": np.ones(SIZE[::-1], np.float32),
}


def message(kind: str, stamp: int, frame: str, size: tuple[int, int] = SIZE) -> Any:
    """An image of an encoding, or of what a file holds; ``info``, ``lens info``; ``odom:FRAME:CHILD``."""
    if kind.endswith("info"):
        info = messages.camera_info(Intrinsics(*size, 10.0, 10.0, size[0] / 2, size[1] / 2), stamp, frame)
        info.d = np.array([-0.17, 0.026, 0.0, 0.0, 0.0]) if kind == "lens info" else info.d
        return info
    if kind.startswith("odom"):
        _, parent, child = (f"{kind}:odom:base_link").split(":")[:3]
        return messages.odometry(np.eye(4), stamp, parent, child)
    if kind in ENCODINGS:
        return messages.image(ENCODINGS[kind][: size[1], : size[0]], kind, stamp, frame)
    if kind in ("bayer_rggb8", "uyvy", "bgra8", "32SC1"):
        bytes_each = {"bayer_rggb8": 1, "uyvy": 2}.get(kind, 4)
        made = messages.image(np.zeros((size[1], size[0] * bytes_each), np.uint8), "mono8", stamp, frame)
        made.encoding, made.width = kind, size[0]
        return made
    shape, dtype, suffix = {
        "jpeg": ((*size[::-1], 3), np.uint8, ".jpg"),
        "grey jpeg": (size[::-1], np.uint8, ".jpg"),
        "png8": (size[::-1], np.uint8, ".png"),
        "png16": (size[::-1], np.uint16, ".png"),
        "png": ((*size[::-1], 3), np.uint8, ".png"),
        "compressedDepth": (size[::-1], np.uint16, ".png"),
    }[kind]
    data = cv2.imencode(suffix, np.ones(shape, dtype))[1].tobytes()
    form = {"compressedDepth": "16UC1; compressedDepth png"}.get(kind, "jpeg" if suffix == ".jpg" else "png")
    return messages.compressed_image(bytes(12) * (kind == "compressedDepth") + data, form, stamp, frame)


def write_bag(path: Path, topics: Mapping[str, Any]) -> Path:
    """``topics``: a kind by topic, or (kind, frame), (kind, frame, size), (kind, frame, size, count)."""
    with BagWriter(path) as bag:
        for topic, what in topics.items():
            given = (what,) if isinstance(what, str) else what
            kind, frame, size, count = (*given, *("camera", SIZE, 3)[len(given) - 1 :])
            if not count:
                bag.advertise(topic, message(kind, 1, frame, size).__msgtype__)
            for i in range(count):
                bag.write(topic, message(kind, 1 + i, frame, size), 1 + i)
    return path
