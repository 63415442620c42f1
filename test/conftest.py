"""Fixtures of all tests: where real data lies, and a ROS domain of its own for each test that needs one."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from gemini_ros.core.resources import find_resource

ROOM_MARKS = {"network": "torch", "training": "torch", "nodes": "ros"}

_unused_domains = random.SystemRandom().sample(range(1, 233), 232)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of a room that needs torch or ROS as a whole, so that ``-m "not torch"`` finds them."""
    for item in items:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        if room in ROOM_MARKS:
            item.add_marker(ROOM_MARKS[room])


def fresh_domain() -> str:
    """A ROS domain id that this test run has not used yet."""
    if not _unused_domains:
        pytest.fail("all 232 ROS domains of this test run are used up")
    return str(_unused_domains.pop())


@pytest.fixture(scope="session")
def test_data_dir() -> Path:
    """Folder of the recorded data sets (``icl_living_room``, ``tum_rgbd``, ``nyudv2_val_640``, ``msrs_rgbt``)."""
    folder = os.environ.get("GEMINI_ROS_TEST_DATA")
    if not folder:
        pytest.skip("GEMINI_ROS_TEST_DATA is not set: no recorded data here")
    if not Path(folder).is_dir():
        pytest.fail(f"GEMINI_ROS_TEST_DATA is {folder}, which is not a folder")
    return Path(folder)


@pytest.fixture
def ros_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process's environment, set so that ROS started in it or with it meets nobody but this test's processes.

    Returns a copy for ``subprocess``. A fresh domain each time, because a killed process leaves shared memory behind
    that the next one on its domain would pick up. rclpy in this process must be started (``rclpy.init``) inside the
    test or in a fixture that asks for this one.
    """
    log_dir = tmp_path / "ros_log"
    log_dir.mkdir()
    for name, value in {
        "ROS_DOMAIN_ID": fresh_domain(),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(log_dir),
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(find_resource("config/fastdds.xml")),
    }.items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)
