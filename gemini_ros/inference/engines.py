"""From a model file to an engine that may serve frames: found or built, loaded, and judged by the gate."""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from gemini_ros.core.files import sha256_of
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.inference.cache import ANY_GPU, PASSED, REJECTED, EngineCache, EngineKey, EngineRecord, Entry
from gemini_ros.inference.gate import gate, golden_path
from gemini_ros.inference.model_file import ModelError
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.inference.tensorrt.build import BuildOptions, BuiltEngine, build_engine
from gemini_ros.inference.tensorrt.cuda import Gpu, GpuError, probe_gpu
from gemini_ros.inference.tensorrt.interface import Tensor, engine_inputs, engine_outputs
from gemini_ros.inference.tensorrt.library import LibraryError, TensorRt, check_supported, full_version, load_library
from gemini_ros.inference.tensorrt.progress import Progress

_DEFAULT_OPTIONS = BuildOptions()


class EngineMissingError(ModelError):
    """There is no engine, and none is to be built."""


class EngineRejectedError(ModelError):
    """The engine's answers are not the model's."""


class Job(Protocol):
    """One compiled model, for a GPU or a CPU: what the cache knows it by, how it is built and how it is loaded."""

    library_title: str

    @property
    def model(self) -> Path: ...
    @property
    def info(self) -> ModelInfo: ...
    @property
    def device(self) -> str:
        """The GPU or CPU that the gate's verdict holds for."""
        ...

    @property
    def interface(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Inputs and outputs; an open size is -1."""
        ...

    def key(self) -> EngineKey: ...
    def build(self, timing_cache: bytes | None, progress: Progress) -> BuiltEngine: ...
    def load(self, data: bytes, reason: str) -> Segmenter: ...
    def build_command(self, cache: EngineCache) -> str:
        """The command that builds it into ``cache``."""
        ...


@dataclass(frozen=True)
class EngineJob:
    """One engine: of which model, for frames of which (width, height), by which library, for which GPU.

    ``gpu`` ``None``: for any GPU of ``compute_capability`` (as in ``8.6``), compiled ahead of time.
    """

    model: Path
    info: ModelInfo
    camera_size: tuple[int, int]
    trt: TensorRt
    compute_capability: str
    gpu: Gpu | None = None
    options: BuildOptions = _DEFAULT_OPTIONS
    library_title = "TensorRT"

    @property
    def device(self) -> str:
        return self.gpu.name if self.gpu else ANY_GPU

    @property
    def interface(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        return engine_inputs(self.info, self.camera_size), engine_outputs(self.info, self.camera_size)

    def key(self) -> EngineKey:
        """What the cache knows the engine by; reads the model file."""
        return EngineKey(
            onnx_sha256=sha256_of(self.model),
            library=self.trt.__name__,
            version=full_version(self.trt),
            gpu=self.device,
            compute_capability=self.compute_capability,
            camera_size=self.camera_size,
            options=dataclasses.asdict(self.options),
        )

    def build(self, timing_cache: bytes | None, progress: Progress) -> BuiltEngine:
        return build_engine(
            self.trt,
            self.model,
            self.info,
            self.camera_size,
            options=self.options,
            timing_cache=timing_cache,
            compute_capability=None if self.gpu else self.compute_capability,
            progress=progress,
        )

    def load(self, data: bytes, reason: str) -> Segmenter:
        from gemini_ros.inference.tensorrt.segmenter import TensorRtSegmenter

        return TensorRtSegmenter(data, self.info, reason, self.camera_size, self.trt)

    def build_command(self, cache: EngineCache) -> str:
        width, height = self.camera_size
        words = ["gemini-ros", "engine", "build", str(self.model), "--size", f"{width}x{height}"]
        words += ["--cache-dir", str(cache.directory)]
        words += [] if self.trt.__name__ == "tensorrt" else ["--library", self.trt.__name__]
        return shlex.join(words)


@dataclass(frozen=True)
class Engine:
    """An engine in memory. ``entry`` is where it is kept, ``None`` where no disk took it; ``note`` tells of that."""

    record: EngineRecord
    data: bytes
    entry: Entry | None
    note: str = ""


def local_job(
    model: Path,
    info: ModelInfo,
    camera_size: tuple[int, int] | Callable[[], tuple[int, int] | None] | None,
    library: str = "tensorrt",
    options: BuildOptions = _DEFAULT_OPTIONS,
) -> EngineJob:
    """The job for the GPU of this machine. Raises ``ModelError`` with all that it lacks, and what to install.

    ``camera_size`` may be a call that gives it, made only where there is a GPU with its library.
    """
    faults = []
    gpu = trt = None
    try:
        gpu = probe_gpu()
    except GpuError as error:
        faults.append(str(error))
    try:
        trt = load_library(library)
        if gpu is not None:
            check_supported(trt.__version__, gpu.compute_capability)
    except LibraryError as error:
        faults.append(str(error))
    if gpu is None or trt is None or faults:
        raise ModelError("; ".join(faults))
    size = camera_size() if callable(camera_size) else camera_size
    if size is None:
        raise ModelError("an engine takes images of one size: set camera.grid to the camera's, such as 640x480")
    return EngineJob(model, info, size, trt, "{}.{}".format(*gpu.compute_capability), gpu, options)


def open_engine(job: Job, cache: EngineCache, progress: Progress, *, build: bool = True) -> Segmenter:
    """A segmenter of an engine that has passed the gate, built where there is none and ``build`` is set.

    Raises ``EngineMissingError``, ``EngineRejectedError``, and ``ModelError`` for what can't be built or loaded.
    """
    engine = obtain(job, cache, progress, build=build)
    if engine.record.parity.state == REJECTED:
        raise _rejected(engine, job, cache)
    progress(1.0, "loading the engine")
    where = f"{engine.record.key.library} {engine.record.key.version} on {job.device}"
    segmenter = job.load(engine.data, f"{where}; {engine.note}" if engine.note else where)
    try:
        judged = judge(engine, segmenter, job, cache, progress)
        if judged.record.parity.state == REJECTED:
            raise _rejected(judged, job, cache)
    except BaseException:
        segmenter.close()
        raise
    return segmenter


def obtain(job: Job, cache: EngineCache, progress: Progress, *, build: bool = True) -> Engine:
    """The engine out of the cache, else a new one; of two processes at once one builds and the other waits for it.

    Raises ``EngineMissingError`` with the command that builds it where there is none and ``build`` is not set.
    """
    key = job.key()
    if found := cache.find(key):
        return _kept(*found, cache)
    if not build:
        near = cache.nearest(key)
        raise EngineMissingError(
            f"model {job.model}: no engine for {key.size_text} by {key.machine_text}"
            f"{f' ({near})' if near else ''}; build it: {job.build_command(cache)}"
        )
    progress(0.0, "building")
    with cache.lock(lambda: progress(0.0, "waiting for another process that builds an engine")):
        if found := cache.find(key):
            return _kept(*found, cache)
        return _build(job, key, cache, progress)


def judge(engine: Engine, segmenter: Segmenter, job: Job, cache: EngineCache, progress: Progress) -> Engine:
    """The engine with the gate's verdict on ``segmenter``, which runs it. It is reached once for each GPU.

    Raises ``ModelError`` where there is nothing to compare with, or the model file changed meanwhile.
    """
    if engine.record.parity.state == PASSED and engine.record.parity.gpu == job.device:
        return engine
    progress(1.0, "comparing the engine with the model's golden outputs")
    parity = gate(segmenter, golden_path(job.model), job.model, job.device)
    _require_unchanged(job, engine.record.key, "its engine was compared with it")
    if engine.entry is None:
        return dataclasses.replace(engine, record=dataclasses.replace(engine.record, parity=parity))
    entry = cache.record_parity(engine.entry, parity)
    return dataclasses.replace(engine, record=entry.record, entry=entry)


def _build(job: Job, key: EngineKey, cache: EngineCache, progress: Progress) -> Engine:
    near = cache.nearest(key)
    start = time.monotonic()
    progress(0.0, f"building{f' ({near})' if near else ''}")
    built = job.build(cache.timing_cache(key), lambda share, phase: progress(share, f"building: {phase}"))
    _require_unchanged(job, key, "an engine was built from it")
    record = _record(job, key, built, time.monotonic() - start)
    if built.timing_cache:
        cache.store_timing_cache(key, built.timing_cache)
    try:
        return _kept(cache.store(record, built.engine), built.engine, cache)
    except OSError as error:
        return Engine(record, built.engine, None, f"the engine is not kept and will be built again: {error}")


def _require_unchanged(job: Job, key: EngineKey, doing: str) -> None:
    """Raise ``ModelError`` where the model file is not that of ``key`` any more: an engine is kept under its hash."""
    if job.key().onnx_sha256 != key.onnx_sha256:
        raise ModelError(f"model {job.model}: the file changed while {doing}; nothing of that is kept, load it again")


def _record(job: Job, key: EngineKey, built: BuiltEngine, build_s: float) -> EngineRecord:
    inputs, outputs = job.interface
    return EngineRecord(
        key=key,
        model=job.model.stem,
        inputs=inputs,
        outputs=outputs,
        classes=tuple(job.info.label_set.names),
        engine_sha256=hashlib.sha256(built.engine).hexdigest(),
        engine_bytes=len(built.engine),
        activation_bytes=built.activation_bytes,
        build_s=round(build_s, 3),
        built=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
    )


def _kept(entry: Entry, data: bytes, cache: EngineCache) -> Engine:
    return Engine(entry.record, data, entry, cache.note if entry.path.parent != cache.directory else "")


def _rejected(engine: Engine, job: Job, cache: EngineCache) -> EngineRejectedError:
    prune = shlex.join(["gemini-ros", "engine", "prune", "--cache-dir", str(cache.directory)])
    return EngineRejectedError(
        f"engine {engine.record.stem}: rejected: {engine.record.parity.reason}. Another version of "
        f"{job.library_title} may do better; to have this one built again: {prune}"
    )
