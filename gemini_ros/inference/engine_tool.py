"""What ``gemini-ros engine`` does: build engines, and keep house in their cache."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gemini_ros.inference.benchmark import aligned
from gemini_ros.inference.cache import ANY_GPU, REJECTED, EngineCache, EngineRecord, Entry, read_record
from gemini_ros.inference.cpu import OPENVINO, cpu_name
from gemini_ros.inference.engines import EngineJob, local_job, obtain, open_engine
from gemini_ros.inference.model_file import ModelError, read_model_info
from gemini_ros.inference.openvino import openvino_version
from gemini_ros.inference.tensorrt.build import BuildOptions
from gemini_ros.inference.tensorrt.cuda import GpuError, probe_gpu
from gemini_ros.inference.tensorrt.library import full_version, load_library
from gemini_ros.inference.tensorrt.progress import Progress

DAY_S = 86400.0
_SUFFIXES = (".engine", ".json", ".rejected")


def build(
    model: Path,
    size: tuple[int, int],
    cache: EngineCache,
    options: BuildOptions,
    progress: Progress,
    *,
    library: str = "tensorrt",
    compute_capability: str | None = None,
) -> Entry:
    """The engine of a model for frames of ``size`` (width, height), built where the cache does not have it.

    For the GPU of this machine, which also judges it; with ``compute_capability`` ahead of time for another one, where
    it is judged when it is first loaded. Raises ``EngineRejectedError``, ``ModelError`` for all else, and ``OSError``.
    """
    info = read_model_info(model)
    if compute_capability is None:
        job = local_job(model, info, size, library, options)
        open_engine(job, cache, progress).close()
    else:
        job = EngineJob(model, info, size, load_library(library), compute_capability, None, options)
        obtain(job, cache, progress)
    found = cache.find(job.key())
    if found is None:
        raise OSError(f"the engine was built and could not be kept: {cache.note}")
    return found[0]


def describe(path: Path) -> str:
    """The JSON beside an engine; ``path`` is that of either. Raises ``OSError``, ``ValueError`` for something else."""
    expected = "expected X.engine with X.json beside it, or that X.json"
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"{path}: is no engine by its name, {expected}")
    try:
        return read_record(path).to_json().rstrip()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such engine, {expected}") from error


def listing(entries: Sequence[Entry]) -> list[str]:
    """One line for each engine under a heading."""
    rows = [("engine", "size", "library", "device", "parity", "MB", "days old")]
    for entry in entries:
        record, key = entry.record, entry.record.key
        device = f"{key.gpu or 'any'} ({key.compute_capability})" if key.compute_capability else key.gpu
        megabytes, days = f"{record.engine_bytes / 1e6:.1f}", f"{record.age_s / DAY_S:.1f}"
        library = f"{key.library} {key.version}"
        rows.append((str(entry.path), key.size_text, library, device, record.parity.state, megabytes, days))
    return aligned(rows)


@dataclass(frozen=True)
class Pruned:
    """Files that were removed, with the reason; with ``dry_run`` those that would have been."""

    files: tuple[tuple[Path, str], ...]
    dry_run: bool

    def lines(self) -> list[str]:
        """A line for each file."""
        return [f"{'would remove' if self.dry_run else 'removed'} {path}: {why}" for path, why in self.files]


def prune(cache: EngineCache, *, older_than_days: float | None = None, dry_run: bool = False) -> Pruned:
    """Remove what this machine has no use for: rejected, damaged, of another version or GPU, or old.

    Raises ``ValueError`` where ``older_than_days`` is no age.
    """
    if older_than_days is not None and not (math.isfinite(older_than_days) and older_than_days >= 0):
        raise ValueError(f"engines older than {older_than_days} days, expected a finite number from 0 on")
    reason = _staleness({entry.record.key.library for entry in cache.entries()}, older_than_days)
    # A dry run writes nothing, not even a lock: it is for a directory that cannot be written, too.
    with contextlib.nullcontext() if dry_run else cache.lock():
        return Pruned(tuple(cache.prune(reason, dry_run=dry_run)), dry_run)


def _staleness(libraries: set[str], older_than_days: float | None) -> Callable[[EngineRecord], str]:
    """Why an engine is of no use here. What is not installed, or not there, is no reason."""
    versions, gpu = {}, ANY_GPU
    for library in libraries:
        with contextlib.suppress(ModelError):
            versions[library] = openvino_version() if library == OPENVINO else full_version(load_library(library))
    with contextlib.suppress(GpuError):
        gpu = probe_gpu().name

    def stale(record: EngineRecord) -> str:
        key = record.key
        if record.parity.state == REJECTED:
            return f"rejected: {record.parity.reason}"
        if (installed := versions.get(key.library, key.version)) != key.version:
            return f"of {key.library} {key.version}, here is {installed}"
        here = cpu_name() if key.library == OPENVINO else gpu
        if ANY_GPU not in (here, key.gpu) and here != key.gpu:
            return f"for {key.gpu}, here is {here}"
        if older_than_days is not None and record.age_s > older_than_days * DAY_S:
            return f"{record.age_s / DAY_S:.0f} days old"
        return ""

    return stale
