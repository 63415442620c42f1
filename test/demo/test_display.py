"""The figures on the screen, from real diagnostics heard over DDS."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rich.console import Console

from gemini_ros.demo.display import Display
from gemini_ros.demo.plan import DemoOptions, make_plan
from gemini_ros.nodes.observe.monitor import monitoring
from gemini_ros.nodes.segmenter.diagnostics import Status, diagnostic_array
from gemini_ros.nodes.tool import tool_node
from test.drives import write_drive

pytestmark = pytest.mark.ros
MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
STATUSES = [
    Status("mode", 1, "depth is missing", {"mode": "degrade:depth"}),
    Status("input rgb", 0, "", {"received": 120, "in_pairs": 94, "singles": 26, "rate_hz": 9.96, "topic": "/rgb"}),
    Status("input depth", 0, "", {"received": 96, "in_pairs": 94, "singles": 0, "dropped_no_partner": 2}),
    Status("pipeline", 0, "", {"pairs": 94, "singles": 26, "replaced": 8}),
    Status("latency", 0, "", {"total_p50": "14.62", "total_p99": "22.20", "network_p50": "10.10"}),
]


@pytest.mark.parametrize("terminal", [True, False])
def test_what_the_node_says_is_shown(terminal, ros_environment, tmp_path):
    from diagnostic_msgs.msg import DiagnosticArray

    plan = make_plan(DemoOptions(bag=write_drive(tmp_path / "drive.mcap", 0.5), model=MODEL))
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=140, highlight=False)
    with monitoring("segmenter") as monitor, tool_node("segmenter") as node, Display(plan, monitor, console) as display:
        assert monitor.mode == "starting"
        publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        for _ in range(100):
            publisher.publish(diagnostic_array("other", STATUSES[:1], 1))
            publisher.publish(diagnostic_array("segmenter", STATUSES, 1))
            monitor.spin(0.1)
            if monitor.reports:
                break
        display.enter("playing")
    shown = screen.getvalue()
    assert monitor.mode == "degrade:depth"
    assert monitor.streams["rgb"].count("received") == 120
    assert monitor.subject("latency").number("total_p50") == 14.62
    assert monitor.subject("nothing").number("total_p50") is None
    for word in ("degrade:depth", "no_partner 2", "pairs 94", "replaced 8", "14.6 ms", "22.2 ms"):
        assert word in shown
    if terminal:
        assert all(word in shown for word in ("drive.mcap", "tiny_rgb_depth", "120", "10.0"))
