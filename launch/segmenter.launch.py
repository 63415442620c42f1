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
NODE = "segmenter"
CAMERAS = tuple(sorted(path.stem for path in (SHARE / "config/cameras").glob("*.yaml")))
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
        description="auto, onnxruntime, openvino, tensorrt, tensorrt_rtx. Empty: params_file, else the camera's file.",
    ),
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of the node, its outputs, services and bond. Inputs keep the camera file's topic names.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=DEFAULTS,
        description="YAML file with the node's parameters, under segmenter or /**; mounting and costmap are set there.",
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
    nodes = yaml.safe_load(path.read_text(encoding="utf-8"))
    sections = list(sections_of(nodes)) if isinstance(nodes, dict) else []
    if not sections:
        raise RuntimeError(
            f"params_file {params_file!r}: no parameters for {NODE}, expected ros__parameters under {NODE} or /**. "
            "An included launch file takes over the params_file of the one that includes it: pass it its own, "
            f"launch_arguments={{'params_file': ...}}, such as {DEFAULTS}"
        )
    return {name for parameters in sections for name in flat_names(parameters)}


def sections_of(nodes: dict):
    """The parameters under the keys that reach the node: ``/**``, its name, its name in a namespace."""
    for key, value in nodes.items():
        if isinstance(value, dict) and "ros__parameters" not in value:
            yield from sections_of(value)
        elif isinstance(value, dict) and str(key).rsplit("/", 1)[-1] in (NODE, "*", "**"):
            yield value["ros__parameters"] or {}


def truth_of(given: dict, name: str) -> bool:
    """A launch argument that is true or false, in whichever case; Nav2's launch files write ``True``."""
    if given[name].lower() not in ("true", "false"):
        raise RuntimeError(f"{name}:={given[name]}, expected true or false")
    return given[name].lower() == "true"


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
    of_camera |= {f"registration.{stream}.aligned": True for stream, topic in topics.items() if topic.get("aligned")}
    of_camera["backend"] = backend
    users = parameters_of(given["params_file"])
    parameters = {name: value for name, value in of_camera.items() if name not in users}
    parameters["use_sim_time"] = truth_of(given, "use_sim_time")
    parameters.update({name: given[name] for name in ("model", "backend") if given[name]})
    if given["modalities"]:
        parameters["modalities"] = [name.strip() for name in given["modalities"].split(",")]
    build_only = truth_of(given, "build_only")
    if build_only:
        parameters["engine.build_only"] = True
    remappings = [("odom", odom)]
    for stream, topic in topics.items():
        remappings += [(f"{stream}/image", topic["image"]), (f"{stream}/camera_info", topic["camera_info"])]
    node = Node(
        package="gemini_ros",
        executable="segmenter",
        name=NODE,
        namespace=given["namespace"],
        parameters=[given["params_file"], parameters],
        remappings=remappings,
        # ros2 launch leaves its processes behind when it gets SIGTERM or SIGKILL: the node ends when this one has.
        additional_env={"GEMINI_ROS_LAUNCH_PID": str(os.getpid())},
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
