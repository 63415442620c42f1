"""The matcher as a filter, and the clock it lives by."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from sensor_msgs.msg import Image

from gemini_ros.core.frames import FrameError
from gemini_ros.nodes.segmenter import simple_filter
from gemini_ros.nodes.segmenter.filters import NodeClock, PairFilter, SimpleFilter
from gemini_ros.pipeline.intake import Received
from gemini_ros.pipeline.sync import PairMatcher
from test.nodes.rig import stamp

MS = 1_000_000


def message(stamp_ns: int, frame_id: str = "camera") -> Image:
    made = Image()
    made.header.stamp, made.header.frame_id = stamp(stamp_ns), frame_id
    return made


def decode(stream: str, received: Image) -> tuple[Received, None]:
    if received.header.frame_id == "bad":
        raise FrameError(f"{stream} is bad", "invalid")
    return Received(np.zeros((2, 3), np.float32), received.header.frame_id, None, 0, 0), None


class World:
    def __init__(self) -> None:
        self.now_ns = 0
        self.inputs = {"rgb": SimpleFilter(), "depth": SimpleFilter()}
        self.refused: list[tuple[str, str]] = []
        self.matches: list[tuple[str, int, tuple[str, ...]]] = []
        self.filter = PairFilter(
            PairMatcher(["rgb", "depth"], slop_ns=10 * MS, missing_timeout_ns=500 * MS),
            self.inputs,
            decode,
            lambda: self.now_ns,
            lambda stream, error: self.refused.append((stream, str(error))),
        )
        self.filter.registerCallback(lambda m, tag: self.matches.append((tag, m.stamp_ns, m.missing)), "seen")


def test_a_pair_is_signalled_once_with_the_arguments_of_the_callback():
    world = World()
    world.inputs["rgb"].signalMessage(message(100 * MS))
    assert world.matches == []
    world.inputs["depth"].signalMessage(message(104 * MS))
    assert world.matches == [("seen", 100 * MS, ())]


def test_a_bad_message_is_counted_under_its_cause_and_the_next_one_matches():
    world = World()
    world.inputs["rgb"].signalMessage(message(100 * MS, "bad"))
    world.inputs["rgb"].signalMessage(message(200 * MS))
    world.inputs["depth"].signalMessage(message(200 * MS))
    assert world.refused == [("rgb", "rgb is bad")]
    assert [stamp_ns for _, stamp_ns, _ in world.matches] == [200 * MS]
    assert world.filter.matcher.counts["rgb"].dropped == {"invalid": 1}


def test_polling_lets_singles_out():
    world = World()
    for i in range(8):
        world.now_ns = 100 * i * MS
        world.inputs["rgb"].signalMessage(message(world.now_ns + MS))
        world.filter.poll()
    assert [missing for _, _, missing in world.matches] == [("depth",)] * 8
    assert world.filter.matcher.mode == "degrade:depth"


def test_the_clock_takes_advances_and_leaves_jumps():
    times = iter([50, 60, 75, 10, 12, 5 * 10**9, 5 * 10**9 + 7, 5 * 10**9 + 7])
    clock = NodeClock(lambda: next(times))
    assert [clock() for _ in range(7)] == [10, 25, 25, 27, 27, 34, 34]


def test_message_filters_is_used_where_it_is_installed(tmp_path):
    module = tmp_path / "message_filters.py"
    module.write_text("class SimpleFilter: pass\nclass Subscriber(SimpleFilter): pass\n", encoding="utf-8")
    check = (
        "import message_filters, gemini_ros.nodes.segmenter.filters as f, gemini_ros.nodes.segmenter.inputs as i;"
        "assert issubclass(f.PairFilter, message_filters.SimpleFilter);"
        "assert i.Subscriber is message_filters.Subscriber"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", check], env=environment, cwd=Path(__file__).parents[2], check=True)


def test_the_shim_is_small():
    assert len(inspect.getsource(simple_filter).splitlines()) <= 40
