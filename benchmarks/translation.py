"""Completed depth and the night view against cheap rivals.

    python -m benchmarks.translation depth --frames FOLDER [--model FILE] [--masks FOLDER] [--json FILE]
    python -m benchmarks.translation night --day FOLDER --dark FOLDER [--model FILE] [--json FILE]

``depth``: frames of the simulator's layout whose depth has no holes; ``--masks`` holds 16-bit depth images of a real
camera, whose zeros are the holes, else holes are those of ``core.depth_holes``. Errors are of holes alone. ``night``:
the same frames rendered by day and in the dark.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from gemini_ros.core import infilling
from gemini_ros.core.corruptions import with_holes
from gemini_ros.core.depth_holes import cut, holes_like_a_sensors
from gemini_ros.core.frames import Frame
from gemini_ros.core.image_scores import PictureScores
from gemini_ros.datasets.examples import Source, read_examples
from gemini_ros.inference.translator import Translator

Way = Callable[[Frame], tuple[np.ndarray, np.ndarray | None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("depth", "night"))
    for option in ("--frames", "--day", "--dark", "--masks", "--model", "--json"):
        parser.add_argument(option, type=Path)
    parser.add_argument("--count", type=int, default=40, help="frames, evenly spread (default: 40)")
    args = parser.parse_args()
    needed = ("frames",) if args.what == "depth" else ("day", "dark")
    if missing := [name for name in needed if getattr(args, name) is None]:
        parser.error(f"{args.what} needs --{missing[0]}")
    found = depth(args) if args.what == "depth" else night(args)
    print(json.dumps(found, indent=1))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def depth(args: argparse.Namespace) -> dict[str, dict]:
    """Scores by way to fill holes."""
    ways: dict[str, Way] = {
        **{name: lambda f, fill=fill: (fill(f.depth), None) for name, fill in infilling.FILLS.items()},
        "joint bilateral": lambda f: (infilling.joint_bilateral(f.depth, f.rgb), None),
    }
    masks = (
        [cv2.imread(str(p), cv2.IMREAD_UNCHANGED) == 0 for p in sorted(args.masks.glob("*.png"))] if args.masks else []
    )
    pairs = []
    for i, example in enumerate(read_examples(Source(args.frames, args.count), ("rgb", "depth"))):
        true, rng = example.frame.depth, np.random.default_rng(i)
        seen = (
            with_holes(true, masks[i % len(masks)])
            if masks
            else cut(true, holes_like_a_sensors(true, example.frame.rgb, rng))
        )
        pairs.append((Frame(i, "camera", example.frame.rgb, seen), true))
    return _scored(ways, pairs, "depth", args.model)


def night(args: argparse.Namespace) -> dict[str, dict]:
    """Scores by way to see in the dark."""
    ways: dict[str, Way] = {
        "as it is": lambda f: (f.rgb, None),
        **{name: lambda f, make=make: (make(f.rgb), None) for name, make in infilling.BRIGHTER.items()},
    }
    names = Translator(args.model, "rgb").info.modality_names if args.model else ("rgb",)
    wanted = tuple(dict.fromkeys((*names, "rgb")))
    dark = read_examples(Source(args.dark, args.count), wanted)
    day = read_examples(Source(args.day, args.count), ("rgb",))
    return _scored(ways, [(d.frame, b.frame.rgb) for d, b in zip(dark, day, strict=True)], "rgb", args.model)


def _scored(
    ways: dict[str, Way], pairs: list[tuple[Frame, np.ndarray]], target: str, model: Path | None
) -> dict[str, dict]:
    if model is not None:
        translator = Translator(model, target, threads=1)

        def network(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
            made = translator.translate(frame)
            return made.image, made.confidence / 255

        ways = ways | {"network": network}
    found = {}
    for name, way in ways.items():
        scores, took_s = PictureScores(target), 0.0
        for frame, true in pairs:
            start_s = time.perf_counter()
            made, sure = way(frame)
            took_s += time.perf_counter() - start_s
            sure = np.ones(true.shape[:2]) if sure is None else sure
            scores.add(made, sure, true, frame.depth if target == "depth" else None)
        found[name] = scores.to_dict() | {"ms": round(1e3 * took_s / max(len(pairs), 1), 2)}
    return found


if __name__ == "__main__":
    main()
