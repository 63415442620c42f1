"""A foreign camera, run as a process: 640x480 RGB and depth, best effort, at a fixed rate, until it is ended.

``python -m test.nodes.camera raw|compressed RATE_HZ``
"""

from __future__ import annotations

import array
import sys
import time

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

from gemini_ros.nodes.tool import stop_on_signals, tool_node
from test.nodes.rig import SENSOR_QOS, camera_info, image, stamp

SIZE = (480, 640)


def main(kind: str, rate_hz: float) -> None:
    random = np.random.default_rng(0)
    noise = cv2.resize(random.integers(0, 256, (*(v // 8 for v in SIZE), 3), np.uint8), SIZE[::-1])
    steps = 2000 + 100 * (noise[..., 0] // 64).astype(np.uint16)
    suffix = "" if kind == "raw" else "/compressed"
    with stop_on_signals() as stop, tool_node("camera") as node:
        message_type = CompressedImage if suffix else type(image(noise, "rgb8", 0))
        color = node.create_publisher(message_type, f"rgb/image{suffix}", SENSOR_QOS)
        depth = node.create_publisher(message_type, f"depth/image{suffix}", SENSOR_QOS)
        info = node.create_publisher(type(camera_info()), "rgb/camera_info", SENSOR_QOS)
        start_ns, i = time.time_ns(), 0
        while not stop.wait(max((now := start_ns + round(i * 1e9 / rate_hz)) - time.time_ns(), 0) / 1e9):
            i += 1
            rgb, metres = np.roll(noise, i, axis=1), np.roll(steps, i, axis=1)
            info.publish(camera_info(*SIZE[::-1], 500.0))
            if suffix:
                color.publish(compressed(cv2.imencode(".jpg", rgb)[1], "rgb8; jpeg compressed bgr8", now))
                depth.publish(compressed(cv2.imencode(".png", metres)[1], "16UC1; png compressed", now))
            else:
                color.publish(image(rgb, "rgb8", now))
                depth.publish(image(metres, "16UC1", now))


def compressed(data: np.ndarray, form: str, stamp_ns: int) -> CompressedImage:
    message = CompressedImage(format=form, data=array.array("B", data.tobytes()))
    message.header.stamp, message.header.frame_id = stamp(stamp_ns), "camera_color_optical_frame"
    return message


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
