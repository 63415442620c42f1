"""Play a bag through the segmenter: ``ros2 launch gemini_ros replay.launch.py bag:=PATH``."""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

SHARE = Path(__file__).resolve().parents[1]

ARGUMENTS = (
    DeclareLaunchArgument("bag", description="ROS 2 bag to play: a directory, or an MCAP file."),
    DeclareLaunchArgument("rate", default_value="1.0", description="Times as fast as it was recorded."),
    DeclareLaunchArgument(
        "camera",
        default_value=str(SHARE / "config/cameras/bag.yaml"),
        description="Topic names in the bag: a camera of segmenter.launch.py, or a YAML file. Default: our own bags.",
    ),
    DeclareLaunchArgument("model", default_value="", description="As for segmenter.launch.py."),
    DeclareLaunchArgument("modalities", default_value="", description="As for segmenter.launch.py."),
    DeclareLaunchArgument("backend", default_value="", description="As for segmenter.launch.py."),
    DeclareLaunchArgument(
        "params_file", default_value=str(SHARE / "config/segmenter.yaml"), description="As for segmenter.launch.py."
    ),
)
PASSED_ON = ("camera", "model", "modalities", "backend", "params_file")


# What the node logs of its model, see gemini_ros/nodes/segmenter/node.py.
LOADED = b"the model is loaded"
NOT_LOADED = b"the model did not load"


def player(context, *_args, **_kwargs) -> list:
    """What waits for the model and then plays the bag, with /clock."""
    bag, rate = (LaunchConfiguration(name).perform(context) for name in ("bag", "rate"))
    if not Path(bag).exists():
        raise RuntimeError(f"bag {bag!r}: no such file or directory")
    playing = []

    def heard(event) -> list | None:
        if NOT_LOADED in event.text:
            raise RuntimeError("the model did not load; the node's log says why")
        if LOADED in event.text and not playing:
            command = ["ros2", "bag", "play", bag, "--clock", "100", "--rate", rate]
            playing.append(ExecuteProcess(cmd=command, output="screen"))
            return playing
        return None

    return [RegisterEventHandler(OnProcessIO(on_stdout=heard, on_stderr=heard))]


def ended(event, context) -> list | None:
    """After the bag, or after the node: an exception alone gives launch another status than 0."""
    if context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(f"{event.process_name} ended with status {event.returncode}")
    return [EmitEvent(event=Shutdown(reason=f"{event.process_name} is done"))]


def generate_launch_description() -> LaunchDescription:
    """Segmenter on simulated time, and the bag once the model is loaded; all ends with the bag."""
    segmenter = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch/segmenter.launch.py")),
        launch_arguments={"use_sim_time": "true", **{name: LaunchConfiguration(name) for name in PASSED_ON}}.items(),
    )
    end = RegisterEventHandler(OnProcessExit(on_exit=ended))
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=player), end, segmenter])
