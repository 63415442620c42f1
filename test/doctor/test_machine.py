"""What is said of machines that this one is not: a Jetson, another TensorRT, no library at all."""

from __future__ import annotations

import dataclasses
from importlib import metadata

import pytest

from gemini_ros.doctor import machine as room
from gemini_ros.doctor.findings import Finding, worst
from gemini_ros.doctor.machine import (
    Machine,
    inspect_machine,
    l4t_release,
    machine_findings,
    ros_distribution,
    ros_fault,
    ros_finding,
)
from gemini_ros.inference.tensorrt.cuda import Gpu

ORIN = Gpu("Orin", (8, 7), True, 7485, "CUDA 12.6")
DESKTOP = Gpu("NVIDIA RTX A2000", (8, 6), False, 12044, "CUDA 13.0")
ABSENT = "No module named 'openvino'"
JETSON = Machine("3.10.12", "36.4.3", True, ORIN, "", "10.3.0.26", "", "1.23.2", "", None, ABSENT, "4.5.4", "")
SERVER = Machine(
    "3.12.3",
    None,
    False,
    None,
    "no driver: install it",
    None,
    "absent: get it",
    "1.31.1",
    "",
    "2026.2.0-1",
    "",
    "4.6.0",
    "",
)


def found(machine: Machine, **changes: object) -> dict[str, Finding]:
    return {finding.what: finding for finding in machine_findings(dataclasses.replace(machine, **changes))}


@pytest.mark.parametrize("machine", [JETSON, SERVER])
def test_nothing_is_wrong_with_a_machine_as_it_should_be(machine: Machine) -> None:
    assert worst(found(machine).values()) == "ok"


def test_a_jetson_is_described() -> None:
    said = found(JETSON)
    assert "Jetson Linux 36.4.3" in said["platform"].found
    assert said["GPU"].found == "Orin, SM87, integrated, 7485 MB, driver for CUDA 12.6"
    assert said["TensorRT"].found == "10.3.0.26"


@pytest.mark.parametrize("version", ["10.13.3.9", "10.13.0", "10.13.2.6"])
def test_tensorrt_without_kernels_for_an_orin_is_refused_with_the_fix(version: str) -> None:
    refused = found(JETSON, l4t="39.2.0", tensorrt=version)["TensorRT"]
    assert refused.verdict == "error"
    assert version in refused.found and "Orin" in refused.found
    assert "10.16" in refused.next and "isaac-ros-tensorrt-13-0.pref" in refused.next


def test_tensorrt_without_jetpack_is_refused_with_the_fix() -> None:
    refused = found(JETSON, l4t="39.2.0", tensorrt="11.4.0.106")["TensorRT"]
    assert refused.verdict == "error"
    assert "11.4.1" in refused.next and "isaac" not in refused.next


@pytest.mark.parametrize(
    "gpu, version",
    [(DESKTOP, "10.13.3.9"), (ORIN, "10.3.0.30"), (ORIN, "10.16.2.10"), (ORIN, "11.4.1.2"), (None, "10.13")],
)
def test_other_pairs_of_gpu_and_tensorrt_are_not(gpu: Gpu | None, version: str) -> None:
    assert found(JETSON, gpu=gpu, tensorrt=version)["TensorRT"].verdict == "ok"


def test_a_gpu_without_tensorrt_is_a_warning_with_the_package_of_the_platform() -> None:
    absent = {"tensorrt": None, "tensorrt_reason": "tensorrt is not installed"}
    assert "python3-libnvinfer" in found(JETSON, **absent)["TensorRT"].next
    assert "gemini_ros[tensorrt]" in found(SERVER, gpu=DESKTOP, **absent)["TensorRT"].next


@pytest.mark.parametrize(
    "machine, changes, verdict",
    [
        (JETSON, {}, "error"),
        (JETSON, {"l4t": None}, "warn"),
        (SERVER, {}, "ok"),
    ],
    ids=["jetson", "device without driver", "no device"],
)
def test_how_bad_a_missing_gpu_is_depends_on_the_machine(machine, changes, verdict) -> None:
    said = found(machine, **changes, gpu=None, gpu_reason="no NVIDIA driver: install it")["GPU"]
    assert said.verdict == verdict
    assert "no NVIDIA driver" in said.found


def test_nothing_to_run_a_network_with_is_an_error() -> None:
    absent = {"onnxruntime": None, "onnxruntime_reason": "No module named 'onnxruntime'"}
    assert found(SERVER, **absent)["ONNX Runtime"].verdict == "error"
    assert found(JETSON, **absent)["ONNX Runtime"].verdict == "warn"
    assert "requirements-robot.txt" in found(JETSON, **absent)["ONNX Runtime"].next
    assert found(SERVER, opencv=None, opencv_reason="numpy.core.multiarray")["OpenCV"].verdict == "error"


def test_openvino_is_named_where_a_cpu_runs_the_network() -> None:
    assert found(SERVER)["OpenVINO"].found == "2026.2.0"
    without = found(SERVER, openvino=None, openvino_reason=ABSENT)["OpenVINO"]
    assert without.verdict == "ok" and "gemini_ros[openvino]" in without.found
    assert found(SERVER, openvino=None, openvino_reason="libtbb.so.12: no such file")["OpenVINO"].verdict == "warn"
    assert "OpenVINO" not in found(JETSON)


def test_a_jetpack_that_is_too_old_is_refused() -> None:
    assert found(JETSON, l4t="35.4.1")["platform"].verdict == "error"


@pytest.mark.parametrize(
    "text, release",
    [
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan\n", "36.4.3"),
        ("# R39 (release), REVISION: 2.0, GCID: 1, BOARD: generic\nTARGET_USERSPACE_LIB_DIR=nvidia\n", "39.2.0"),
        ("something else\n", None),
    ],
)
def test_the_release_of_jetson_linux_is_read(text: str, release: str | None) -> None:
    assert l4t_release(text) == release


def test_the_distribution_is_the_sourced_one_else_that_of_the_wheels() -> None:
    assert ros_distribution({"ROS_DISTRO": "humble"}) == "humble"
    try:
        metadata.version("ros-jazzy-rclpy")
    except metadata.PackageNotFoundError:
        assert ros_distribution({}) is None
    else:
        assert ros_distribution({}) == "jazzy"


@pytest.mark.parametrize(
    "distribution, reason, verdict",
    [
        ("jazzy", "", "ok"),
        ("rolling", "", "warn"),
        (None, "ModuleNotFoundError: No module named 'rclpy'", "warn"),
        ("humble", "librmw_cyclonedds_cpp.so: no such file", "error"),
    ],
)
def test_ros(distribution, reason, verdict) -> None:
    said = ros_finding(distribution, reason)
    assert said.verdict == verdict
    assert reason in said.found


@pytest.mark.ros
@pytest.mark.parametrize(
    "name, value, word",
    [
        ("ROS_DOMAIN_ID", "7", ""),
        ("ROS_DOMAIN_ID", "999", "domainId"),
        ("RMW_IMPLEMENTATION", "rmw_absent_cpp", "Expected RMW implementation identifier of 'rmw_absent_cpp'"),
    ],
)
def test_what_keeps_a_node_from_starting_is_told(ros_environment, monkeypatch, name, value, word) -> None:
    monkeypatch.setenv(name, value)
    fault = ros_fault()
    assert bool(fault) == bool(word)
    assert word in fault and "\x1b" not in fault


def test_this_machine_is_looked_at_for_real() -> None:
    import cv2
    import onnxruntime

    here = inspect_machine()
    assert (here.onnxruntime, here.opencv) == (onnxruntime.__version__, cv2.__version__)
    assert (here.gpu is None) == bool(here.gpu_reason)
    assert (here.tensorrt is None) == bool(here.tensorrt_reason)


def test_a_library_that_does_not_load_is_no_crash(tmp_path, monkeypatch) -> None:
    (tmp_path / "broken_library.py").write_text("raise ImportError('numpy.core.multiarray failed to import')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert room._loaded("broken_library") == (None, "numpy.core.multiarray failed to import")
    assert room._loaded("no_such_library")[0] is None
