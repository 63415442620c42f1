"""The GPU of this machine, and the little of CUDA that an engine needs, over cuda-bindings."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True)
class Buffer:
    """One tensor: ``host`` is what the CPU reads and writes, ``device`` the address that the GPU does.

    Where ``mapped``, both are the same memory and nothing is copied.
    """

    host: npt.NDArray[Any]
    device: int
    mapped: bool


class Cuda:
    """Memory, one stream and graphs on the first visible GPU; all that was given out is freed by ``close``.

    Not yet run on hardware. Raises ``GpuError`` with CUDA's reason.
    """

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._runtime = load_bindings()
        self._release: list[Callable[[], tuple[Any, ...]]] = []
        runtime = self._runtime
        self._call(runtime.cudaSetDevice, 0)
        self._stream = self._made(runtime.cudaStreamCreateWithFlags, runtime.cudaStreamNonBlocking)
        self._release.append(lambda: runtime.cudaStreamDestroy(self._stream))
        # A thread that waits for this event sleeps: spinning would take a core from the rest of the robot.
        flags = runtime.cudaEventBlockingSync | runtime.cudaEventDisableTiming
        self._done = self._made(runtime.cudaEventCreateWithFlags, flags)
        self._release.append(lambda: runtime.cudaEventDestroy(self._done))

    @property
    def stream(self) -> int:
        """Handle of the stream, as TensorRT takes it."""
        return int(self._stream)

    def buffer(self, shape: tuple[int, ...], dtype: Any) -> Buffer:
        """Page-locked memory: mapped into the GPU's on an integrated GPU, else with a twin of its own on the GPU."""
        runtime, mapped = self._runtime, self.gpu.integrated
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        flags = runtime.cudaHostAllocMapped if mapped else runtime.cudaHostAllocDefault
        pointer = self._made(runtime.cudaHostAlloc, size, flags)
        self._release.append(lambda: runtime.cudaFreeHost(pointer))
        if mapped:
            device = self._made(runtime.cudaHostGetDevicePointer, pointer, 0)
        else:
            device = self._made(runtime.cudaMalloc, size)
            self._release.append(lambda: runtime.cudaFree(device))
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(int(pointer)))
        return Buffer(memory.view(dtype).reshape(shape), int(device), mapped)

    def upload(self, buffer: Buffer) -> None:
        """Put the copy to the GPU on the stream; none where the memory is shared."""
        if not buffer.mapped:
            self._copy(buffer.device, buffer.host.ctypes.data, buffer, "cudaMemcpyHostToDevice")

    def download(self, buffer: Buffer) -> None:
        """Put the copy from the GPU on the stream; none where the memory is shared."""
        if not buffer.mapped:
            self._copy(buffer.host.ctypes.data, buffer.device, buffer, "cudaMemcpyDeviceToHost")

    def wait(self) -> None:
        """Sleep until all that is on the stream is done."""
        self._call(self._runtime.cudaEventRecord, self._done, self._stream)
        self._call(self._runtime.cudaEventSynchronize, self._done)

    def capture(self, enqueue: Callable[[], None]) -> Callable[[], None]:
        """A function that puts on the stream, in one call, what ``enqueue`` puts there."""
        runtime = self._runtime
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call(runtime.cudaStreamBeginCapture, self._stream, mode)
        try:
            enqueue()
        finally:
            # Also after a failure: the stream is of no use before its capture has ended.
            ended = runtime.cudaStreamEndCapture(self._stream)
        (graph,) = _checked(runtime, ended)
        try:
            ready = self._made(runtime.cudaGraphInstantiate, graph, 0)
        finally:
            runtime.cudaGraphDestroy(graph)
        self._release.append(lambda: runtime.cudaGraphExecDestroy(ready))
        return lambda: self._call(runtime.cudaGraphLaunch, ready, self._stream)

    def free_mb(self) -> int:
        """Memory of the GPU that nobody uses, in MiB."""
        free, _ = _checked(self._runtime, self._runtime.cudaMemGetInfo())
        return free >> 20

    def close(self) -> None:
        """Free everything, the last first. Buffers must not be touched afterwards."""
        while self._release:
            self._release.pop()()

    def _copy(self, target: int, source: int, buffer: Buffer, kind: str) -> None:
        direction = getattr(self._runtime.cudaMemcpyKind, kind)
        self._call(self._runtime.cudaMemcpyAsync, target, source, buffer.host.nbytes, direction, self._stream)

    def _made(self, function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
        (made,) = _checked(self._runtime, function(*arguments))
        return made

    def _call(self, function: Callable[..., tuple[Any, ...]], *arguments: Any) -> None:
        _checked(self._runtime, function(*arguments))


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
