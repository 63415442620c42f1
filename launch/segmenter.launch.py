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
TOPICS = ("image", "camera_info")
# Jazzy and before, Kilted and later.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")

# Name, default and description of each argument.
TABLE = (
    (
        "camera",
        "realsense",
        f"Topics and backend: one of {', '.join(CAMERAS)}, or a YAML file like config/cameras/custom.yaml.",
    ),
    (
        "camera_prefix",
        "",
        "What the camera's topics begin with on this robot, such as /front/camera. Empty: as in its file.",
    ),
    (
        "model",
        "",
        "ONNX file, or name of a shipped model. Empty: what params_file says.",
    ),
    (
        "modalities",
        "",
        "Streams to subscribe to, separated by commas, such as rgb,depth. Empty: what params_file says.",
    ),
    (
        "backend",
        "",
        "auto, onnxruntime, openvino, tensorrt, tensorrt_rtx. Empty: params_file, else the camera's file.",
    ),
    (
        "threads",
        "",
        "CPU threads of the network. Empty: what params_file says, else as many as suit the machine.",
    ),
    (
        "namespace",
        "",
        "Namespace of the node, its outputs, services and bond. Inputs keep the camera file's topic names.",
    ),
    (
        "params_file",
        DEFAULTS,
        "YAML file with the node's parameters, under segmenter or /**; what it sets wins over camera.",
    ),
    (
        "use_sim_time",
        "",
        "Take the time from /clock: simulation, or a bag that plays. Empty: what params_file says, else false.",
    ),
    (
        "build_only",
        "false",
        "Build or load the engine of the model and end: with status 0, or 1 where there is none to run.",
    ),
)
VALUES = {name: default for name, default, _ in TABLE}
ARGUMENTS = tuple(
    DeclareLaunchArgument(name, default_value=default, description=description) for name, default, description in TABLE
)


def parameters_of(params_file: str) -> set:
    """Names of the parameters that a file of the user's decides.

    The shipped one holds all defaults: in a copy of it, what the user left as it was decides nothing.
    """
    shipped = {name: value for parameters in read_sections(DEFAULTS) for name, value in parameters.items()}
    given = [entry for parameters in read_sections(params_file) for entry in parameters.items()]
    is_copy = set(shipped) <= {name for name, _ in given}
    return {name for name, value in given if not (is_copy and name in shipped and value == shipped[name])}


def read_sections(params_file: str) -> list:
    """The flat parameters of each section of a file that reaches the node.

    Read here, since ros2 launch runs with ROS's own Python, which may lack what the package imports.
    """
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
    return [flat_parameters(parameters) for parameters in sections]


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


def whole_number_of(given: dict, name: str) -> int:
    """A launch argument that is a whole number."""
    if not given[name].isdecimal():
        raise RuntimeError(f"{name}:={given[name]}, expected a whole number")
    return int(given[name])


def flat_parameters(parameters: dict, prefix: str = "") -> dict:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``: in ROS's files both forms name one parameter."""
    flat = {}
    for name, value in parameters.items():
        flat.update(
            flat_parameters(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
        )
    return flat


def read_camera(camera: str) -> dict:
    """The file of a camera, by name or path."""
    path = SHARE / f"config/cameras/{camera}.yaml" if camera in CAMERAS else Path(camera).expanduser()
    if not path.is_file():
        raise RuntimeError(f"camera {camera!r}: expected one of {', '.join(CAMERAS)}, or a YAML file")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def streams_of(camera: dict) -> dict:
    """What a camera's file says of each stream."""
    return {name: entry for name, entry in camera.items() if isinstance(entry, dict) and "image" in entry}


def topics_of_camera(given: dict) -> list:
    """``(stream/image, topic)`` and the same for camera_info; a prefix replaces what all topics begin with."""
    streams, prefix = streams_of(read_camera(given["camera"])), given["camera_prefix"]
    names = [(f"{stream}/{name}", stream_topics[name]) for stream, stream_topics in streams.items() for name in TOPICS]
    if not prefix:
        return names
    shared = os.path.commonpath([topic for _, topic in names])
    return [(name, f"{prefix.rstrip('/')}/{topic[len(shared) :].lstrip('/')}") for name, topic in names]


def segmenter(context, *_args, **_kwargs) -> list:
    """The node, started with the arguments that are given."""
    return start({name: LaunchConfiguration(name).perform(context) for name in VALUES})


def start(given: dict) -> list:
    """The node. An argument that is given wins over the user's parameter file, and that over the camera's file."""
    camera = read_camera(given["camera"])
    streams = streams_of(camera)
    of_camera = {"backend": "auto"}
    of_camera.update({f"{stream}.image_transport": topics["image_transport"] for stream, topics in streams.items()})
    of_camera.update({f"registration.{stream}.aligned": True for stream in streams if streams[stream].get("aligned")})
    rest = {name: entry for name, entry in camera.items() if name not in streams and name != "odom"}
    of_camera.update(flat_parameters(rest))
    users = parameters_of(given["params_file"])
    parameters = {name: value for name, value in of_camera.items() if name not in users}
    parameters.update({name: given[name] for name in ("model", "backend") if given[name]})
    if given["use_sim_time"]:
        parameters["use_sim_time"] = truth_of(given, "use_sim_time")
    if given["threads"]:
        parameters["threads"] = whole_number_of(given, "threads")
    if given["modalities"]:
        parameters["modalities"] = [name.strip() for name in given["modalities"].split(",")]
    build_only = truth_of(given, "build_only")
    if build_only:
        parameters["engine.build_only"] = True
    node = Node(
        package="gemini_ros",
        executable="segmenter",
        name=NODE,
        namespace=given["namespace"],
        # launch_ros takes a path as it stands: of ~ it makes a file that is not there.
        parameters=[str(Path(given["params_file"]).expanduser()), *([parameters] if parameters else [])],
        remappings=[("odom", camera.get("odom", "odom")), *topics_of_camera(given)],
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
