"""``gemini-ros evaluate``: run a model over a bag offline and score it."""

from __future__ import annotations

import argparse
from pathlib import Path

from gemini_ros.cli.arguments import (
    Subparsers,
    add_bag,
    add_camera,
    add_model,
    add_settings,
    add_verb,
    choice_of,
    mounting,
    names,
    settings_of,
)
from gemini_ros.cli.output import print_error, print_lines

# Options that were there before --set.
SHORTHANDS = {
    "--slop": "sync.slop_s",
    "--missing.policy": "missing.policy",
    "--missing.timeout_s": "missing.timeout_s",
    "--thermal-scale": "thermal.scale",
    "--thermal-offset": "thermal.offset",
}


def add(nouns: Subparsers) -> None:
    text = "run a model over a bag offline: scores, latencies and counts of every message"
    parser = add_verb(nouns, "evaluate", run, text)
    add_bag(parser)
    add_model(parser, "--model")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for summary.json and contact_sheet.png"
    )
    parser.add_argument(
        "--modalities", type=names, metavar="A,B", help="streams to read (default: the model's, and depth)"
    )
    parser.add_argument(
        "--camera-in-base", type=mounting, metavar="X,Y,Z,R,P,Y", help="mounting of the camera (default: /tf_static)"
    )
    parser.add_argument(
        "--write",
        type=names,
        default=(),
        metavar="A,B",
        help="also write these outputs of the node to OUT/BAG.outputs.mcap: labels, confidence, color, costmap",
    )
    add_camera(parser)
    add_settings(parser)
    for option, name in SHORTHANDS.items():
        parser.add_argument(option, metavar="VALUE", help=f"short for --set {name}=VALUE")


def run(args: argparse.Namespace) -> int:
    from gemini_ros.core.resources import find_model
    from gemini_ros.evaluation.pipeline import evaluate_bag
    from gemini_ros.pipeline.settings import parse_assignment

    shorthands = ((name, getattr(args, option[2:].replace("-", "_"))) for option, name in SHORTHANDS.items())
    more = dict(parse_assignment(f"{name}={value}") for name, value in shorthands if value is not None)
    if args.modalities:
        more["modalities"] = list(args.modalities)
    if args.camera_in_base:
        more["camera.in_base"] = list(args.camera_in_base)
    settings = settings_of(args, more)
    summary = evaluate_bag(
        args.bag,
        find_model(args.model),
        args.out,
        settings,
        write=args.write,
        choice=choice_of(args),
        say=print_lines,
    )
    print_lines(summary.lines())
    print(f"wrote    {args.out / 'summary.json'}" + (", contact_sheet.png" if summary.inferences else ""))
    failed = [f"broken identity: {sentence}" for sentence in summary.check()] + summary.failures()
    for sentence in failed:
        print_error(sentence)
    return 1 if failed else 0
