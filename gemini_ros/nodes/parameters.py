"""The parameters of the segmenter: declared once, read into one frozen ``Settings``, checked on every change.

The tables of the documentation are generated from ``PARAMETERS``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.exceptions import ParameterUninitializedException
from rclpy.node import Node

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.frames import MODALITIES
from gemini_ros.inference.load import AUTO, BACKENDS, ONNXRUNTIME, TENSORRT

TRANSPORTS = ("raw", "compressed", "compressedDepth")
POLICIES = ("degrade", "hold", "stop")
_COSTMAP = CostmapConfig()


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, default (which fixes the type), meaning, and what it may be.

    ``live`` parameters may change at any time; the others are read by the transition to configured and keep their
    value until the node is cleaned up.
    """

    name: str
    default: bool | float | str | Sequence[float] | Sequence[str]
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def type_name(self) -> str:
        """As ``ros2 param describe`` calls it."""
        if isinstance(self.default, (list, tuple)):
            return "string array" if self.default else "double array"
        return {bool: "boolean", float: "double", str: "string"}[type(self.default)]

    @property
    def range_text(self) -> str:
        """The permitted values in words, empty where any will do."""
        if self.choices:
            return ", ".join(self.choices)
        return "" if self.low is None else f"{self.low:g} to {self.high:g}"

    def descriptor(self) -> ParameterDescriptor:
        """rcl_interfaces/ParameterDescriptor; the choices of a string go to ``additional_constraints``."""
        descriptor = ParameterDescriptor(description=self.description)
        if self.low is not None and self.high is not None:
            descriptor.floating_point_range = [FloatingPointRange(from_value=self.low, to_value=self.high)]
        if self.choices:
            descriptor.additional_constraints = f"one of {self.range_text}"
        return descriptor


def _transport(stream: str) -> Parameter:
    return Parameter(
        f"{stream}.image_transport",
        "raw",
        f"How `{stream}/image` arrives: `raw` is sensor_msgs/Image, the others are sensor_msgs/CompressedImage under "
        "the topic with `/compressed` or `/compressedDepth` appended, as image_transport publishes it.",
        choices=TRANSPORTS,
    )


def _offset(stream: str) -> Parameter:
    return Parameter(
        f"sync.offset_s.{stream}",
        0.0,
        f"Added to the stamps of {stream} before they are compared: the clock offset of its camera. Outputs keep the "
        "raw stamp.",
        -10.0,
        10.0,
    )


PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "model",
        "warehouse_rgbd_nano",
        "Path of the model's ONNX file, or the name of a shipped model (`models/NAME.onnx`).",
    ),
    Parameter(
        "backend",
        AUTO,
        "What runs the model. `auto` takes TensorRT where a GPU, a driver and the library really answer, else ONNX "
        "Runtime, and warns in the diagnostics as long as it does; `tensorrt` refuses where it would fall back.",
        choices=BACKENDS,
    ),
    Parameter(
        "modalities",
        [AUTO],
        "Image streams to subscribe to: those of the model, and `depth` for the geometry of the costmap where the "
        "model does not take it. `[auto]` is just that.",
    ),
    Parameter("autostart", True, "Configure and activate on start, without a lifecycle manager."),
    Parameter(
        "use_lifecycle_manager",
        False,
        "A lifecycle manager drives the transitions; `autostart` is ignored. No bond is made: give the manager "
        "`bond_timeout: 0.0`.",
    ),
    *(_transport(stream) for stream in MODALITIES),
    Parameter("sync.slop_s", 0.02, "Stamps at most this far apart make a pair, bounds included.", 0.0, 1.0, live=True),
    *(_offset(stream) for stream in MODALITIES),
    Parameter(
        "missing.policy",
        "degrade",
        "What to do while a modality of the model is missing: `degrade` goes on with the rest, `hold` pauses the "
        "output, `stop` also makes the whole costmap unknown at once and raises a diagnostics error.",
        choices=POLICIES,
        live=True,
    ),
    Parameter(
        "missing.timeout_s",
        0.5,
        "A modality without a usable image for this long is missing; frozen content counts as none.",
        0.05,
        60.0,
        live=True,
    ),
    Parameter(
        "camera.size",
        "",
        "WIDTHxHEIGHT of the images, which an engine has to know; others are dropped as `wrong_size`. Empty: any size, "
        "without an engine.",
    ),
    Parameter(
        "camera.in_base",
        (),
        "Mounting of the camera body (x forward) in base_link: x y z in metres, roll pitch yaw in radians. Empty: the "
        "transform of TF is used where tf2_ros is installed.",
    ),
    Parameter(
        "label_set",
        "",
        "Name or YAML path of a label set with other colours or meanings for the model's classes. Empty: its own.",
    ),
    Parameter(
        "engine.build",
        True,
        "Build a missing engine while the mode is `loading`. If false, configuring fails with the command that does.",
    ),
    Parameter(
        "engine.build_only",
        False,
        "Build or load the engine, whatever `autostart` says, and end the process: status 0, or 1 where there is none "
        "to run. Nothing is subscribed to.",
    ),
    Parameter(
        "engine.cache_dir",
        "",
        "Where engines are kept. Empty: `engines` below `gemini_ros` in the user's cache directory.",
    ),
    Parameter(
        "min_rate_hz",
        2.0,
        "Fewer frames segmented per second than this, where as many arrive, are a diagnostics error.",
        0.0,
        1000.0,
        live=True,
    ),
    Parameter("costmap.size_m", _COSTMAP.size_m, "Edge of the square grid around the robot.", 1.0, 100.0, live=True),
    Parameter("costmap.resolution_m", _COSTMAP.resolution_m, "Edge of a cell.", 0.01, 1.0, live=True),
    Parameter("costmap.frame", "odom", "Frame of the grid: that of the odometry (REP 105)."),
    Parameter(
        "costmap.min_height_m",
        _COSTMAP.min_height_m,
        "Points this far above or below the ground plane (z = 0 of the grid's frame) are ground.",
        0.001,
        5.0,
        live=True,
    ),
    Parameter(
        "costmap.max_height_m",
        _COSTMAP.max_height_m,
        "Upper edge of the height band: the robot passes under what is higher.",
        0.01,
        20.0,
        live=True,
    ),
    Parameter(
        "costmap.decay_s",
        _COSTMAP.decay_s,
        "A cell is unknown this long after it was last seen.",
        0.1,
        600.0,
        live=True,
    ),
    Parameter(
        "costmap.timeout_s",
        _COSTMAP.timeout_s,
        "The whole costmap is unknown this long after the last evidence.",
        0.1,
        60.0,
        live=True,
    ),
    Parameter("thermal.scale", 0.01, "Degrees Celsius per raw count of a 16 or 8 bit thermal image.", 1e-6, 1000.0),
    Parameter("thermal.offset", -273.15, "Degrees Celsius at a raw count of 0.", -1000.0, 1000.0),
    Parameter(
        "statistics_file",
        "",
        "JSON file with the counters, latencies and mode changes, written on deactivation and at exit. Empty: none.",
    ),
)

_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


@dataclass(frozen=True)
class Settings:
    """All parameters, checked; units are in the names."""

    model: str
    backend: str
    modalities: tuple[str, ...] | None
    autostart: bool
    transports: Mapping[str, str]
    slop_ns: int
    offsets_ns: Mapping[str, int]
    missing_policy: str
    missing_timeout_ns: int
    camera_size: tuple[int, int] | None
    camera_in_base: tuple[float, ...] | None
    label_set: str
    engine_build: bool
    build_only: bool
    cache_dir: Path | None
    min_rate_hz: float
    costmap: CostmapConfig
    costmap_frame: str
    thermal_scale: float
    thermal_offset: float
    statistics_file: Path | None


def declare(node: Node) -> None:
    """Declare every parameter on ``node``; a wrong type in a parameter file raises rclpy's exception here."""
    for parameter in PARAMETERS:
        # rclpy sees no type in an empty array: that one is declared by its type and stays unset.
        default = parameter.default if parameter.default != () else rclpy.Parameter.Type.DOUBLE_ARRAY
        node.declare_parameter(parameter.name, default, parameter.descriptor())


def values_of(node: Node) -> dict[str, Any]:
    """The present value of every parameter by its name."""
    values = {}
    for parameter in PARAMETERS:
        try:
            values[parameter.name] = node.get_parameter(parameter.name).value
        except ParameterUninitializedException:
            values[parameter.name] = parameter.default
    return values


def refused_change(names: Iterable[str], configured: bool) -> str | None:
    """Why these parameters may not change now, or ``None``."""
    fixed = [name for name in names if configured and name in _BY_NAME and not _BY_NAME[name].live]
    if not fixed:
        return None
    return f"{', '.join(fixed)}: read when the node is configured; deactivate and clean up first"


def settings_from_values(values: Mapping[str, Any]) -> Settings:
    """Check the values of all parameters together. Raises ``ValueError`` naming the parameter and the cure."""
    for parameter in PARAMETERS:
        value = values[parameter.name]
        if parameter.choices and value not in parameter.choices:
            raise ValueError(f"{parameter.name}: {value!r}, expected one of {parameter.range_text}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{parameter.name}: {value}, expected a finite number")
    return Settings(
        model=values["model"],
        backend=_backend(values),
        modalities=_modalities(values["modalities"]),
        autostart=values["autostart"] and not values["use_lifecycle_manager"],
        transports={stream: values[f"{stream}.image_transport"] for stream in MODALITIES},
        slop_ns=_nanoseconds(values["sync.slop_s"]),
        offsets_ns={stream: _nanoseconds(values[f"sync.offset_s.{stream}"]) for stream in MODALITIES},
        missing_policy=values["missing.policy"],
        missing_timeout_ns=_nanoseconds(values["missing.timeout_s"]),
        camera_size=_camera_size(values["camera.size"]),
        camera_in_base=_camera_in_base(values["camera.in_base"]),
        label_set=values["label_set"],
        engine_build=values["engine.build"],
        build_only=values["engine.build_only"],
        cache_dir=_path(values["engine.cache_dir"]),
        min_rate_hz=values["min_rate_hz"],
        costmap=_costmap(values),
        costmap_frame=_frame(values["costmap.frame"]),
        thermal_scale=values["thermal.scale"],
        thermal_offset=values["thermal.offset"],
        statistics_file=_path(values["statistics_file"]),
    )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _backend(values: Mapping[str, Any]) -> str:
    """The backend to load; where only an engine is wanted, falling back is no success."""
    backend = values["backend"]
    if not values["engine.build_only"]:
        return backend
    if backend == ONNXRUNTIME:
        raise ValueError(f"engine.build_only: backend {ONNXRUNTIME} has no engine; take {TENSORRT}")
    return TENSORRT if backend == AUTO else backend


def _modalities(names: Sequence[str]) -> tuple[str, ...] | None:
    """``None`` stands for auto: what the model takes, and depth."""
    if list(names) == [AUTO]:
        return None
    unknown = [name for name in names if name not in MODALITIES]
    if unknown or not names or len(set(names)) != len(names):
        raise ValueError(f"modalities: {list(names)}, expected [{AUTO}] or different ones of {', '.join(MODALITIES)}")
    return tuple(names)


def _camera_size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) <= 16384 and 0 < int(height) <= 16384):
        raise ValueError(f"camera.size: {text!r}, expected WIDTHxHEIGHT such as 640x480, or nothing")
    return int(width), int(height)


def _camera_in_base(values: Sequence[float]) -> tuple[float, ...] | None:
    if not values:
        return None
    if len(values) != 6 or not all(math.isfinite(value) for value in values):
        raise ValueError(f"camera.in_base: {list(values)}, expected six finite numbers x y z roll pitch yaw, or none")
    return tuple(values)


def _frame(name: str) -> str:
    if not name:
        raise ValueError("costmap.frame: empty, expected the frame of the odometry, as a rule odom")
    return name


def _costmap(values: Mapping[str, Any]) -> CostmapConfig:
    names = ("size_m", "resolution_m", "min_height_m", "max_height_m", "decay_s", "timeout_s")
    return CostmapConfig(**{name: values[f"costmap.{name}"] for name in names})
