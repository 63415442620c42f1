"""Markers and detections of phrases, in messages that have the fields of the definitions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from std_msgs.msg import Header

from gemini_ros.bags.writer import TYPESTORE
from gemini_ros.nodes.segmenter import phrase_places
from gemini_ros.nodes.segmenter.phrase_places import PlaceTopics, detections, markers
from gemini_ros.pipeline.answers import Answer, Answers, Place
from gemini_ros.pipeline.grounding import Grounded
from gemini_ros.pipeline.phrases import Entry

BOX = np.array([[1.0, -0.2, 0.0], [1.5, 0.4, 0.8]])
THING = Place(100, (1.0, 0.0, 0.4), (1.2, 0.1, 0.4), 1.1, None, BOX)
GROUNDED = Grounded(np.ones((2, 2), np.uint16), True, 0.75, 1)
HEAD = Header(frame_id="odom")
# vision_msgs 4.1 (Humble to Kilted).
VISION = {
    "ObjectHypothesis": {"class_id", "score"},
    "ObjectHypothesisWithPose": {"hypothesis", "pose"},
    "BoundingBox3D": {"center", "size"},
    "Detection3D": {"header", "results", "bbox", "id"},
    "Detection3DArray": {"header", "detections"},
}


def module(fields: dict[str, set[str]]) -> Any:
    """Messages that take the fields of their definition alone."""

    def kind(name: str, known: set[str]) -> Any:
        def make(**values: Any) -> SimpleNamespace:
            assert values.keys() <= known, f"{name}: {sorted(values.keys() - known)}"
            return SimpleNamespace(**values)

        return make

    return SimpleNamespace(**{name: kind(name, known) for name, known in fields.items()})


def visualization() -> Any:
    names = ("Marker", "MarkerArray")
    return module({n: {f[0] for f in TYPESTORE.fielddefs[f"visualization_msgs/msg/{n}"][1]} for n in names})


def answers() -> Answers:
    entry = Entry(2, "the box", "target", 60, None, None)
    there = Answer(entry, GROUNDED, (THING, Place(5)))
    return Answers((there, Answer(entry, None, (), "no")), "{}", np.zeros((2, 2), np.uint8), "odom")


def test_markers_are_a_box_and_the_phrase_in_place_of_those_before():
    gone, box, text = markers(visualization(), answers(), HEAD).markers
    assert (gone.action, box.action, box.type, text.type) == (3, 0, 1, 9)
    assert (box.pose.position.x, box.pose.position.y, box.pose.position.z) == pytest.approx((1.25, 0.1, 0.4))
    assert (box.scale.x, box.scale.y, box.scale.z) == pytest.approx((0.5, 0.6, 0.8))
    assert text.text == "the box 1.1 m"
    assert len({marker.id for marker in (box, text)}) == 2
    assert text.pose.position.z > 0.8


def test_detections_have_the_phrase_and_its_probability():
    found = detections(module(VISION), answers(), HEAD)
    assert (found.header.frame_id, len(found.detections)) == ("odom", 1)
    result = found.detections[0].results[0]
    assert (result.hypothesis.class_id, result.hypothesis.score, found.detections[0].id) == ("the box", 0.75, "2")


def test_topics_are_there_where_their_messages_are_installed(monkeypatch):
    made: dict[str, list[Any]] = {}

    def create_publisher(_kind: Any, topic: str, _qos: Any) -> Any:
        sent = made.setdefault(topic, [])
        return SimpleNamespace(publish=sent.append, get_subscription_count=lambda: 1)

    node: Any = SimpleNamespace(create_publisher=create_publisher, destroy_publisher=lambda _: None)
    monkeypatch.setattr(phrase_places, "installed", lambda _: None)
    nothing = PlaceTopics(node)
    nothing.publish(answers(), 0)
    nothing.close()
    assert (made, nothing.wanted) == ({}, False)
    monkeypatch.setattr(
        phrase_places, "installed", lambda name: visualization() if "visual" in name else module(VISION)
    )
    topics = PlaceTopics(node)
    topics.publish(answers(), 0)
    assert topics.wanted
    assert {name: len(sent) for name, sent in made.items()} == {"~/phrase_markers": 1, "~/phrase_detections": 1}
