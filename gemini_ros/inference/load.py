"""Choose the backend that runs a model file on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gemini_ros.core.model_info import SEGMENT
from gemini_ros.inference.cache import EngineCache
from gemini_ros.inference.choice import CpuJob, open_on_cpu
from gemini_ros.inference.cpu import CPU_BACKENDS, ONNXRUNTIME, OPENVINO, default_threads
from gemini_ros.inference.engines import EngineMissingError, local_job, open_engine
from gemini_ros.inference.model_file import ModelError, read_model_info
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.inference.tensorrt.progress import Progress

AUTO, TENSORRT, TENSORRT_RTX = "auto", "tensorrt", "tensorrt_rtx"
BACKENDS = (AUTO, ONNXRUNTIME, OPENVINO, TENSORRT, TENSORRT_RTX)


def load_segmenter(
    path: str | Path,
    *,
    backend: str = AUTO,
    camera_size: tuple[int, int] | None = None,
    cache_dir: str | Path | None = None,
    threads: int | None = None,
    requests: int = 1,
    build: bool = True,
    progress: Progress = lambda share, phase: None,
    wait_for_size: Callable[[], tuple[int, int] | None] = lambda: None,
) -> Segmenter:
    """Load a model file.

    ``auto`` takes TensorRT where a GPU, a driver and the library really answer and the engine passes its gate, else
    the fastest CPU backend that passes (``inference/choice.py``); ``reason`` says why. ``camera_size`` (width, height)
    prepares for frames of that size and refuses others; a GPU's engine needs it. ``cache_dir`` is where engines and
    measurements are kept, by default the user's cache directory, and ``build`` whether a missing engine for a GPU is
    built. ``threads`` of the CPU, by default ``default_threads()``, are shared by ``requests`` frames at once.
    ``progress`` is first called when all that can be checked at once has been. ``wait_for_size`` is asked for the size
    once everything else of an engine is there, where ``camera_size`` is not given.

    Raises ``ModelError`` for a file that can't be used, for a backend that was asked for and can't be had, and for
    a missing engine that is not to be built; ``ValueError`` for an unknown backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r:.80}, expected one of {', '.join(BACKENDS)}")
    path = Path(path)
    info = read_model_info(path)
    if info.task != SEGMENT:
        raise ModelError(f"model {path}: task {info.task}, expected {SEGMENT}: it makes images and gives no labels")
    on_cpu = CpuJob(path, info, camera_size, threads or default_threads(), requests, cache_dir, progress)
    if backend in CPU_BACKENDS:
        return open_on_cpu(on_cpu, (backend,), "asked for")
    try:
        job = local_job(path, info, camera_size or wait_for_size, TENSORRT if backend == AUTO else backend)
        return open_engine(job, EngineCache(cache_dir), progress, build=build)
    except EngineMissingError:
        raise
    except (ModelError, OSError) as error:
        if backend == AUTO:
            return open_on_cpu(on_cpu, CPU_BACKENDS, f"no TensorRT: {error}")
        raise ModelError(f"backend {backend}: {error}; or take backend auto, which falls back to the CPU") from error
