"""Cameras with what is wrong with them, run as a process until it is ended.

``python -m test.nodes.faulty_cameras '{"rgb": {"hz": 15, ...}, ...}'``; keys of a camera: ``hz``, ``size`` [width,
height], ``ahead_ms`` (its stamps before the clock), ``late_ms`` (it shows a moving scene, as it was so long before the
stamp), ``info`` (publish intrinsics), ``viewer`` (a subscriber beside it that asks for reliable images).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from gemini_ros.nodes.tool import stop_on_signals, tool_node
from test.moving_scene import SIZE, MovingScene
from test.nodes.rig import SENSOR_QOS, camera_info, image

ENCODINGS = {"rgb": ("rgb8", np.uint8, (3,)), "depth": ("16UC1", np.uint16, ()), "thermal": ("mono16", np.uint16, ())}
START_NS = time.time_ns()


def start(node: Node, stream: str, settings: dict[str, Any]) -> None:
    """Publish one stream at its rate from the executor."""
    moves, late_s = "late_ms" in settings, settings.get("late_ms", 0) / 1e3
    width, height = settings.get("size", SIZE if moves else (80, 60))
    encoding, kind, rest = ENCODINGS[stream]
    still = np.full((height, width, *rest), 100, kind)
    scene = MovingScene() if moves else None  # which takes time, and would set the timers apart
    images = node.create_publisher(Image, f"{stream}/image", SENSOR_QOS)
    infos = node.create_publisher(CameraInfo, f"{stream}/camera_info", SENSOR_QOS) if settings.get("info") else None
    ahead_ns = round(settings.get("ahead_ms", 0) * 1e6)

    def publish() -> None:
        now_ns, values = time.time_ns(), still
        if scene is not None:
            seen = scene.image(stream, (now_ns - START_NS) / 1e9 - late_s)
            values = seen if stream == "rgb" else (1000 * seen).astype(kind)
        images.publish(image(values, encoding, now_ns + ahead_ns))
        if infos is not None:
            infos.publish(camera_info(width, height))

    node.create_timer(1 / settings["hz"], publish)
    if settings.get("viewer"):
        node.create_subscription(Image, f"{stream}/image", lambda _: None, QoSProfile(depth=1))


def main(cameras: dict[str, dict[str, Any]]) -> None:
    with stop_on_signals() as stop, tool_node("cameras") as node:
        for stream, settings in cameras.items():
            start(node, stream, settings)
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        sys.stdout.write("publishing\n")
        sys.stdout.flush()
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)
        executor.remove_node(node)
        executor.shutdown(timeout_sec=0.5)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
