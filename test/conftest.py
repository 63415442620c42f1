"""Fixtures of all tests: where real data lies, and a ROS domain of its own for each test that needs one."""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gemini_ros.core.resources import find_resource

ROOM_MARKS = {
    "network": "torch",
    "training": "torch",
    "nodes": "ros",
    "faults": "ros",
    "installed_ros": "ros",
    "gpu": "gpu",
}
# Processes that find each other over DDS: how long that takes is up to the machine. A second try is reported as such.
ROOMS_WITH_PROCESSES = ("nodes", "demo", "faults")

# The same examples each time, so that a change is judged by what it changes. `make test-all` searches afresh with
# --hypothesis-profile=search. Neither fails an example for taking long: how long is up to the machine.
settings.register_profile("search", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", settings.get_profile("search"), derandomize=True)
settings.load_profile("steady")

# Above 101, a domain's ports may be ones that Linux gives out by itself.
_domains = deque(random.SystemRandom().sample(range(1, 102), 101))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of a room that needs torch or ROS as a whole, so that ``-m "not torch"`` finds them."""
    for item in items:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        if room in ROOM_MARKS:
            item.add_marker(ROOM_MARKS[room])
        if room in ROOMS_WITH_PROCESSES:
            item.add_marker(pytest.mark.flaky(reruns=1))


@contextmanager
def private_domain() -> Iterator[int]:
    """A ROS domain id that no other test run on this machine has now, the one this run used longest ago."""
    for _ in range(len(_domains)):
        domain = _domains.popleft()
        _domains.append(domain)
        with (Path(tempfile.gettempdir()) / f"gemini_ros_test_domain_{domain}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    pytest.fail("other test runs hold all ROS domains")


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
def no_gpu() -> None:
    """Skips where there is a GPU: what a machine without one is told is tried on such machines."""
    from gemini_ros.inference.tensorrt.cuda import GpuError, probe_gpu

    try:
        pytest.skip(f"this machine has a GPU: {probe_gpu().name}")
    except GpuError:
        return


@pytest.fixture
def ros_environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """``private_ros`` for one test."""
    with private_ros(tmp_path) as environment:
        yield environment


@contextmanager
def private_ros(folder: Path) -> Iterator[dict[str, str]]:
    """This process's environment, set so that ROS started in it or with it meets nobody but this test's processes.

    Gives a copy for ``subprocess``. A fresh domain each time, because a killed process leaves shared memory behind
    that the next one on its domain would pick up. rclpy in this process must be started (``rclpy.init``) inside the
    test or in a fixture that asks for this one.
    """
    log_dir = folder / "ros_log"
    log_dir.mkdir()
    profile = str(find_resource("config/fastdds.xml"))
    with private_domain() as domain, pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in {
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_LOG_DIR": str(log_dir),
            "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
            "FASTRTPS_DEFAULT_PROFILES_FILE": profile,  # Jazzy
            "FASTDDS_DEFAULT_PROFILES_FILE": profile,  # Kilted
        }.items():
            monkeypatch.setenv(name, value)
        yield dict(os.environ)
