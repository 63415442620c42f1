"""``gemini-ros calibrate``: clock offsets and pixel shifts of a camera's streams, from a bag with motion."""

from __future__ import annotations

import argparse
from pathlib import Path

from gemini_ros.cli.arguments import (
    Subparsers,
    add_bag,
    add_camera,
    add_settings,
    add_verb,
    choice_of,
    names,
    settings_of,
)
from gemini_ros.cli.output import print_error, print_lines


def add(nouns: Subparsers) -> None:
    text = "find clock offsets and pixel shifts between the streams of a moving camera, without a target"
    parser = add_verb(nouns, "calibrate", run, text)
    add_bag(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="X.yaml",
        help="parameter file to write, with the offsets that were found",
    )
    parser.add_argument(
        "--modalities", type=names, metavar="A,B", help="streams to compare with RGB (default: all that the bag has)"
    )
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="SECONDS", help="skip this much of the start of the bag (default 0)"
    )
    add_camera(parser)
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    from gemini_ros.doctor.calibration import calibrate_bag

    settings = settings_of(args, {})
    found = calibrate_bag(args.bag, settings, choice_of(args), args.modalities, args.start)
    print_lines(found.lines())
    if found.parameters():
        found.write(args.out)
        print(f"wrote    {args.out}")
    failures = found.failures()
    for sentence in failures:
        print_error(sentence)
    return 1 if failures else 0
