"""This machine: what a segmenter finds here, without a ROS graph. Looked at for real: libraries are loaded."""

from __future__ import annotations

import importlib
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from gemini_ros.doctor.findings import Finding, error, ok, warn
from gemini_ros.inference.tensorrt.cuda import Gpu, GpuError, probe_gpu
from gemini_ros.inference.tensorrt.library import LibraryError, check_supported, full_version, load_library

#: Distributions this package is written for; README.md says on which it has run.
DISTRIBUTIONS = ("humble", "jazzy", "kilted", "lyrical")
_START_ROS = "import rclpy; rclpy.init(); rclpy.create_node('doctor_probe'); rclpy.shutdown()"
# Colours, and severity, time and logger of rcutils.
_DECORATION = re.compile(r"\x1b\[[\d;]*m|^\[\w+\] \[[\d.]+\] \[\w+\]: ", re.MULTILINE)
_TEGRA_RELEASE = Path("/etc/nv_tegra_release")
_GPU_DEVICES = ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu")


@dataclass(frozen=True)
class Machine:
    """What there is: versions as their libraries tell them; where one is absent, ``None`` and the reason why."""

    python: str
    l4t: str | None
    has_gpu_device: bool
    gpu: Gpu | None
    gpu_reason: str
    tensorrt: str | None
    tensorrt_reason: str
    onnxruntime: str | None
    onnxruntime_reason: str
    openvino: str | None
    openvino_reason: str
    opencv: str | None
    opencv_reason: str


def inspect_machine() -> Machine:
    """Look at this machine."""
    gpu, gpu_reason = None, ""
    try:
        gpu = probe_gpu()
    except GpuError as reason:
        gpu_reason = str(reason)
    tensorrt, tensorrt_reason = None, ""
    try:
        tensorrt = full_version(load_library())
    except LibraryError as reason:
        tensorrt_reason = str(reason)
    return Machine(
        platform.python_version(),
        l4t_release(_TEGRA_RELEASE.read_text("utf-8")) if _TEGRA_RELEASE.is_file() else None,
        any(Path(device).exists() for device in _GPU_DEVICES),
        gpu,
        gpu_reason,
        tensorrt,
        tensorrt_reason,
        *_loaded("onnxruntime"),
        *_loaded("openvino"),
        *_loaded("cv2"),
    )


def l4t_release(text: str) -> str | None:
    """``36.4.3`` of the first line of /etc/nv_tegra_release; ``None`` where it says something else."""
    match = re.search(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{match[1]}.{match[2]}" if match else None


def ros_distribution(environment: Mapping[str, str]) -> str | None:
    """The distribution that is sourced, else the one whose wheels are installed; ``None`` where there is none."""
    if environment.get("ROS_DISTRO"):
        return environment["ROS_DISTRO"]
    names = (distribution.metadata["Name"] or "" for distribution in metadata.distributions())
    return next((match[1] for name in names if (match := re.fullmatch(r"ros-([a-z]+)-rclpy", name))), None)


def ros_fault() -> str:
    """Why no node can be started here; empty where one can. Tried in a process of its own: a middleware that is named
    and not installed ends the process that asks for it.
    """
    command = [sys.executable, "-c", _START_ROS]
    try:
        process = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60
        )
    except subprocess.TimeoutExpired:
        return "a node does not start within a minute"
    if process.returncode == 0:
        return ""
    output = [line.strip() for line in _DECORATION.sub("", process.stdout).splitlines() if line.strip()]
    return output[-1] if output else f"a node ends with status {process.returncode}"


def machine_findings(machine: Machine) -> list[Finding]:
    """The platform, the GPU, TensorRT on that GPU, and what runs the network without one."""
    on_a_cpu = [_onnxruntime(machine), *_openvino(machine)]
    return [_platform(machine), _gpu(machine), _tensorrt(machine), *on_a_cpu, _opencv(machine)]


def ros_finding(distribution: str | None, fault: str) -> Finding:
    """The distribution; ``fault`` says why no node can be started, nothing where one can."""
    if "No module named" in fault:
        found = f"{distribution or 'none'}: {fault}; the graph is not looked at"
        return warn("ROS", found, "source /opt/ros/DISTRIBUTION/setup.bash, or pip install 'gemini_ros[ros]'")
    if fault:
        cure = "RMW_IMPLEMENTATION must name a middleware that is installed, ROS_DOMAIN_ID a number from 0 to 101"
        return error("ROS", f"{distribution or 'unknown distribution'}: {fault}", cure)
    if distribution not in DISTRIBUTIONS:
        found = f"{distribution or 'unknown distribution'}, written for {', '.join(DISTRIBUTIONS)}"
        return warn("ROS", found, "use one of these distributions")
    return ok("ROS", distribution)


def _platform(machine: Machine) -> Finding:
    jetson = f", Jetson Linux {machine.l4t}" if machine.l4t else ""
    found = f"{platform.machine()}, Python {machine.python}{jetson}"
    if machine.l4t and int(machine.l4t.partition(".")[0]) < 36:
        return error("platform", found, "install JetPack 6 or 7: TensorRT of JetPack 5 and before is too old")
    return ok("platform", found)


def _gpu(machine: Machine) -> Finding:
    gpu = machine.gpu
    if gpu is not None:
        major, minor = gpu.compute_capability
        kind = "integrated" if gpu.integrated else "discrete"
        return ok("GPU", f"{gpu.name}, SM{major}{minor}, {kind}, {gpu.memory_mb} MB, driver for {gpu.driver}")
    if machine.l4t:
        cure = "run the container with --runtime nvidia; outside of one: sudo apt-get install nvidia-jetpack"
        return error("GPU", machine.gpu_reason, cure)
    if machine.has_gpu_device:
        cure = "install cuda-bindings and NVIDIA's driver (nvidia-smi must show the GPU); in a container: --gpus all"
        return warn("GPU", machine.gpu_reason, cure)
    return ok("GPU", f"none, the network runs on the CPU ({machine.gpu_reason.partition(': ')[0]})")


def _tensorrt(machine: Machine) -> Finding:
    if machine.tensorrt is None:
        if machine.gpu is None:
            return ok("TensorRT", f"not needed without a GPU ({machine.tensorrt_reason.partition(':')[0]})")
        cure = "sudo apt-get install python3-libnvinfer, and make the environment with --system-site-packages"
        return warn("TensorRT", machine.tensorrt_reason, cure if machine.l4t else "pip install 'gemini_ros[tensorrt]'")
    try:
        if machine.gpu is not None:
            check_supported(machine.tensorrt, machine.gpu.compute_capability)
    except LibraryError as reason:
        fault, _, cure = str(reason).partition(": ")
        pin = "/etc/apt/preferences.d/isaac-ros-tensorrt-13-0.pref"
        pinned = f" (Isaac ROS 4.5 pins 10.13: remove {pin})" if machine.tensorrt.startswith("10.13") else ""
        return error("TensorRT", fault, f"{cure}: sudo apt-get install tensorrt{pinned}")
    return ok("TensorRT", machine.tensorrt)


def _onnxruntime(machine: Machine) -> Finding:
    if machine.onnxruntime is not None:
        return ok("ONNX Runtime", machine.onnxruntime)
    cure = "python3 -m pip install --no-deps -r requirements-robot.txt, or pip install 'gemini_ros[runtime]'"
    found = machine.onnxruntime_reason
    if machine.gpu is not None and machine.tensorrt is not None:
        return warn("ONNX Runtime", f"{found}: nothing to fall back to, and engines can't be checked", cure)
    return error("ONNX Runtime", found, cure)


def _openvino(machine: Machine) -> list[Finding]:
    """Nothing of one that is absent where a GPU runs the network."""
    if machine.openvino is not None:
        return [ok("OpenVINO", machine.openvino.split("-")[0])]
    cure = "pip install 'gemini_ros[openvino]'"
    if "No module named 'openvino'" not in machine.openvino_reason:
        return [warn("OpenVINO", machine.openvino_reason, cure)]
    if machine.gpu is not None and machine.tensorrt is not None:
        return []
    return [ok("OpenVINO", f"not installed; with it the network often runs faster on a CPU: {cure}")]


def _opencv(machine: Machine) -> Finding:
    if machine.opencv is not None:
        return ok("OpenCV", machine.opencv)
    cure = "sudo apt-get install python3-opencv, or pip install 'gemini_ros[runtime]'"
    return error("OpenCV", machine.opencv_reason, cure)


def _loaded(name: str) -> tuple[str | None, str]:
    """The version of a library that can be imported; why it cannot."""
    try:
        return importlib.import_module(name).__version__, ""
    except ImportError as reason:  # not there, or built against another numpy
        return None, str(reason)
