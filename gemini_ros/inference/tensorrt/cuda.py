"""The GPU of this machine, and the little of CUDA that an engine needs, over cuda-bindings."""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import dataclass
from typing import Any

from gemini_ros.inference.model_file import ModelError

_BINDINGS = "cuda.bindings.runtime"
_DRIVER_TOO_OLD = 35  # cudaErrorInsufficientDriver


class GpuError(ModelError):
    """No GPU that can be used, with the reason; or a call of CUDA that failed."""


@dataclass(frozen=True)
class Gpu:
    """A GPU. ``integrated``: it shares the CPU's memory (Jetson); ``driver``: the newest CUDA that the driver knows."""

    name: str
    compute_capability: tuple[int, int]
    integrated: bool
    memory_mb: int
    driver: str


def probe_gpu() -> Gpu:
    """The first visible GPU of this machine. Raises ``GpuError`` saying what is missing: driver, bindings or GPU."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise GpuError(
            "no NVIDIA driver (libcuda.so.1 cannot be loaded): install it; in a container give it the GPU "
            "(--gpus all, or --runtime nvidia on a Jetson)"
        ) from error
    runtime = load_bindings()
    (count,) = _checked(runtime, runtime.cudaGetDeviceCount())
    if count == 0:
        raise GpuError("the NVIDIA driver sees no GPU (CUDA_VISIBLE_DEVICES may hide it)")
    (properties,) = _checked(runtime, runtime.cudaGetDeviceProperties(0))
    (driver,) = _checked(runtime, runtime.cudaDriverGetVersion())
    return Gpu(
        name=properties.name.decode(),
        compute_capability=(properties.major, properties.minor),
        integrated=bool(properties.integrated),
        memory_mb=properties.totalGlobalMem >> 20,
        driver=_cuda_version(driver),
    )


def load_bindings() -> Any:
    """The module ``cuda.bindings.runtime``. Raises ``GpuError`` saying what to install."""
    try:
        return importlib.import_module(_BINDINGS)
    except ImportError as error:
        raise GpuError(f"cuda-bindings cannot be loaded ({error}): pip install 'gemini_ros[tensorrt]'") from error


def _checked(runtime: Any, result: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a call of CUDA returned beside its status. Raises ``GpuError``."""
    status, *values = result
    if int(status) == 0:
        return tuple(values)
    _, text = runtime.cudaGetErrorString(status)
    cure = ""
    if int(status) == _DRIVER_TOO_OLD:
        (_, driver), (_, needed) = runtime.cudaDriverGetVersion(), runtime.cudaRuntimeGetVersion()
        cure = f": the driver knows {_cuda_version(driver)}, cuda-bindings need {_cuda_version(needed)}"
    raise GpuError(f"CUDA: {text.decode()} ({status.name}){cure}")


def _cuda_version(number: int) -> str:
    return f"CUDA {number // 1000}.{number % 1000 // 10}"
