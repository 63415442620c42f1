"""Completed depth and the night view over real DDS, from a segmenter that is a process of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gemini_ros.core.overlay import synthetic
from test.nodes.rig import HEIGHT, MODELS, WIDTH, Robot, image, live_node, robot
from test.nodes.test_process import process

TO_DEPTH, TO_RGB = str(MODELS / "tiny_to_depth.onnx"), str(MODELS / "tiny_to_rgb.onnx")
NAMES = ("labels", "depth_completed", "night_view")


def depth_with_a_hole(r: Robot) -> np.ndarray:
    """Millimetres, uint16 (H, W), 0 in a rectangle."""
    values = np.frombuffer(r.depth(0).data, np.uint16).reshape(HEIGHT, WIDTH).copy()
    values[20:40, 30:60] = 0
    return values


def send(r: Robot, encoding: str = "16UC1") -> tuple[int, np.ndarray]:
    """RGB and depth with a hole under one stamp; the stamp, and the depth as it was sent."""
    now, values = r.now(), depth_with_a_hole(r)
    if encoding == "32FC1":
        values = np.where(values == 0, np.nan, values / 1000).astype(np.float32)
    r.send("rgb", "depth", stamp_ns=now, depth=image(values, encoding, now))
    return now, values


def answers(r: Robot, name: str, stamps: dict[int, Any]) -> list[tuple[Any, Any]]:
    """The images of a topic that were made of what was sent, each with it."""
    made = [(m, m.header.stamp.sec * 10**9 + m.header.stamp.nanosec) for m in r.heard[name]]
    return [(message, stamps[at]) for message, at in made if at in stamps]


@pytest.mark.parametrize("encoding", ["16UC1", pytest.param("32FC1", marks=pytest.mark.slow)])
def test_both_images_come_from_the_process_as_the_depth_and_the_grid_are(ros_environment, tmp_path, encoding):
    models = {"depth_completed__model": TO_DEPTH, "night_view__model": TO_RGB, "costmap__completed_confidence": 0.01}
    with process(ros_environment, tmp_path, **models), robot(NAMES) as r:
        r.meet()
        stamps: dict[int, np.ndarray] = {}

        def turn() -> bool:
            at, values = send(r, encoding)
            stamps[at] = values
            r.spin(0.1)
            return all(answers(r, name, stamps) for name in NAMES)

        r.until(turn)
        message, sent = answers(r, "depth_completed", stamps)[0]
        assert (message.encoding, message.width, message.height) == (encoding, WIDTH, HEIGHT)
        assert message.header.frame_id == r.heard["labels"][0].header.frame_id
        depth = np.frombuffer(message.data, sent.dtype).reshape(HEIGHT, WIDTH)
        measured = sent > 0
        assert np.array_equal(depth[measured], sent[measured])
        assert np.isfinite(depth).all()
        assert (depth > 0).all()
        message, _ = answers(r, "night_view", stamps)[0]
        assert (message.encoding, message.width, message.height) == ("rgb8", WIDTH, HEIGHT)
        view = np.frombuffer(message.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
        black, white = (synthetic(np.full_like(view, grey)) for grey in (0, 255))
        mark = (black == white).all(2)
        assert mark.mean() > 0.2
        assert np.array_equal(view[mark], black[mark])
        r.until(lambda: r.figures("translation").get("night_view", "0") != "0")
        assert r.says("translation", "making depth_completed, night_view")


def test_what_nobody_subscribes_to_is_not_made(ros_environment):
    models = {"depth_completed__model": TO_DEPTH, "night_view__model": TO_RGB}
    with live_node(**models), robot(("labels",)) as r:
        r.meet()
        r.send_until(lambda: len(r.heard["labels"]) >= 3, "rgb", "depth")
        r.until(lambda: r.says("translation", "nobody subscribes"))
        figures = r.figures("translation")
        assert (figures["depth_completed"], figures["night_view"]) == ("0", "0")


def test_the_map_asks_for_completed_depth_without_a_subscriber(ros_environment):
    marks = {"costmap__completed_depth": True, "costmap__completed_confidence": 0.01}
    with live_node(depth_completed__model=TO_DEPTH, **marks), robot() as r:
        r.meet()

        def marked() -> bool:
            send(r)
            r.spin(0.1)
            return int(r.figures("translation").get("depth_completed", 0)) >= 3 and bool(r.heard["costmap"])

        r.until(marked)
        assert r.level("translation") == 0
        assert r.set(depth_completed__model="").startswith("depth_completed.model: read when the node is configured")


def test_a_frame_without_an_image_that_the_model_takes_is_said(ros_environment):
    with live_node(depth_completed__model=TO_DEPTH), robot(("labels", "depth_completed")) as r:
        r.meet()
        r.send_until(lambda: r.heard["depth_completed"], "rgb", "depth")
        r.send_until(lambda: r.level("translation") == 1, "rgb")
        assert r.says("translation", "no depth_completed: the frame has no depth, which its model takes")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"night_view__model": TO_DEPTH}, "it makes depth, expected one that makes rgb"),
        ({"night_view__model": str(MODELS / "tiny_rgb.onnx")}, "task segment, expected translate"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_sentence(ros_environment, parameters, said):
    with live_node(**parameters), robot(()) as r:
        r.until(lambda: r.says("mode", said))
        assert r.says("mode", "night_view.model: model ")
