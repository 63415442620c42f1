"""Go to what a phrase means, with Nav2: the segmenter says where to stand, Nav2 drives there.

    python3 examples/go_to_phrase.py "the pallet nearest to the door"

It needs a running segmenter with depth and odometry, a running Nav2, and the package ``nav2_simple_commander``. It has
not been run against a Nav2.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import rclpy
from geometry_msgs.msg import PoseStamped
from nav2_simple_commander.robot_navigator import BasicNavigator, TaskResult  # pyright: ignore[reportMissingImports]
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Phrases:
    """Sets a phrase as the target, and keeps what the segmenter says of it."""

    def __init__(self, node: BasicNavigator, segmenter: str) -> None:
        self.place: PoseStamped | None = None
        self.refused = ""
        self.in_force: list[str] = []
        self._node = node
        self._set = node.create_publisher(String, f"{segmenter}/set_phrases", 1)
        node.create_subscription(PoseStamped, f"{segmenter}/target_pose", self._placed, 1)
        node.create_subscription(String, f"{segmenter}/phrases", self._told, _LATCHED)

    def set(self, text: str, seconds: float) -> bool:
        """Ask for ``text`` until the segmenter has taken or refused it, at most so long; whether it is in force."""
        self.place, self.refused, self.in_force = None, "", []
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.refused and text not in self.in_force:
            self._set.publish(String(data=json.dumps([{"text": text, "role": "target"}])))
            rclpy.spin_once(self._node, timeout_sec=1.0)
        return text in self.in_force

    def wait(self, seconds: float) -> PoseStamped | None:
        """The place to stand, ``None`` where none was found in this time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.place is None:
            rclpy.spin_once(self._node, timeout_sec=0.2)
        return self.place

    def _placed(self, message: PoseStamped) -> None:
        self.place = message

    def _told(self, message: String) -> None:
        told = json.loads(message.data)
        self.in_force = [entry["text"] for entry in told["in_force"] if entry["role"] == "target"]
        self.refused = "; ".join(entry["why"] for entry in told["refused"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phrase", help='such as "the pallet nearest to the door"')
    parser.add_argument("--segmenter", default="/segmenter", metavar="NODE", help="its name (default /segmenter)")
    parser.add_argument("--seconds", type=float, default=20.0, help="to wait for a place to stand (default 20)")
    options = parser.parse_args()

    rclpy.init()
    navigator = BasicNavigator()
    phrases = Phrases(navigator, options.segmenter)
    text = options.phrase.lower()
    if not phrases.set(text, 10.0):
        print(f"not in force: {phrases.refused or 'the segmenter does not answer'}", file=sys.stderr)
        return 1
    place = phrases.wait(options.seconds)
    if place is None:
        print(f"{text}: no place to stand was found; see {options.segmenter}/answers", file=sys.stderr)
        return 1
    navigator.waitUntilNav2Active(localizer="bt_navigator")
    navigator.goToPose(place)
    while not navigator.isTaskComplete():
        rclpy.spin_once(navigator, timeout_sec=0.1)
    reached = navigator.getResult() == TaskResult.SUCCEEDED
    print("there" if reached else "Nav2 did not get there", file=sys.stdout if reached else sys.stderr)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
