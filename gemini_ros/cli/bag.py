"""``gemini-ros bag``: play, record, make and check bags."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gemini_ros.cli.arguments import (
    Subparsers,
    add_bag,
    add_camera,
    add_noun,
    add_rate,
    add_verb,
    choice_of,
    drop_window,
    intrinsics,
)
from gemini_ros.cli.output import print_lines


def add(nouns: Subparsers) -> None:
    verbs = add_noun(nouns, "bag", "play, record, make and check bags")
    _add_play(verbs)
    _add_record(verbs)
    _add_from_images(verbs)
    check = add_verb(verbs, "check", run_check, "list the topics of a bag and check every message of its streams")
    add_bag(check)
    add_camera(check)


def _add_play(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "play", run_play, "play a bag into ROS at its recorded pace")
    add_bag(parser)
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="play only these topics")
    add_rate(parser)
    parser.add_argument("--loop", type=int, default=1, metavar="N", help="play N times; time jumps back (default 1)")
    parser.add_argument(
        "--drop",
        type=drop_window,
        action="append",
        default=[],
        metavar="STREAM:A-B",
        help="leave out a stream (rgb, depth, thermal, labels) or topic from second A to B of the bag; repeatable",
    )
    parser.add_argument(
        "--clock",
        type=float,
        nargs="?",
        const=50.0,
        metavar="HZ",
        help="publish /clock before each message, and at this rate in between (default 50)",
    )
    parser.add_argument(
        "--wait-for", nargs="+", default=[], metavar="TOPIC", help="do not start before these topics have a subscriber"
    )
    parser.add_argument(
        "--wait", type=float, default=10.0, metavar="SECONDS", help="longest wait for subscribers (default 10)"
    )


def run_play(args: argparse.Namespace) -> int:
    from gemini_ros.nodes.bag.player import Drop, PlayOptions, play_bag

    options = PlayOptions(
        rate=args.rate,
        loops=args.loop,
        drops=tuple(Drop(*window) for window in args.drop),
        clock_hz=args.clock,
        topics=tuple(args.topics),
        wait_for=tuple(args.wait_for),
        wait_s=args.wait,
    )
    report = play_bag(args.bag, options)
    print_lines(report.lines())
    for topic in report.unacknowledged:
        print(f"not everything on {topic} was acknowledged", file=sys.stderr)
    if report.empty:
        print(
            f"{args.bag}: nothing was played, expected messages of types that are installed and that --drop leaves in",
            file=sys.stderr,
        )
    return 1 if report.unacknowledged or report.empty else 0


def _add_record(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "record", run_record, "record topics into an MCAP bag until interrupted")
    parser.add_argument("--topics", nargs="+", required=True, metavar="TOPIC", help="topics to record")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="X.mcap", help="new bag to write; it appears when the command ends"
    )


def run_record(args: argparse.Namespace) -> int:
    from gemini_ros.nodes.bag.recorder import record_bag

    report = record_bag(args.out, args.topics)
    for topic in report.unseen:
        print(f"{topic}: no publisher of a known type appeared", file=sys.stderr)
    print_lines(report.lines())
    return 1 if report.empty else 0


def _add_from_images(verbs: Subparsers) -> None:
    parser = add_verb(verbs, "from-images", run_from_images, "make a bag from folders of images")
    parser.add_argument(
        "--rgb", type=Path, required=True, metavar="DIR", help="colour images; equal file stems belong together"
    )
    parser.add_argument("--depth", type=Path, metavar="DIR", help="16-bit depth images")
    parser.add_argument(
        "--depth-units-per-metre", type=float, default=1000.0, metavar="N", help="depth value of a metre (default 1000)"
    )
    parser.add_argument("--thermal", type=Path, metavar="DIR", help="thermal images")
    parser.add_argument("--thermal-scale", type=float, metavar="A", help="degrees Celsius = A x value + B")
    parser.add_argument(
        "--thermal-offset", type=float, metavar="B", help="give both A and B, or neither for centi-Kelvin in 16 bits"
    )
    parser.add_argument("--labels", type=Path, metavar="DIR", help="class ids as 8-bit images")
    parser.add_argument("--fps", type=float, required=True, metavar="N", help="frames per second")
    parser.add_argument(
        "--intrinsics", type=intrinsics, required=True, metavar="FX,FY,CX,CY", help="of the camera, in pixels"
    )
    parser.add_argument("--allow-unpaired", action="store_true", help="accept stems that a folder lacks")
    parser.add_argument("--out", type=Path, required=True, metavar="X.mcap", help="bag to write")


def run_from_images(args: argparse.Namespace) -> None:
    from gemini_ros.bags.from_images import Units, bag_from_images

    folders = {stream: getattr(args, stream) for stream in ("rgb", "depth", "thermal", "labels")}
    made = bag_from_images(
        args.out,
        {stream: folder for stream, folder in folders.items() if folder is not None},
        fps=args.fps,
        intrinsics=args.intrinsics,
        units=Units(args.depth_units_per_metre, args.thermal_scale, args.thermal_offset),
        allow_unpaired=args.allow_unpaired,
    )
    print_lines(made.lines())


def run_check(args: argparse.Namespace) -> int:
    from gemini_ros.doctor.bag import check_bag

    check = check_bag(args.bag, choice_of(args))
    print_lines(check.lines())
    return 0 if check.passed else 1
