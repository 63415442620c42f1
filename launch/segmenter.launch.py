"""Start the segmenter for a camera: ``ros2 launch gemini_ros segmenter.launch.py camera:=realsense``."""

import os
import re
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
STREAMS = ("rgb", "depth", "thermal")
TOPICS = ("image", "camera_info")
# What a token of a section's key stands for in a node's name. gemini_ros/pipeline/parameter_files.py says the same.
WILDCARDS = {"*": r"/\w+", "**": r"(/\w+)*"}
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
        "YAML file with the node's parameters, under /** or its name and namespace; what it sets wins over camera.",
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


def name_of_node(namespace: str, pushed: str = "") -> str:
    """The fully qualified name; ``pushed`` is the namespace of a launch file around this one."""
    above = "" if namespace.startswith("/") else pushed
    return "/" + "/".join(token for token in f"{above}/{namespace}/{NODE}".split("/") if token)


def parameters_of(params_file: str, node: str) -> set:
    """Names of the parameters that a file of the user's decides for the node with this fully qualified name.

    The shipped one holds all defaults: in a copy of it, what the user left as it was decides nothing.
    """
    shipped = {name: value for parameters in read_sections(DEFAULTS, node) for name, value in parameters.items()}
    given = [entry for parameters in read_sections(params_file, node) for entry in parameters.items()]
    is_copy = set(shipped) <= {name for name, _ in given}
    return {name for name, value in given if not (is_copy and name in shipped and value == shipped[name])}


def read_sections(params_file: str, node: str) -> list:
    """The flat parameters of each section of a file that reaches the node with this fully qualified name.

    Read here, since ros2 launch runs with ROS's own Python, which may lack what the package imports.
    """
    path = Path(params_file).expanduser()
    if not path.is_file():
        raise RuntimeError(f"params_file {params_file!r}: no such file")
    where = f"params_file {params_file!r}"
    nodes = read_yaml(path, where)
    sections = list(sections_of(nodes, where)) if isinstance(nodes, dict) else []
    reaching = [parameters for key, parameters in sections if reaches(key, node)]
    if not reaching:
        keys = ", ".join(key for key, _ in sections) or "nothing"
        raise RuntimeError(
            f"{where}: no parameters for {node}, only for {keys}: expected ros__parameters under {node} or /**. "
            "An included launch file takes over the params_file of the one that includes it: pass it its own, "
            f"launch_arguments={{'params_file': ...}}, such as {DEFAULTS}"
        )
    return [flat_parameters(parameters) for parameters in reaching]


def read_yaml(path: Path, where: str):
    """The content of a file, which ``where`` names in an error."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RuntimeError(f"{where}: not YAML: {' '.join(str(error).split())}") from error


def sections_of(nodes: dict, where: str, above: str = ""):
    """``(key, parameters)`` of each section; ``/robot1: segmenter:``, one in the other, is ``/robot1/segmenter``."""
    for key, value in nodes.items():
        name = f"{above.rstrip('/')}/{key}" if above else str(key)
        if not isinstance(value, dict):
            continue
        if "ros__parameters" not in value:
            yield from sections_of(value, where, name)
        elif isinstance(parameters := value["ros__parameters"], (dict, type(None))):
            yield name, parameters or {}
        else:
            raise RuntimeError(f"{where}: {name}: {parameters!r:.80}, expected ros__parameters with names and values")


def reaches(key: str, node: str) -> bool:
    """Whether rcl gives what stands under ``key`` to the node: ``*`` is one name of a path, ``**`` any number."""
    pattern = "".join(WILDCARDS.get(token, f"/{re.escape(token)}") for token in key.strip("/").split("/"))
    return re.fullmatch(pattern, node) is not None


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
    """The file of a camera, by name or path, with the topics absolute: a driver's do not follow our namespace.

    A file of another form is refused with the sentences of gemini_ros/pipeline/cameras.py.
    """
    path = SHARE / f"config/cameras/{camera}.yaml" if camera in CAMERAS else Path(camera).expanduser()
    if not path.is_file():
        raise RuntimeError(f"camera {camera!r}: expected one of {', '.join(CAMERAS)}, or a YAML file")
    where = f"camera {camera!r}"
    content = read_yaml(path, where)
    content = content if isinstance(content, dict) else {}
    streams = {name: stream_of(entry, name, where) for name, entry in streams_of(content).items()}
    if not streams:
        raise RuntimeError(f"{where}: no stream, expected one of {', '.join(STREAMS)}")
    odom = content.get("odom")
    if not isinstance(odom, (str, type(None))):
        raise RuntimeError(f"{where}: odom {odom!r:.80}, expected the name of a topic")
    rest = {name: entry for name, entry in content.items() if name not in (*STREAMS, "odom")}
    return {**rest, **streams, **({} if odom is None else {"odom": absolute(odom)})}


def stream_of(entry, stream: str, where: str) -> dict:
    """What a camera's file says of one stream, its topics absolute."""
    needed = (*TOPICS, "image_transport")
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in needed):
        raise RuntimeError(
            f"{where}: {entry!r:.80}; {stream} needs {', '.join(needed[:-1])} and {needed[-1]}, as names"
        )
    if not isinstance(aligned := entry.get("aligned", False), bool):
        raise RuntimeError(f"{where}: {stream}: aligned {aligned!r:.80}, expected true or false")
    return {**entry, **{name: absolute(entry[name]) for name in TOPICS}}


def absolute(topic: str) -> str:
    """A camera file's topic as the offline commands read it too."""
    return f"/{topic.removeprefix('/')}"


def streams_of(camera: dict) -> dict:
    """What a camera's file says of each stream; a stream of another name is one that has images."""
    return {
        name: entry
        for name, entry in camera.items()
        if (entry is not None if name in STREAMS else isinstance(entry, dict) and "image" in entry)
    }


def topics_of_camera(given: dict) -> list:
    """``(stream/image, topic)`` and the same for camera_info; a prefix replaces what all topics begin with."""
    streams, prefix = streams_of(read_camera(given["camera"])), given["camera_prefix"]
    names = [(f"{stream}/{name}", stream_topics[name]) for stream, stream_topics in streams.items() for name in TOPICS]
    if not prefix:
        return names
    shared = os.path.commonpath([topic for _, topic in names])
    return [(name, f"{absolute(prefix).rstrip('/')}/{topic[len(shared) :].lstrip('/')}") for name, topic in names]


def segmenter(context, *_args, **_kwargs) -> list:
    """The node, started with the arguments that are given."""
    return start({name: LaunchConfiguration(name).perform(context) for name in VALUES}, pushed_namespace(context))


def pushed_namespace(context) -> str:
    """The namespace that ``PushRosNamespace`` of a launch file around this one gives its nodes."""
    return LaunchConfiguration("ros_namespace", default="").perform(context)


def start(given: dict, pushed: str = "") -> list:
    """The node. An argument that is given wins over the user's parameter file, and that over the camera's file.

    ``pushed``: as for ``name_of_node``.
    """
    camera = read_camera(given["camera"])
    streams = streams_of(camera)
    of_camera = {"backend": "auto"}
    of_camera.update({f"{stream}.image_transport": topics["image_transport"] for stream, topics in streams.items()})
    of_camera.update({f"registration.{stream}.aligned": True for stream in streams if streams[stream].get("aligned")})
    rest = {name: entry for name, entry in camera.items() if name not in streams and name != "odom"}
    of_camera.update(flat_parameters(rest))
    users = parameters_of(given["params_file"], name_of_node(given["namespace"], pushed))
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
