"""The player as a process of its own, heard over real DDS."""

from __future__ import annotations

import itertools
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header, String

from gemini_ros.bags import messages
from gemini_ros.bags.writer import BagWriter
from gemini_ros.nodes.bag.player import Drop, PlayOptions
from test.nodes.listener import listening, start_cli

RELIABLE = QoSProfile(depth=1000)
# Where delivery is not what is tested: nobody waits for acknowledgements, which come every 3 s.
BEST_EFFORT = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
START_NS = 1_700_000_000_123_456_789
STEP_NS = 50_000_000


def write_bag(path: Path, count: int = 20) -> Path:
    """``/tick`` (Header) every 50 ms, the last one 3 steps late; ``/note`` once, latched, half a second in at most."""
    with BagWriter(path, transient_local={"/note"}) as writer:
        for i in range(count):
            stamp = START_NS + i * STEP_NS
            writer.write("/tick", messages.header(stamp, f"tick {i}"), stamp + (3 * STEP_NS if i == count - 1 else 0))
            if i == min(10, count // 2):
                writer.write("/note", messages.string("read me"), stamp)
    return path


def stamp_ns(message: Header | Clock) -> int:
    stamp = message.stamp if isinstance(message, Header) else message.clock
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def finished(process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


def test_every_message_arrives_in_order_at_its_time(ros_environment, tmp_path):
    bag = write_bag(tmp_path / "bag.mcap")
    with listening({"/tick": (Header, RELIABLE), "/clock": (Clock, RELIABLE)}) as listener:
        player = start_cli("bag", "play", bag, "--clock", environment=ros_environment)
        listener.spin_while(player)
    status, out, err = finished(player)
    assert status == 0, err
    assert [m.frame_id for m in listener.messages("/tick")] == [f"tick {i}" for i in range(20)]
    assert [stamp_ns(m) for m in listener.messages("/tick")] == [START_NS + i * STEP_NS for i in range(20)]

    arrivals = listener.arrivals_s("/tick")
    offsets = [arrival - arrivals[0] for arrival in arrivals]
    expected = [0.05 * i for i in range(19)] + [0.05 * 22]
    # Single messages may be as late as the machine is busy.
    assert np.median(np.abs(np.subtract(offsets, expected))) < 0.02
    assert offsets == pytest.approx(expected, abs=0.5)
    assert "lateness" in out

    clock = [stamp_ns(m) for m in listener.messages("/clock")]
    assert clock == sorted(clock)
    assert clock[0] == START_NS
    end = START_NS + 22 * STEP_NS
    assert end in clock
    assert end + 150_000_000 < clock[-1] <= end + 200_000_000
    assert set(clock) >= {START_NS + i * STEP_NS for i in range(19)}
    # 50 Hz, in the gap of 200 ms before the last message too
    assert np.median(np.diff(clock)) <= 25_000_000
    assert sum(START_NS + 18 * STEP_NS < c < START_NS + 22 * STEP_NS for c in clock) >= 3


def test_the_clock_is_there_before_its_message(ros_environment, tmp_path):
    bag = write_bag(tmp_path / "bag.mcap", count=8)
    with listening({"/clock": (Clock, BEST_EFFORT), "/tick": (Header, BEST_EFFORT)}) as listener:
        listener.spin_while(start_cli("bag", "play", bag, "--clock", "5", environment=ros_environment))
    now = 0
    ticks = 0
    for topic, message, _ in listener.heard:
        if topic == "/clock":
            now = stamp_ns(message)
        elif ticks < 7:  # the last message is received later than stamped
            assert now == stamp_ns(message)
            ticks += 1
    assert ticks == 7


@pytest.mark.parametrize("topics", [(), ("--topics", "/tick")], ids=["all", "without"])
def test_a_clock_in_the_bag_is_played_without_ticks_beside_it(ros_environment, tmp_path, topics):
    """Of a simulation that was recorded by the wall clock: the stamps are in the time of the simulation."""
    simulated_ns = 12_000_000_000
    with BagWriter(tmp_path / "bag.mcap") as writer:
        for i in range(10):
            clock = serialize_message(Clock(clock=Time(nanoseconds=simulated_ns + i * STEP_NS).to_msg()))
            writer.write_raw("/clock", "rosgraph_msgs/msg/Clock", clock, START_NS + i * STEP_NS)
            writer.write("/tick", messages.header(simulated_ns + i * STEP_NS, "tick"), START_NS + i * STEP_NS)
    with listening({"/clock": (Clock, BEST_EFFORT), "/tick": (Header, BEST_EFFORT)}) as listener:
        player = start_cli("bag", "play", tmp_path / "bag.mcap", "--clock", *topics, environment=ros_environment)
        listener.spin_while(player)
    status, _, err = finished(player)
    assert status == 0, err
    clock = [stamp_ns(m) for m in listener.messages("/clock")]
    assert clock == sorted(clock)
    assert len(listener.messages("/tick")) == 10
    assert ("the bag's own /clock is played, without ticks of 50 Hz" in err) == (not topics)
    if topics:
        assert clock[0] == START_NS
    else:
        assert clock == [simulated_ns + i * STEP_NS for i in range(10)]


def test_rate_loop_and_drop(ros_environment, tmp_path):
    bag = write_bag(tmp_path / "bag.mcap")
    words = ("--rate", 2, "--loop", 2, "--clock", "--drop", "/tick:0.2-0.5", "--topics", "/tick")
    types = {"/tick": Header, "/clock": Clock, "/note": String}
    with listening({topic: (message_type, BEST_EFFORT) for topic, message_type in types.items()}) as listener:
        player = start_cli("bag", "play", bag, *words, environment=ros_environment)
        listener.spin_while(player)
    status, out, err = finished(player)
    assert status == 0, err
    once = [f"tick {i}" for i in range(20) if not 4 <= i < 10]
    assert [m.frame_id for m in listener.messages("/tick")] == once + once
    assert "28 messages, 12 left out" in out
    assert not listener.messages("/note")

    arrivals = listener.arrivals_s("/tick")
    assert arrivals[13] - arrivals[0] == pytest.approx(0.05 * 22 / 2, abs=0.25)
    clock = [stamp_ns(m) for m in listener.messages("/clock")]
    jumps = [(a, b) for a, b in itertools.pairwise(clock) if b < a]
    assert jumps == [(START_NS + 22 * STEP_NS, START_NS)]


def test_a_latched_topic_reaches_a_late_subscriber(ros_environment, tmp_path):
    bag = write_bag(tmp_path / "bag.mcap", count=400)
    with listening({"/tick": (Header, BEST_EFFORT)}) as early:
        player = start_cli("bag", "play", bag, environment=ros_environment)
        early.spin_until(lambda: any(m.frame_id == "tick 11" for m in early.messages("/tick")))
    with listening({"/note": (String, LATCHED)}) as late:
        late.spin_until(lambda: late.heard)
    player.send_signal(signal.SIGINT)
    status, _, err = finished(player)
    assert status == 0, err
    assert [m.data for m in late.messages("/note")] == ["read me"]


def test_nobody_there_is_said_and_a_topic_waited_for_is_required(ros_environment, tmp_path):
    bag = write_bag(tmp_path / "bag.mcap", count=2)
    idle = start_cli("bag", "play", bag, "--wait", "0.3", environment=ros_environment)
    waiting = start_cli("bag", "play", bag, "--wait", "0.3", "--wait-for", "/tick", environment=ros_environment)
    status, _, err = finished(idle)
    assert status == 0
    assert "no subscriber on any topic within 0.3 s" in err
    status, _, err = finished(waiting)
    assert status == 2
    assert "no subscriber on /tick within 0.3 s" in err


def test_a_type_that_is_not_installed_is_left_out_once(ros_environment, tmp_path):
    path = tmp_path / "bag.mcap"
    empty = bytes(4) + bytes(4)
    with BagWriter(path) as writer:
        for i in range(3):
            writer.write_raw("/disparity", "stereo_msgs/msg/DisparityImage", empty, START_NS + i)
            writer.write("/tick", messages.header(START_NS, str(i)), START_NS + i)
    with listening({"/tick": (Header, BEST_EFFORT)}) as listener:
        player = start_cli("bag", "play", path, environment=ros_environment)
        listener.spin_while(player)
    status, _, err = finished(player)
    assert status == 0
    assert [m.frame_id for m in listener.messages("/tick")] == ["0", "1", "2"]
    assert err.count("stereo_msgs/msg/DisparityImage is installed") == 1


@pytest.mark.parametrize("drop", [[], ["--drop", "/tick:0-9"]])
def test_a_bag_of_which_nothing_is_played_is_status_1(ros_environment, tmp_path, drop):
    path = tmp_path / "bag.mcap"
    with BagWriter(path) as writer:
        if drop:
            writer.write("/tick", messages.header(START_NS, "0"), START_NS)
        writer.write_raw("/disparity", "stereo_msgs/msg/DisparityImage", bytes(8), START_NS + 1)
    player = start_cli("bag", "play", path, "--wait", "0.1", *drop, environment=ros_environment)
    status, _, err = finished(player)
    assert status == 1
    assert f"{path}: nothing was played, expected messages of types that are installed" in err


def test_two_interrupts_end_it_soon_with_status_0(ros_environment, tmp_path):
    bag = write_bag(tmp_path / "bag.mcap", count=400)
    with listening({"/tick": (Header, RELIABLE)}) as listener:
        player = start_cli("bag", "play", bag, environment=ros_environment)
        while not listener.heard:
            listener.executor.spin_once(timeout_sec=0.1)
        start = time.monotonic()
        player.send_signal(signal.SIGINT)
        time.sleep(0.05)
        if player.poll() is None:
            player.send_signal(signal.SIGINT)
        status, _, err = finished(player)
    assert status == 0, err
    assert time.monotonic() - start < 2.0


def test_qos_of_a_best_effort_recording(ros_environment, tmp_path):
    """A reliable subscriber gets nothing from a publisher that offers best effort: so the offer shows."""
    from test.nodes.bags import best_effort_bag

    bag = best_effort_bag(tmp_path / "bag", messages.header(START_NS, "x"), START_NS)
    best_effort = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    with listening({"/tick": (Header, RELIABLE)}) as demanding, listening({"/tick": (Header, best_effort)}) as content:
        player = start_cli("bag", "play", bag, environment=ros_environment)
        content.spin_while(player)
    assert len(content.heard) == 1
    assert not demanding.heard


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["missing.mcap"], "no such file"),
        (["truncated.mcap"], "truncated or corrupt"),
        (["notes.txt"], "not a ROS 2 bag"),
        (
            ["bag.mcap", "--topics", "/nothing"],
            "no topic /nothing; topics there: /note (std_msgs/msg/String, 1)",
        ),
        (["bag.mcap", "--drop", "depth:1-2"], "no colour, depth or thermal image"),
        (["bag.mcap", "--drop", "/tick:2-1"], "expected 0 <= start < end"),
        (["bag.mcap", "--rate", "0"], "rate 0, expected a positive number"),
        (["bag.mcap", "--loop", "0"], "loop 0, expected at least 1"),
        (["bag.mcap", "--clock", "-1"], "clock -1 Hz"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, complaint, ros_environment, tmp_path, monkeypatch, capfd):
    from gemini_ros.cli import main

    monkeypatch.chdir(tmp_path)
    bag = write_bag(tmp_path / "bag.mcap")
    Path("truncated.mcap").write_bytes(bag.read_bytes()[:-200])
    Path("notes.txt").write_text("not a bag")
    assert main(["bag", "play", *words]) == 2
    err = capfd.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1


def test_options_are_checked_where_they_are_made():
    with pytest.raises(ValueError, match="loop 0"):
        PlayOptions(loops=0)
    with pytest.raises(ValueError, match="depth:3-3"):
        Drop("depth", 3, 3)
