"""What Nav2 still gets when a source dies in mid-drive: clouds, scan, labels with points, and the map.

python -m benchmarks.dead_sources [--bag demo/warehouse.mcap] [--model MODEL] [--set NAME=VALUE]... [--json FILE]

The node and each source (RGB camera, depth camera, odometry) are processes of their own. The sources play the bag under
stamps of now. After ``AFTER_S`` one of them is killed (``kill -9``), frozen (the last message goes on under fresh
stamps), or its cable is cut (the driver lives and sends nothing). The table says for each output when the last message
came, seconds after the death; ``-`` is none after it, ``goes on`` is one in the last fifth of ``WATCHED_S``. The map
has the share of the cells known before that it still has 0.3 and 1 s later, and the time at which all is unknown. A
message counts by the time it is heard: the frame that is in the network at the death still comes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image, LaserScan, PointCloud2

from benchmarks.node_overhead import LATCHED_QOS, ROOT, Operator, assignment, segmenter
from gemini_ros.bags.reader import BagReader
from gemini_ros.core.resources import find_model
from gemini_ros.nodes.bag.topics import message_class
from gemini_ros.nodes.messages import header
from gemini_ros.nodes.tool import stop_on_signals, tool_node
from gemini_ros.pipeline.streams import find_topics

STARTS_WITHIN_S, AFTER_S, WATCHED_S = 6.0, 3.0, 2.5
TIMES_S = (0.3, 1.0)
FIRST_DOMAIN = 70
OUTPUTS = {
    "obstacles": PointCloud2,
    "ground": PointCloud2,
    "scan": LaserScan,
    "points": PointCloud2,
    "labels": Image,
    "costmap": OccupancyGrid,
}
SOURCES = ("rgb", "depth", "odometry")
CASES = [(how, source) for source in SOURCES for how in ("killed", "frozen", "cut")] + [("killed", "all")]
_SIGNALS = {"killed": signal.SIGKILL, "frozen": signal.SIGUSR1, "cut": signal.SIGUSR2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bag", type=Path, default=ROOT / "demo/warehouse.mcap", help="a drive of at least 6 s")
    parser.add_argument("--model", type=find_model, default="warehouse_rgbd_nano", help="ONNX file, or a shipped model")
    parser.add_argument("--set", type=assignment, action="append", default=[], metavar="NAME=VALUE", help="parameters")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument("--source", choices=SOURCES, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.source:
        play(args.bag, args.source, args.start)
        return 0
    rows = {}
    for number, (how, source) in enumerate(CASES):
        # A killed process leaves shared memory behind that the next one on its domain would take for its own.
        os.environ["ROS_DOMAIN_ID"] = str(FIRST_DOMAIN + number)
        rows[f"{source} {how}"] = measure(args, how, source)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


# --- A source ---------------------------------------------------------------------------------------------------------


def play(bag: Path, source: str, start: float) -> None:
    """Send the messages of ``source`` at the pace of the bag from the time ``start`` on, until told to end."""
    state: set[str] = set()
    for name in ("frozen", "cut"):
        signal.signal(_SIGNALS[name], lambda *_, name=name: state.add(name))
    with BagReader(bag) as reader, stop_on_signals() as stop, tool_node(f"{source}_source") as node:
        topics = node_topics(reader, source)
        kinds = {topic: _class(reader.topics[topic]) for topic in topics}
        out = {topic: node.create_publisher(kinds[topic], name, QoSProfile(depth=5)) for topic, name in topics.items()}
        while not all(p.get_subscription_count() for p in out.values() if not p.topic.endswith("camera_info")):
            if stop.wait(0.05):
                return
        last: dict[str, Any] = {}
        for message in reader.messages(list(topics)):
            due_s = start + (message.receipt_ns - reader.start_ns) / 1e9
            if stop.wait(max(0.0, due_s - time.time())):
                return
            if "cut" in state:
                continue
            if "frozen" not in state or message.topic not in last:
                last[message.topic] = deserialize_message(message.raw, kinds[message.topic])
            last[message.topic].header.stamp = header(round(due_s * 1e9), "").stamp
            out[message.topic].publish(last[message.topic])


def node_topics(reader: BagReader, source: str) -> dict[str, str]:
    """Topics of the bag that ``source`` sends, with the node's names for them."""
    if source == "odometry":
        return {next(t for t, kind in reader.topics.items() if kind == "nav_msgs/msg/Odometry"): "odom"}
    image = find_topics(reader).images()[source]
    compressed = "/compressed" if image.endswith("/compressed") else ""
    found = {image: f"{source}/image{compressed}"}
    info = f"{image.removesuffix('/compressed').rpartition('/')[0]}/camera_info"
    return found | ({info: f"{source}/camera_info"} if info in reader.topics else {})


def _class(kind: str) -> Any:
    found = message_class(kind)
    if found is None:
        raise SystemExit(f"no package with {kind} is installed")
    return found


# --- A robot ----------------------------------------------------------------------------------------------------------


class Listener(Operator):
    """What the node said: (seconds of the monotonic clock, known cells of a map) for each message of an output."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.heard: dict[str, list[tuple[float, int]]] = {name: [] for name in OUTPUTS}
        for name, kind in OUTPUTS.items():
            qos = LATCHED_QOS if kind is OccupancyGrid else QoSProfile(depth=10)
            node.create_subscription(kind, f"segmenter/{name}", lambda m, name=name: self._hear(name, m), qos)

    def _hear(self, name: str, message: Any) -> None:
        known = int((np.asarray(message.data) >= 0).sum()) if isinstance(message, OccupancyGrid) else 0
        self.heard[name].append((time.monotonic(), known))

    @property
    def complete(self) -> bool:
        """Whether every output came, and the last map knows something."""
        return all(self.heard.values()) and self.heard["costmap"][-1][1] > 0


def measure(args: argparse.Namespace, how: str, source: str) -> dict[str, Any]:
    """One drive with one death, and the line of the table."""
    with BagReader(args.bag) as reader:
        transports = {
            f"{stream}.image_transport": "compressed" if topic.endswith("/compressed") else "raw"
            for stream, topic in find_topics(reader).images().items()
            if stream in SOURCES
        }
    parameters = {**transports, **dict(args.set)}
    cores = os.sched_getaffinity(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        tool_node("listener") as node,
        segmenter(args.model, Path(folder) / "statistics.json", cores, **parameters),
    ):
        listener = Listener(node)
        listener.change("configure")
        listener.activate()
        # All at once, so that the images of both cameras are taken at the same times.
        start = ["--start", str(time.time() + STARTS_WITHIN_S)]
        command = [sys.executable, "-m", "benchmarks.dead_sources", "--bag", str(args.bag), *start, "--source"]
        sources = {name: subprocess.Popen([*command, name], cwd=ROOT) for name in SOURCES}
        try:
            listener.until(lambda: listener.complete)
            listener.spin(time.monotonic() + AFTER_S)
            died = time.monotonic()
            for name, process in sources.items():
                if source in (name, "all"):
                    process.send_signal(_SIGNALS[how])
            listener.spin(died + WATCHED_S)
        finally:
            for process in sources.values():
                process.kill()
                process.wait()
            listener.close()
    return told(f"{source} {how}", listener.heard, died)


def told(case: str, heard: dict[str, list[tuple[float, int]]], died: float) -> dict[str, Any]:
    """When each output came last, and how much of the map is known after ``TIMES_S``; printed as a line."""
    row: dict[str, Any] = {}
    for name, messages in heard.items():
        if name != "costmap":
            last = messages[-1][0] - died
            row[name] = None if last <= 0 else "goes on" if last > 0.8 * WATCHED_S else round(last, 2)
    known = [next(k for t, k in reversed(heard["costmap"]) if t <= died + after) for after in (0.0, *TIMES_S)]
    row["map"] = [round(k / known[0], 3) for k in known[1:]]
    unknown = next((t - died for t, k in heard["costmap"] if t > died and not k), None)
    row["map_unknown_s"] = None if unknown is None else round(unknown, 2)
    cells = "  ".join(f"{name} {'-' if row[name] is None else row[name]}" for name in OUTPUTS if name in row)
    shares = ", ".join(f"{share:.0%}" for share in row["map"])
    print(f"{case:16s} {cells}  map {shares}, unknown {row['map_unknown_s']}", flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
