"""``gemini-ros <noun> <verb>``: one grammar for every tool, one module for each noun.

A noun's module registers its verbs (``add``) and runs them. It imports other rooms inside the functions that run, so
that a robot without torch and a training server without ROS both have the command; where a room lacks a package, the
error names the extra to install. Exit status 0 means good, 1 a check that failed, 2 bad input.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from gemini_ros import __version__
from gemini_ros.cli import (
    adapt,
    bag,
    calibrate,
    compare,
    dataset,
    demo,
    doctor,
    engine,
    evaluate,
    model,
    phrases,
    results,
    train,
)
from gemini_ros.cli.arguments import Parser
from gemini_ros.cli.output import EXTRAS, missing_package, print_error

__all__ = ["EXTRAS", "NOUNS", "START", "build_parser", "main"]

START = {
    "demo": "play a bundled drive through the live node, and show what comes out",
    "doctor": "find out what this machine, its cameras and the ROS graph lack",
    "bag check drive.mcap": "see whether a recording of yours can be used",
    "evaluate drive.mcap --model warehouse_rgbd_nano --out result": "run a model over it, with a report",
    "train fit --config config/training/warehouse_rgbd_nano.yaml": "train a network on simulated images, or yours",
}
"""What people start with, and what for."""

NOUNS = (bag, dataset, model, engine, evaluate, compare, results, calibrate, adapt, phrases, train, doctor, demo)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; without one, show what people start with."""
    words = sys.argv[1:] if argv is None else list(argv)
    if not words:
        print("\n".join(start_lines()), file=sys.stderr)
        return 2
    parser = build_parser()
    args, rest = parser.parse_known_args(words)
    if rest and not getattr(args, "passes_on", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    for exporter in ("onnxscript", "onnx_ir"):  # they log every node that they fold, thousands of lines
        logging.getLogger(exporter).setLevel(logging.WARNING)
    try:
        return args.run(args) or 0
    except ModuleNotFoundError as error:
        if (sentence := missing_package(error)) is None:
            raise
        print_error(sentence)
        return 2
    except (ValueError, OSError) as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        return 130


def start_lines() -> list[str]:
    """What a user sees who gives no command."""
    lines = ["Start with one of these:", ""]
    for command, purpose in START.items():
        lines += [f"  gemini-ros {command}", f"      {purpose}"]
    return [
        *lines,
        "",
        "gemini-ros --help lists all commands, and gemini-ros NOUN --help explains one. The node itself is started by",
        "ros2 launch gemini_ros segmenter.launch.py, or by the executable segmenter.",
    ]


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; what it parses holds the function to call as ``run``."""
    parser = Parser(
        prog="gemini-ros",
        description="Bags, data sets, models, engines, training and checks of gemini_ros.",
        epilog="Exit status: 0 good, 1 a check failed, 2 bad input.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    nouns = parser.add_subparsers(metavar="NOUN", required=True)
    for noun in NOUNS:
        noun.add(nouns)
    return parser
