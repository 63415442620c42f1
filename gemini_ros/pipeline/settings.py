"""Everything that can be set: names, defaults, ranges, units and descriptions, and the checked ``Settings``.

The one home of a default. ROS parameters, options of commands and the tables of the documentation are read from
``SETTINGS``; a file of ROS parameters and ``NAME=VALUE`` of a command line become a ``Settings`` here.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.costmap.grid import WITHOUT_DEPTH
from gemini_ros.core.documents import parse_yaml
from gemini_ros.core.encodings import CENTIKELVIN_OFFSET, CENTIKELVIN_SCALE
from gemini_ros.core.files import read_file
from gemini_ros.core.frames import MODALITIES, FrameError, require_modality_name
from gemini_ros.core.image_files import decode_image_file
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.measured import MIN_SHARE
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.registration import rgb_from_stream
from gemini_ros.inference.cpu import ONNXRUNTIME
from gemini_ros.inference.load import AUTO, BACKENDS, TENSORRT
from gemini_ros.pipeline.cameras import CameraFile
from gemini_ros.pipeline.grid import aligned_setting, in_rgb_setting
from gemini_ros.pipeline.parameter_files import flat, read_sections, sections_reaching
from gemini_ros.pipeline.presence import POLICIES
from gemini_ros.pipeline.repeats import RULES

RECTIFICATIONS = (AUTO, "raw", RECTIFIED := "rectified")
TRANSPORTS = ("raw", "compressed", "compressedDepth")
NODE = "segmenter"
MAX_SLOP_S = 1.0
MIN_VOXEL_M = 0.02
MAX_OFFSET_S = 10.0
_OF_EVERY_NODE = ("use_sim_time", "start_type_description_service", "qos_overrides.")
_COSTMAP = CostmapConfig()
_MB = 1_000_000


_TYPE_NAMES = {bool: "boolean", int: "integer", float: "double", str: "string"}
Value = bool | int | float | str | Sequence[float] | Sequence[str]


@dataclass(frozen=True)
class Setting:
    """One setting: its name, default (which fixes the type), unit, meaning, and what it may be.

    ``live`` settings of a node may change at any time; the others are read by the transition to configured and keep
    their value until the node is cleaned up.
    """

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def type_name(self) -> str:
        """As ``ros2 param describe`` calls it."""
        if isinstance(self.default, tuple):
            return "double array"
        return "string array" if isinstance(self.default, list) else _TYPE_NAMES[type(self.default)]

    @property
    def range_text(self) -> str:
        """The permitted values in words, empty where any will do."""
        if self.choices:
            return ", ".join(self.choices)
        return "" if self.low is None else f"{self.low:g} to {self.high:g}"


def _transport(stream: str) -> Setting:
    return Setting(
        f"{stream}.image_transport",
        "raw",
        f"How `{stream}/image` arrives: `raw` is sensor_msgs/Image, the others are sensor_msgs/CompressedImage under "
        "the topic with `/compressed` or `/compressedDepth` appended, as image_transport publishes it.",
        choices=TRANSPORTS,
    )


def _offset(stream: str) -> Setting:
    return Setting(
        f"sync.offset_s.{stream}",
        0.0,
        f"Added to the stamps of {stream} before they are compared: the clock offset of its camera. Outputs keep the "
        "raw stamp.",
        -MAX_OFFSET_S,
        MAX_OFFSET_S,
        "s",
    )


def _aligned(stream: str) -> Setting:
    return Setting(
        aligned_setting(stream),
        False,
        f"Images of {stream} lie on the pixel grid of RGB although their frame_id is another; without it they are "
        "registered. Set it for a driver that registers them itself and keeps the frame_id.",
    )


def _in_rgb(stream: str) -> Setting:
    return Setting(
        in_rgb_setting(stream),
        (),
        f"Where the optical frame of {stream} is in that of RGB (x right, y down, z forward): x y z in metres, roll "
        "pitch yaw in radians. Its images are registered onto the grid with it. Empty: the transform of TF is used.",
    )


def _shift(stream: str) -> Setting:
    return Setting(
        f"registration.{stream}.shift_px",
        (0.0, 0.0),
        f"Pixels of the grid, right and down, by which images of {stream} are moved once they are on it; "
        "`gemini-ros calibrate` finds them.",
        unit="px",
    )


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "model",
        "warehouse_rgbd_nano",
        "Path of the model's ONNX file, or the name of a shipped model (`models/NAME.onnx`).",
    ),
    Setting(
        "backend",
        AUTO,
        "What runs the model. `auto` takes TensorRT where a GPU, a driver and the library really answer, else the "
        "faster one of the installed CPU backends (`onnxruntime`, `openvino`), and warns in the diagnostics as long as "
        "it does; `tensorrt` refuses where it would fall back.",
        choices=BACKENDS,
    ),
    Setting(
        "threads",
        0,
        "CPU threads of the network. 0: two where there are two cores, and on more cores all but one, which is left to "
        "the cameras, the map and the rest of the robot. Cores are those that this process or its container may use.",
        0,
        256,
    ),
    Setting(
        "requests",
        0,
        "Frames that a CPU backend works on at once; they share `threads`. Two label more frames a second than one, "
        "and each frame takes longer. 0: two where there are threads for it.",
        0,
        8,
    ),
    Setting(
        "modalities",
        [AUTO],
        "Image streams to subscribe to: those of the model, and `depth` for the geometry of the costmap where the "
        "model does not take it. `[auto]` is just that. A modality NAME that the model's file alone knows has the "
        "topics `NAME/image` and `NAME/camera_info`, and the parameters `NAME.image_transport`, "
        "`sync.offset_s.NAME` and `registration.NAME.aligned`, `.in_rgb` and `.shift_px`, declared when the node is "
        "configured.",
    ),
    Setting("autostart", True, "Configure and activate on start, without a lifecycle manager."),
    Setting(
        "use_lifecycle_manager",
        False,
        "A lifecycle manager drives the transitions; `autostart` is ignored. It watches the node by the heartbeat of a "
        "bond, which is sent where the package `bond` is installed; elsewhere give it `bond_timeout: 0.0`.",
    ),
    *(_transport(stream) for stream in MODALITIES),
    Setting(
        "sync.slop_s",
        0.02,
        "Stamps at most this far apart make a pair, bounds included.",
        0.0,
        MAX_SLOP_S,
        "s",
        live=True,
    ),
    *(_offset(stream) for stream in MODALITIES),
    *(kind(stream) for kind in (_aligned, _in_rgb, _shift) for stream in MODALITIES if stream != "rgb"),
    Setting(
        "registration.plane_m",
        0.0,
        "Images of a camera beside RGB, other than depth, are registered as if all they show were this far ahead "
        "where a frame has no depth. 0: without depth they are left out.",
        0.0,
        1000.0,
        "m",
    ),
    Setting(
        "missing.policy",
        "degrade",
        "What to do while a modality of the model is missing: `degrade` keeps running on the rest, `hold` pauses the "
        "output, `stop` also makes the whole costmap unknown at once and raises a diagnostics error.",
        choices=POLICIES,
        live=True,
    ),
    Setting(
        "missing.timeout_s",
        0.5,
        "A modality without a usable image for this long is missing; the images of a frozen camera count as none.",
        0.05,
        60.0,
        "s",
        live=True,
    ),
    Setting(
        "presence.repeated",
        "auto",
        "What it means that an image has the content of one of the eight before it. `auto`: a frozen camera, where "
        "odometry says that the robot moved meanwhile or where the stream was noisy before. `missing`: always a frozen "
        "camera. `accept`: a still scene, as in a simulator without noise.",
        choices=RULES,
    ),
    Setting(
        "presence.min_valid",
        MIN_SHARE,
        "An image with a smaller share of valid pixels (measured, within the model's range, not saturated) is not "
        "usable and dropped as `unusable`; once that happened, twice the share is needed.",
        0.0,
        0.5,
    ),
    Setting(
        "odometry.max_speed_mps",
        5.0,
        "A pose that the robot can only have reached faster than this is a jump: the map is cleared.",
        0.1,
        100.0,
        "m/s",
    ),
    Setting(
        "camera.grid",
        "",
        "WIDTHxHEIGHT of the grid: images of RGB are scaled to it, and all others brought onto it. Empty: the size of "
        "RGB's images; an engine is then built for that of the first one.",
    ),
    Setting("camera.size", "", "Old name of `camera.grid`."),
    Setting(
        "camera.in_base",
        (),
        "Mounting of the camera body (x forward) in `costmap.base_frame`: x y z in metres, roll pitch yaw in radians. "
        "Empty: the transform of TF is used where tf2_ros is installed.",
    ),
    Setting(
        "camera.rectification",
        AUTO,
        "Which calibration of `camera_info` belongs to the images: `raw` takes K and D, `rectified` takes P. `auto` "
        "takes P where a word of their topic is `rect`, as in `image_rect_color`.",
        choices=RECTIFICATIONS,
    ),
    Setting(
        "camera.self_mask",
        "",
        "Path of an 8-bit image of the grid's size: where it is not 0, the camera sees the robot itself. These pixels "
        "get label 255 and are no evidence for the map. Empty: none.",
    ),
    Setting(
        "label_set",
        "",
        "Name or YAML path of a label set with other colours or meanings for the model's classes. Empty: its own.",
    ),
    Setting(
        "depth_completed.model",
        "",
        "Path of a translation model that completes depth, or the name of a shipped one; `~/depth_completed` is made "
        "with it, see [image to image](translation.md). Empty: none.",
    ),
    Setting(
        "night_view.model",
        "",
        "The same of a translation model that makes RGB as by day out of the dark: `~/night_view`. Empty: none.",
    ),
    Setting(
        "engine.build",
        True,
        "Build a missing engine while the mode is `loading`. If false, configuring fails with the command that does.",
    ),
    Setting(
        "engine.build_only",
        False,
        "Build or load the engine, whatever `autostart` says, and end the process: status 0, or 1 where there is none "
        "to run. Nothing is subscribed to.",
    ),
    Setting(
        "engine.cache_dir",
        "",
        "Where engines, models compiled by OpenVINO and the choice of `auto` are kept. Empty: `engines` below "
        "`gemini_ros` in the user's cache directory.",
    ),
    Setting(
        "min_rate_hz",
        2.0,
        "Fewer frames segmented per second than this, where every camera brings as many, are a diagnostics error.",
        0.0,
        1000.0,
        "Hz",
        live=True,
    ),
    Setting("costmap.size_m", _COSTMAP.size_m, "Edge of the square grid around the robot.", 1.0, 100.0, "m", live=True),
    Setting("costmap.resolution_m", _COSTMAP.resolution_m, "Edge of a cell.", 0.01, 1.0, "m", live=True),
    Setting("costmap.frame", "odom", "Frame of the grid: that of the odometry (REP 105)."),
    Setting("costmap.base_frame", "base_link", "Frame of the robot, where the grid is centred (REP 105)."),
    Setting(
        "costmap.min_height_m",
        _COSTMAP.min_height_m,
        "What is lower than this above the ground never stands in the way by its height. Further away noise and a "
        "wrong tilt add to it.",
        0.001,
        5.0,
        "m",
        live=True,
    ),
    Setting(
        "costmap.max_height_m",
        _COSTMAP.max_height_m,
        "Upper edge of the height band: the robot passes under what is higher.",
        0.01,
        20.0,
        "m",
        live=True,
    ),
    Setting(
        "costmap.tilt_error_deg",
        _COSTMAP.tilt_error_deg,
        "How wrong pitch and roll of the mounting may be. Where the floor fits, 0.5 degrees are left.",
        0.0,
        10.0,
        "deg",
        live=True,
    ),
    Setting(
        "costmap.depth_noise_per_m",
        _COSTMAP.depth_noise_per_m,
        "One sigma of depth is this times the square of the depth in metres. Where it exceeds two cells, depth does "
        "not count.",
        0.0,
        0.1,
        "1/m",
        live=True,
    ),
    Setting(
        "costmap.max_slope_deg",
        _COSTMAP.max_slope_deg,
        "Ground that bends by less than this against the ground before it is followed; 0 takes all ground for flat.",
        0.0,
        20.0,
        "deg",
        live=True,
    ),
    Setting(
        "costmap.floor_fit",
        _COSTMAP.floor_fit,
        "The floor corrects pitch, roll and height of the mounting, slowly.",
        live=True,
    ),
    Setting(
        "costmap.robot_radius_m",
        _COSTMAP.robot_radius_m,
        "Radius of a disc around `costmap.base_frame` that lies under the robot: where it has been is free. 0: nothing "
        "is free for having been driven over.",
        0.0,
        5.0,
        "m",
        live=True,
    ),
    Setting(
        "costmap.caution_stands",
        _COSTMAP.caution_stands,
        "What stands may be driven through at its cost where five frames called it a caution class (tall grass, a "
        "curtain) with confidence 0.9 and nothing that moves is beside it. If false, all that stands is lethal.",
        live=True,
    ),
    Setting(
        "costmap.without_depth",
        _COSTMAP.without_depth,
        "What a frame without depth says. `unknown`: nothing. `project`: its labels, on a ground that is taken for "
        "flat; nothing measures that, and the diagnostics warn.",
        choices=WITHOUT_DEPTH,
        live=True,
    ),
    Setting(
        "costmap.completed_depth",
        _COSTMAP.completed_depth,
        "Completed depth marks obstacles where the camera measured nothing; it never frees a cell. It needs "
        "`depth_completed.model`, whose network then runs on every frame.",
        live=True,
    ),
    Setting(
        "costmap.completed_confidence",
        _COSTMAP.completed_confidence,
        "Completed depth of less confidence marks nothing, and is left out of `~/depth_completed`. Confidence is the "
        "probability that a pixel is within 5 % of its distance.",
        0.01,
        1.0,
        live=True,
    ),
    Setting(
        "costmap.decay_s",
        _COSTMAP.decay_s,
        "Ground is unknown this long after it was last seen.",
        0.1,
        600.0,
        "s",
        live=True,
    ),
    Setting(
        "costmap.memory_s",
        _COSTMAP.memory_s,
        "An obstacle that cannot be seen any more is remembered this long, and so is where the robot drove.",
        0.1,
        600.0,
        "s",
        live=True,
    ),
    Setting(
        "costmap.timeout_s",
        _COSTMAP.timeout_s,
        "The whole costmap is unknown this long after the last evidence.",
        0.1,
        60.0,
        "s",
        live=True,
    ),
    Setting(
        "outputs.size",
        "",
        "WIDTHxHEIGHT of `~/labels`, `~/confidence`, `~/points` and `~/camera_info`, by the nearest pixel. Empty: that "
        "of the grid.",
    ),
    Setting(
        "outputs.voxel_m",
        0.05,
        "Of `~/obstacles` and `~/ground` one point is kept for each cube of this edge; at least "
        f"{MIN_VOXEL_M:g}, and 0 keeps the point of every pixel.",
        0.0,
        1.0,
        "m",
    ),
    Setting(
        "outputs.max_age_s",
        0.3,
        "A frame older than this gives no clouds, points and scan: Nav2 takes the time at which they come for that of "
        "a living source. 0: however old.",
        0.0,
        60.0,
        "s",
    ),
    Setting(
        "phrases",
        "",
        "What matters, in words: phrases with semicolons between them, or the JSON that `~/set_phrases` takes, see "
        "[phrases](phrases.md). Empty: nothing.",
    ),
    Setting(
        "phrases_file",
        "",
        "Path of phrases that `gemini-ros phrases encode` wrote: the words in them need no text encoder here. Empty: "
        "none.",
    ),
    Setting(
        "depth.scale",
        1.0,
        "Factor on the metres that REP 118 reads (16UC1 is millimetres, 32FC1 metres): 0.25 for 16UC1 in steps of "
        "0.25 mm, 0.001 for 32FC1 in millimetres.",
        1e-6,
        1e6,
    ),
    Setting(
        "thermal.scale",
        CENTIKELVIN_SCALE,
        "Degrees Celsius per raw count of a 16 or 8 bit thermal image.",
        1e-6,
        1000.0,
        "°C",
    ),
    Setting("thermal.offset", CENTIKELVIN_OFFSET, "Degrees Celsius at a raw count of 0.", -1000.0, 1000.0, "°C"),
    Setting(
        "thermal.skip_rows",
        0,
        "Rows of telemetry that are cut off at the bottom of thermal images; of a negative number, at the top.",
        -1000,
        1000,
    ),
    Setting(
        "snapshot.on_degrade_s",
        0.0,
        "When the mode leaves normal, what the node heard in so many seconds before is written as a bag: images, "
        "camera_info, odometry, and TF where tf2_msgs is installed. 0: nothing is kept.",
        0.0,
        120.0,
        "s",
    ),
    Setting(
        "snapshot.dir",
        "",
        "Folder of these bags. Empty: `snapshots` below `gemini_ros` in the user's cache directory.",
    ),
    Setting(
        "snapshot.memory_mb",
        500,
        "What is kept takes no more memory than this, what is being written included; the oldest goes first.",
        1,
        65536,
        "MB",
    ),
    Setting(
        "snapshot.disk_mb",
        2000,
        "The bags of a node take no more room than this; the oldest are removed.",
        1,
        1048576,
        "MB",
    ),
    Setting(
        "statistics_file",
        "",
        "JSON file with the counters, latencies and mode changes, written on deactivation and at exit. Empty: none.",
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_CLOSE_STREAM = 0.7
"""As alike as ``detph`` and ``depth``; ``event`` and ``depth`` are not."""


def stream_settings(stream: str) -> tuple[Setting, ...]:
    """What can be set of each image stream; of a modality that a model names itself as of the known ones."""
    return _transport(stream), _offset(stream), _aligned(stream), _in_rgb(stream), _shift(stream)


_AROUND_STREAM = tuple(setting.name.split("NAME") for setting in stream_settings("NAME"))


def further_stream(name: str) -> str | None:
    """The stream, none of the known ones, whose setting ``name`` would be, as in ``event.image_transport``."""
    for before, after in _AROUND_STREAM:
        stream = name[len(before) : len(name) - len(after)]
        if name == before + stream + after and stream not in MODALITIES:
            try:
                return require_modality_name(stream)
            except FrameError:
                return None
    return None


def _setting(name: str) -> Setting | None:
    stream = further_stream(name)
    return next((s for s in stream_settings(stream) if s.name == name), None) if stream else _BY_NAME.get(name)


def holds_numbers(name: str) -> bool:
    """Whether a setting of this name is an array of doubles."""
    setting = _setting(name)
    return setting is not None and isinstance(setting.default, tuple)


@dataclass(frozen=True)
class SnapshotSettings:
    """What is kept of the inputs, and where it is written; ``folder`` ``None`` is the default one."""

    on_degrade_s: float
    folder: Path | None
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True)
class Settings:
    """All settings, checked; units are in the names. ``None`` stands for what the description calls empty or auto."""

    model: str
    backend: str
    threads: int | None
    requests: int | None
    modalities: tuple[str, ...] | None
    autostart: bool
    transports: Mapping[str, str]
    slop_ns: int
    offsets_ns: Mapping[str, int]
    aligned: frozenset[str]
    in_rgb: Mapping[str, tuple[float, ...]]
    shifts_px: Mapping[str, tuple[float, float]]
    plane_m: float | None
    missing_policy: str
    missing_timeout_ns: int
    repeated: str
    min_valid: float
    max_speed_mps: float
    grid_size: tuple[int, int] | None
    camera_in_base: tuple[float, ...] | None
    rectification: str
    self_mask: Path | None
    label_set: str
    translations: Mapping[str, str]
    engine_build: bool
    build_only: bool
    cache_dir: Path | None
    min_rate_hz: float
    costmap: CostmapConfig
    costmap_frame: str
    base_frame: str
    output_size: tuple[int, int] | None
    voxel_m: float
    max_age_s: float
    phrases: str
    phrases_file: Path | None
    depth_scale: float
    thermal_scale: float
    thermal_offset: float
    thermal_skip_rows: int
    snapshot: SnapshotSettings | None
    statistics_file: Path | None


def refused_change(changed: Mapping[str, Any], present: Mapping[str, Any] | None) -> str | None:
    """Why these parameters may not get these values now, or ``None``; ``present`` are those of a configured node."""
    fixed = [name for name in changed if (setting := _setting(name)) and not setting.live]
    if present is None or not (others := [name for name in fixed if changed[name] != present[name]]):
        return None
    return f"{', '.join(others)}: read when the node is configured; deactivate and clean up first"


def settings_from_values(values: Mapping[str, Any]) -> Settings:
    """Check the values of all settings together. Raises ``ValueError`` naming the setting and the cure.

    Streams under names of their own are those that ``values`` has settings of; see ``settings_of_no_stream``.
    """
    further = dict.fromkeys(stream for name in values if (stream := further_stream(name)))
    of_further = [setting for stream in further for setting in stream_settings(stream)]
    unset: dict[str, Any] = {setting.name: setting.default for setting in of_further}
    values = {**unset, **values}
    streams = (*MODALITIES, *further)
    for setting in (*SETTINGS, *of_further):
        value = values[setting.name]
        if setting.choices and value not in setting.choices:
            raise ValueError(f"{setting.name}: {value!r:.80}, expected one of {setting.range_text}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{setting.name}: {value}, expected a finite number")
        if setting.low is not None and setting.high is not None and not setting.low <= value <= setting.high:
            raise ValueError(f"{setting.name}: {value:g}, expected {setting.range_text}")
    return Settings(
        model=values["model"],
        backend=_backend(values),
        threads=values["threads"] or None,
        requests=values["requests"] or None,
        modalities=_modalities(values["modalities"]),
        autostart=values["autostart"] and not values["use_lifecycle_manager"],
        transports={stream: values[f"{stream}.image_transport"] for stream in streams},
        slop_ns=_nanoseconds(values["sync.slop_s"]),
        offsets_ns={stream: _nanoseconds(values[f"sync.offset_s.{stream}"]) for stream in streams},
        aligned=frozenset(name for name in streams if values.get(aligned_setting(name))),
        in_rgb=_in_rgb_of(values, streams),
        shifts_px=_shifts_px(values, streams),
        plane_m=values["registration.plane_m"] or None,
        missing_policy=values["missing.policy"],
        missing_timeout_ns=_nanoseconds(values["missing.timeout_s"]),
        repeated=values["presence.repeated"],
        min_valid=values["presence.min_valid"],
        max_speed_mps=values["odometry.max_speed_mps"],
        grid_size=_grid_size(values),
        camera_in_base=_camera_in_base(values["camera.in_base"]),
        rectification=values["camera.rectification"],
        self_mask=_path(values["camera.self_mask"]),
        label_set=values["label_set"],
        translations=_translations(values),
        engine_build=values["engine.build"],
        build_only=values["engine.build_only"],
        cache_dir=_path(values["engine.cache_dir"]),
        min_rate_hz=values["min_rate_hz"],
        costmap=_costmap(values),
        costmap_frame=_frame(values, "costmap.frame", "the frame of the odometry, as a rule odom"),
        base_frame=_frame(values, "costmap.base_frame", "the frame of the robot, as a rule base_link"),
        output_size=_size("outputs.size", values["outputs.size"]) if values["outputs.size"] else None,
        voxel_m=_voxel_m(values["outputs.voxel_m"]),
        max_age_s=values["outputs.max_age_s"],
        phrases=values["phrases"],
        phrases_file=_path(values["phrases_file"]),
        depth_scale=values["depth.scale"],
        thermal_scale=values["thermal.scale"],
        thermal_offset=values["thermal.offset"],
        thermal_skip_rows=values["thermal.skip_rows"],
        snapshot=_snapshot(values),
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
    if not names or len(set(names)) != len(names):
        raise ValueError(f"modalities: {list(names)}, expected [{AUTO}] or different ones of the model's, and depth")
    try:
        return tuple(map(require_modality_name, names))
    except FrameError as error:
        raise ValueError(f"modalities: {list(names)}: {error}") from error


def _grid_size(values: Mapping[str, Any]) -> tuple[int, int] | None:
    sizes = {name: _size(name, values[name]) for name in ("camera.grid", "camera.size") if values[name]}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"camera.size: {values['camera.size']}, camera.grid is {values['camera.grid']}: leave out camera.size, the "
            "old name"
        )
    return next(iter(sizes.values()), None)


def _size(name: str, text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) <= 16384 and 0 < int(height) <= 16384):
        raise ValueError(f"{name}: {text!r:.80}, expected WIDTHxHEIGHT such as 640x480, or nothing")
    return int(width), int(height)


def renamed(values: Mapping[str, Any]) -> list[str]:
    """A sentence for each setting that is given under an old name."""
    return ["camera.size is the old name of camera.grid: rename it"] if values.get("camera.size") else []


def _camera_in_base(values: Sequence[float]) -> tuple[float, ...] | None:
    return _six_numbers("camera.in_base", values)


def _six_numbers(name: str, values: Sequence[float]) -> tuple[float, ...] | None:
    # Of a node's parameters these alone come with any type: rclpy sees none in an empty array.
    if not _are_finite(values) or len(values) not in (0, 6):
        raise ValueError(
            f"{name}: {values!r:.80}, expected six finite numbers x y z roll pitch yaw with decimal points, or none"
        )
    return tuple(values) or None


def _are_finite(values: object) -> bool:
    return isinstance(values, (list, tuple)) and all(isinstance(v, float) and math.isfinite(v) for v in values)


def _in_rgb_of(values: Mapping[str, Any], streams: Iterable[str]) -> dict[str, tuple[float, ...]]:
    found = {}
    for stream in streams:
        name = in_rgb_setting(stream)
        if given := _six_numbers(name, values.get(name, ())):
            if values[aligned_setting(stream)]:
                raise ValueError(
                    f"{name}: given although {aligned_setting(stream)} is true: leave out the one that does not hold"
                )
            try:
                rgb_from_stream(given)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            found[stream] = given
    return found


def _shifts_px(values: Mapping[str, Any], streams: Iterable[str]) -> dict[str, tuple[float, float]]:
    found = {}
    for stream in streams:
        name = f"registration.{stream}.shift_px"
        shift = values.get(name, (0.0, 0.0))
        if not _are_finite(shift) or len(shift) != 2:
            raise ValueError(f"{name}: {shift!r:.80}, expected two finite numbers with decimal points: right and down")
        if any(shift):
            found[stream] = tuple(shift)
    return found


def _frame(values: Mapping[str, Any], name: str, expected: str) -> str:
    if not values[name]:
        raise ValueError(f"{name}: empty, expected {expected}")
    return values[name]


def translation_setting(output: str) -> str:
    """The setting that names the model of ``depth_completed`` or ``night_view``."""
    return f"{output}.model"


def _translations(values: Mapping[str, Any]) -> dict[str, str]:
    """The model of each output of image to image that has one."""
    found = {output: values[translation_setting(output)] for output in ("depth_completed", "night_view")}
    if values["costmap.completed_depth"] and not found["depth_completed"]:
        raise ValueError("costmap.completed_depth: true, and depth_completed.model is empty: name a model there")
    return {output: text for output, text in found.items() if text}


def _voxel_m(edge_m: float) -> float:
    if 0 < edge_m < MIN_VOXEL_M:
        raise ValueError(f"outputs.voxel_m: {edge_m:g}, expected {MIN_VOXEL_M:g} or more, or 0 for every pixel's point")
    return edge_m


def _snapshot(values: Mapping[str, Any]) -> SnapshotSettings | None:
    if not values["snapshot.on_degrade_s"]:
        return None
    memory_mb, disk_mb = values["snapshot.memory_mb"], values["snapshot.disk_mb"]
    # What would not fit on disk need not be kept.
    folder = _path(values["snapshot.dir"])
    return SnapshotSettings(values["snapshot.on_degrade_s"], folder, min(memory_mb, disk_mb) * _MB, disk_mb * _MB)


def _costmap(values: Mapping[str, Any]) -> CostmapConfig:
    prefix = "costmap."
    frames = ("costmap.frame", "costmap.base_frame")
    names = [name for name in values if name.startswith(prefix) and name not in frames]
    return CostmapConfig(**{name[len(prefix) :]: values[name] for name in names})


def defaults() -> dict[str, Any]:
    """The default of every setting by its name."""
    return {setting.name: setting.default for setting in SETTINGS}


def make_settings(values: Mapping[str, Any] | None = None) -> Settings:
    """The settings with these values in place of defaults, by name. Raises ``ValueError``."""
    return settings_from_values(defaults() | dict(values or {}))


def read_parameter_file(path: str | Path) -> dict[str, Any]:
    """Values by name from a file of ROS parameters, those that reach the node ``segmenter``; see ``parameter_files``.

    Raises ``ValueError`` for a file of another form, without a section for the node or with several, for a value of
    another type and a name of the node's own section that does not exist; under a key such as ``/**``, where other
    nodes' names stand too, only for one that is nearly right. ``OSError`` where it cannot be read.
    """
    path = Path(path).expanduser()
    values: dict[str, Any] = {}
    for section in sections_reaching(NODE, read_sections(path), path):
        for name, value in flat(section.parameters).items():
            if setting := _setting(name):
                values[name] = _typed(setting, value, str(path))
            elif hint := hint_for_unknown(name, shared=section.shared):
                raise ValueError(f"{path}: {section.key}: no parameter {name:.80}{hint}")
    return values


def values_of_camera(camera: CameraFile | None) -> dict[str, Any]:
    """Values by name that a camera's file sets. Raises ``ValueError`` for a name or a value that cannot be."""
    values: dict[str, Any] = {}
    for name, value in camera.parameters.items() if camera else ():
        if (setting := _setting(name)) is None:
            hint = hint_for_unknown(name, shared=False)
            raise ValueError(f"camera {camera.name if camera else ''}: no parameter {name:.80}{hint}")
        values[name] = _typed(setting, value, f"camera {camera.name if camera else ''}")
    return values


def names_for_every_node(path: str | Path) -> set[str]:
    """Names under ``/**`` and the like of a parameter file, those of other nodes among them. Errors as above."""
    sections = read_sections(Path(path).expanduser())
    return {name for section in sections if section.shared for name in flat(section.parameters)}


def foreign_names(names: Iterable[str]) -> list[str]:
    """A sentence for each name, of those under ``/**``, that is no setting of the node and does not look like one."""
    foreign = sorted(name for name in names if name not in _BY_NAME and hint_for_unknown(name, shared=False))
    return [f"{name}, under /** of a parameter file, is no parameter of this node" for name in foreign]


def hint_for_unknown(name: str, *, shared: bool) -> str:
    """What to say after a name that is no setting; empty where another node, or rclpy itself, may want it.

    ``shared``: it stands under ``/**``, where only a close miss is refused.
    """
    if name.startswith(_OF_EVERY_NODE):
        return ""
    nearest = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.8)
    if nearest:
        return f"; did you mean {nearest[0]}?"
    return "" if shared else "; docs/topics_and_parameters.md lists them"


def settings_of_no_stream(settings: Settings, streams: Collection[str]) -> list[str]:
    """A sentence for each stream under a name of its own that has settings and is none of ``streams``, the model's.

    Raises ``ValueError`` for a name that is nearly that of a stream.
    """
    known, sentences = sorted({*MODALITIES, *streams}), []
    for stream in sorted(settings.transports.keys() - set(known)):
        what = f"{' or '.join(setting.name for setting in stream_settings(stream))} is set, there is no stream {stream}"
        if nearest := difflib.get_close_matches(stream, known, n=1, cutoff=_CLOSE_STREAM):
            raise ValueError(f"{what}; did you mean {nearest[0]}?")
        sentences.append(f"{what}: the model takes {', '.join(streams)}")
    return sentences


def parse_assignment(text: str) -> tuple[str, Any]:
    """``NAME=VALUE`` of a command line as name and value; whole numbers are taken where a double is wanted.

    Raises ``ValueError`` for another form, a name that does not exist and a value of another type.
    """
    name, equals, word = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r:.80}, expected NAME=VALUE such as sync.slop_s=0.03")
    if (setting := _setting(name)) is None:
        raise ValueError(f"no setting {name:.80}{hint_for_unknown(name, shared=False)}")
    if isinstance(setting.default, str):
        return name, word
    value = parse_yaml(word, f"{name}: {word!r:.80}")
    if isinstance(setting.default, float) and type(value) is int:
        value = float(value)
    if isinstance(setting.default, tuple) and isinstance(value, list):
        value = [float(v) if type(v) is int else v for v in value]
    return name, _typed(setting, value, "--set")


def _typed(setting: Setting, value: Any, where: str) -> Any:
    if type(setting.default) in _TYPE_NAMES:
        fits = type(value) is type(setting.default)
    else:
        item = str if setting.type_name == "string array" else float
        fits = isinstance(value, list) and all(type(v) is item for v in value)
    if not fits:
        cure = f": write {value}.0" if setting.type_name == "double" and type(value) is int else ""
        raise ValueError(f"{where}: {setting.name}: {value!r:.80}, expected a {setting.type_name}{cure}")
    return value


def label_set_for(info: ModelInfo, settings: Settings) -> LabelSet:
    """The label set of a model, with the meaning that the setting ``label_set`` gives its classes. ``ValueError``."""
    if not settings.label_set:
        return info.label_set
    return info.label_set.with_meaning_of(load_label_set(settings.label_set))


def self_mask_of(settings: Settings) -> npt.NDArray[np.bool_] | None:
    """Where the camera sees the robot, bool (H, W), by ``camera.self_mask``. Raises ``ValueError``."""
    path = settings.self_mask
    if path is None:
        return None
    try:
        values = decode_image_file(np.frombuffer(read_file(path), np.uint8), color=False)
    except (OSError, FrameError) as error:
        raise ValueError(f"camera.self_mask: {path}: {getattr(error, 'strerror', None) or error}") from error
    if values.dtype != np.uint8 or values.shape[2:] not in ((), (3,)):
        raise ValueError(f"camera.self_mask: {path}: {values.dtype} {values.shape}, expected 8 bits, grey or colour")
    return np.asarray(values if values.ndim == 2 else values.max(axis=2), bool)


DEFAULTS = make_settings()
