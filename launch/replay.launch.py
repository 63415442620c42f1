"""Play a bag through the segmenter: ``ros2 launch gemini_ros replay.launch.py bag:=PATH``."""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
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


def generate_launch_description() -> LaunchDescription:
    """Segmenter on simulated time, and the player with /clock; all ends with the bag."""
    segmenter = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch/segmenter.launch.py")),
        launch_arguments={"use_sim_time": "true", **{name: LaunchConfiguration(name) for name in PASSED_ON}}.items(),
    )
    player = ExecuteProcess(
        cmd=[
            "ros2",
            "bag",
            "play",
            LaunchConfiguration("bag"),
            "--clock",
            "100",
            "--rate",
            LaunchConfiguration("rate"),
        ],
        output="screen",
    )
    end = RegisterEventHandler(
        OnProcessExit(target_action=player, on_exit=[EmitEvent(event=Shutdown(reason="the bag is over"))])
    )
    return LaunchDescription([*ARGUMENTS, segmenter, player, end])
