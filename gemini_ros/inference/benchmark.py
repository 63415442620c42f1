"""How fast a model file runs on this machine: latency by stage, throughput, memory; and against an earlier time."""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros import __version__
from gemini_ros.core.documents import read_json
from gemini_ros.core.files import sha256_of
from gemini_ros.inference.gate import golden_path, read_golden, scaled
from gemini_ros.inference.load import AUTO, load_segmenter
from gemini_ros.inference.model_file import ModelError, read_model_info
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.inference.tensorrt.progress import Progress
from gemini_ros.inference.tensorrt.segmenter import TensorRtSegmenter

FORMAT = 1
STAGES = ("preprocess", "network", "postprocess", "total")
WARM_UP = 10
# What two reports have to share for their figures to be of one thing.
_SAME = ("model", "onnx_sha256", "camera_size", "backend", "library", "device", "threads")


def benchmark_model(
    model: Path,
    *,
    backend: str = AUTO,
    camera_size: tuple[int, int] | None = None,
    frames: int = 200,
    threads: int | None = None,
    cache_dir: Path | None = None,
    progress: Progress = lambda share, phase: None,
) -> dict[str, Any]:
    """Time ``frames`` frames of the model's golden file, one after the other, after ten that do not count.

    ``camera_size`` (width, height) is by default that of these frames; they are scaled to any other. What is returned
    is plain JSON (docs/tensorrt.md). Raises ``ModelError`` and ``ValueError`` as ``load_segmenter`` does.
    """
    info = read_model_info(model)
    golden, _ = read_golden(golden_path(model), info)
    size = camera_size or golden[0].size
    golden = [scaled(frame, size) for frame in golden]
    before_mb = _peak_mb()
    start = time.perf_counter()
    segmenter = load_segmenter(
        model, backend=backend, camera_size=size, cache_dir=cache_dir, threads=threads, progress=progress
    )
    loaded_s = time.perf_counter() - start
    try:
        stages, wall_s = _timed(segmenter, [golden[i % len(golden)] for i in range(WARM_UP + frames)])
        return {
            "format": FORMAT,
            "gemini_ros": __version__,
            "model": model.name,
            "onnx_sha256": sha256_of(model),
            "precision": info.architecture.get("precision", "fp32"),
            "camera_size": list(size),
            "backend": segmenter.backend,
            "reason": segmenter.reason,
            "threads": threads,
            **_device(segmenter),
            "frames": frames,
            "load_s": round(loaded_s, 3),
            "throughput_hz": round(frames / wall_s, 2),
            "latency_ms": {stage: _percentiles(stages[:, i] / 1e6) for i, stage in enumerate(STAGES)},
            "memory_mb": {
                "process_before": before_mb,
                "process_peak": _peak_mb(),
                "gpu": segmenter.memory_mb if isinstance(segmenter, TensorRtSegmenter) else None,
            },
        }
    finally:
        segmenter.close()


def read_report(path: Path) -> dict[str, Any]:
    """A report that was written earlier. Raises ``ModelError`` for anything else."""
    try:
        report = read_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(str(error)) from error
    try:
        good = report["format"] == FORMAT and all(type(v) in (int, float) for v in _figures(report).values())
    except (LookupError, TypeError):
        good = False
    if not good:
        raise ModelError(f"{path}: no report of `gemini-ros model benchmark` of format {FORMAT}")
    return report


def compare(report: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    """Each figure now and then, with the ratio; and what else is different between the two."""
    shown = [
        f"{what}: {earlier.get(what)} then, {report[what]} now" for what in _SAME if report[what] != earlier.get(what)
    ]
    if shown:
        shown.insert(0, "not the same thing twice:")
    now, then = _figures(report), _figures(earlier)
    for name, value in now.items():
        before = then.get(name)
        ratio = f", {value / before:.2f} times" if before else ""
        shown.append(f"{name:18s} {before if before is not None else '?':>9} then, {value:>9} now{ratio}")
    return shown


def lines(report: Mapping[str, Any]) -> list[str]:
    """What was measured with what, a table of the stages, throughput and memory."""
    width, height = report["camera_size"]
    shown = [
        f"{report['model']} ({report['precision']}), {width}x{height}, {report['frames']} frames",
        f"{report['backend']}, {report['library']}, {report['device']}: {report['reason']}",
        f"{'stage':12s} {'p50 ms':>9s} {'p99 ms':>9s} {'mean ms':>9s}",
    ]
    for stage in STAGES:
        figures = report["latency_ms"][stage]
        shown.append(f"{stage:12s} {figures['p50']:9.3f} {figures['p99']:9.3f} {figures['mean']:9.3f}")
    memory = report["memory_mb"]
    gpu = "" if memory["gpu"] is None else f", GPU {memory['gpu']} MB"
    shown.append(f"{report['throughput_hz']:.1f} frames a second, loaded in {report['load_s']:.1f} s")
    shown.append(f"memory: process {memory['process_peak']} MB at most, {memory['process_before']} before loading{gpu}")
    return shown


def _timed(segmenter: Segmenter, frames: list[Any]) -> tuple[np.ndarray, float]:
    """Nanoseconds (frames, stages) of all but the first frames, and their seconds together."""
    times = []
    begin = time.perf_counter()
    for index, frame in enumerate(frames):
        if index == WARM_UP:
            begin = time.perf_counter()
        start = time.perf_counter_ns()
        took = segmenter.segment(frame).timings_ns
        total = time.perf_counter_ns() - start
        # What is left is the frame's way into the backend: checks, copies.
        rest = total - took["network"] - took["postprocess"]
        times.append((rest, took["network"], took["postprocess"], total))
    return np.array(times[WARM_UP:]), time.perf_counter() - begin


def _device(segmenter: Segmenter) -> dict[str, Any]:
    """What computes, with which library."""
    if not isinstance(segmenter, TensorRtSegmenter):
        library = f"{segmenter.backend} {metadata.version(segmenter.backend)}"
        return {"library": library, "device": f"CPU {_cpu_name()}", "gpu": None}
    gpu = segmenter.cuda.gpu
    return {
        "library": segmenter.library,
        "device": f"GPU {gpu.name}",
        "gpu": {**vars(gpu), "compute_capability": list(gpu.compute_capability), "cuda_graph": segmenter.cuda_graph},
    }


def _cpu_name() -> str:
    """As the kernel tells it; on ARM it tells no name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _percentiles(ms: np.ndarray) -> dict[str, float]:
    p50, p99 = np.percentile(ms, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3), "mean": round(float(ms.mean()), 3)}


def _peak_mb() -> int:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _figures(report: Mapping[str, Any]) -> dict[str, float]:
    """The figures that are compared, by name with unit."""
    figures = {
        f"{stage} {which} ms": report["latency_ms"][stage][which] for stage in STAGES for which in ("p50", "p99")
    }
    return figures | {
        "frames a second": report["throughput_hz"],
        "load s": report["load_s"],
        "process peak MB": report["memory_mb"]["process_peak"],
    }
