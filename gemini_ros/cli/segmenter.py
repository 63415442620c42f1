"""The executable ``segmenter``: the node, or one sentence where ROS is not installed."""

from __future__ import annotations

import sys

from gemini_ros.cli.output import missing_package, print_error


def main(args: list[str] | None = None) -> None:
    """Run the node until it ends; exit status 2 where its packages are missing."""
    try:
        from gemini_ros.nodes.segmenter import main as run
    except ModuleNotFoundError as error:
        if (sentence := missing_package(error)) is None:
            raise
        print_error(sentence, program="segmenter")
        sys.exit(2)
    run(args)
