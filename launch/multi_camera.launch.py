"""Start a segmenter for each of several cameras: ``ros2 launch gemini_ros multi_camera.launch.py cameras:=FILE``."""

import os
import re
import runpy
from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

SHARE = Path(__file__).resolve().parents[1]

ARGUMENTS = (
    DeclareLaunchArgument(
        "cameras",
        default_value=str(SHARE / "config/multi_camera.yaml"),
        description="YAML file that names the cameras and the arguments of each; config/multi_camera.yaml explains it.",
    ),
    DeclareLaunchArgument("use_sim_time", default_value="", description="As for segmenter.launch.py, for all cameras."),
    DeclareLaunchArgument(
        "build_only", default_value="false", description="As for segmenter.launch.py, for all cameras."
    ),
)
# The arguments of segmenter.launch.py that an entry may give; what it leaves out is as there.
ENTRY = ("camera", "camera_prefix", "model", "modalities", "backend", "threads", "params_file")
FILES = ("camera", "model", "params_file")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def read_cameras(path: Path, read_yaml) -> dict:
    """``{name: {argument: text}}``; a path in it counts from the directory of the file.

    ``read_yaml`` is that of segmenter.launch.py.
    """
    if not path.is_file():
        raise RuntimeError(f"cameras {str(path)!r}: no such file")
    cameras = read_yaml(path, f"cameras {str(path)!r}")
    if not isinstance(cameras, dict) or not cameras:
        raise RuntimeError(f"cameras {str(path)!r}: {cameras!r:.80}, expected an entry for each camera, by its name")
    return {name: entry_of(name, entry or {}, path) for name, entry in cameras.items()}


def entry_of(name, entry, path: Path) -> dict:
    """The arguments of one camera as text, as if they had been given to segmenter.launch.py; empty ones are not."""
    if not NAME.fullmatch(str(name)):
        raise RuntimeError(f"cameras {str(path)!r}: {name!r} names a camera, expected letters, digits and _")
    if not isinstance(entry, dict) or set(entry) - set(ENTRY):
        found = ", ".join(map(str, set(entry) - set(ENTRY))) if isinstance(entry, dict) else f"{entry!r:.80}"
        raise RuntimeError(f"cameras {str(path)!r}: {name} has {found}, expected some of {', '.join(ENTRY)}")
    texts = {
        key: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in entry.items()
        if value is not None
    }
    for key in FILES:
        beside = path.parent / texts.get(key, "")
        if beside.is_file():
            texts[key] = str(beside)
    return texts


def check_topics(nodes: dict) -> None:
    """Two nodes that hear one camera are a mistake: most often a preset twice, without a prefix."""
    heard = {}
    for name, node in nodes.items():
        for stream, topic in node:
            if not stream.endswith("/image"):
                continue
            if topic in heard:
                raise RuntimeError(
                    f"{heard[topic]} and {name} both take {topic}: give each its own camera_prefix, or camera file"
                )
            heard[topic] = name


def segmenters(context, *_args, **_kwargs) -> list:
    """One node for each camera. They share the engine cache, and the cores where an entry does not say threads."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ("cameras", "use_sim_time", "build_only")}
    one = runpy.run_path(str(SHARE / "launch/segmenter.launch.py"))
    cameras = read_cameras(Path(given.pop("cameras")).expanduser(), one["read_yaml"])
    threads = str(max(len(os.sched_getaffinity(0)) // len(cameras), 1))
    pushed = one["pushed_namespace"](context)
    values = {}
    for name, entry in cameras.items():
        values[name] = {**one["VALUES"], **entry, **given, "namespace": name}
        users = one["parameters_of"](values[name]["params_file"], one["name_of_node"](name, pushed))
        if not values[name]["threads"] and "threads" not in users:
            values[name]["threads"] = threads
    topics = {name: one["topics_of_camera"](each) for name, each in values.items()}
    check_topics(topics)
    return [action for each in values.values() for action in one["start"](each, pushed)]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` asks for."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=segmenters)])
