"""What Nav2 takes, over real DDS: clouds, scan and images of one size, only while evidence comes. One node for all."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gemini_ros.doctor.graph import Graph, graph_findings
from gemini_ros.nodes.observe.graph import listen_to_maps
from gemini_ros.nodes.segmenter import filter_info, label_info, speed_topic
from gemini_ros.nodes.segmenter.label_info import LabelInfoTopic
from test.conftest import private_domain
from test.core.costmap.scene import LABELS
from test.nodes.rig import FRAME, Robot, image, live_node, robot

NAMES = ("labels", "confidence", "camera_info", "points", "obstacles", "ground", "scan", "costmap", "speed_mask")
STAMPED = NAMES[:-2]


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Robot]:
    with pytest.MonkeyPatch.context() as patch, private_domain() as domain:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        # A busy machine must not make a frame late.
        with live_node(outputs__size="40x20", outputs__max_age_s=5.0) as _, robot(NAMES) as r:
            r.meet()
            r.send_until(lambda: all(r.heard[name] for name in NAMES), "rgb", "depth")
            yield r


def stamps(r: Robot, name: str) -> list[int]:
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in r.heard[name]]


def test_images_points_and_camera_are_of_one_size_and_stamp(running: Robot):
    r = running
    sent = r.send("rgb", "depth")
    r.until(lambda: all(sent in stamps(r, name) for name in STAMPED))
    made = {name: r.heard[name][stamps(r, name).index(sent)] for name in STAMPED}
    for name in ("labels", "confidence", "camera_info", "points"):
        assert (made[name].width, made[name].height) == (40, 20), name
        assert made[name].header == made["labels"].header
    points = np.frombuffer(made["points"].data, np.float32).reshape(20, 40, 3)
    np.testing.assert_allclose(points[..., 2], 2.0, atol=0.02)
    camera = made["camera_info"]
    u = camera.k[0] * points[..., 0] / points[..., 2] + camera.k[2]
    np.testing.assert_allclose(u, np.broadcast_to(np.arange(40), u.shape), atol=0.6)
    assert made["obstacles"].header.frame_id == made["ground"].header.frame_id == FRAME
    assert [field.name for field in made["obstacles"].fields] == ["x", "y", "z", "label", "confidence"]
    assert made["obstacles"].width + made["ground"].width > 20
    assert made["scan"].header.frame_id == "base_link"
    assert len(made["scan"].ranges) * made["scan"].angle_increment == pytest.approx(2 * np.pi, rel=1e-5)


def test_a_frame_that_does_not_tell_is_silent(running: Robot):
    """Depth that measures nothing in range, and then no depth at all: labels go on, the rest is silent."""
    r = running
    before = {name: len(r.heard[name]) for name in ("obstacles", "ground", "scan")}
    labels = len(r.heard["labels"])
    random = np.random.default_rng(3)

    def far(now: int):
        return image((15 + random.normal(0, 0.01, (60, 80))).astype(np.float32), "32FC1", now)

    def turn() -> bool:
        now = r.now()
        r.send("rgb", "depth", stamp_ns=now, depth=far(now))
        r.spin(0.1)
        return len(r.heard["labels"]) >= labels + 3

    r.until(turn)
    r.spin(0.2)
    assert {name: len(r.heard[name]) for name in before} == before
    r.send_until(lambda: len(r.heard["scan"]) > before["scan"], "rgb", "depth")


def test_the_doctor_says_where_clearing_may_begin(running: Robot):
    """As the diagnostics of the running node have it: the camera is 0.5 m high and sees 0.2 rad below the horizon."""
    r = running
    maps = listen_to_maps(r.node)
    r.send_until(lambda: any("raytrace_min_range" in text for text in maps.values()), "rgb", "depth")
    found = graph_findings(Graph("", "0", ("/segmenter",), (), False, {}, maps))
    assert any(finding.what in maps and "raytrace_min_range" in finding.found for finding in found)


@pytest.mark.slow
def test_a_cut_cable_of_depth_leaves_labels_and_silence(running: Robot):
    r = running
    r.send_until(lambda: r.level("costmap") == 0, "rgb", "depth")
    cut, counts = r.now(), {name: len(r.heard[name]) for name in ("labels", "scan")}
    while r.now() < cut + 1_000_000_000:
        r.send("rgb")
        r.spin(0.05)
    r.until(lambda: len(r.heard["labels"]) > counts["labels"])
    assert all(max(stamps(r, name)) <= cut for name in ("obstacles", "ground", "scan", "points"))


CAMERA = """
import sys, time
sys.path.insert(0, {root!r})
from test.nodes.rig import robot
with robot(()) as r:
    r.meet(outputs=False)
    while True:
        r.send("rgb", "depth")
        r.spin(0.05)
"""


@pytest.mark.slow
def test_a_source_that_is_killed_leaves_silence_and_an_unknown_map(running: Robot, request):
    """kill -9 in mid-stream: 0.3 and 1 s later no cloud, scan or triple has come; the map is unknown in the end."""
    r = running
    program = CAMERA.format(root=str(request.config.rootpath))
    with subprocess.Popen([sys.executable, "-c", program]) as camera:
        try:
            seen = len(r.heard["scan"])
            r.until(lambda: len(r.heard["scan"]) > seen + 5, timeout_s=120.0)
        finally:
            camera.kill()
        killed = r.now()
        camera.wait()
        # What a busy listener takes from its queue late was sent before.
        for seconds in (0.3, 0.7):
            r.spin(seconds)
            assert all(max(stamps(r, name)) <= killed for name in ("obstacles", "ground", "scan", "points"))
        counts = {name: len(r.heard[name]) for name in ("obstacles", "ground", "scan", "points")}
        r.until(lambda: max(r.heard["costmap"][-1].data) < 0, timeout_s=10.0)
        assert {name: len(r.heard[name]) for name in counts} == counts


@pytest.mark.slow
def test_a_frozen_camera_leaves_silence(running: Robot):
    """The same depth image under fresh stamps, from a stream that was noisy before, is none."""
    r = running
    r.send_until(lambda: r.level("costmap") == 0, "rgb", "depth")
    frozen, first = r.depth(r.now()), []

    def turn(seconds: float) -> None:
        until = r.now() + int(seconds * 1e9)
        while (now := r.now()) < until:
            first.append(now)
            frozen.header.stamp.sec, frozen.header.stamp.nanosec = divmod(now, 10**9)
            r.send("rgb", "depth", stamp_ns=now, depth=frozen)
            r.spin(0.05)

    for seconds in (0.3, 0.7):
        turn(seconds)
        assert all(max(stamps(r, name)) <= first[0] for name in ("obstacles", "ground", "scan", "points"))
    turn(0.6)
    r.until(lambda: max(r.heard["costmap"][-1].data) < 0, timeout_s=3.0)


# vision_msgs/msg/LabelInfo and VisionClass as of vision_msgs 4.1 (Humble to Kilted).
DEFINITIONS = {
    label_info.LabelInfo: {"header": "Header", "class_map": "list[Any]", "threshold": "float"},
    label_info.VisionClass: {"class_id": "int", "class_name": "str"},
}


def test_label_info_has_the_fields_of_the_definition_and_every_class(monkeypatch):
    for kind, fields in DEFINITIONS.items():
        assert {field.name: field.type for field in dataclasses.fields(kind)} == fields
    if (found := label_info.installed()) is not None:
        assert list(found.LabelInfo.get_fields_and_field_types()) == list(DEFINITIONS[label_info.LabelInfo])
    kept: list[Any] = []
    qos: list[Any] = []

    def create_publisher(_kind: Any, topic: str, profile: Any) -> Any:
        assert topic == "~/label_info"
        qos.append(profile)
        return SimpleNamespace(publish=kept.append)

    module = SimpleNamespace(LabelInfo=SimpleNamespace, VisionClass=SimpleNamespace)
    monkeypatch.setattr(label_info, "installed", lambda: module)
    clock = SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: label_info.Header().stamp))
    node: Any = SimpleNamespace(create_publisher=create_publisher, get_clock=lambda: clock)
    LabelInfoTopic(node, LABELS, 0.5)
    assert [(c.class_id, c.class_name) for c in kept[0].class_map] == list(enumerate(LABELS.names))
    assert kept[0].threshold == 0.5
    assert qos == [label_info.LATCHED_QOS]
    monkeypatch.setattr(label_info, "installed", lambda: None)
    LabelInfoTopic(node, LABELS, 0.5).close()
    assert len(kept) == 1


# nav2_msgs/msg/CostmapFilterInfo; not every version has a header.
@pytest.mark.parametrize("fields", [[], ["header"]])
def test_filter_info_says_that_the_mask_is_in_percent(monkeypatch, fields):
    fields = [*fields, "type", "filter_mask_topic", "base", "multiplier"]
    assert [field.name for field in dataclasses.fields(filter_info.FilterInfo)] == fields[-4:]
    kept: list[Any] = []

    class Info(SimpleNamespace):
        @staticmethod
        def get_fields_and_field_types() -> dict[str, str]:
            return dict.fromkeys(fields, "")

    monkeypatch.setattr(filter_info, "installed", lambda: Info)
    clock = SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: label_info.Header().stamp))
    node: Any = SimpleNamespace(
        create_publisher=lambda *_: SimpleNamespace(publish=kept.append),
        get_clock=lambda: clock,
        resolve_topic_name=lambda name: name.replace("~", "/segmenter"),
    )
    speed_topic.SpeedTopic(node)
    assert sorted(vars(kept[0])) == sorted(fields)
    assert (kept[0].type, kept[0].base, kept[0].multiplier) == (1, 0.0, 1.0)
    assert kept[0].filter_mask_topic == "/segmenter/speed_mask"
