"""Start the segmenter for a camera: ``ros2 launch gemini_ros segmenter.launch.py camera:=realsense``."""

import os
from pathlib import Path

import yaml
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

SHARE = Path(__file__).resolve().parents[1]
CAMERAS = ("realsense", "orbbec", "zed", "oakd", "custom")
# Jazzy and before, Kilted and later.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")

ARGUMENTS = (
    DeclareLaunchArgument(
        "camera",
        default_value="realsense",
        description=f"Topic names: one of {', '.join(CAMERAS)}, or a YAML file like config/cameras/custom.yaml.",
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
        description="auto, onnxruntime or tensorrt. Empty: what params_file says.",
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and its topics."),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(SHARE / "config/segmenter.yaml"),
        description="YAML file with the node's parameters; mounting and costmap are set there.",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", description="Take the time from /clock: simulation, or a bag that plays."
    ),
    DeclareLaunchArgument(
        "build_only",
        default_value="false",
        description="Build or load the engine of the model and end, without subscribing to anything.",
    ),
)


def camera_topics(camera: str) -> dict:
    """The topics of a camera by name or file."""
    path = SHARE / f"config/cameras/{camera}.yaml" if camera in CAMERAS else Path(camera)
    if not path.is_file():
        raise RuntimeError(f"camera {camera!r}: expected one of {', '.join(CAMERAS)}, or a YAML file")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def segmenter(context, *_args, **_kwargs) -> list:
    """The node, with only those parameters overridden that were given."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    topics = camera_topics(given["camera"])
    odom = topics.pop("odom", "odom")
    parameters = {"use_sim_time": given["use_sim_time"] == "true"}
    parameters.update({name: given[name] for name in ("model", "backend") if given[name]})
    if given["modalities"]:
        parameters["modalities"] = [name.strip() for name in given["modalities"].split(",")]
    if given["build_only"] == "true":
        parameters["engine.build"] = "only"
    parameters.update({f"{stream}.image_transport": topic["image_transport"] for stream, topic in topics.items()})
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
    return [*(SetEnvironmentVariable(name, profile) for name in unset), node]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` asks for."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=segmenter)])
