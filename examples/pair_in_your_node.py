"""Pairs of RGB and depth images in a node of your own, by the synchroniser of the segmenter.

ros2 launch realsense2_camera rs_launch.py     # or any other camera; remap the topics as usual:
python examples/pair_in_your_node.py --ros-args -r rgb/image:=/camera/camera/color/image_raw \
    -r depth/image:=/camera/camera/depth/image_rect_raw

It takes the nearest partner and not the first, gives pairs in the order of their stamps, says within half a second that
a stream has died, and why streams that come do not pair. Stop it with Ctrl-C.
"""

from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from gemini_ros import Match, MatchFilter, Subscriber


class Pairs(Node):
    def __init__(self) -> None:
        super().__init__("pairs")
        sources = {
            stream: Subscriber(self, Image, f"{stream}/image", qos_profile=qos_profile_sensor_data)
            for stream in ("rgb", "depth")
        }
        self._matches = MatchFilter(self, sources, slop_ns=20_000_000)
        self._matches.registerCallback(self._take)
        self._mode = ""
        self.create_timer(0.1, self._say_mode)

    def _take(self, match: Match) -> None:
        if match.kind == "pair":
            gap_ms = (match.times_ns["depth"] - match.times_ns["rgb"]) / 1e6
            print(f"pair, depth {gap_ms:+.1f} ms from RGB", flush=True)
        else:
            print(f"single without {', '.join(match.missing)}", flush=True)

    def _say_mode(self) -> None:
        matcher = self._matches.matcher
        if matcher.mode != self._mode:
            self._mode = matcher.mode
            reasons = "; ".join(map(str, matcher.unpaired.values()))
            print(f"mode {self._mode}" + (f": {reasons}" if reasons else ""), flush=True)


if __name__ == "__main__":
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(Pairs())
