"""The doctor on live graphs: cameras in processes of their own, over DDS."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gemini_ros.doctor.findings import Finding
from gemini_ros.doctor.graph import graph_findings
from gemini_ros.nodes.observe.graph import observe
from test.nodes.listener import start_cli

ROOT = Path(__file__).parents[2]
SOUND = {"hz": 15, "info": True}
pytestmark = pytest.mark.once


@contextmanager
def cameras(environment: dict[str, str], **streams: dict[str, Any]) -> Iterator[None]:
    command = [sys.executable, "-m", "test.nodes.faulty_cameras", json.dumps(streams)]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "publishing\n"
            yield
        finally:
            running.terminate()
            try:
                running.wait(5)
            except subprocess.TimeoutExpired:
                running.kill()


def diagnosed(seconds: float = 2.0) -> dict[str, Finding]:
    return {finding.what: finding for finding in graph_findings(observe("custom", seconds))}


def wrong(found: dict[str, Finding]) -> set[str]:
    return {what for what, finding in found.items() if finding.next}


def test_every_fault_of_a_graph_is_named(ros_environment):
    with cameras(
        ros_environment,
        rgb={"hz": 15, "viewer": True},
        depth={"hz": 15, "size": [64, 48], "ahead_ms": 80},
        thermal={"hz": 2},
    ):
        found = diagnosed(3.0)
    assert wrong(found) == {"rgb QoS", "thermal image", "sizes", "depth offset", "intrinsics"}
    assert "/cameras asks for reliable, /cameras does not offer it" in found["rgb QoS"].found
    assert found["thermal image"].verdict == "error" and "2.0 Hz" in found["thermal image"].found
    assert "rgb 80x60, depth 64x48" in found["sizes"].found
    offset_ms = float(found["depth offset"].found.split()[1])
    assert offset_ms == pytest.approx(80, abs=10)
    assert "/rgb/camera_info: nothing arrives" in found["intrinsics"].found
    assert found["rgb image"].verdict == found["depth image"].verdict == "ok"


@pytest.mark.slow
def test_a_clock_offset_that_only_motion_shows_is_told(ros_environment):
    """Stamps of both agree and so does their arrival; what depth shows is 60 ms old."""
    with cameras(ros_environment, rgb={**SOUND, "late_ms": 0}, depth={"hz": 13, "late_ms": 60}):
        found = diagnosed(4.0)["depth offset"]
    assert found.verdict == "error" and "by the motion of the images" in found.found
    assert float(found.found.split()[1]) == pytest.approx(60, abs=10)
    assert float(found.next.split("sync.offset_s.depth: ")[1]) == pytest.approx(-0.06, abs=0.01)


def test_a_missing_stream_fails_the_command_and_is_named(ros_environment, tmp_path):
    with cameras(ros_environment, rgb=SOUND):
        doctor = start_cli("doctor", "--seconds", 1.5, "--json", tmp_path / "d.json", environment=ros_environment)
        shown, complaints = doctor.communicate(timeout=60)
    assert doctor.returncode == 1, shown + complaints
    found = {each["what"]: each for each in json.loads((tmp_path / "d.json").read_text())["findings"]}
    assert [what for what, each in found.items() if each["verdict"] == "error"] == ["depth image"]
    assert "no publisher of /depth/image; other topics with images: /rgb/image" in found["depth image"]["found"]
    assert found["rgb image"]["verdict"] == found["intrinsics"]["verdict"] == "ok"
    assert f"-> {found['depth image']['next']}" in shown


def test_a_camera_without_room_for_its_images_is_found_by_its_environment(ros_environment):
    """Told of images of 0.92 MB, also if by chance nothing was lost so far."""
    foreign = {name: value for name, value in ros_environment.items() if "DEFAULT_PROFILES_FILE" not in name}
    with cameras(foreign, rgb={**SOUND, "size": [640, 480]}, depth={**SOUND, "size": [640, 480]}):
        found = diagnosed(1.5)
    assert found["rgb transport"].verdict == "warn"
    assert "config/fastdds.xml" in found["rgb transport"].next


def test_without_ros_the_machine_is_examined_all_the_same(tmp_path):
    """An interpreter that finds no rclpy: a module of its name that refuses stands before it."""
    (tmp_path / "rclpy.py").write_text("raise ModuleNotFoundError(\"No module named 'rclpy'\", name='rclpy')\n")
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    doctor = start_cli("doctor", "--json", tmp_path / "d.json", environment=environment)
    shown, complaints = doctor.communicate(timeout=60)
    assert doctor.returncode == 0, shown + complaints
    found = {each["what"]: each for each in json.loads((tmp_path / "d.json").read_text())["findings"]}
    assert "No module named 'rclpy'" in found["ROS"]["found"] and "not looked at" in found["ROS"]["found"]
    assert "graph" not in found and found["ONNX Runtime"]["verdict"] == "ok"


def test_nobody_there_is_a_warning(ros_environment):
    (finding,) = graph_findings(observe(None, 1.0))
    assert finding.verdict == "warn" and ros_environment["ROS_DOMAIN_ID"] in finding.found
