"""Choose the backend that runs a model file on this machine."""

from __future__ import annotations

from pathlib import Path

from gemini_ros.core.model_info import SEGMENT, ModelInfo
from gemini_ros.inference.cache import EngineCache
from gemini_ros.inference.engines import EngineMissingError, local_job, open_engine
from gemini_ros.inference.model_file import ModelError, read_model_info
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.inference.tensorrt.progress import Progress

AUTO, ONNXRUNTIME, TENSORRT, TENSORRT_RTX = "auto", "onnxruntime", "tensorrt", "tensorrt_rtx"
BACKENDS = (AUTO, ONNXRUNTIME, TENSORRT, TENSORRT_RTX)


def load_segmenter(
    path: str | Path,
    *,
    backend: str = AUTO,
    camera_size: tuple[int, int] | None = None,
    cache_dir: str | Path | None = None,
    threads: int | None = None,
    build: bool = True,
    progress: Progress = lambda share, phase: None,
) -> Segmenter:
    """Load a model file.

    ``auto`` takes TensorRT where a GPU, a driver and the library really answer and the engine passes its gate, else
    ONNX Runtime; ``reason`` says why. ``camera_size`` (width, height) prepares for frames of that size and refuses
    others; an engine needs it. ``cache_dir`` is where engines are kept, by default the user's cache directory, and
    ``build`` whether a missing one is built; ``threads`` limits the CPU. ``progress`` is first called when all that can
    be checked at once has been.

    Raises ``ModelError`` for a file that can't be used, for a GPU backend that was asked for and can't be had, and for
    a missing engine that is not to be built; ``ValueError`` for an unknown backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r:.80}, expected one of {', '.join(BACKENDS)}")
    path = Path(path)
    info = read_model_info(path)
    if info.task != SEGMENT:
        raise ModelError(f"model {path}: task {info.task}, expected {SEGMENT}: it gives no labels")
    if backend == ONNXRUNTIME:
        return _on_cpu(path, info, "asked for", camera_size, threads, progress)
    try:
        job = local_job(path, info, camera_size, TENSORRT if backend == AUTO else backend)
        return open_engine(job, EngineCache(cache_dir), progress, build=build)
    except EngineMissingError:
        raise
    except (ModelError, OSError) as error:
        if backend == AUTO:
            return _on_cpu(path, info, f"no TensorRT: {error}", camera_size, threads, progress)
        raise ModelError(f"backend {backend}: {error}; or take backend auto, which falls back to the CPU") from error


def _on_cpu(
    path: Path,
    info: ModelInfo,
    reason: str,
    camera_size: tuple[int, int] | None,
    threads: int | None,
    progress: Progress,
) -> Segmenter:
    progress(0.0, "loading the network into ONNX Runtime")
    try:
        from gemini_ros.inference.onnx import OnnxSegmenter
    except ModuleNotFoundError as error:
        raise ModelError(f"model {path}: no backend: {error.name} is not installed; {reason}") from error
    return OnnxSegmenter(path, info, reason, camera_size, threads)
