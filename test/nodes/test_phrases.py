"""Phrases over real DDS: set, in force, answered, refused. One node for all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from std_msgs.msg import String

from test.conftest import private_domain
from test.nodes.rig import Robot, live_node, robot

pytestmark = pytest.mark.slow
NAMES = ("labels", "costmap", "answers", "phrases", "phrase_masks", "keepout_mask")


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Robot]:
    with pytest.MonkeyPatch.context() as patch, private_domain() as domain:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        with live_node(phrases="is there a person?", outputs__size="40x20") as _, robot(NAMES) as r:
            r.meet()
            yield r


def tell(r: Robot, *phrases: dict[str, Any]) -> None:
    send(r, json.dumps(phrases))


def send(r: Robot, *texts: str) -> None:
    """Set phrases, once the node listens."""
    publisher = r.node.create_publisher(String, "segmenter/set_phrases", 200)
    r.until(publisher.get_subscription_count, "for set_phrases")
    for text in texts:
        publisher.publish(String(data=text))
    r.spin(0.05)
    r.node.destroy_publisher(publisher)


def last(r: Robot, name: str) -> dict[str, Any]:
    return json.loads(r.heard[name][-1].data) if r.heard[name] else {}


def answers(r: Robot) -> list[dict[str, Any]]:
    return last(r, "answers").get("answers", [])


def test_phrases_are_in_force_answered_and_in_the_map(running: Robot):
    r = running
    r.send_until(lambda: answers(r), "rgb", "depth")
    assert [(a["text"], a["role"], a["ask"]) for a in answers(r)] == [("is there a person?", "ask", "is_there")]
    tell(r, {"text": "the floor", "role": "avoid", "cost": 66}, {"text": "the vehicle", "role": "target"})
    r.send_until(lambda: len(answers(r)) == 2, "rgb", "depth")
    r.send_until(lambda: r.heard["keepout_mask"] and r.heard["phrase_masks"], "rgb", "depth")
    assert [p["role"] for p in last(r, "phrases")["in_force"]] == ["avoid", "target"]
    mask = r.heard["phrase_masks"][-1]
    assert (mask.width, mask.height, mask.encoding) == (40, 20, "mono8")
    assert set(mask.data) <= {0, 1, 2}
    assert set(np.unique(r.heard["keepout_mask"][-1].data)) <= {0, 66}
    stamp = last(r, "answers")["stamp_ns"]
    assert stamp in r.label_stamps()
    r.until(lambda: "phrases" in r.diagnostics and r.figures("phrases")["phrase_1"] == "avoid the floor")


def test_a_refusal_is_answered_and_what_is_in_force_stays(running: Robot):
    r = running
    tell(r, {"text": "the floor"})
    r.until(lambda: [p["text"] for p in last(r, "phrases").get("in_force", [])] == ["the floor"])
    tell(r, {"text": "the acid", "role": "avoid"})
    r.until(lambda: last(r, "phrases").get("refused"))
    assert [p["text"] for p in last(r, "phrases")["in_force"]] == ["the floor"]
    refused = last(r, "phrases")["refused"][0]
    assert (refused["text"], refused["role"], refused["in_force"]) == ("the acid", "avoid", False)
    assert "'acid' is not known" in refused["why"]
    r.until(lambda: answers(r)[-1] == refused)
    r.until(lambda: r.says("phrases", "not in force: phrase 1: 'acid' is not known"))
    r.send_until(lambda: [a["in_force"] for a in answers(r)] == [True, False], "rgb", "depth")
    send(r, "the floor")
    r.until(lambda: "not JSON" in last(r, "phrases")["refused"][0]["why"])


def test_a_hundred_prompts_are_bounded_and_the_newest_counts(running: Robot):
    r = running
    said = len(r.heard["phrases"])
    send(r, *(json.dumps({"text": "the person", "ttl_s": 100 + i}) for i in range(100)))
    r.until(lambda: [p["ttl_s"] for p in last(r, "phrases")["in_force"]] == [199])
    assert len(r.heard["phrases"]) - said < 50


def test_an_entry_expires_without_a_frame(running: Robot):
    r = running
    tell(r, {"text": "the person", "ttl_s": 0.3})
    r.until(lambda: [p["ttl_s"] for p in last(r, "phrases")["in_force"]] == [0.3])
    r.until(lambda: not last(r, "phrases")["in_force"])


def test_without_depth_there_are_no_answers_and_the_diagnostics_say_why(running: Robot):
    r = running
    tell(r, {"text": "the person"})
    r.until(lambda: last(r, "phrases")["in_force"])
    r.send_until(lambda: r.says("phrases", "no answers: the frame has no depth"), "rgb")
    assert r.level("phrases") == 1
    r.send_until(lambda: r.says("phrases", "in force") and r.level("phrases") == 0, "rgb", "depth")
