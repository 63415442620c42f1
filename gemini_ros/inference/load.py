"""Choose the backend that runs a model file on this machine."""

from __future__ import annotations

from pathlib import Path

from gemini_ros.inference.model_file import ModelError, read_model_info
from gemini_ros.inference.segmenter import Segmenter

BACKENDS = ("auto", "onnxruntime")


def load_segmenter(
    path: str | Path,
    *,
    backend: str = "auto",
    camera_size: tuple[int, int] | None = None,
    cache_dir: str | Path | None = None,
    threads: int | None = None,
) -> Segmenter:
    """Load a model file.

    ``camera_size`` (width, height) prepares for frames of that size and refuses others; ``cache_dir`` is where engines
    are kept (ONNX Runtime makes none); ``threads`` limits the CPU. Raises ``ModelError`` for a file that can't be used
    and ``ValueError`` for an unknown backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r}, expected one of {', '.join(BACKENDS)}")
    path = Path(path)
    info = read_model_info(path)
    try:
        from gemini_ros.inference.onnx import OnnxSegmenter
    except ModuleNotFoundError as error:
        raise ModelError(f"model {path}: no backend: {error.name} is not installed") from error
    reason = "asked for" if backend == "onnxruntime" else "this release has no GPU backend yet"
    return OnnxSegmenter(path, info, reason, camera_size, threads)
