"""``gemini-ros <noun> <verb>``: one grammar for every tool. Exit status 0, 1 a check failed, 2 bad input.

Rooms are imported inside the command that needs them, so that a robot without torch and a training server without ROS
both have the command; a missing one is answered with the extra to install.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gemini_ros import __version__

# Top-level module -> extra of setup.py that brings it.
EXTRAS = {
    "cv2": "runtime",
    "onnxruntime": "runtime",
    "rosbags": "bags",
    "rclpy": "ros",
    "mujoco": "sim",
    "torch": "train",
    "lightning": "train",
    "onnx": "train",
    "matplotlib": "report",
    "rich": "report",
    "imageio_ffmpeg": "report",
}


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as (width, height)."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match or "0" in match.groups():
        raise argparse.ArgumentTypeError(f"{text!r}, expected WIDTHxHEIGHT such as 640x480")
    return int(match[1]), int(match[2])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        return args.run(args) or 0
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        print(
            f"gemini-ros: this command needs {package}: pip install 'gemini_ros[{EXTRAS[package]}]'", file=sys.stderr
        )
        return 2
    except (ValueError, OSError) as error:
        print(f"gemini-ros: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gemini-ros", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--version", action="version", version=__version__)
    nouns = parser.add_subparsers(metavar="NOUN", required=True)

    model = _noun(nouns, "model", "model files: parity with the official network, export, description")
    add_model_parity(_verb(model, "parity", run_model_parity, "compare the network with a recorded reference"))
    add_model_export(_verb(model, "export", run_model_export, "turn a checkpoint into a model file"))
    add_model_info(_verb(model, "info", run_model_info, "print what a model file says of itself"))
    return parser


def _noun(nouns: argparse._SubParsersAction, name: str, text: str) -> argparse._SubParsersAction:
    return nouns.add_parser(name, help=text, description=text).add_subparsers(metavar="VERB", required=True)


def _verb(
    verbs: argparse._SubParsersAction, name: str, run: Callable[[argparse.Namespace], int | None], text: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def add_model_parity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", type=Path, help="npz with weights/, input/ and output/ of the official network")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest allowed difference (default 1e-4)")


def run_model_parity(args: argparse.Namespace) -> int:
    from gemini_ros.network.parity import check_parity

    differences = check_parity(args.reference)
    for name, difference in differences.items():
        print(f"{name:20s} {difference:.2e}")
    worst = max(differences.values())
    passed = worst <= args.tolerance
    print(f"{'passed' if passed else 'FAILED'}: worst {worst:.2e}, tolerance {args.tolerance:.0e}")
    return 0 if passed else 1


def add_model_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="Lightning checkpoint of `gemini-ros train fit`")
    parser.add_argument("--size", type=size, help="network size, WIDTHxHEIGHT (default: the one trained at)")
    parser.add_argument("--out", type=Path, required=True, help="ONNX file to write; X.golden.npz goes beside it")


def run_model_export(args: argparse.Namespace) -> None:
    from gemini_ros.training.export import export_checkpoint

    export_checkpoint(args.checkpoint, args.out, size=args.size)


def add_model_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path)


def run_model_info(args: argparse.Namespace) -> None:
    from gemini_ros.inference import read_model_info

    print(read_model_info(args.model).to_json(indent=2))


if __name__ == "__main__":
    sys.exit(main())
