"""The segmenter as the process that users start: signals, exit status, what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from test.nodes.rig import MODELS, MOUNTING, Robot, camera_info, robot

SHARED_MEMORY = Path("/dev/shm")


@contextmanager
def process(
    environment: dict[str, str],
    tmp_path: Path,
    program: tuple[str, ...] = ("-m", "gemini_ros.nodes.segmenter"),
    namespace: str = "/",
    **parameters: Any,
) -> Iterator[subprocess.Popen[str]]:
    parameters = {
        "model": str(MODELS / "tiny_rgb_depth.onnx"),
        "camera.in_base": MOUNTING,
        **{name.replace("__", "."): value for name, value in parameters.items()},
    }
    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump({"segmenter": {"ros__parameters": parameters}}), encoding="utf-8")
    command = [sys.executable, *program, "--ros-args", "--params-file", str(file), "-r", f"__ns:={namespace}"]
    with subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE) as running:
        try:
            yield running
        finally:
            running.kill()


def interrupted(running: subprocess.Popen[str], times: int) -> tuple[int, float, str]:
    """Status, seconds until the end, and what was logged, of a process that is sent SIGINT ``times`` times."""
    start = time.monotonic()
    for _ in range(times):
        running.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, err = running.communicate(timeout=10)
    return running.returncode, time.monotonic() - start, err


def waiting_in_line() -> float:
    """How many processes stand before each core: what has two seconds to end alone takes that many times as long."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def shared_memory_of(pid: int) -> set[Path]:
    """Files in /dev/shm that the process has mapped."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    return {Path(name) for name in re.findall(r"(/dev/shm/fast\S+)", maps)}


def resident_kb(pid: int, *kinds: str) -> int:
    """Memory of these kinds (anonymous, shared, of files) that the process holds now."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return sum(int(re.findall(rf"Rss{kind}:\s+(\d+) kB", status)[0]) for kind in kinds)


def end_well(r: Robot, running: subprocess.Popen[str], times: int) -> str:
    mapped = shared_memory_of(running.pid)
    assert mapped, "Fast DDS maps shared memory; what it is called has changed"
    ours = {path for path in mapped if path not in shared_memory_of(os.getpid())}
    status, seconds, err = interrupted(running, times)
    assert status == 0, err
    assert seconds < 2.0 * waiting_in_line()
    assert "Traceback" not in err
    assert "terminate called" not in err
    assert [path for path in ours if path.exists()] == []
    return err


def test_a_signal_sends_an_unknown_map_and_an_error_first(ros_environment, tmp_path):
    with process(ros_environment, tmp_path) as running, robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["costmap"] and max(r.heard["costmap"][-1].data) >= 0, "rgb", "depth")
        running.terminate()
        r.until(lambda: r.says("mode", "failed: the node ends: a signal"), timeout_s=2.0)
        r.until(lambda: max(r.heard["costmap"][-1].data) == -1, timeout_s=1.0)
        assert running.wait(10) == 0


_FAILING = """
import sys
from gemini_ros.nodes.process import run
from gemini_ros.nodes.segmenter import SegmenterNode

class Failing(SegmenterNode):
    def _poll(self):
        super()._poll()
        if self._pipeline is not None and self._pipeline.counters.inferences > 20:
            raise OverflowError("cannot convert float infinity to integer")

sys.exit(run(Failing))
"""


def test_an_exception_sends_an_unknown_map_and_an_error_first(ros_environment, tmp_path):
    with process(ros_environment, tmp_path, program=("-c", _FAILING)) as running, robot() as r:
        r.meet()
        r.send_until(lambda: r.says("mode", "failed: the node ends: OverflowError: cannot convert"), "rgb", "depth")
        r.until(lambda: max(r.heard["costmap"][-1].data) == -1, timeout_s=1.0)
        assert any(max(message.data) >= 0 for message in r.heard["costmap"])
        _, err = running.communicate(timeout=10)
        assert running.returncode == 1
        assert "OverflowError" in err


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_interrupted_while_active(ros_environment, tmp_path, times):
    statistics = tmp_path / "statistics.json"
    with process(ros_environment, tmp_path, statistics_file=str(statistics)) as running, robot() as r:
        r.meet()
        r.send_until(lambda: len(r.heard["labels"]) > 2, "rgb", "depth")
        end_well(r, running, times)
        heard = len(r.heard["labels"])
    told = json.loads(statistics.read_text(encoding="utf-8"))
    assert told["identities"] == []
    assert told["labels_published"] == told["inferences"] >= heard
    for counts in told["frames"].values():
        assert counts["received"] == counts["in_pairs"] + counts["singles"] + sum(counts["dropped"].values())


@pytest.mark.parametrize(
    "state",
    [
        pytest.param("unconfigured", marks=pytest.mark.slow),
        "inactive",
        pytest.param("finalized", marks=pytest.mark.slow),
    ],
)
def test_interrupted_twice_in_every_other_state(ros_environment, tmp_path, state):
    with process(ros_environment, tmp_path, autostart=False) as running, robot(()) as r:
        r.until(lambda: r.says("mode", "inactive"))
        if state == "inactive":
            assert r.change("configure")
        if state == "finalized":
            assert r.change("shutdown")
        assert r.state() == state
        end_well(r, running, 2)


def test_interrupted_while_the_model_loads(ros_environment, tmp_path):
    # The first thing a loader does after its check is to import the runtime: that is made to take for ever.
    (tmp_path / "onnxruntime.py").write_text("import time\ntime.sleep(60)\n", encoding="utf-8")
    environment = {**ros_environment, "PYTHONPATH": str(tmp_path)}
    with process(environment, tmp_path) as running, robot(()) as r:
        r.until(lambda: r.says("mode", "loading"))
        end_well(r, running, 2)


def test_diagnostics_come_once_a_second(ros_environment, tmp_path):
    with process(ros_environment, tmp_path, autostart=False) as running, robot(()) as r:
        arrivals: list[float] = []
        r.on_diagnostics = lambda: arrivals.append(time.monotonic())
        r.until(lambda: len(arrivals) >= 3)  # the first with the start, the others by the clock
        end_well(r, running, 1)
    assert arrivals[2] - arrivals[1] == pytest.approx(1.0, abs=0.5)


def test_a_parameter_of_the_wrong_type_is_bad_input(ros_environment, tmp_path):
    with process(ros_environment, tmp_path, costmap__size_m=10) as running:
        _, err = running.communicate(timeout=20)
    assert running.returncode == 2
    assert "costmap.size_m" in err
    assert "DOUBLE" in err
    assert "Traceback" not in err


def test_a_parameter_file_that_does_not_reach_into_the_namespace_is_bad_input(ros_environment, tmp_path):
    with process(ros_environment, tmp_path, namespace="/front") as running:
        _, err = running.communicate(timeout=20)
    assert running.returncode == 2
    assert "no parameters for /front/segmenter, only for segmenter: expected ros__parameters under /front/segm" in err
    assert "Traceback" not in err


def test_building_alone_ends_by_itself_and_fails_where_there_is_no_gpu(ros_environment, tmp_path, no_gpu):
    with process(ros_environment, tmp_path, engine__build_only=True) as running:
        _, err = running.communicate(timeout=20)
    assert running.returncode == 1, err
    assert "backend tensorrt: no NVIDIA driver" in err
    assert "Traceback" not in err


def test_building_alone_with_a_backend_without_engines_is_refused(ros_environment, tmp_path):
    with process(ros_environment, tmp_path, engine__build_only=True, autostart=False, backend="onnxruntime") as running:
        _, err = running.communicate(timeout=20)
    assert running.returncode == 1, err
    assert "engine.build_only: backend onnxruntime has no engine" in err


@pytest.mark.slow
@pytest.mark.once
def test_memory_without_a_network(ros_environment, tmp_path):
    """What a robot pays beside its engine: all libraries loaded, frames of a usual size seen, no network any more."""
    with process(ros_environment, tmp_path) as running, robot(()) as r:  # the first start of all compiles the kernels
        r.until(lambda: r.says("model", "runs on"))
        end_well(r, running, 1)
    with process(ros_environment, tmp_path, camera__size="640x480") as running, robot() as r:
        r.meet()
        while len(r.heard["labels"]) < 5:
            now = r.now()
            for name in ("rgb", "depth"):
                r.infos[name].publish(camera_info(640, 480, 500.0))
                r.cameras[name].publish(getattr(r, name)(now, (640, 480)))
            r.odometry.publish(r.odom(now))
            r.spin(0.1)
        assert r.change("deactivate")
        # How much of the libraries' files is in memory depends on how the system has read them, not on the node.
        assert resident_kb(running.pid, "Anon", "Shmem") < 180_000
        assert resident_kb(running.pid, "Anon", "Shmem", "File") < 420_000
        end_well(r, running, 1)


def test_every_message_field_passes_the_checks_of_rclpy(ros_environment, tmp_path):
    """Assertions on the fields of messages are off by default; here they check all that the node fills in."""
    environment = {**ros_environment, "ROS_PYTHON_CHECK_FIELDS": "1"}
    outputs = ("labels", "confidence", "color", "camera_info", "costmap")
    with process(environment, tmp_path) as running, robot(outputs) as r:
        r.meet()
        r.send_until(lambda: all(r.heard.values()), "rgb", "depth")
        end_well(r, running, 1)
