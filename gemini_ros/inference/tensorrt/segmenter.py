"""The GPU backend: a TensorRT engine from camera images to labels. Not yet run on hardware."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gemini_ros.core.frames import Segmentation
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.phrase_maps import PHRASE_OUTPUTS
from gemini_ros.inference.segmenter import Segmenter, asks, instance_maps, instance_outputs, phrase_maps
from gemini_ros.inference.tensorrt.cuda import Buffer, Cuda, GpuError, probe_gpu
from gemini_ros.inference.tensorrt.interface import (
    NUMPY_TYPES,
    OUTPUTS,
    EngineError,
    Tensor,
    check_tensors,
    described,
    engine_inputs,
    engine_outputs,
)
from gemini_ros.inference.tensorrt.library import TensorRt, check_supported, full_version
from gemini_ros.inference.tensorrt.messages import message_log, refusals

if TYPE_CHECKING:
    import tensorrt_bindings as tensorrt

_LOGGER = logging.getLogger(__name__)


class TensorRtSegmenter(Segmenter):
    """A serialised engine on the GPU of this machine, for frames of ``camera_size`` (width, height).

    Memory is set up once (``memory_mb``); a frame costs one copy into it and one out, and on a discrete GPU the two
    over the bus. Work goes on a stream of its own, as a CUDA graph where that can be captured (``cuda_graph``).

    Raises ``GpuError`` without a GPU, ``LibraryError`` where this TensorRT is known not to work on it, ``EngineError``
    for an engine that TensorRT does not take, or of other tensors than ``info`` says.
    """

    backend = "tensorrt"

    def __init__(
        self,
        engine: bytes,
        info: ModelInfo,
        reason: str,
        camera_size: tuple[int, int],
        trt: TensorRt,
        *,
        cuda_graph: bool = True,
    ) -> None:
        super().__init__(info, reason, camera_size)
        # First: TensorRT does not survive everywhere that it is asked for an engine without a GPU.
        gpu = probe_gpu()
        check_supported(trt.__version__, gpu.compute_capability)
        self.library = f"{trt.__name__} {full_version(trt)}"
        self.cuda = Cuda(gpu)
        try:
            free_mb = self.cuda.free_mb()
            self._loaded = load_engine(trt, engine)
            self._loaded.check(info, camera_size)
            self._inputs = self._buffers(engine_inputs(info, camera_size))
            self._outputs = self._buffers(engine_outputs(info, camera_size))
            self._enqueue = self._warmed_up(cuda_graph)
            # Of a GPU that shares the CPU's memory this counts what other programs took meanwhile, too.
            self.memory_mb = free_mb - self.cuda.free_mb()
        except BaseException:
            self.close()
            raise

    @property
    def cuda_graph(self) -> bool:
        """Whether a frame is one launch of a captured graph."""
        return self._enqueue != self._enqueue_plainly

    def close(self) -> None:
        """Give back all memory of the GPU; a second time does nothing."""
        self._inputs, self._outputs = {}, {}
        # The execution context goes before the memory that it was told of.
        vars(self).pop("_loaded", None)
        self.cuda.close()

    def _run(self, inputs: dict[str, np.ndarray]) -> Segmentation:
        for name, buffer in self._inputs.items():
            np.copyto(buffer.host, inputs[name])
        start = time.perf_counter_ns()
        self._enqueue()
        self.cuda.wait()
        middle = time.perf_counter_ns()
        # Copies, because the buffers take the next frame's answer while this one may still be used.
        labels, confidence = (self._outputs[name].host[0].copy() for name in OUTPUTS)
        # An engine answers phrases whether any are asked or not: it has no part that runs alone.
        phrases = phrase_maps([self._outputs[name].host.copy() for name in PHRASE_OUTPUTS]) if asks(inputs) else None
        things = instance_maps([self._outputs[name].host.copy() for name in instance_outputs(self.info)], self.info)
        end = time.perf_counter_ns()
        timings = {"network": middle - start, "postprocess": end - middle}
        return Segmentation(labels, confidence, timings, phrases, things)

    def _enqueue_plainly(self) -> None:
        for buffer in self._inputs.values():
            self.cuda.upload(buffer)
        self._loaded.execute(self.cuda.stream)
        for buffer in self._outputs.values():
            self.cuda.download(buffer)

    def _buffers(self, tensors: dict[str, Tensor]) -> dict[str, Buffer]:
        buffers = {name: self.cuda.buffer(t.shape, NUMPY_TYPES[t.dtype]) for name, t in tensors.items()}
        for name, buffer in buffers.items():
            buffer.host.fill(0)
            self._loaded.set_address(name, buffer.device)
        return buffers

    def _warmed_up(self, cuda_graph: bool) -> Callable[[], None]:
        """What puts a frame's work on the stream. TensorRT asks for one run before a capture."""
        self._enqueue_plainly()
        self.cuda.wait()
        if not cuda_graph:
            return self._enqueue_plainly
        try:
            graph = self.cuda.capture(self._enqueue_plainly)
            graph()
            self.cuda.wait()
        except (EngineError, GpuError) as error:
            _LOGGER.warning("no CUDA graph, kernels are launched one by one: %s", error)
            return self._enqueue_plainly
        return graph


class LoadedEngine:
    """An engine and its execution context. TensorRT's bindings keep alive what these were made from."""

    def __init__(self, log: Any, engine: tensorrt.ICudaEngine, trt: TensorRt) -> None:
        self._log, self._engine, self._trt = log, engine, trt
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"engine: no execution context, often for want of memory: {log.messages.faults()}")

    def check(self, info: ModelInfo, camera_size: tuple[int, int]) -> None:
        """Raise ``EngineError`` if names, shapes or types are not those of the metadata at this camera size."""
        modes = self._trt.TensorIOMode
        check_tensors("inputs of the engine", self._tensors(modes.INPUT), engine_inputs(info, camera_size))
        check_tensors("outputs of the engine", self._tensors(modes.OUTPUT), engine_outputs(info, camera_size))

    def set_address(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise EngineError(f"engine: no address for {name}: {self._log.messages.faults()}")

    def execute(self, stream: int) -> None:
        """Put a run on the stream. Raises ``EngineError``."""
        if not self._context.execute_async_v3(stream):
            raise EngineError(f"engine: a run failed: {self._log.messages.faults()}")

    def _tensors(self, mode: tensorrt.TensorIOMode) -> dict[str, Tensor]:
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        return {
            name: described(engine.get_tensor_shape(name), engine.get_tensor_dtype(name))
            for name in names
            if engine.get_tensor_mode(name) == mode
        }


def load_engine(trt: TensorRt, engine: bytes) -> LoadedEngine:
    """Raises ``EngineError`` for bytes that are no engine of this TensorRT for this GPU, with what TensorRT said."""
    log = message_log(trt)
    refused = f"engine of {len(engine)} bytes: {trt.__name__} {trt.__version__} does not load it"
    with refusals(refused, log):
        runtime = trt.Runtime(log)
        deserialized = runtime.deserialize_cuda_engine(engine)
        if deserialized is None:
            raise EngineError(f"{refused}: {log.messages.faults()}")
        return LoadedEngine(log, deserialized, trt)
