"""The heartbeat of a bond. Its message has no wheel: a stored definition stands for it, and a publisher that keeps."""

from __future__ import annotations

import dataclasses
import threading
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from gemini_ros.inference.load import load_segmenter
from gemini_ros.nodes.segmenter import bond, live, loading
from gemini_ros.nodes.segmenter.node import SegmenterNode
from test.nodes.rig import live_node, robot

# bond/msg/Status as of bond 4 (Humble, Jazzy).
DEFINITION = """
std_msgs/Header header
string id
string instance_id
bool active
float32 heartbeat_timeout
float32 heartbeat_period
"""
TYPES = {"std_msgs/Header": "Header", "string": "str", "bool": "bool", "float32": "float"}


@pytest.fixture
def sent(ros_environment, monkeypatch) -> list[Any]:
    """What goes out on ``bond``, as if the package were installed."""
    kept: list[Any] = []
    create = SegmenterNode.create_publisher

    def create_publisher(node: SegmenterNode, message_type: Any, topic: str, *args: Any, **kwargs: Any) -> Any:
        if topic == "bond":
            return SimpleNamespace(publish=kept.append)
        return create(node, message_type, topic, *args, **kwargs)

    monkeypatch.setattr(bond, "installed", lambda: SimpleNamespace)
    monkeypatch.setattr(SegmenterNode, "create_publisher", create_publisher)
    return kept


def test_the_fields_are_those_of_the_definition():
    fields = [(TYPES[kind], name) for kind, name in map(str.split, DEFINITION.strip().splitlines())]
    assert [(field.type, field.name) for field in dataclasses.fields(bond.BondStatus)] == fields
    if (installed := bond.installed()) is not None:
        assert list(installed.get_fields_and_field_types()) == [name for _, name in fields]


def test_it_beats_while_active_and_breaks_the_bond_at_the_end(sent):
    with live_node(autostart=False), robot(()) as r:
        assert r.change("configure")
        assert sent == []
        assert r.change("activate")
        r.until(lambda: len(sent) >= 3)
        assert r.change("deactivate")
        r.spin(0.3)
    *beats, end = sent
    assert {(beat.id, beat.active, beat.heartbeat_period) for beat in beats} == {("segmenter", True, 0.25)}
    assert not end.active
    assert {beat.instance_id for beat in sent} == {end.instance_id}
    between_s = [
        b.header.stamp.sec - a.header.stamp.sec + (b.header.stamp.nanosec - a.header.stamp.nanosec) / 1e9
        for a, b in pairwise(beats)
    ]
    assert min(between_s) < 0.5


def test_it_falls_silent_with_a_frame_that_hangs_and_with_the_executor(sent, monkeypatch):
    finish = threading.Event()

    def load(*args: Any, **kwargs: Any) -> Any:
        segmenter = load_segmenter(*args, **kwargs)
        run = segmenter.segment
        segmenter.segment = lambda frame: (finish.wait(20), run(frame))[1]
        return segmenter

    monkeypatch.setattr(loading, "load_segmenter", load)
    monkeypatch.setattr(live, "HANG_S", 0.5)
    with live_node() as node, robot() as r:
        r.meet()
        r.send_until(lambda: r.says("pipeline", "it hangs: one frame"), "rgb", "depth")
        before = len(sent)
        r.spin(0.6)
        assert len(sent) == before
        finish.set()
        r.until(lambda: len(sent) > before)
        r.until(lambda: r.says("pipeline", "running"))

        held = threading.Event()
        node.do(lambda: held.wait(20))
        r.spin(0.3)
        before = len(sent)
        r.spin(0.6)
        assert len(sent) == before
        held.set()
        r.until(lambda: len(sent) > before)


def test_without_the_package_nothing_is_sent_and_the_manager_is_told(ros_environment, capfd):
    if bond.installed() is not None:
        pytest.skip("bond is installed")
    with live_node(use_lifecycle_manager=True), robot(()) as r:
        r.until(lambda: r.says("mode", "inactive"))
        assert r.change("configure")
        assert r.change("activate")
        assert "bond" not in [name for name, _ in r.node.get_topic_names_and_types()]
    assert "bond is not installed: the manager needs bond_timeout: 0.0" in capfd.readouterr().err
