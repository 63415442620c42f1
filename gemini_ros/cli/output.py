"""Printing: results line by line on stdout, errors on stderr under the program's name."""

from __future__ import annotations

import sys
from collections.abc import Iterable

# Top-level module -> extra of setup.py that brings it.
EXTRAS = {
    "cv2": "runtime",
    "onnxruntime": "runtime",
    "openvino": "openvino",
    "rosbags": "bags",
    "rclpy": "ros",
    "mujoco": "sim",
    "torch": "train",
    "lightning": "train",
    "safetensors": "train",
    "onnx": "precision",
    "jinja2": "report",
    "matplotlib": "report",
    "rich": "report",
    "imageio_ffmpeg": "report",
}
_ROS = "source the setup file of ROS 2 (/opt/ros/DISTRO/setup.bash), or "


def print_lines(lines: Iterable[str]) -> None:
    """Print each line; nothing where there is none."""
    for line in lines:
        print(line)


def print_error(error: object, program: str = "gemini-ros") -> None:
    """Print an error as one that comes from this program."""
    print(f"{program}: {error}", file=sys.stderr)


def missing_package(error: ModuleNotFoundError) -> str | None:
    """Which package is missing, and what brings it; ``None`` where a module of our own is."""
    package = (error.name or "").partition(".")[0]
    extra = "ros" if package.endswith(("_msgs", "_interfaces")) else EXTRAS.get(package)
    if extra is None:
        return None
    return f"this command needs {package}: {_ROS if extra == 'ros' else ''}pip install 'gemini_ros[{extra}]'"
