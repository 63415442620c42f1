"""How fast a model file runs on this machine: latency by stage, throughput, memory; against an earlier time, and
backend beside backend."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros import __version__
from gemini_ros.core.documents import read_json
from gemini_ros.core.files import sha256_of
from gemini_ros.core.frames import Frame
from gemini_ros.core.model_info import SEGMENT, ModelInfo
from gemini_ros.inference.choice import version_of
from gemini_ros.inference.cpu import ONNXRUNTIME, cpu_name
from gemini_ros.inference.gate import golden_path, read_golden, scaled
from gemini_ros.inference.load import AUTO, BACKENDS, load_segmenter
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
    reports, _ = _benchmark(model, (backend,), camera_size, frames, threads, cache_dir, progress)
    (report,) = reports.values()
    return report


def benchmark_all(
    model: Path,
    *,
    camera_size: tuple[int, int] | None = None,
    frames: int = 200,
    threads: int | None = None,
    cache_dir: Path | None = None,
    progress: Progress = lambda share, phase: None,
) -> dict[str, Any]:
    """Every backend that this machine has, in turn frame by frame, and how far each agrees with ONNX Runtime.

    ``reports`` are as from ``benchmark_model``, by backend; ``absent`` says why a backend takes no part. Raises
    ``ModelError`` where no backend runs the model.
    """
    wanted = [name for name in BACKENDS if name != AUTO]
    reports, absent = _benchmark(model, wanted, camera_size, frames, threads, cache_dir, progress)
    return {"format": FORMAT, "reports": reports, "absent": absent}


def _benchmark(
    model: Path,
    backends: Sequence[str],
    camera_size: tuple[int, int] | None,
    frames: int,
    threads: int | None,
    cache_dir: Path | None,
    progress: Progress,
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    info = read_model_info(model)
    if info.task != SEGMENT:
        raise ModelError(
            f"model {model}: task {info.task}, and backends are timed on labels; expected a model of task {SEGMENT}"
        )
    golden, _ = read_golden(golden_path(model), info)
    size = camera_size or golden[0].size
    golden = [scaled(frame, size) for frame in golden]
    loaded: dict[str, tuple[Segmenter, dict[str, Any]]] = {}
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        for backend in backends:
            before_mb, start = _peak_mb(), time.perf_counter()
            try:
                segmenter = load_segmenter(
                    model, backend=backend, camera_size=size, cache_dir=cache_dir, threads=threads, progress=progress
                )
            except ModelError as error:
                if len(backends) == 1:
                    raise
                absent[backend] = str(error)
                continue
            stack.enter_context(closing(segmenter))
            loaded[backend] = segmenter, {"load_s": time.perf_counter() - start, "before_mb": before_mb}
        if not loaded:
            raise ModelError(f"model {model}: no backend runs it: {'; '.join(absent.values())}")
        segmenters = [segmenter for segmenter, _ in loaded.values()]
        stages = _timed(segmenters, [golden[i % len(golden)] for i in range(WARM_UP + frames)])
        agreements = _agreements({name: segmenter for name, (segmenter, _) in loaded.items()}, golden)
        reports = {
            name: _report(model, info, segmenter, size, stages[index], measured) | agreements.get(name, {})
            for index, (name, (segmenter, measured)) in enumerate(loaded.items())
        }
    return reports, absent


def _report(
    model: Path,
    info: ModelInfo,
    segmenter: Segmenter,
    size: tuple[int, int],
    stages: np.ndarray,
    measured: Mapping[str, float],
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "gemini_ros": __version__,
        "model": model.name,
        "onnx_sha256": sha256_of(model),
        "precision": info.architecture.get("precision", "fp32"),
        "camera_size": list(size),
        "backend": segmenter.backend,
        "reason": segmenter.reason,
        "threads": segmenter.threads,
        **_device(segmenter),
        "frames": len(stages),
        "load_s": round(measured["load_s"], 3),
        "throughput_hz": round(1e9 / float(stages[:, -1].mean()), 2),
        "latency_ms": {stage: _percentiles(stages[:, i] / 1e6) for i, stage in enumerate(STAGES)},
        "memory_mb": {
            "process_before": measured["before_mb"],
            "process_peak": _peak_mb(),
            "gpu": segmenter.memory_mb if isinstance(segmenter, TensorRtSegmenter) else None,
        },
    }


def _agreements(segmenters: Mapping[str, Segmenter], frames: Sequence[Frame]) -> dict[str, dict[str, Any]]:
    """By backend, against ONNX Runtime: share of labels that differ, distance of the confidences (0-255)."""
    if ONNXRUNTIME not in segmenters or len(segmenters) == 1:
        return {}
    results = {name: [segmenter.segment(frame) for frame in frames] for name, segmenter in segmenters.items()}
    expected = np.stack([result.labels for result in results[ONNXRUNTIME]])
    certain = np.stack([result.confidence for result in results[ONNXRUNTIME]]).astype(np.int16)
    found = {}
    for name, of_backend in results.items():
        differ = np.stack([result.labels for result in of_backend]) != expected
        distance = np.abs(np.stack([result.confidence for result in of_backend]) - certain)
        found[name] = {
            "against_onnxruntime": {
                "labels_differ": round(float(differ.mean()), 7),
                "confidence_mean": round(float(distance.mean()), 4),
                "confidence_largest": int(distance.max()),
            }
        }
    return found


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


def side_by_side(result: Mapping[str, Any]) -> list[str]:
    """The reports of ``benchmark_all`` as a table, each backend's latency also as a multiple of ONNX Runtime's."""
    reports = result["reports"]
    first = next(iter(reports.values()))
    width, height = first["camera_size"]
    threads = next((report["threads"] for report in reports.values() if report["threads"]), None)
    rows = [("backend", "total p50 ms", "p99 ms", "network p50 ms", "times", "labels differ", "confidence differs")]
    reference = reports.get(ONNXRUNTIME, first)["latency_ms"]["total"]["p50"]
    for name, report in reports.items():
        total, network = report["latency_ms"]["total"], report["latency_ms"]["network"]["p50"]
        agrees = report.get("against_onnxruntime")
        differs = f"{agrees['labels_differ']:.4%}" if agrees else "-"
        distance = f"{agrees['confidence_mean']:.3f}, at most {agrees['confidence_largest']}" if agrees else "-"
        times = f"{total['p50'] / reference:.2f}"
        rows.append((name, f"{total['p50']:.2f}", f"{total['p99']:.2f}", f"{network:.2f}", times, differs, distance))
    head = f"{first['model']} ({first['precision']}), {width}x{height}, {first['frames']} frames in turn"
    shown = [f"{head}, CPU threads: {threads}" if threads else head]
    shown += [f"{name}: {report['library']}, {report['device']}" for name, report in reports.items()]
    shown += aligned(rows)
    return shown + [f"{name} takes no part: {why}" for name, why in result["absent"].items()]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text as lines with columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _timed(segmenters: Sequence[Segmenter], frames: Sequence[Frame]) -> np.ndarray:
    """Nanoseconds (segmenters, frames, stages) of all but the first frames; the segmenters take turns."""
    times = np.empty((len(segmenters), len(frames), len(STAGES)))
    for index, frame in enumerate(frames):
        for place, segmenter in enumerate(segmenters):
            start = time.perf_counter_ns()
            took = segmenter.segment(frame).timings_ns
            total = time.perf_counter_ns() - start
            # What is left is the frame's way into the backend: checks, copies.
            rest = total - took["network"] - took["postprocess"]
            times[place, index] = rest, took["network"], took["postprocess"], total
    return times[:, WARM_UP:]


def _device(segmenter: Segmenter) -> dict[str, Any]:
    """What computes, with which library."""
    if not isinstance(segmenter, TensorRtSegmenter):
        library = f"{segmenter.backend} {version_of(segmenter.backend)}"
        return {"library": library, "device": f"CPU {cpu_name()}", "gpu": None}
    gpu = segmenter.cuda.gpu
    return {
        "library": segmenter.library,
        "device": f"GPU {gpu.name}",
        "gpu": {**vars(gpu), "compute_capability": list(gpu.compute_capability), "cuda_graph": segmenter.cuda_graph},
    }


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
