"""Build an engine from a model file, with TensorRT on the robot or ahead of time with TensorRT-RTX.

Precision is what the model file says (fp16 by casts, INT8 by Q/DQ pairs): the network is strongly typed, so one file
means the same to TensorRT 10 and 11. Shapes are those of one camera size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemini_ros.core.model_info import ModelInfo
from gemini_ros.inference.tensorrt.cuda import probe_gpu
from gemini_ros.inference.tensorrt.interface import (
    EngineError,
    Tensor,
    check_tensors,
    described,
    engine_inputs,
    engine_outputs,
)
from gemini_ros.inference.tensorrt.library import TensorRt, check_supported
from gemini_ros.inference.tensorrt.messages import Messages, message_log, refusals
from gemini_ros.inference.tensorrt.progress import BuildProgress, Progress, progress_monitor

if TYPE_CHECKING:
    import tensorrt_bindings as tensorrt  # where the wheels of TensorRT keep what `tensorrt` gives out

_ACTIVATIONS = re.compile(r"Total Activation Memory: (\d+) bytes")
_UNUSED_OUTPUT = "logits"


@dataclass(frozen=True)
class BuildOptions:
    """``workspace_mb``: the most that one kernel may use beside activations; ``optimization_level`` 0 (quick) to 5."""

    workspace_mb: int = 2048
    optimization_level: int = 3


@dataclass(frozen=True)
class BuiltEngine:
    """A serialised engine. ``timing_cache`` makes the next build quicker (None: TensorRT-RTX times nothing);
    ``activation_bytes`` is what TensorRT said that a run needs, None where it did not say."""

    engine: bytes
    timing_cache: bytes | None
    activation_bytes: int | None


def build_engine(
    trt: TensorRt,
    onnx: Path,
    info: ModelInfo,
    camera_size: tuple[int, int],
    *,
    options: BuildOptions = BuildOptions(),
    timing_cache: bytes | None = None,
    compute_capability: str | None = None,
    progress: Progress | None = None,
) -> BuiltEngine:
    """Compile ``onnx`` for frames of ``camera_size`` (width, height).

    For the GPU of this machine, which has to be there; or with ``tensorrt_rtx`` ahead of time for GPUs of
    ``compute_capability`` such as ``"8.6"``. ``progress(fraction, phase)`` is told how far it is (0 to 1, never
    falling), from threads of TensorRT; what it raises stops the build and is raised here.

    Raises ``EngineError`` with what TensorRT said, ``GpuError`` without a GPU, ``LibraryError`` where this version of
    TensorRT is known not to work on it.
    """
    if compute_capability is None:
        check_supported(trt.__version__, probe_gpu().compute_capability)
    library = f"{trt.__name__} {trt.__version__}"
    log = message_log(trt)
    state = BuildProgress(progress)
    # What the listener raises is not TensorRT's: it is told outside of ``refusals``.
    state.report(0.0, "parsing")
    refused = f"model {onnx}: {library} cannot build an engine"
    with refusals(refused, log):
        builder = trt.Builder(log)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        # The network holds weights of the parser: it has to live as long.
        parser = trt.OnnxParser(network, log)
        if not parser.parse_from_file(str(onnx)):
            raise EngineError(f"model {onnx}: {library} cannot parse it: {_parser_errors(parser)}")
        _fix_shapes(trt, network, onnx, info, camera_size)
        config = _configure(trt, builder, options, compute_capability)
        cache = None if trt.__name__ == "tensorrt_rtx" else _timing_cache(config, timing_cache)
        monitor = progress_monitor(trt, state)
        config.progress_monitor = monitor
        serialized = builder.build_serialized_network(network, config)
    if state.error is not None:
        raise state.error
    if serialized is None:
        raise EngineError(f"{refused}: {log.messages.faults()}")
    state.report(1.0, "done")
    return BuiltEngine(
        _bytes(serialized), None if cache is None else _bytes(cache.serialize()), _activation_bytes(log.messages)
    )


def _parser_errors(parser: tensorrt.OnnxParser) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return "; ".join(f"node {e.node_name() or e.node()} ({e.node_operator()}): {e.desc()}" for e in errors)


def _fix_shapes(
    trt: TensorRt, network: tensorrt.INetworkDefinition, onnx: Path, info: ModelInfo, camera_size: tuple[int, int]
) -> None:
    """Give the inputs their one size, the outputs' follows; and check all that before minutes of building."""
    expected = engine_inputs(info, camera_size)
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    for tensor in inputs:
        wanted = expected.get(tensor.name)
        if wanted is not None and len(tensor.shape) == len(wanted.shape):
            found = described(tensor.shape, tensor.dtype).shape
            fixed = [own if own >= 0 else given for own, given in zip(found, wanted.shape, strict=True)]
            tensor.shape = trt.Dims(fixed)
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    for tensor in [tensor for tensor in outputs if tensor.name == _UNUSED_OUTPUT]:
        network.unmark_output(tensor)
        outputs.remove(tensor)
    check_tensors(f"inputs of model {onnx}", _tensors(inputs), expected)
    check_tensors(f"outputs of model {onnx}", _tensors(outputs), engine_outputs(info, camera_size))


def _tensors(tensors: list[tensorrt.ITensor]) -> dict[str, Tensor]:
    return {tensor.name: described(tensor.shape, tensor.dtype) for tensor in tensors}


def _configure(
    trt: TensorRt, builder: tensorrt.Builder, options: BuildOptions, compute_capability: str | None
) -> tensorrt.IBuilderConfig:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    config.builder_optimization_level = options.optimization_level
    # Layer names in the engine: a profile of it can be read.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if compute_capability is not None:
        _set_compute_capability(trt, config, compute_capability)
    return config


def _set_compute_capability(trt: Any, config: Any, compute_capability: str) -> None:
    """Compile for another GPU than this machine's: of TensorRT-RTX alone."""
    if not hasattr(trt, "ComputeCapability"):
        raise EngineError(f"{trt.__name__} builds for the GPU of this machine only; compute capabilities: tensorrt_rtx")
    known = {name: value for name, value in vars(trt.ComputeCapability).items() if re.fullmatch(r"SM\d+", name)}
    name = f"SM{compute_capability.replace('.', '')}"
    if name not in known:
        raise EngineError(
            f"compute capability {compute_capability}: {trt.__name__} {trt.__version__} knows "
            + ", ".join(f"{known_name[2:-1]}.{known_name[-1]}" for known_name in known)
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(known[name], 0)


def _timing_cache(config: tensorrt.IBuilderConfig, stored: bytes | None) -> tensorrt.ITimingCache:
    """The cache that the build reads and completes; a stored one of another GPU or version is left aside."""
    if stored:
        cache = config.create_timing_cache(stored)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    cache = config.create_timing_cache(b"")
    config.set_timing_cache(cache, False)
    return cache


def _bytes(memory: Any) -> bytes:
    """A copy of ``IHostMemory``; its types don't tell that it is a buffer."""
    return bytes(memory)


def _activation_bytes(messages: Messages) -> int | None:
    found = [int(match[1]) for text in messages.texts if (match := _ACTIVATIONS.search(text))]
    return found[-1] if found else None
