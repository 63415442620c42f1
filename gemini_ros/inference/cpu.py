"""The CPU of this machine: its name, the cores this process may use, and how many of them the network gets."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

ONNXRUNTIME, OPENVINO = "onnxruntime", "openvino"
CPU_BACKENDS = (ONNXRUNTIME, OPENVINO)

_CPUINFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_DEVICE_TREE_MODEL = Path("/proc/device-tree/model")


def cpu_name() -> str:
    """As the kernel gives it. ARM gives no name: there it is the board's, else the architecture."""
    lines = _text(_CPUINFO).splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else _text(_DEVICE_TREE_MODEL).strip("\0\n ") or platform.machine()


def usable_cores() -> int:
    """Cores that this process may run on: its affinity, and the quota of its container (cgroup v2, ``cpu.max``)."""
    quota, _, period = _text(_QUOTA).partition(" ")
    cores = len(os.sched_getaffinity(0))
    if quota.isdecimal() and period.strip().isdecimal():
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(cores, 1)


def default_threads() -> int:
    """Both of two cores; of more, all but one, which is left to the rest of the robot."""
    cores = usable_cores()
    return max(cores - 1, min(cores, 2))


def default_requests(threads: int) -> int:
    """Frames at once of a live node. Two share the threads better than one, whose threads wait for each other."""
    return min(threads, 2)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
