"""The synchroniser in a node of one's own, fed as message_filters feeds it."""

import time

import pytest
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from gemini_ros.nodes.match_filter import MatchFilter
from gemini_ros.nodes.segmenter.filters import SimpleFilter
from gemini_ros.nodes.tool import tool_node
from test.nodes.rig import stamp

pytestmark = pytest.mark.usefixtures("ros_environment")
MS = 1_000_000


def message(stamp_ns):
    made = Image()
    made.header.stamp = stamp(stamp_ns)
    return made


def test_pairs_are_the_nearest_and_a_silent_stream_is_missing():
    matches = []
    with tool_node("own") as node:
        sources = {"rgb": SimpleFilter(), "depth": SimpleFilter()}
        pairs = MatchFilter(node, sources, slop_ns=20 * MS, missing_timeout_ns=100 * MS)
        pairs.registerCallback(matches.append)
        start = time.time_ns()
        for i in range(3):
            at = start + i * 33 * MS
            sources["depth"].signalMessage(message(at - 15 * MS))
            sources["rgb"].signalMessage(message(at))
            sources["depth"].signalMessage(message(at + 4 * MS))
        assert [match.kind for match in matches] == ["pair"] * 3
        assert [match.times_ns["depth"] - match.time_ns for match in matches] == [4 * MS] * 3
        assert matches[0].items["rgb"].header.stamp == stamp(start)

        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        deadline, at = time.monotonic() + 10, start + 99 * MS
        while matches[-1].kind == "pair" and time.monotonic() < deadline:
            sources["rgb"].signalMessage(message(at := at + 33 * MS))
            executor.spin_once(timeout_sec=0.03)
        assert (matches[-1].kind, matches[-1].missing) == ("single", ("depth",))
        assert pairs.matcher.mode == "degrade:depth"
        pairs.close()
        assert pairs.matcher.check_identities() == []
        executor.shutdown(timeout_sec=0.5)


def test_extras_have_to_be_among_the_sources():
    with tool_node("own") as node, pytest.raises(ValueError, match="extras: thermal, expected some of rgb"):
        MatchFilter(node, {"rgb": SimpleFilter()}, extras=["thermal"])
