"""The package as it is installed: ``ros2 launch``, TF and the bond for real.

Skipped, with the reason, where ROS 2 comes as wheels. ``.github/workflows/installed_ros.yaml`` runs it in ROS's images.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from test.nodes.rig import MODELS, MOUNTING, robot, stamp

pytestmark = pytest.mark.skipif(shutil.which("ros2") is None, reason="needs ros2 launch of an installed ROS 2")


@contextmanager
def launched(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = ["ros2", "launch", "gemini_ros", "segmenter.launch.py", *arguments]
    with subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE, start_new_session=True) as made:
        try:
            yield made
            os.killpg(made.pid, signal.SIGINT)
            assert made.wait(20) == 0
        finally:
            if made.poll() is None:
                os.killpg(made.pid, signal.SIGKILL)


def parameters(folder: Path, **values: Any) -> str:
    file = folder / "robot.yaml"
    lines = "".join(f"    {name}: {value}\n" for name, value in values.items())
    model = MODELS / "tiny_rgb_depth.onnx"
    file.write_text(f"segmenter:\n  ros__parameters:\n    model: {model}\n{lines}", encoding="utf-8")
    return f"params_file:={file}"


def known(r: Any) -> Callable[[], bool]:
    return lambda: bool(r.heard["costmap"]) and max(r.heard["costmap"][-1].data) >= 0


def test_a_launched_node_maps_by_odometry(ros_environment, tmp_path):
    with launched(ros_environment, parameters(tmp_path, **{"camera.in_base": MOUNTING})), robot() as r:
        r.meet()
        r.send_until(known(r), "rgb", "depth")


def test_a_typo_in_the_parameter_file_ends_the_launch(ros_environment, tmp_path):
    command = ["ros2", "launch", "gemini_ros", "segmenter.launch.py", parameters(tmp_path, **{"sync.slp_s": 0.1})]
    ended = subprocess.run(command, env=ros_environment, text=True, capture_output=True, timeout=60, check=False)
    assert "sync.slop_s" in ended.stderr + ended.stdout


def test_a_section_that_does_not_reach_into_the_namespace_ends_the_launch(ros_environment, tmp_path):
    arguments = [parameters(tmp_path), "namespace:=front"]
    command = ["ros2", "launch", "gemini_ros", "segmenter.launch.py", *arguments]
    ended = subprocess.run(command, env=ros_environment, text=True, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "no parameters for /front/segmenter, only for segmenter" in ended.stderr + ended.stdout


def test_tf_gives_the_pose(ros_environment, tmp_path):
    tf2_ros = pytest.importorskip("tf2_ros")
    from geometry_msgs.msg import TransformStamped

    with launched(ros_environment, parameters(tmp_path)), robot() as r:
        moving, fixed = tf2_ros.TransformBroadcaster(r.node), tf2_ros.StaticTransformBroadcaster(r.node)
        r.meet()

        def transform(parent: str, child: str, stamp_ns: int) -> TransformStamped:
            made = TransformStamped(child_frame_id=child)
            made.header.stamp, made.header.frame_id = stamp(stamp_ns), parent
            made.transform.rotation.w = 1.0
            return made

        optical = transform("base_link", "camera_color_optical_frame", r.now())
        optical.transform.translation.z = 0.5
        rotation = optical.transform.rotation
        rotation.x, rotation.y, rotation.z, rotation.w = -0.5, 0.5, -0.5, 0.5  # REP 103: z of the camera looks ahead
        fixed.sendTransform(optical)
        deadline = time.monotonic() + 30
        while not (known(r)() and r.heard["costmap"][-1].header.frame_id == "odom"):
            assert time.monotonic() < deadline, r.diagnostics
            moving.sendTransform(transform("odom", "base_link", r.now()))
            r.send("rgb", "depth", odom=False)
            r.spin(0.05)


def test_the_bond_falls_silent_when_the_process_dies(ros_environment, tmp_path):
    status = pytest.importorskip("bond.msg").Status
    arguments = parameters(tmp_path, use_lifecycle_manager="true", **{"camera.in_base": MOUNTING})
    with launched(ros_environment, arguments) as running, robot() as r:
        beats: list[Any] = []
        r.node.create_subscription(status, "bond", beats.append, 10)
        assert r.change("configure")
        assert r.change("activate")
        r.until(lambda: len(beats) > 4)
        assert {beat.id for beat in beats} == {"segmenter"}
        os.killpg(running.pid, signal.SIGKILL)
        running.wait(10)
        r.spin(1.0)
        beats.clear()
        r.spin(1.0)
        assert not beats


@pytest.mark.parametrize("module", ["message_filters", "rosbag2_py"])
def test_installed_packages_are_those_that_the_node_takes(module):
    found = pytest.importorskip(module)
    if module == "message_filters":
        from gemini_ros.nodes.segmenter import filters

        assert filters.Subscriber is found.Subscriber
    else:
        assert "mcap" in found.get_registered_writers()
