"""The live node with a D455 whose depth is not aligned and a Boson above it: labels and a map, with one camera file."""

from __future__ import annotations

from itertools import cycle
from types import SimpleNamespace
from typing import ClassVar

import pytest
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from sensor_msgs.msg import CameraInfo

from gemini_ros.core.transforms import to_xyz_quaternion
from gemini_ros.nodes.segmenter import pose
from gemini_ros.pipeline.cameras import read_camera
from test.beside import FRAMES, PLACES, camera, shots
from test.nodes.rig import image, live_node, robot

pytestmark = pytest.mark.usefixtures("ros_environment")

SCALE = 0.25
STREAMS = ("rgb", "depth", "thermal")


class TransformError(Exception):
    pass


class Buffer:
    """tf2_ros.Buffer as far as it is used; it knows the cameras in ``places``."""

    places: ClassVar[dict[str, object]] = {}

    def lookup_transform(self, target: str, source: str, time) -> TransformStamped:
        streams = {FRAMES[stream]: stream for stream in self.places}
        if target != FRAMES["rgb"] or source not in streams:
            raise TransformError(f'"{source}" passed to lookupTransform argument source_frame does not exist')
        xyz, xyzw = to_xyz_quaternion(PLACES[streams[source]])
        found = TransformStamped()
        found.transform.translation = Vector3(**dict(zip("xyz", map(float, xyz), strict=True)))
        found.transform.rotation = Quaternion(**dict(zip("xyzw", map(float, xyzw), strict=True)))
        return found


@pytest.fixture
def tf(monkeypatch):
    """A stand-in for tf2_ros, which has no wheel; TF has what the driver of the D455 publishes."""
    known = type("Known", (Buffer,), {"places": {"depth": PLACES["depth"]}})
    module = SimpleNamespace(
        Buffer=known,
        TransformListener=lambda buffer, node: SimpleNamespace(unregister=lambda: None),
        TransformException=TransformError,
        ExtrapolationException=type("ExtrapolationError", (TransformError,), {}),
    )
    monkeypatch.setattr(pose, "tf2_ros", module)
    return known


def info_of(stream: str) -> CameraInfo:
    of = camera(stream, SCALE)
    message = CameraInfo(width=of.width, height=of.height)
    message.header.frame_id = FRAMES[stream]
    message.k = [of.fx, 0.0, of.cx, 0.0, of.fy, of.cy, 0.0, 0.0, 1.0]
    if of.lens is not None:
        message.distortion_model, message.d = of.lens.model, list(of.lens.coefficients)
    return message


SLOW = {"outputs.max_age_s": 5.0}  # a busy machine must not make a frame late


class Cameras:
    """Sends an image of each camera under one stamp, none of which is repeated soon."""

    def __init__(self, r) -> None:
        self._r = r
        self._shots = {stream: cycle(list(shots(stream, 10, SCALE))) for stream in STREAMS}

    def send(self) -> None:
        now = self._r.now()
        for stream in STREAMS:
            shot = next(self._shots[stream])
            message = image(shot.image, shot.encoding, now)
            message.header.frame_id = FRAMES[stream]
            self._r.infos[stream].publish(info_of(stream))
            self._r.cameras[stream].publish(message)
        self._r.odometry.publish(self._r.odom(now))
        self._r.spin(0.1)


def parameters(**more):
    given = dict(read_camera("realsense_boson").parameters)
    return {**given, "backend": "onnxruntime", "camera.grid": "320x180", "model": "warehouse_rgbt_nano", **SLOW, **more}


def test_labels_and_a_map_with_one_camera_file(tf):
    with live_node(**parameters()), robot() as r:
        r.meet(STREAMS)
        cameras = Cameras(r)
        r.until(lambda: cameras.send() or (r.heard["labels"] and max(r.heard["costmap"][-1].data, default=-1) == 100))
        r.until(lambda: cameras.send() or r.says("mode", "normal"))
        assert {(m.width, m.height, m.header.frame_id) for m in r.heard["labels"]} == {(320, 180, FRAMES["rgb"])}
        r.until(lambda: cameras.send() or float(r.figures("latency").get("registration_p50", 0)) > 0)
        r.until(lambda: cameras.send() or r.says("costmap", "mapping"))


def test_what_tf_does_not_know_is_told_and_labels_go_on_until_it_does(tf):
    tf.places = {}
    with live_node(**parameters()), robot() as r:
        r.meet(STREAMS)
        cameras = Cameras(r)
        r.until(lambda: cameras.send() or r.says("input depth", "cannot be registered"))
        assert r.says("input depth", "Publish the transform from camera_color_optical_frame")
        r.until(lambda: cameras.send() or r.says("input thermal", "no depth to register thermal by"))
        r.heard["labels"].clear()
        r.until(lambda: cameras.send() or len(r.heard["labels"]) > 2)
        tf.places = {"depth": PLACES["depth"]}
        r.until(lambda: cameras.send() or (r.says("mode", "normal") and r.says("costmap", "mapping")))


def test_without_tf2_the_parameter_is_named(monkeypatch):
    monkeypatch.setattr(pose, "tf2_ros", None)
    with live_node(**parameters()), robot() as r:
        r.meet(STREAMS)
        cameras = Cameras(r)
        r.until(lambda: cameras.send() or r.says("input depth", "tf2_ros is not installed"))
        assert r.says("input depth", "set registration.depth.in_rgb")
