"""``gemini-ros demo``: play a bag through the live node and show the results."""

from __future__ import annotations

import argparse
from pathlib import Path

from gemini_ros.cli.arguments import Subparsers, add_camera, add_model, add_rate, add_verb, choice_of


def add(nouns: Subparsers) -> None:
    text = "play a bag through the live node, record its outputs and check that every message is accounted for"
    parser = add_verb(nouns, "demo", run, text)
    parser.add_argument("--bag", type=Path, help="bag to play (default: the bundled drive through a warehouse)")
    add_model(parser, "--model", note="default: the shipped one for the modality", required=False)
    parser.add_argument(
        "--modality",
        choices=("depth", "thermal", "none"),
        help="modality to fuse with RGB (default: the one in the bag)",
    )
    parser.add_argument("--faults", action="store_true", help="leave a stream out for a while, and play the bag twice")
    parser.add_argument(
        "--phrases",
        default="",
        metavar="TEXT",
        help="what matters, in words: phrases with semicolons between them, or the JSON that ~/set_phrases takes",
    )
    add_camera(parser)
    add_rate(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("demo_output"), help="folder for the results (default demo_output)"
    )
    parser.add_argument("--no-video", action="store_true", help="do not render demo.mp4")


def run(args: argparse.Namespace) -> int:
    from gemini_ros.core.resources import find_model
    from gemini_ros.demo.plan import DemoOptions
    from gemini_ros.demo.run import run_demo

    model = None if args.model is None else find_model(args.model)
    video, choice = not args.no_video, choice_of(args)
    options = DemoOptions(
        args.bag, model, args.modality, args.faults, args.out, args.rate, video, choice, args.phrases.strip()
    )
    return run_demo(options)
