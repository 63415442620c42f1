"""Start the segmenter and Nav2 with parameters of config/nav2: ``ros2 launch gemini_ros nav2_example.launch.py``."""

import runpy
from pathlib import Path

import yaml
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

SHARE = Path(__file__).resolve().parents[1]

ARGUMENTS = (
    DeclareLaunchArgument("camera", default_value="realsense", description="As for segmenter.launch.py."),
    DeclareLaunchArgument(
        "params_file", default_value=str(SHARE / "config/segmenter.yaml"), description="As for segmenter.launch.py."
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="", description="As for segmenter.launch.py; empty is false for Nav2."
    ),
    DeclareLaunchArgument(
        "nav2",
        default_value="clouds,collision_monitor",
        description="Files of config/nav2, or paths, separated by commas; a later one wins.",
    ),
    DeclareLaunchArgument(
        "nav2_params",
        default_value="",
        description="Your parameters of Nav2, which these files are laid over. Empty: those of nav2_bringup.",
    ),
)


def merged(base: dict, over: dict) -> dict:
    """``base`` with what ``over`` says, section by section."""
    result = dict(base)
    for key, value in over.items():
        before = result.get(key)
        result[key] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def read(path: Path) -> dict:
    """The sections of a parameter file."""
    if not path.is_file():
        raise RuntimeError(f"nav2 {str(path)!r}: no such file")
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(sections, dict):
        raise RuntimeError(f"nav2 {str(path)!r}: {sections!r:.80}, expected sections of ROS parameters")
    return sections


def parameters(names: str, base: str, file: Path) -> None:
    """Write Nav2's parameters to ``file``, those of ``names`` laid over those of the file ``base``."""
    result = read(Path(base).expanduser())
    for name in (part.strip() for part in names.split(",")):
        result = merged(result, read(SHARE / f"config/nav2/{name}.yaml" if name.isidentifier() else Path(name)))
    file.write_text(yaml.safe_dump(result, sort_keys=False), encoding="utf-8")


def start(context, *_args, **_kwargs) -> list:
    """The segmenter, and Nav2's own launch file."""
    from ament_index_python.packages import get_package_share_directory
    from launch.logging import launch_config

    names = ("camera", "params_file", "use_sim_time", "nav2", "nav2_params")
    given = {name: LaunchConfiguration(name).perform(context) for name in names}
    bringup = Path(get_package_share_directory("nav2_bringup"))
    file = Path(launch_config.get_log_file_path("nav2_params.yaml"))
    parameters(given.pop("nav2"), given.pop("nav2_params") or str(bringup / "params/nav2_params.yaml"), file)
    one = runpy.run_path(str(SHARE / "launch/segmenter.launch.py"))
    nav2 = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(bringup / "launch/navigation_launch.py")),
        launch_arguments={"params_file": str(file), "use_sim_time": given["use_sim_time"] or "false"}.items(),
    )
    return [*one["start"]({**one["VALUES"], **given}, one["pushed_namespace"](context)), nav2]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` asks for."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])
