"""Start the segmenter for a camera: ``ros2 launch gemini_ros segmenter.launch.py camera:=realsense``."""

import os
from pathlib import Path

import yaml
from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

SHARE = Path(__file__).resolve().parents[1]
DEFAULTS = str(SHARE / "config/segmenter.yaml")
CAMERAS = ("realsense", "orbbec", "zed", "oakd", "custom")
# Jazzy and before, Kilted and later.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")

ARGUMENTS = (
    DeclareLaunchArgument(
        "camera",
        default_value="realsense",
        description=f"Topics and backend: one of {', '.join(CAMERAS)}, or a YAML file like config/cameras/custom.yaml.",
    ),
    DeclareLaunchArgument(
        "model",
        default_value="",
        description="ONNX file, or name of a shipped model. Empty: what params_file says.",
    ),
    DeclareLaunchArgument(
        "modalities",
        default_value="",
        description="Streams to subscribe to, separated by commas, such as rgb,depth. Empty: what params_file says.",
    ),
    DeclareLaunchArgument(
        "backend",
        default_value="",
        description="auto, onnxruntime, tensorrt, tensorrt_rtx. Empty: what params_file says, else the camera's file.",
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and its topics."),
    DeclareLaunchArgument(
        "params_file",
        default_value=DEFAULTS,
        description="YAML file with the node's parameters; mounting and costmap are set there.",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", description="Take the time from /clock: simulation, or a bag that plays."
    ),
    DeclareLaunchArgument(
        "build_only",
        default_value="false",
        description="Build or load the engine of the model and end: with status 0, or 1 where there is none to run.",
    ),
)


def parameters_of(params_file: str) -> set:
    """Names of the parameters that a file of the user's sets; the shipped one sets nothing but defaults.

    Read here, since ros2 launch runs with ROS's own Python, which may lack what the package imports.
    """
    if params_file == DEFAULTS:
        return set()
    path = Path(params_file).expanduser()
    if not path.is_file():
        raise RuntimeError(f"params_file {params_file!r}: no such file")
    nodes = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return {name for node in nodes.values() for name in flat_names((node or {}).get("ros__parameters") or {})}


def flat_names(parameters: dict, prefix: str = "") -> list:
    """``{"a": {"b": 1}}`` as ``["a.b"]``: in ROS's files both forms name one parameter."""
    names = []
    for name, value in parameters.items():
        names += flat_names(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
    return names


def camera_topics(camera: str) -> dict:
    """The topics of a camera, and its backend, by name or file."""
    path = SHARE / f"config/cameras/{camera}.yaml" if camera in CAMERAS else Path(camera)
    if not path.is_file():
        raise RuntimeError(f"camera {camera!r}: expected one of {', '.join(CAMERAS)}, or a YAML file")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def segmenter(context, *_args, **_kwargs) -> list:
    """The node. An argument that is given wins over the user's parameter file, and that over the camera's file."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    topics = camera_topics(given["camera"])
    odom, backend = topics.pop("odom", "odom"), topics.pop("backend", "auto")
    of_camera = {f"{stream}.image_transport": topic["image_transport"] for stream, topic in topics.items()}
    of_camera["backend"] = backend
    users = parameters_of(given["params_file"])
    parameters = {name: value for name, value in of_camera.items() if name not in users}
    parameters["use_sim_time"] = given["use_sim_time"] == "true"
    parameters.update({name: given[name] for name in ("model", "backend") if given[name]})
    if given["modalities"]:
        parameters["modalities"] = [name.strip() for name in given["modalities"].split(",")]
    build_only = given["build_only"] == "true"
    if build_only:
        parameters["engine.build_only"] = True
    remappings = [("odom", odom)]
    for stream, topic in topics.items():
        remappings += [(f"{stream}/image", topic["image"]), (f"{stream}/camera_info", topic["camera_info"])]
    node = Node(
        package="gemini_ros",
        executable="segmenter",
        name="segmenter",
        namespace=given["namespace"],
        parameters=[given["params_file"], parameters],
        remappings=remappings,
        output="screen",
    )
    profile = str(SHARE / "config/fastdds.xml")
    unset = [name for name in PROFILE_VARIABLES if name not in os.environ]
    ends = [RegisterEventHandler(OnProcessExit(target_action=node, on_exit=built))] if build_only else []
    return [*(SetEnvironmentVariable(name, profile) for name in unset), *ends, node]


def built(event, _context) -> None:
    """After ``build_only``: launch itself ends with status 1 for an exception alone, whatever a process returned."""
    if event.returncode:
        raise RuntimeError("no engine was built; the node's log says why")


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` asks for."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=segmenter)])
