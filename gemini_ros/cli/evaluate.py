"""``gemini-ros evaluate``: run a model over a bag offline and score it."""

from __future__ import annotations

import argparse
from pathlib import Path

from gemini_ros.cli.arguments import Subparsers, add_bag, add_model, add_slop, add_verb, mounting, names
from gemini_ros.cli.output import print_error, print_lines


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
    add_slop(parser)
    parser.add_argument(
        "--missing.policy",
        dest="policy",
        default="degrade",
        choices=("degrade", "hold", "stop"),
        help="as the node's parameter (default degrade)",
    )
    parser.add_argument(
        "--missing.timeout_s",
        dest="timeout",
        type=float,
        default=0.5,
        metavar="SECONDS",
        help="as the node's parameter (default 0.5)",
    )
    parser.add_argument(
        "--camera-in-base", type=mounting, metavar="X,Y,Z,R,P,Y", help="mounting of the camera (default: /tf_static)"
    )
    parser.add_argument("--thermal-scale", type=float, default=0.01, help="degrees Celsius per count (default 0.01)")
    parser.add_argument("--thermal-offset", type=float, default=-273.15, help="degrees Celsius at 0 (default -273.15)")


def run(args: argparse.Namespace) -> int:
    from gemini_ros.core.resources import find_model
    from gemini_ros.evaluation.pipeline import EvaluationSettings, evaluate_bag
    from gemini_ros.evaluation.replay import ReplaySettings

    replay = ReplaySettings(
        modalities=args.modalities,
        slop_s=args.slop,
        missing_policy=args.policy,
        missing_timeout_s=args.timeout,
        thermal_scale=args.thermal_scale,
        thermal_offset=args.thermal_offset,
    )
    settings = EvaluationSettings(replay=replay, camera_in_base=args.camera_in_base)
    summary = evaluate_bag(args.bag, find_model(args.model), args.out, settings)
    print_lines(summary.lines())
    print(f"wrote    {args.out / 'summary.json'}" + (", contact_sheet.png" if summary.inferences else ""))
    for sentence in (broken := summary.check()):
        print_error(f"broken identity: {sentence}")
    return 1 if broken else 0
