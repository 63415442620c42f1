"""Which CPU backend runs a model: the one that was asked for, else the fastest, measured once and kept.

Candidates are the installed backends, OpenVINO once for each precision of the CPU. Those whose labels pass the gate
(``gate.py``) are timed in turn on the golden frames at the camera's size.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata, util
from pathlib import Path

from gemini_ros import __version__
from gemini_ros.core.documents import parse_json
from gemini_ros.core.files import sha256_of
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.inference.cache import REJECTED, EngineCache
from gemini_ros.inference.cpu import CPU_BACKENDS, ONNXRUNTIME, OPENVINO, cpu_name
from gemini_ros.inference.engines import EngineRejectedError, open_engine
from gemini_ros.inference.gate import gate, golden_path, read_golden, scaled
from gemini_ros.inference.model_file import ModelError
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.inference.tensorrt.progress import Progress

FORMAT = 1
RUNS = 10
_WARM_UP = 2
_LARGEST_CHOICE = 1 << 16
_INSTALL = {ONNXRUNTIME: "runtime", OPENVINO: "openvino"}


@dataclass(frozen=True)
class CpuJob:
    """A model on the CPU, for frames of ``camera_size`` (width, height; ``None``: any)."""

    model: Path
    info: ModelInfo
    camera_size: tuple[int, int] | None
    threads: int
    requests: int
    cache_dir: str | Path | None
    progress: Progress


@dataclass(frozen=True)
class Choice:
    """What was measured: median milliseconds a frame of each candidate, and why others were left out."""

    key: Mapping[str, object]
    chosen: str
    ms: Mapping[str, float]
    left_out: Mapping[str, str]
    measured: str

    def reason(self, job: CpuJob) -> str:
        """The figures in words."""
        times = ", ".join(f"{name} {ms:.1f} ms" for name, ms in sorted(self.ms.items(), key=lambda item: item[1]))
        size = "x".join(map(str, job.camera_size or ())) or "the golden frames' size"
        left_out = "".join(f"; {name} left out: {why}" for name, why in self.left_out.items())
        return f"{times} a frame ({size}, threads: {job.threads}, measured {self.measured}){left_out}"


def open_on_cpu(job: CpuJob, backends: Sequence[str], why: str) -> Segmenter:
    """A segmenter of the fastest of ``backends`` (names of ``CPU_BACKENDS``); ``why`` the CPU runs it.

    Raises ``ModelError`` where none of them is installed, loads and passes the gate.
    """
    installed = [name for name in backends if util.find_spec(name) is not None]
    if not installed:
        raise ModelError(f"model {job.model}: {_absent(backends)}; {why}")
    if list(installed) == list(CPU_BACKENDS) and not golden_path(job.model).exists():
        installed = [ONNXRUNTIME]
        why = f"{why}; no other CPU backend is compared without {golden_path(job.model).name} beside the model"
    if installed == [ONNXRUNTIME]:
        return _open(ONNXRUNTIME, job, why)
    kept = _Kept(job, installed)
    if (choice := kept.read()) is not None:
        try:
            return _open(choice.chosen, job, f"{why}; {choice.reason(job)}")
        except (ModelError, OSError):  # what there is now is measured
            pass
    candidates = _candidates(installed)
    if len(candidates) == 1:
        return _open(candidates[0], job, why)
    return _measured(candidates, job, why, kept)


def version_of(backend: str) -> str:
    """The version of an installed CPU backend."""
    try:
        return metadata.version(backend)
    except metadata.PackageNotFoundError:  # a build of another name, such as onnxruntime-gpu
        return str(importlib.import_module(backend).__version__)


def _absent(backends: Sequence[str]) -> str:
    wanted = " or ".join(f"pip install 'gemini_ros[{_INSTALL[name]}]'" for name in backends)
    return f"{' and '.join(backends)} {'are' if len(backends) > 1 else 'is'} not installed: {wanted}"


def _candidates(installed: Sequence[str]) -> list[str]:
    """``onnxruntime``, ``openvino`` (f32), ``openvino bf16`` and so on; a library that cannot be imported is none."""
    found = [ONNXRUNTIME] if ONNXRUNTIME in installed else []
    if OPENVINO in installed:
        try:
            from gemini_ros.inference.openvino import F32, precisions

            found += [OPENVINO if name == F32 else f"{OPENVINO} {name}" for name in precisions()]
        except ModelError:
            if not found:
                raise
    return found


def _open(candidate: str, job: CpuJob, reason: str) -> Segmenter:
    """The candidate; anything but ONNX Runtime, which is the reference, has passed the gate."""
    backend, _, precision = candidate.partition(" ")
    if backend == ONNXRUNTIME:
        job.progress(0.0, "loading the network into ONNX Runtime")
        try:
            from gemini_ros.inference.onnx import OnnxSegmenter
        except ImportError as error:
            raise ModelError(f"model {job.model}: onnxruntime cannot be imported ({error}); {reason}") from error
        return OnnxSegmenter(job.model, job.info, reason, job.camera_size, job.threads, job.requests)
    job.progress(0.0, "loading the network into OpenVINO")
    from gemini_ros.inference.openvino import F32, OpenVinoJob

    compiled = OpenVinoJob(job.model, job.info, job.camera_size, job.threads, job.requests, precision or F32)
    segmenter = open_engine(compiled, EngineCache(job.cache_dir), job.progress)
    segmenter.reason = f"{reason}; {segmenter.reason}"
    return segmenter


@dataclass
class _Trial:
    """Candidates that were opened and passed, and why others were not."""

    opened: dict[str, Segmenter] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    lasting: bool = True
    """Whether a later start would leave out the same ones."""

    def open(self, candidate: str, job: CpuJob) -> None:
        try:
            segmenter = _open(candidate, job, "")
            self.opened[candidate] = segmenter
            if candidate == ONNXRUNTIME:
                _check_reference(segmenter, job)
        except (ModelError, OSError) as error:
            if candidate in self.opened:
                self.opened.pop(candidate).close()
            self.left_out[candidate] = str(error)
            self.lasting &= isinstance(error, EngineRejectedError)


def _measured(candidates: Sequence[str], job: CpuJob, why: str, kept: _Kept) -> Segmenter:
    """The fastest candidate, all others closed."""
    trial = _Trial()
    with ExitStack() as stack:
        stack.callback(lambda: [segmenter.close() for segmenter in trial.opened.values()])
        for candidate in candidates:
            trial.open(candidate, job)
        if not trial.opened:
            raise ModelError("; ".join(f"{name}: {reason}" for name, reason in trial.left_out.items()))
        job.progress(1.0, f"timing {' and '.join(trial.opened)}")
        ms = _median_ms(trial.opened, job)
        chosen = min(ms, key=lambda name: ms[name])
        today = datetime.now(timezone.utc).date().isoformat()
        choice = Choice(kept.key, chosen, ms, trial.left_out, today)
        if trial.lasting:
            kept.write(choice)
        segmenter = trial.opened.pop(chosen)
        of_library = f"; {segmenter.reason.removeprefix('; ')}" if segmenter.reason else ""
        segmenter.reason = f"{why}; {choice.reason(job)}{of_library}"
        return segmenter


def _check_reference(segmenter: Segmenter, job: CpuJob) -> None:
    """ONNX Runtime is judged at the golden frames' own size, where it is not its own judge."""
    segmenter.camera_size = None
    parity = gate(segmenter, golden_path(job.model), job.model)
    segmenter.camera_size = job.camera_size
    if parity.state == REJECTED:
        raise EngineRejectedError(f"rejected: {parity.reason}")


def _median_ms(segmenters: Mapping[str, Segmenter], job: CpuJob) -> dict[str, float]:
    """Milliseconds a frame, in turn, so that what else the machine does meets all alike."""
    frames, _ = read_golden(golden_path(job.model), job.info)
    if job.camera_size is not None:
        frames = [scaled(frame, job.camera_size) for frame in frames]
    took: dict[str, list[float]] = {name: [] for name in segmenters}
    for run in range(_WARM_UP + RUNS):
        for name, segmenter in segmenters.items():
            start = time.perf_counter()
            segmenter.segment(frames[run % len(frames)])
            took[name].append((time.perf_counter() - start) * 1e3)
    return {name: round(statistics.median(times[_WARM_UP:]), 2) for name, times in took.items()}


class _Kept:
    """The choice on disk, in the directory of engines, under all that it depends on."""

    def __init__(self, job: CpuJob, installed: Sequence[str]) -> None:
        self._installed = installed
        golden = golden_path(job.model)
        self.key: dict[str, object] = {
            "onnx_sha256": sha256_of(job.model),
            "golden_sha256": sha256_of(golden) if golden.exists() else "",  # what the candidates were judged by
            "gemini_ros": __version__,
            "libraries": {name: version_of(name) for name in installed},
            "cpu": cpu_name(),
            "camera_size": list(job.camera_size or ()),
            "threads": job.threads,
            "requests": job.requests,
        }
        digest = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()
        self._name = f"cpu-{digest[:16]}.choice"
        try:
            self._cache = EngineCache(job.cache_dir)
        except OSError:  # no place for anything: measured anew each time
            self._cache = None

    def read(self) -> Choice | None:
        """``None`` where there is none, or what is there is damaged or of something else."""
        data = self._cache.recall(self._name, _LARGEST_CHOICE) if self._cache else None
        if data is None:
            return None
        try:
            entries = parse_json(data.decode(), self._name)
            if entries.pop("format") != FORMAT:
                return None
            choice = Choice(**entries)
            choice = dataclasses.replace(
                choice, ms={name: float(ms) for name, ms in choice.ms.items()}, left_out=dict(choice.left_out)
            )
        except (AttributeError, TypeError, ValueError, LookupError):
            return None
        is_known = choice.chosen in choice.ms and choice.chosen.partition(" ")[0] in self._installed
        return choice if choice.key == self.key and is_known else None

    def write(self, choice: Choice) -> None:
        if self._cache is not None:
            text = json.dumps({"format": FORMAT, **dataclasses.asdict(choice)}, indent=2)
            self._cache.keep(self._name, f"{text}\n".encode())
