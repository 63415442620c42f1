"""The node with models of three streams over DDS: any of them missing, and streams under names of their own."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

from sensor_msgs.msg import CameraInfo, Image

from test.inference.small_model import small_model
from test.nodes.rig import FRAME, HEIGHT, SENSOR_QOS, WIDTH, Robot, image, live_node, robot

pytestmark = pytest.mark.usefixtures("ros_environment")

THREE = ("rgb", "depth", "thermal")


def add_camera(r: Robot, name: str, encoding: str, values: np.ndarray) -> None:
    """A camera of another modality; a little noise under each stamp."""
    r.cameras[name] = r.node.create_publisher(Image, f"{name}/image", SENSOR_QOS)
    r.infos[name] = r.node.create_publisher(CameraInfo, f"{name}/camera_info", SENSOR_QOS)
    random = np.random.default_rng(0)
    setattr(
        r, name, lambda stamp_ns: image(random.permutation(values.ravel()).reshape(values.shape), encoding, stamp_ns)
    )


def test_all_of_three_two_one_and_all_again(tmp_path):
    model = small_model(tmp_path / "three.onnx", modalities=THREE)
    with live_node(model=str(model), missing__timeout_s=0.4) as live, robot(("labels",)) as r:
        r.meet(THREE)
        r.send_until(lambda: r.heard["labels"] and r.says("mode", "normal"), *THREE)
        for present, missing in (
            (("rgb", "depth"), "thermal"),
            (("depth", "thermal"), "rgb"),
            (("thermal",), "rgb+depth"),
            (("rgb",), "depth+thermal"),
        ):
            r.send_until(lambda m=missing: r.figures("mode").get("mode") == f"degrade:{m}", *present)
            r.heard["labels"].clear()
            r.send_until(lambda: len(r.heard["labels"]) > 2, *present)
            assert {message.header.frame_id for message in r.heard["labels"]} == {FRAME}
            r.send_until(lambda: r.says("mode", "normal"), *THREE)
        assert live.node._pipeline is not None
        counts = live.node._pipeline.matcher.counts
        assert all(counts[name].singles > 2 for name in THREE)


def test_the_stream_that_does_not_pair_is_named(tmp_path):
    model = small_model(tmp_path / "three.onnx", modalities=THREE)
    with live_node(model=str(model)), robot(("labels",)) as r:
        r.meet(THREE)

        def send(thermal_ahead_s: float) -> None:
            stamp_ns = r.send("rgb", "depth")
            r.send("thermal", stamp_ns=stamp_ns + round(thermal_ahead_s * 1e9), odom=False)
            r.spin(0.05)

        while not r.says("mode", "thermal does not pair, policy degrade: rgb and thermal have not paired"):
            send(3.0)
        assert r.says("input thermal", "sync.offset_s.thermal") and not r.says("input depth", "paired")
        r.heard["labels"].clear()
        while len(r.heard["labels"]) < 3:
            send(3.0)


def test_streams_under_names_that_the_model_file_alone_knows(tmp_path):
    model = small_model(tmp_path / "further.onnx", modalities=("event", "rgb", "radar"))
    random = np.random.default_rng(1)
    options = {"event.image_transport": "raw", "sync.offset_s.event": 0.25, "missing__timeout_s": 0.4}
    with live_node(model=str(model), **options) as live, robot(("labels", "costmap")) as r:
        add_camera(r, "event", "32FC1", random.normal(size=(HEIGHT, WIDTH)).astype(np.float32))
        add_camera(r, "radar", "mono16", random.integers(0, 5, (HEIGHT, WIDTH)).astype(np.uint16))
        r.meet(("event", "rgb", "radar", "depth"))
        assert live.node.get_parameter("sync.offset_s.radar").value == 0.0

        def send(*streams: str) -> None:
            stamp_ns = r.send(*streams)
            r.send("event", stamp_ns=stamp_ns - 250_000_000, odom=False)
            r.spin(0.05)

        while not (
            r.heard["labels"] and r.says("mode", "normal") and max(r.heard["costmap"][-1].data, default=-1) >= 0
        ):
            send("rgb", "radar", "depth")
        while r.figures("mode").get("mode") != "degrade:radar":
            send("rgb", "depth")
        assert "sync.offset_s.event: read when the node is configured" in r.set(sync__offset_s__event=0.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sync.offset_s.detph": 0.1}, "there is no stream detph; did you mean depth?"),
        ({"event.image_transport": "theora"}, "event.image_transport"),
        ({"sync.offset_s.event": 1}, "sync.offset_s.event"),
    ],
)
def test_what_cannot_be_set_of_a_stream_is_refused(tmp_path, options, told):
    model = small_model(tmp_path / "further.onnx", modalities=("event", "rgb"))
    with live_node(model=str(model), **options), robot(()) as r:
        r.until(lambda: r.says("mode", told))
        assert r.figures("mode")["mode"] == "failed"
