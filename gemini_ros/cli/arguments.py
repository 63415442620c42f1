"""Argument types of the command line, and the nouns, verbs and arguments that several commands declare alike."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from gemini_ros.pipeline.settings import Settings
    from gemini_ros.pipeline.streams import StreamChoice

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run: TypeAlias = Callable[[argparse.Namespace], "int | None"]


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as (width, height)."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or "0" in match.groups():
        raise argparse.ArgumentTypeError(f"{text!r}, expected WIDTHxHEIGHT such as 640x480")
    return int(match[1]), int(match[2])


def text_given(text: str) -> str:
    """A text that is not empty, as what ``"$UNSET"`` of a shell leaves is."""
    if not text:
        raise argparse.ArgumentTypeError("'', expected one that is not empty: is a variable of the shell not set?")
    return text


def path(text: str) -> Path:
    """A path; an empty one, which Python takes for the current folder, is refused."""
    return Path(text_given(text))


class Parser(argparse.ArgumentParser):
    """Reads arguments of the type ``Path`` with ``path``. The parsers of its nouns and verbs are of this class too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register("type", Path, path)


def names(text: str) -> tuple[str, ...]:
    """Comma-separated words."""
    return tuple(word.strip() for word in text.split(","))


def drop_window(text: str) -> tuple[str, float, float]:
    """NAME:START-END, the seconds of a bag in which a stream or topic is left out."""
    match = re.fullmatch(r"(.+):(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}, expected STREAM:START-END in seconds, such as depth:3-5")
    return match[1], float(match[2]), float(match[3])


def intrinsics(text: str) -> tuple[float, float, float, float]:
    """fx,fy,cx,cy in pixels."""
    values = _numbers(text)
    if len(values) != 4:
        raise argparse.ArgumentTypeError(f"{text!r}, expected fx,fy,cx,cy such as 525,525,319.5,239.5")
    fx, fy, cx, cy = values
    return fx, fy, cx, cy


def mounting(text: str) -> tuple[float, ...]:
    """x,y,z,roll,pitch,yaw as six numbers."""
    values = _numbers(text)
    if len(values) != 6:
        raise argparse.ArgumentTypeError(f"{text!r}, expected x,y,z,roll,pitch,yaw in metres and radians")
    return values


def mounting_error(text: str) -> tuple[float, ...]:
    """height,pitch,roll as three numbers."""
    values = _numbers(text)
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"{text!r}, expected height,pitch,roll in metres and degrees such as 0,2,0")
    return values


def seconds(text: str) -> float:
    """1 to 3600 seconds: long enough to measure the rate of a stream."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.0 <= value <= 3600.0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected 1 to 3600")
    return value


def _numbers(text: str) -> tuple[float, ...]:
    """Comma-separated numbers; empty where one of the words is not a number."""
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        return ()


def add_noun(nouns: Subparsers, name: str, text: str) -> Subparsers:
    """Declare a noun that has verbs; returns what its verbs are added to."""
    return nouns.add_parser(name, help=text, description=text).add_subparsers(metavar="VERB", required=True)


def add_verb(verbs: Subparsers, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    """Declare a verb, or a noun without verbs, that calls ``run``."""
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def add_bag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="MCAP file, or directory of a ROS 2 bag")


def add_model(parser: argparse.ArgumentParser, name: str = "model", *, note: str = "", required: bool = True) -> None:
    """``model`` or ``--model``: a text that ``core.resources.find_model`` turns into a path."""
    text = "ONNX file, or name of a shipped model" + (f"; {note}" if note else "")
    if name.startswith("--"):
        parser.add_argument(name, type=text_given, required=required, help=text)
    else:
        parser.add_argument(name, type=text_given, help=text)


def add_model_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, required=True, metavar="X.onnx", help="ONNX file to write, with X.golden.npz beside it"
    )


def add_size(
    parser: argparse.ArgumentParser, text: str, *, default: tuple[int, int] | None = None, required: bool = False
) -> None:
    parser.add_argument("--size", type=size, default=default, required=required, metavar="WIDTHxHEIGHT", help=text)


def add_slop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--slop", type=float, metavar="SECONDS", help="largest stamp difference within a pair (default: the node's)"
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The options of every command that runs the pipeline; ``settings_of`` reads them."""
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node, as for ros2 launch")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="assignments",
        metavar="NAME=VALUE",
        help="one parameter of the node, such as sync.offset_s.depth=0.01; wins over --params; repeatable",
    )


def settings_of(args: argparse.Namespace, more: Mapping[str, Any]) -> Settings:
    """The settings of a camera's file, of ``--params``, of the command's own options (``more``) and of ``--set``; the
    later one wins.
    """
    from gemini_ros.pipeline import settings

    values = settings.values_of_camera(choice_of(args).file) if "camera" in args else {}
    values |= settings.read_parameter_file(args.params) if args.params else {}
    for sentence in settings.foreign_names(settings.names_for_every_node(args.params)) if args.params else ():
        print(f"gemini-ros: {args.params}: {sentence}", file=sys.stderr)
    values = values | dict(more) | dict(map(settings.parse_assignment, args.assignments))
    for sentence in settings.renamed(values):
        print(f"gemini-ros: {sentence}", file=sys.stderr)
    return settings.make_settings(values)


def add_camera(parser: argparse.ArgumentParser) -> None:
    """Which topics of a bag are the camera; ``choice_of`` reads them."""
    parser.add_argument(
        "--camera",
        type=text_given,
        metavar="NAME|FILE|PREFIX",
        help="camera file (config/cameras/NAME.yaml, or a path), or namespace of one of several cameras, such as "
        "/front (default: found by the contents and names of the topics)",
    )
    parser.add_argument(
        "--topic",
        type=stream_topic,
        action="append",
        default=[],
        dest="stream_topics",
        metavar="STREAM=TOPIC",
        help="topic of a stream: rgb, depth, thermal, labels, odom, rgb_info, depth_info or thermal_info; an "
        "empty TOPIC leaves the stream out; wins over --camera; repeatable",
    )


def stream_topic(text: str) -> tuple[str, str]:
    """STREAM=TOPIC."""
    stream, equals, topic = text.partition("=")
    if not equals or not stream:
        raise argparse.ArgumentTypeError(f"{text!r}, expected STREAM=TOPIC such as depth=/camera/depth/image_raw")
    return stream, topic


def choice_of(args: argparse.Namespace) -> StreamChoice:
    """What ``--camera`` and ``--topic`` say."""
    from gemini_ros.pipeline.streams import StreamChoice

    return StreamChoice(args.camera, dict(args.stream_topics))


def add_criteria(parser: argparse.ArgumentParser) -> None:
    """What results have to reach, and where the verdicts go."""
    parser.add_argument(
        "--criteria",
        type=Path,
        metavar="FILE",
        help="YAML list of limits for the scores; exit status 1 if one is missed",
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="JUnit file with a test for each bag and criterion")


def shard(text: str) -> tuple[int, int]:
    """I/N: part I of N, from 1."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}, expected I/N such as 1/4, the first of four parts")
    return int(match[1]), int(match[2])


def workers(text: str) -> int:
    """1 to 1024 processes."""
    if not re.fullmatch(r"\d{1,4}", text) or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r}, expected 1 to 1024")
    return int(text)


def add_workers(parser: argparse.ArgumentParser | argparse._ArgumentGroup, *more: str) -> None:
    """``--workers``, also by the names ``more``."""
    text = "processes, a thread each (default 1)"
    parser.add_argument("--workers", *more, type=workers, default=1, metavar="N", help=text)


def add_ray(parser: argparse.ArgumentParser | argparse._ArgumentGroup, what: str) -> None:
    """``--ray``; ``require_one_pool`` refuses both at once."""
    text = f"give {what} to a Ray cluster: HOST:PORT, or auto for the one that runs here"
    parser.add_argument("--ray", metavar="ADDRESS", help=text)


def add_shard(parser: argparse.ArgumentParser | argparse._ArgumentGroup, verb: str) -> None:
    """``--shard``."""
    parser.add_argument("--shard", type=shard, metavar="I/N", help=f"{verb} part I of N, for job arrays")


def require_one_pool(args: argparse.Namespace) -> None:
    """Raise ``ValueError`` where both processes and a cluster are to do the work."""
    if args.ray and args.workers > 1:
        raise ValueError("--workers and --ray: expected one of them, as the cluster knows its CPUs")


def add_rate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=float, default=1.0, help="playback speed, 1 = as recorded (default 1)")


def add_layout(parser: argparse.ArgumentParser, text: str = "layout of the data set") -> None:
    parser.add_argument("--layout", default="simulated", metavar="NAME|YAML", help=f"{text} (default simulated)")


def add_cache_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache-dir", type=Path, metavar="DIR", help="directory of the engines (default: the user's cache directory)"
    )
