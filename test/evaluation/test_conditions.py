"""Conditions of frames: light, streams, seconds, and what a topic of the bag says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.core.frames import Frame
from gemini_ros.evaluation.conditions import Conditions, TimeRange, light_of, parse_condition

S = 1_000_000_000
RGB = np.zeros((4, 6, 3), np.uint8)
DEPTH = np.ones((4, 6), np.float32)


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    """/lights says false at 1 s and true at 3 s; /place says hall at 0 s."""
    path = tmp_path_factory.mktemp("conditions") / "d.mcap"
    types = TYPESTORE.types
    with BagWriter(path) as writer:
        writer.write("/place", types["std_msgs/msg/String"]("hall"), 0)
        writer.write("/lights", types["std_msgs/msg/Bool"](False), 1 * S)
        writer.write("/lights", types["std_msgs/msg/Bool"](True), 3 * S)
        writer.write("/speed", types["std_msgs/msg/Float32"](1.5), 3 * S)
    return path


def said(conditions: Conditions, frame: Frame, seconds: float, mean: float | None = 100.0) -> dict[str, str]:
    return dict(conditions.of(frame, int(seconds * S), seconds, mean))


def test_a_frame_has_the_last_value_before_it(bag: Path):
    with BagReader(bag) as reader:
        conditions = Conditions(reader, ("/lights", "/place", "/gone", TimeRange("ramp", 1.0, 2.5)))
    both, depth = Frame(0, "c", rgb=RGB, depth=DEPTH), Frame(0, "c", depth=DEPTH)
    before = {"light": "day", "streams": "rgb+depth", "/lights": "unknown", "/place": "hall", "/gone": "unknown"}
    assert said(conditions, both, 0.5) == before
    assert said(conditions, both, 1.0) == before | {"/lights": "False", "time": "ramp"}
    assert said(conditions, both, 2.5) == before | {"/lights": "False"}
    last = said(conditions, depth, 3.0, None)
    assert last == before | {"/lights": "True", "light": "no rgb", "streams": "depth"}
    assert conditions.notes == ["condition /gone: no such topic in the bag, its frames count as unknown"]


def test_a_topic_of_measurements_is_refused(bag: Path):
    with BagReader(bag) as reader, pytest.raises(ValueError, match="condition /speed: std_msgs/msg/Float32, expected"):
        Conditions(reader, ("/speed",))


@pytest.mark.parametrize(("mean", "light"), [(0, "black"), (5, "dark"), (19.9, "dark"), (20, "dim"), (60, "day")])
def test_light_is_told_by_the_mean(mean, light):
    assert light_of(mean) == light


def test_conditions_of_the_command_line():
    assert parse_condition("/lights") == "/lights"
    assert parse_condition("ramp:12-20.5") == TimeRange("ramp", 12.0, 20.5)
    for wrong in ("lights", "ramp:20-12", "ramp:a-b", ":1-2"):
        with pytest.raises(ValueError, match="expected a /topic, or NAME:START-END"):
            parse_condition(wrong)
