"""The matcher as a filter, and the clock it lives by."""

from __future__ import annotations

import array
import inspect
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sensor_msgs.msg import Image

from gemini_ros.core.frames import FrameError
from gemini_ros.nodes.segmenter import simple_filter
from gemini_ros.nodes.segmenter.filters import NodeClock, PairFilter, SimpleFilter
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.intake import Intake
from gemini_ros.pipeline.settings import make_settings
from test.nodes.rig import stamp

MS = 1_000_000


class Source:
    """A subscription: what it brings, and what is said of it."""

    def __init__(self) -> None:
        self.source = SimpleFilter()
        self.errors: list[str] = []
        self.receipts = 0

    def note_receipt(self, message: Image, received_ns: int) -> None:
        self.receipts += 1

    def note_error(self, error: FrameError) -> None:
        self.errors.append(str(error))


class World:
    def __init__(self) -> None:
        self.now_ns = 0
        self.ready = True
        self.inputs = {"rgb": Source(), "depth": Source()}
        self.matches: list[tuple[str, int, tuple[str, ...]]] = []
        self.intake = Intake(["rgb", "depth"], [], make_settings({"sync.slop_s": 0.01}))
        self.filter = PairFilter(
            self.intake, self.inputs, lambda: self.now_ns, lambda: self.ready, lambda: Instant.of(self.now_ns)
        )
        self.filter.registerCallback(lambda m, tag: self.matches.append((tag, m.stamp_ns, m.missing)), "seen")

    def send(self, stream: str, stamp_ns: int, encoding: str = "") -> None:
        message = Image(height=2, width=3, step=9 if stream == "rgb" else 6)
        message.header.stamp, message.header.frame_id = stamp(stamp_ns), "camera"
        message.encoding = encoding or {"rgb": "rgb8", "depth": "16UC1"}[stream]
        message.data = random_bytes(2 * message.step)
        self.inputs[stream].source.signalMessage(message)


def random_bytes(count: int) -> array.array:
    return array.array("B", os.urandom(count))


def test_a_pair_is_signalled_once_with_the_arguments_of_the_callback():
    world = World()
    world.send("rgb", 100 * MS)
    assert world.matches == []
    world.send("depth", 104 * MS)
    assert world.matches == [("seen", 100 * MS, ())]


def test_a_bad_message_is_counted_under_its_cause_and_the_next_one_matches():
    world = World()
    world.send("rgb", 100 * MS, "mauve")
    world.send("rgb", 200 * MS)
    world.send("depth", 200 * MS)
    assert ["mauve" in error for error in world.inputs["rgb"].errors] == [True]
    assert [stamp_ns for _, stamp_ns, _ in world.matches] == [200 * MS]
    assert world.intake.matcher.counts["rgb"].dropped == {"invalid": 1}
    assert world.inputs["rgb"].receipts == 2


def test_nothing_is_decoded_before_the_model_is_there():
    world = World()
    world.ready = False
    world.send("rgb", 100 * MS, "mauve")
    assert world.intake.matcher.counts["rgb"].dropped == {"not_ready": 1}
    assert world.inputs["rgb"].errors == []
    assert not world.intake.faults


def test_polling_lets_singles_out():
    world = World()
    for i in range(8):
        world.now_ns = 100 * i * MS
        world.send("rgb", world.now_ns + MS)
        world.filter.poll()
    assert [missing for _, _, missing in world.matches] == [("depth",)] * 8
    assert world.intake.matcher.mode == "degrade:depth"


def test_the_clock_takes_advances_and_leaves_jumps():
    times = iter([50, 60, 75, 10, 12, 5 * 10**9, 5 * 10**9 + 7, 5 * 10**9 + 7])
    clock = NodeClock(lambda: next(times))
    assert [clock() for _ in range(7)] == [10, 25, 25, 27, 27, 34, 34]


class CoarseClock:
    """A steady clock, and a node's clock that follows it in steps."""

    def __init__(self, step_ns: int) -> None:
        self.steady_ns, self._step_ns = 0, step_ns

    def now(self) -> int:
        return self.steady_ns // self._step_ns * self._step_ns

    def walk(self, clock: NodeClock, until_ns: int) -> list[int]:
        times = []
        while self.steady_ns < until_ns:
            self.steady_ns += 50 * MS
            times.append(clock())
        return times


@pytest.mark.parametrize("step_ms", [200, 700, 2000, 5000])
def test_between_the_steps_of_a_coarse_clock_time_is_steady(step_ms: int):
    world = CoarseClock(step_ms * MS)
    clock = NodeClock(world.now, steady=lambda: world.steady_ns)
    begun = world.walk(clock, 2 * step_ms * MS)
    times = begun[-1:] + world.walk(clock, 6 * step_ms * MS)
    assert all(0 <= after - before <= 50 * MS for before, after in itertools.pairwise(times))
    assert times[-1] - times[0] == pytest.approx(4 * step_ms * MS, rel=0.05)


def test_a_coarse_clock_that_stops_lets_one_step_pass():
    world = CoarseClock(2000 * MS)
    clock = NodeClock(lambda: min(world.now(), 6000 * MS), steady=lambda: world.steady_ns)
    stopped = world.walk(clock, 6000 * MS)[-1]
    assert world.walk(clock, 60_000 * MS)[-1] == stopped + 2000 * MS


def test_a_slow_clock_that_comes_late_for_once_is_not_overtaken():
    """A bag at a third of its rate; the player stood still for 0.7 s, which a busy machine may do to it."""
    world = CoarseClock(MS)
    stalled = range(1000 * MS, 1700 * MS)
    clock = NodeClock(
        lambda: (stalled.start if world.steady_ns in stalled else world.steady_ns) // 3, steady=lambda: world.steady_ns
    )
    times = world.walk(clock, 5000 * MS)
    assert all(time_ns <= (i + 1) * 50 * MS // 3 + MS for i, time_ns in enumerate(times))
    assert times[-1] == pytest.approx(5000 * MS / 3, rel=0.02)


def test_a_seek_of_a_fine_clock_lets_no_time_pass():
    world = CoarseClock(10 * MS)
    clock = NodeClock(lambda: world.now() + (world.steady_ns > 1000 * MS) * 10**12, steady=lambda: world.steady_ns)
    assert world.walk(clock, 1500 * MS)[-1] == 1450 * MS


def test_a_dead_camera_is_missing_and_a_live_one_is_not_under_a_coarse_clock():
    world, clock_world = World(), CoarseClock(2000 * MS)
    clock = NodeClock(clock_world.now, steady=lambda: clock_world.steady_ns)
    modes = []
    for i in range(200):
        clock_world.steady_ns += 50 * MS
        world.now_ns = clock()
        world.send("rgb", i * 50 * MS)
        if i < 120:
            world.send("depth", i * 50 * MS)
        modes.append(world.intake.matcher.mode)
    assert set(modes[2:120]) == {"normal"}
    assert set(modes[135:]) == {"degrade:depth"}


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
