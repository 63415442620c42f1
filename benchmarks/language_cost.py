"""What phrases in force cost: a model with a language branch beside the plain one, frame by frame in turn.

    python -m benchmarks.language_cost MODEL [--plain warehouse_rgbdt_nano] [--size 640x480] [--json FILE]

Milliseconds are medians of the second of two frames in a row, on ONNX Runtime: from images to labels, confidence and
what is said of the phrases, and these brought to the frame's size as the node does it. Frames and phrases are those of
MODEL's golden file. Peak memory is of a process that does nothing else; without the text encoder's wheel its line is
absent. Timings need a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame
from gemini_ros.core.phrase_maps import MOST_PHRASES, PhraseInputs
from gemini_ros.core.resources import find_model
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.cpu import cpu_name
from gemini_ros.inference.gate import golden_path, read_golden, read_golden_phrases, scaled
from gemini_ros.inference.model_file import read_model_info
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.language.encoder import TextEncoder

PLAIN = "the plain model"
PHRASE = "the nearest person"
_WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="file or name of a model that takes phrases")
    parser.add_argument("--plain", default="warehouse_rgbdt_nano", help="file or name of the one without")
    parser.add_argument("--size", default="640x480", metavar="WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=25, metavar="N", help="timed frames of each (default 25)")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    cv2.setNumThreads(args.threads)
    model, plain = find_model(args.model), find_model(args.plain)
    info = read_model_info(model)
    if info.language is None:
        parser.error(f"{args.model} takes no phrases")
    width, _, height = args.size.partition("x")
    size = (int(width), int(height))
    ms = {name: statistics.median(took) for name, took in timed(model, plain, size, args.frames, args.threads).items()}
    result: dict[str, Any] = {"cpu": cpu_name(), "threads": args.threads, "size": args.size, "milliseconds": ms}
    result["times_plain"] = {name: value / ms[PLAIN] for name, value in ms.items()}
    result["bytes"] = {name: path.stat().st_size for name, path in (("model", model), (PLAIN, plain))}
    result["peak_mb"] = {name: peak_mb(path, size) for name, path in (("model", model), (PLAIN, plain))}
    result["encoder_ms"] = encoder_ms()
    print("\n".join(lines(result)))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def timed(model: Path, plain: Path, size: tuple[int, int], count: int, threads: int) -> dict[str, list[float]]:
    """Milliseconds of ``count`` frames of each way to run, in turn."""
    info = read_model_info(model)
    frames = [scaled(frame, size) for frame in read_golden(golden_path(model), info)[0]]
    asked = read_golden_phrases(golden_path(model), info)[0]
    with ExitStack() as stack:
        load = partial(load_segmenter, backend="onnxruntime", threads=threads)
        of_model, of_plain = (stack.enter_context(closing(load(path))) for path in (model, plain))
        runs: dict[str, Callable[[Frame], None]] = {
            PLAIN: partial(run, of_plain, None),
            "no phrase": partial(run, of_model, None),
            **{f"phrases: {n}": partial(run, of_model, first(asked, n)) for n in (1, MOST_PHRASES)},
        }
        took: dict[str, list[float]] = {name: [] for name in runs}
        for index in range(count + _WARM_UP):
            frame = frames[index % len(frames)]
            for name, one in runs.items():
                one(frame)
                start = time.perf_counter()
                one(frame)
                if index >= _WARM_UP:
                    took[name].append((time.perf_counter() - start) * 1e3)
    return took


def run(segmenter: Segmenter, asked: PhraseInputs | None, frame: Frame) -> None:
    """One frame, to the end of what the node needs of it."""
    said = segmenter.segment(frame, asked).phrases
    for row in range(len(said.texts)) if said else ():
        said.mask(row, frame.size)


def first(asked: PhraseInputs, count: int) -> PhraseInputs:
    """The first ``count`` of some phrases."""
    return replace(asked, texts=asked.texts[:count], phrases=asked.phrases[:count], mask=asked.mask[:count])


def peak_mb(path: Path, size: tuple[int, int]) -> float:
    """Peak memory of a process of its own that runs the model on three frames, with phrases where it takes some."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_mb, (path, size))


def _peak_mb(path: Path, size: tuple[int, int]) -> float:
    info = read_model_info(path)
    asked = read_golden_phrases(golden_path(path), info)
    frame = scaled(read_golden(golden_path(path), info)[0][0], size)
    with closing(load_segmenter(path, backend="onnxruntime", threads=1)) as segmenter:
        for _ in range(3):
            run(segmenter, asked[0] if asked else None, frame)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def encoder_ms() -> float | None:
    """Median milliseconds of a phrase; ``None`` where the text encoder is not installed."""
    try:
        encoder = TextEncoder()
    except ValueError:
        return None
    took = []
    for number in range(_WARM_UP + 9):
        start = time.perf_counter()
        encoder.features(PHRASE)
        if number >= _WARM_UP:
            took.append((time.perf_counter() - start) * 1e3)
    return statistics.median(took)


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """What was measured, for people."""
    yield f"{result['cpu']}, {result['threads']} thread(s), {result['size']}"
    for name, value in result["milliseconds"].items():
        yield f"{name:18s} {value:7.1f} ms   {result['times_plain'][name]:.2f} x"
    for name, value in result["bytes"].items():
        yield f"{name:18s} {value / 1e6:7.1f} MB, peak memory {result['peak_mb'][name]:.0f} MB"
    if result["encoder_ms"] is not None:
        yield f"text encoder       {result['encoder_ms']:7.1f} ms for a phrase, when it changes"


if __name__ == "__main__":
    main()
