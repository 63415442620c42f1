"""Write from the code: docs/topics_and_parameters.md (what a running segmenter subscribes to and publishes, its
parameters, and the arguments of the launch files), docs/diagnostics.md (every status and key), docs/commands.md, the
table of models in README.md, and the version in package.xml and CITATION.cff.

    python docs/generate.py [--check]

With ``--check`` nothing is written, and the exit status is 1 where a page differs from the code.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import rclpy
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from gemini_ros import __version__
from gemini_ros.cli import build_parser
from gemini_ros.inference import read_model_info
from gemini_ros.nodes.segmenter import SegmenterNode
from gemini_ros.nodes.segmenter.keys import STATUSES, Key
from gemini_ros.pipeline.settings import SETTINGS, Setting

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/topics_and_parameters.md"
DIAGNOSTICS_PAGE = ROOT / "docs/diagnostics.md"
COMMANDS_PAGE = ROOT / "docs/commands.md"
README = ROOT / "README.md"
# Where the version stands once more, for tools that run no Python.
VERSIONED = {
    ROOT / "package.xml": f"  <version>{__version__}</version>",
    ROOT / "CITATION.cff": f"version: {__version__}",
}
MODELS_BEGIN, MODELS_END = "<!-- models: written by docs/generate.py -->\n\n", "\n\n<!-- end of models -->"
LAUNCH_FILES = (
    "launch/segmenter.launch.py",
    "launch/multi_camera.launch.py",
    "launch/replay.launch.py",
    "launch/nav2_example.launch.py",
)
NODE = "/segmenter/"
# Every stream there is: two by the model, depth for the geometry beside them.
STREAMS = ["rgb", "thermal", "depth"]
MODEL = ROOT / "test/fixtures/tiny_rgb_thermal.onnx"
TRANSLATIONS = {
    "depth_completed": ROOT / "test/fixtures/tiny_to_depth.onnx",
    "night_view": ROOT / "test/fixtures/tiny_to_rgb.onnx",
}

# Milliseconds on one core, of frames of 640x480, by ONNX Runtime on an Intel Xeon with AVX-512, models in turn:
# python -m benchmarks.cpu_backends NAME ... --models --threads 1
MILLISECONDS = {
    "nav5_rgbd_nano": 45,
    "warehouse_rgb_nano": 20,
    "warehouse_rgbd_nano": 46,
    "warehouse_rgbdt_nano": 51,
    "warehouse_rgbt_linear_nano": 45,
    "warehouse_rgbt_nano": 45,
}

# What the code cannot say of a topic; one that is missing here, or is here and not in the node, is an error.
INPUTS = {
    "rgb/image": "Colour: rgb8, bgr8, rgba8, bgra8, YUV 4:2:2 (uyvy, yuyv), 8-bit Bayer, mono8.",
    "rgb/camera_info": "Camera of the grid onto which all images are brought. A latched one arrives too.",
    "depth/image": "Depth (REP 118): 16UC1 or mono16 in millimetres, 0 = none; 32FC1 in metres, NaN = none.",
    "depth/camera_info": "Camera of depth that is registered; the grid's where RGB has none and depth lies on it.",
    "thermal/image": "Thermal: mono16, 16UC1 or mono8 counts, `thermal.scale` x count + `thermal.offset` in degrees "
    "Celsius; 32FC1 in degrees Celsius.",
    "thermal/camera_info": "The same for thermal.",
    "~/set_phrases": "What matters, in words, as JSON, see [phrases](phrases.md).",
    "odom": "Odometry of `costmap.base_frame`. With TF it is used where TF does not know `costmap.frame`.",
}
OUTPUTS = {
    "~/labels": "Class of each pixel, mono8; 255 = unlabelled. Once per inference.",
    "~/confidence": "Probability of that class, mono8, 255 = certain. While subscribed.",
    "~/color": "The labels' colours over the RGB image, rgb8. While subscribed.",
    "~/camera_info": "Intrinsics of the label image. While subscribed.",
    "~/points": "The point of each pixel of the label image, organised; NaN where nothing was measured. While "
    "subscribed.",
    "~/obstacles": "What stands in the way, with label and confidence, see [Nav2](nav2.md). While subscribed.",
    "~/ground": "What is passable, the same.",
    "~/scan": "How far the first lethal cell of the map is in each direction, from the base. While subscribed.",
    "~/costmap": "Where the robot can drive, see [costmap](costmap.md). While subscribed, at 5 Hz or more.",
    "~/speed_mask": "Percent of the full speed by `speed_percent` of the classes; 0 = no limit. Once a second while "
    "subscribed.",
    "~/depth_completed": "Depth without holes, as `depth/image` holds it (16UC1 or 32FC1), on the grid of RGB. Where "
    "`depth_completed.model` is set, while subscribed. See [image to image](translation.md).",
    "~/night_view": "What a network takes the dark scene for by day, rgb8, marked SYNTHETIC in the image. Where "
    "`night_view.model` is set, while subscribed.",
    "~/answers": "What each phrase in force means in a frame, as JSON. While subscribed.",
    "~/phrase_masks": "Number of the phrase at each pixel of the label image, mono8; 0 = none. While subscribed.",
    "~/phrases": "The phrases in force, and those that were refused, as JSON. When that changes.",
    "~/target_pose": "Where the robot can stand and face the nearest thing of a `target`. While subscribed.",
    "~/keepout_mask": "Cost of what is to be avoided, 0 elsewhere. While subscribed.",
    "/diagnostics": "Mode, counters, latencies, faults with their cure. Every second, and when the mode changes.",
}
OF_RCLPY = ("/rosout", "/parameter_events", "/clock", "~/transition_event")
WHERE_INSTALLED = (
    *("bond", "~/label_info", "~/speed_mask_info", "~/keepout_mask_info"),
    *("~/markers", "~/detections", "~/detections_2d", "~/phrase_markers", "~/phrase_detections"),
)


@dataclass(frozen=True)
class Topic:
    name: str
    type_name: str
    qos: str


def page() -> str:
    """The whole page in Markdown."""
    subscriptions, publishers = interface()
    parts = [
        "# Topics and parameters",
        "Written by `python docs/generate.py` from the code. Do not edit it: a test compares the two.",
        "## Topics of `segmenter`",
        "Names are relative to the node's namespace and are remapped as usual; `~` is the node's own name. With the "
        "`image_transport` of a stream compressed or compressedDepth, its images are sensor_msgs/CompressedImage "
        "on the topic with that word appended. Only the streams of the model are subscribed to, and depth for the map. "
        "Reliability and depth of the image subscriptions can be overridden: "
        "`qos_overrides.TOPIC.subscription.reliability`, `.depth`.",
        "### Subscribed",
        _topics(subscriptions, INPUTS),
        "### Published",
        _topics(publishers, OUTPUTS),
        "Images carry the stamp and frame of the RGB image they were made from; where RGB is missing, the stamp of the "
        "image used and the frame of the RGB camera. Where the package `bond` is installed, an active node also sends "
        "bond/msg/Status on `bond`, see [costmap](costmap.md). Where `vision_msgs` is installed, "
        "vision_msgs/LabelInfo is on `~/label_info` (reliable, depth 1, transient local) and "
        "vision_msgs/Detection3DArray on `~/phrase_detections`, where `visualization_msgs` is, "
        "visualization_msgs/MarkerArray on `~/phrase_markers`, and where `nav2_msgs` is, "
        "nav2_msgs/CostmapFilterInfo on `~/speed_mask_info` and `~/keepout_mask_info`. Boxes of single things are on "
        "`~/markers` (visualization_msgs/MarkerArray), `~/detections` (vision_msgs/Detection3DArray) and "
        "`~/detections_2d` (Detection2DArray) where these packages are installed, while subscribed; see "
        "[boxes](boxes.md).",
        "## Parameters of `segmenter`",
        "*Live* parameters may change at any time. The others are read when the node is configured; changing one later "
        "is refused until the node has been cleaned up. `config/segmenter.yaml` holds all of them with their defaults.",
        _table(("parameter", "type", "default", "unit", "values", "live", "meaning"), map(_parameter_row, SETTINGS)),
    ]
    for name in LAUNCH_FILES:
        rows = ((f"`{argument}`", _code(default), text) for argument, default, text in launch_arguments(ROOT / name))
        parts += [f"## Arguments of `{Path(name).name}`", _table(("argument", "default", "meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def diagnostics_page() -> str:
    """The page of the statuses and their keys in Markdown."""
    parts = [
        "# Diagnostics",
        "Written by `python docs/generate.py` from the code. Do not edit it: a test compares the two. What to do about "
        "them, and which of them to watch, is in [operations](operations.md).",
        "An active `segmenter` publishes these statuses on `/diagnostics` every second, and at once when its mode "
        "changes. A status is named `NODE: SUBJECT`, with the namespace of the node: `front/segmenter: mode`. Its "
        "message is one sentence that says what is wrong and what to do. Values are text; figures have up to three "
        "decimals. STREAM, CAUSE, STAGE and NUMBER stand for each of these.",
        _table(
            ("status", "warns where", "is an error where"),
            (
                (f"[`{name}`](#{name.lower().replace(' ', '-')})", each.warns, each.errs)
                for name, each in STATUSES.items()
            ),
        ),
    ]
    for name, each in STATUSES.items():
        parts += [f"## {name}", each.about]
        if each.keys:
            parts.append(_table(("key", "unit", "meaning"), map(_key_row, each.keys)))
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """The page of the commands with their options in Markdown."""
    parts = [
        "# Commands",
        "Written by `python docs/generate.py` from the code. Do not edit it: a test compares the two. Exit status 0 "
        "means good, 1 that a check failed or nothing was processed, 2 bad input. Sizes are WIDTHxHEIGHT. Where a "
        "command takes a model, give a path or the name of a shipped one.",
    ]
    for noun, parser in _below(build_parser()):
        verbs = list(_below(parser))
        for name, command in [(f"{noun} {verb}", each) for verb, each in verbs] or [(noun, parser)]:
            rows = [
                (
                    ", ".join(f"`{word}`" for word in action.option_strings or [action.metavar or action.dest]),
                    _help(action),
                )
                for action in command._actions
                if action.help != argparse.SUPPRESS and action.dest != "help"
            ]
            parts += [f"## gemini-ros {name}", command.description or "", _table(("argument", "meaning"), rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _below(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The commands below a parser, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _help(action: argparse.Action) -> str:
    text = " ".join((action.help or "").split()) % {**vars(action), "prog": "gemini-ros"}
    return text.replace("|", "\\|").replace("<", "&lt;")


def models_table() -> str:
    """A row for each shipped model: what it takes, and its mIoU with all modalities, in the dark, and without each.

    One that takes phrases labels as the plain model of its row does, and has none of its own.
    """
    head = ("model", "takes", "classes", "mIoU", "no light", "without RGB", "without another", "ms", "MB", "data")
    rows = []
    for path in sorted((ROOT / "models").glob("*.onnx")):
        info = read_model_info(path)
        if info.language is not None:
            continue
        others = [name for name in info.modality_names if name != "rgb"]
        gone = {name: (info.scores or {}).get(f"without {name}", {}).get("all") for name in ("rgb", *others)}
        complete = (info.scores or {})["complete"]
        scores = [[complete["all"]], [complete.get("black")], [gone["rgb"]], [gone[name] for name in others]]
        rows.append(
            (
                f"[`{path.stem}`](models/{path.stem}.md)",
                " + ".join(info.modality_names),
                str(len(info.label_set.names)),
                *(" / ".join(f"{score:.2f}" for score in cell if score is not None) for cell in scores),
                str(MILLISECONDS[path.stem]),
                f"{path.stat().st_size / 1e6:.1f}",
                "simulated" if info.training_data == "gemini-ros dataset simulate" else str(info.training_data),
            )
        )
    return _table(head, rows)


def readme() -> str:
    """The README with its table of models as it is now."""
    before, begin, rest = README.read_text(encoding="utf-8").partition(MODELS_BEGIN)
    _, end, after = rest.partition(MODELS_END)
    if not (begin and end):
        raise SystemExit(f"{README}: no table of models, expected it between {MODELS_BEGIN!r} and {MODELS_END!r}")
    return before + begin + models_table() + end + after


def _key_row(key: Key) -> tuple[str, str, str]:
    return f"`{key.name}`", key.unit, key.meaning


def interface() -> tuple[list[Topic], list[Topic]]:
    """What an active node with every stream subscribes to and publishes, by name, without rclpy's own."""
    overrides = {"autostart": False, "model": str(MODEL), "modalities": STREAMS, "camera.in_base": [0.0] * 6}
    overrides |= {f"{output}.model": str(path) for output, path in TRANSLATIONS.items()}
    with _context() as context:
        parameters = [RosParameter(name, value=value) for name, value in overrides.items()]
        node = SegmenterNode(context=context, parameter_overrides=parameters)
        for transition in (node.trigger_configure, node.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise RuntimeError(f"{transition.__name__} failed: {MODEL}")
        found = [
            sorted(
                {Topic(_short(end.topic_name), _type(end.msg_type), _qos(end.qos_profile)) for end in ends},
                key=lambda topic: topic.name,
            )
            for ends in (list(node.subscriptions), list(node.publishers))
        ]
        node.close()
        node.destroy_node()
        # The loader may still be inside a library, where the end of the process would abort it.
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(30)
    subscriptions, publishers = (
        [topic for topic in ends if topic.name not in (*OF_RCLPY, *WHERE_INSTALLED)] for ends in found
    )
    return subscriptions, publishers


def launch_arguments(path: Path) -> Iterator[tuple[str, str | None, str]]:
    """Name, default (``None`` = required) and description of each argument; the package ``launch`` is not needed."""
    wanted = ("SHARE", "DEFAULTS", "CAMERAS", "TABLE", "ARGUMENTS")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in wanted]
    scope = {
        "Path": Path,
        "__file__": str(path),
        "DeclareLaunchArgument": lambda name, default_value=None, *, description: (name, default_value, description),
    }
    exec(compile(ast.Module(body, []), str(path), "exec"), scope)
    for name, default, description in scope["ARGUMENTS"]:
        yield name, default and default.replace(f"{ROOT}/", "SHARE/"), description


@contextmanager
def _context() -> Iterator[Context]:
    """rclpy in a domain where nobody else is heard, logging into a folder that goes away."""
    with tempfile.TemporaryDirectory() as logs:
        os.environ |= {"ROS_LOG_DIR": logs, "ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}
        context = Context()
        rclpy.init(context=context, args=["--ros-args", "--log-level", "warn"])
        try:
            yield context
        finally:
            rclpy.shutdown(context=context)


def _short(name: str) -> str:
    """As the node's author wrote it: relative, private (~), or of everybody."""
    if name.startswith(NODE):
        return f"~/{name.removeprefix(NODE)}"
    return name if name in (*OF_RCLPY, *OUTPUTS) else name.removeprefix("/")


def _type(message: type) -> str:
    return f"{message.__module__.partition('.')[0]}/{message.__name__}"


def _qos(profile: QoSProfile) -> str:
    reliability = "best effort" if profile.reliability == ReliabilityPolicy.BEST_EFFORT else "reliable"
    latched = ", transient local" if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL else ""
    return f"{reliability}, depth {profile.depth}{latched}"


def _topics(found: Sequence[Topic], told: dict[str, str]) -> str:
    # A topic with a second subscription, for a latched message, is listed with its first.
    by_name = {topic.name: topic for topic in sorted(found, key=lambda topic: topic.qos, reverse=True)}
    if by_name.keys() != told.keys():
        raise ValueError(f"topics {sorted(by_name)}, described here are {sorted(told)}")
    rows = ((f"`{n}`", by_name[n].type_name, by_name[n].qos, text) for n, text in told.items())
    return _table(("topic", "type", "quality of service", "content"), rows)


def _parameter_row(setting: Setting) -> tuple[str, ...]:
    default = setting.default
    if isinstance(default, (list, tuple)):
        shown = "[" + ", ".join(map(str, default)) + "]"
    else:
        shown = str(default).lower() if isinstance(default, bool) else str(default)
    live = "yes" if setting.live else ""
    name = f"`{setting.name}`"
    return name, setting.type_name, _code(shown), setting.unit, setting.range_text, live, setting.description


def _code(value: str | None) -> str:
    if value is None:
        return "required"
    return f"`{value}`" if value else "empty"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def versioned(path: Path, line: str) -> str:
    """The file with this line in place of the one that states the version."""
    start = re.match(r"\s*\W?version\W", line)
    assert start, line
    text, found = re.subn(rf"(?m)^{re.escape(start[0])}.*$", line, path.read_text(encoding="utf-8"))
    assert found == 1, f"{path.name} states the version {found} times"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    for path, made in (
        (COMMANDS_PAGE, commands_page()),
        (DIAGNOSTICS_PAGE, diagnostics_page()),
        (PAGE, page()),
        (README, readme()),
        *((path, versioned(path, line)) for path, line in VERSIONED.items()),
    ):
        if not options.check:
            path.write_text(made, encoding="utf-8")
            continue
        there = path.read_text(encoding="utf-8")
        if there != made:
            diff = difflib.unified_diff(
                there.splitlines(), made.splitlines(), "committed", "from the code", lineterm=""
            )
            sys.exit("\n".join([*diff, f"{path.name} differs from the code: run python docs/generate.py"]))


if __name__ == "__main__":
    main()
