"""A camera process that knows nothing of our Fast DDS profile: what arrives, and what the diagnostics say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from test.nodes.rig import Robot, live_node, robot

ROOT = Path(__file__).parents[2]


@contextmanager
def camera(kind: str, environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "test.nodes.camera", kind, "15"]
    with subprocess.Popen(command, env=environment, cwd=ROOT) as running:
        try:
            yield
        finally:
            # SIGINT would be lost on a process that is still starting where the shell has it ignored.
            running.terminate()
            try:
                running.wait(5)
            except subprocess.TimeoutExpired:
                running.kill()


def foreign(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if "DEFAULT_PROFILES_FILE" not in name}


def received(r: Robot) -> int:
    return int(r.figures("input rgb").get("received", 0))


def test_raw_images_of_the_default_profile_are_lost_and_the_cure_is_told(ros_environment):
    with live_node(camera__in_base=[0.0] * 6), robot() as r, camera("raw", foreign(ros_environment)):
        r.until(lambda: r.level("transport") == 1, "for the loss to be noticed")
        message = r.diagnostics["transport"].message
    assert "config/fastdds.xml" in message
    assert "image_transport to compressed" in message
    assert "lost in transport" in message or "nothing arrives" in message


@pytest.mark.parametrize("kind", ["compressed", "raw"])
def test_what_fits_the_segment_or_knows_the_profile_arrives(ros_environment, kind):
    """Compressed images of the default profile, and raw ones of a camera that was given ours."""
    transports = {f"{stream}__image_transport": kind for stream in ("rgb", "depth")}
    environment = foreign(ros_environment) if kind == "compressed" else ros_environment
    with live_node(camera__in_base=[0.0] * 6, **transports), robot() as r, camera(kind, environment):
        r.until(lambda: received(r) > 40 and r.heard["labels"], "for images")
        lost = int(r.figures("transport")["lost_in_transport_rgb"])
        total = received(r)
    assert lost <= 0.1 * (lost + total)
