"""CPU backends beside each other: latency in a row and at a camera's rate, and the CPU that a frame takes.

    python -m benchmarks.cpu_backends --json cpu_backends.json
    python -m benchmarks.cpu_backends --busy --threads 1 2 4 --json cpu_backends_busy.json
    python -m benchmarks.cpu_backends warehouse_rgb_nano nav5_rgbd_nano --models --threads 1 --json models.json

The models are ``warehouse_rgbd_nano`` and an encoder of size B0 with random weights (``gemini_ros[train]``), unless
others are named. Backends take turns frame by frame in one process; figures are medians, `times` is the latency as a
multiple of ONNX Runtime's as the node runs it. `idle` is the CPU time of a second after a frame in which nothing is
asked for, as a share of one core. ``--busy`` times them beside a process that computes on one core. ``--models`` takes
the models in turn instead, each on ONNX Runtime alone. Timings need a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.resources import find_model
from gemini_ros.inference.benchmark import aligned
from gemini_ros.inference.cache import EngineCache
from gemini_ros.inference.cpu import cpu_name, usable_cores
from gemini_ros.inference.engines import Job, obtain
from gemini_ros.inference.gate import golden_path, read_golden, scaled
from gemini_ros.inference.model_file import read_model_info
from gemini_ros.inference.onnx import OnnxSegmenter
from gemini_ros.inference.openvino import F32, OpenVinoJob, precisions
from gemini_ros.inference.segmenter import Segmenter

Load = Callable[[Path, ModelInfo, tuple[int, int], int], Segmenter]
B0 = "B0"
OURS = "onnxruntime"
RATE_HZ = 10.0


class Asleep(OnnxSegmenter):
    """Threads that sleep between two operators."""

    session_entries: Mapping[str, str] = {"session.intra_op.allow_spinning": "0"}


class NeverStopped(OnnxSegmenter):
    """Threads that go on spinning after a frame."""

    session_entries: Mapping[str, str] = {"session.intra_op.allow_spinning": "1"}


@dataclass(frozen=True)
class Row:
    """``paced`` figures are those of a camera of ``RATE_HZ``; CPU times are of the whole process."""

    model: str
    backend: str
    threads: int
    p50_ms: float
    p99_ms: float
    times: float
    paced_p50_ms: float
    paced_cpu_ms: float
    idle_share: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "models", nargs="*", default=["warehouse_rgbd_nano", B0], metavar="MODEL", help="file, name or B0"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--frames", type=int, default=25, metavar="N", help="timed frames of each (default 25)")
    parser.add_argument("--size", default="640x480", metavar="WIDTHxHEIGHT")
    parser.add_argument("--models", dest="by_model", action="store_true", help="models in turn, on ONNX Runtime")
    parser.add_argument("--busy", action="store_true", help="beside a process that computes")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    width, _, height = args.size.partition("x")
    print(f"{cpu_name()}, {usable_cores()} cores, {args.size}{', beside a process that computes' if args.busy else ''}")
    with tempfile.TemporaryDirectory() as folder, busy(args.busy):
        paths = {name: b0(Path(folder)) if name == B0 else find_model(name) for name in args.models}
        size = int(width), int(height)
        if args.by_model:
            models = [row for threads in args.threads for row in models_in_turn(paths, threads, size, args.frames)]
            lines, data = aligned([tuple(models[0]), *(tuple(map(str, row.values())) for row in models)]), models
        else:
            rows = [
                row
                for name, path in paths.items()
                for threads in args.threads
                for row in measured(name, path, threads, size, args.frames, Path(folder))
            ]
            lines, data = table(rows), [asdict(row) for row in rows]
    print("\n".join(lines))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def models_in_turn(
    paths: Mapping[str, Path], threads: int, size: tuple[int, int], count: int
) -> Iterator[dict[str, Any]]:
    """Each model's median latency on ONNX Runtime; a frame of one, then a frame of the next."""
    infos = {name: read_model_info(path) for name, path in paths.items()}
    frames = {name: golden_or_noise(path, infos[name], size) for name, path in paths.items()}
    with ExitStack() as stack:
        loaded = {
            name: stack.enter_context(closing(OnnxSegmenter(path, infos[name], "", size, threads)))
            for name, path in paths.items()
        }
        took = in_turn(loaded, frames, count)
    yield from (
        {"model": name, "threads": threads, "p50_ms": round(statistics.median(ms), 1)} for name, ms in took.items()
    )


def variants(folder: Path) -> dict[str, Load]:
    """How to load each variant; none is judged here, so that figures of refused ones are seen as well."""

    def openvino(precision: str) -> Load:
        def load(path: Path, info: ModelInfo, size: tuple[int, int], threads: int) -> Segmenter:
            job: Job = OpenVinoJob(path, info, size, threads, precision=precision)
            return job.load(obtain(job, EngineCache(folder), lambda share, phase: None).data, precision)

        return load

    def in_onnxruntime(kind: type[OnnxSegmenter]) -> Load:
        return lambda path, info, size, threads: kind(path, info, "", size, threads)

    names = {OURS: OnnxSegmenter, f"{OURS}, asleep": Asleep, f"{OURS}, never stopped": NeverStopped}
    in_openvino = {"openvino" if hint == F32 else f"openvino {hint}": openvino(hint) for hint in precisions()}
    return {name: in_onnxruntime(kind) for name, kind in names.items()} | in_openvino


def measured(name: str, path: Path, threads: int, size: tuple[int, int], count: int, folder: Path) -> Iterator[Row]:
    """A row for each variant of one model at one number of threads."""
    info = read_model_info(path)
    frames = golden_or_noise(path, info, size)
    with ExitStack() as stack:
        loaded = {
            variant: stack.enter_context(closing(load(path, info, size, threads)))
            for variant, load in variants(folder).items()
        }
        ms = in_turn(loaded, dict.fromkeys(loaded, frames), count)
        for variant, segmenter in loaded.items():
            paced_ms, cpu_ms = paced(segmenter, frames, count)
            yield Row(
                name,
                variant,
                threads,
                *(float(v) for v in np.percentile(ms[variant], [50, 99])),
                statistics.median(ms[variant]) / statistics.median(ms[OURS]),
                paced_ms,
                cpu_ms,
                idle_share(segmenter, frames[0]),
            )


def in_turn(
    segmenters: Mapping[str, Segmenter], frames: Mapping[str, Sequence[Frame]], count: int
) -> dict[str, list[float]]:
    """Milliseconds of the second of two frames in a row: what another backend has left spinning has stopped by then."""
    took: dict[str, list[float]] = {name: [] for name in segmenters}
    for index in range(count + 2):
        for name, segmenter in segmenters.items():
            frame = frames[name][index % len(frames[name])]
            time.sleep(0.02)
            segmenter.segment(frame)
            start = time.perf_counter()
            segmenter.segment(frame)
            if index >= 2:
                took[name].append((time.perf_counter() - start) * 1e3)
    return took


def paced(segmenter: Segmenter, frames: Sequence[Frame], count: int) -> tuple[float, float]:
    """Median latency and mean CPU time of a frame, in milliseconds, of a camera of ``RATE_HZ``."""
    took = []
    segmenter.segment(frames[0])
    begin, cpu = time.perf_counter(), time.process_time()
    for index in range(count):
        time.sleep(max(0.0, begin + index / RATE_HZ - time.perf_counter()))
        start = time.perf_counter()
        segmenter.segment(frames[index % len(frames)])
        took.append((time.perf_counter() - start) * 1e3)
    time.sleep(max(0.0, begin + count / RATE_HZ - time.perf_counter()))
    return statistics.median(took), (time.process_time() - cpu) * 1e3 / count


def idle_share(segmenter: Segmenter, frame: Frame) -> float:
    """CPU time of a second after a frame, as a share of one core."""
    segmenter.segment(frame)
    cpu = time.process_time()
    time.sleep(1.0)
    return time.process_time() - cpu


def table(rows: Sequence[Row]) -> list[str]:
    head = ("model", "backend", "threads", "p50 ms", "p99 ms", "times", "at 10 Hz ms", "CPU ms a frame", "idle")
    cells = [
        (
            row.model,
            row.backend,
            str(row.threads),
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            f"{row.times:.2f}",
            f"{row.paced_p50_ms:.1f}",
            f"{row.paced_cpu_ms:.1f}",
            f"{row.idle_share:.1%}",
        )
        for row in rows
    ]
    return aligned([head, *cells])


def golden_or_noise(path: Path, info: ModelInfo, size: tuple[int, int]) -> list[Frame]:
    """The model's golden frames at ``size``; noise for a model without, whose work does not depend on the content."""
    if golden_path(path).exists():
        return [scaled(frame, size) for frame in read_golden(golden_path(path), info)[0]]
    random = np.random.default_rng(0)
    images = {
        name: random.integers(0, 256, (size[1], size[0], 3), np.uint8)
        if name == "rgb"
        else random.uniform(1.0, 5.0, (size[1], size[0])).astype(np.float32)
        for name in info.modality_names
    }
    return [Frame.from_images(0, "noise", images)]


def b0(folder: Path) -> Path:
    """A model file of RGB and depth with the encoder B0 and random weights, for the labels of the nano model."""
    import torch

    from gemini_ros.network.export import write_model_file
    from gemini_ros.network.model import FusionSegmenter

    path = folder / "b0.onnx"
    if not path.exists():
        torch.manual_seed(0)
        info = read_model_info(find_model("warehouse_rgbd_nano"))
        model = FusionSegmenter("b0", info.modality_names, len(info.label_set)).eval()
        write_model_file(model, replace(info, network_size=(640, 480), scores={}, training_data="none"), path)
    return path


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """A process that computes on one core for as long as the block runs."""
    if not wanted:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=_compute, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _compute() -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    while True:
        values = np.sort(np.sin(values))


if __name__ == "__main__":
    main()
