"""A CPU backend: OpenVINO runs the network, the labels are finished outside the graph."""

from __future__ import annotations

import queue
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gemini_ros.core.documents import one_line
from gemini_ros.core.files import read_file, sha256_of
from gemini_ros.core.frames import Segmentation
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.phrase_maps import PHRASE_OUTPUTS
from gemini_ros.inference.cache import ANY_SIZE, EngineCache, EngineKey
from gemini_ros.inference.cpu import OPENVINO, cpu_name
from gemini_ros.inference.finishing import finish
from gemini_ros.inference.graph_limits import require_bounded_graph
from gemini_ros.inference.model_file import ModelError, require_whole
from gemini_ros.inference.segmenter import (
    Segmenter,
    asks,
    check_interface,
    instance_maps,
    instance_outputs,
    phrase_maps,
)
from gemini_ros.inference.tensorrt.build import BuiltEngine
from gemini_ros.inference.tensorrt.interface import Tensor, engine_inputs, phrase_outputs, tensors_of_things
from gemini_ros.inference.tensorrt.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

F32 = "f32"
# OpenVINO's name of a capability of the CPU, and the precision hint that uses it.
_LOWER = {"BF16": "bf16", "FP16": "f16"}
_LOGITS = "logits"
_LENGTH = 8  # bytes in front of two networks that are stored, which say how long the one without phrases is


def load_openvino() -> ModuleType:
    """The library. Raises ``ModelError`` saying what to install."""
    try:
        import openvino
    except ImportError as error:
        raise ModelError(f"openvino cannot be imported ({error}): pip install 'gemini_ros[openvino]'") from error
    return openvino


@cache
def openvino_core() -> Any:
    """The one ``openvino.Core`` of this process. Raises ``ModelError`` where the library is missing.

    It is never released. A core's plugin for CPUs sets the stack on which the thread handles signals (sigaltstack(2)),
    and frees that stack with the core. Where cores are released out of order or in another thread, the freed stack
    stays set, and the next signal ends the process.
    """
    return load_openvino().Core()


def openvino_version() -> str:
    """Release and build, such as ``2026.4.1-22982``."""
    return "-".join(load_openvino().get_version().split("-")[:2])


def precisions() -> tuple[str, ...]:
    """``f32``, and each lower precision that this CPU computes in."""
    capabilities = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return F32, *(hint for name, hint in _LOWER.items() if name in capabilities)


@dataclass(frozen=True)
class OpenVinoJob:
    """One compiled model: for frames of ``camera_size`` (width, height; ``None``: any), in ``precision``."""

    model: Path
    info: ModelInfo
    camera_size: tuple[int, int] | None
    threads: int
    requests: int = 1
    precision: str = F32
    library_title = "OpenVINO"

    @property
    def device(self) -> str:
        return cpu_name()

    @property
    def interface(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        width, height = self.info.network_size
        logits = Tensor((1, len(self.info.label_set), height // 4, width // 4), "FLOAT")
        said = phrase_outputs(self.info.language, self.info.network_size) if self.info.language else {}
        return engine_inputs(self.info, self.camera_size or (-1, -1)), {
            _LOGITS: logits,
            **tensors_of_things(self.info),
            **said,
        }

    def key(self) -> EngineKey:
        """Threads and requests are not in it: OpenVINO takes them when it loads what it has compiled."""
        capabilities = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return EngineKey(
            onnx_sha256=sha256_of(self.model),
            library=OPENVINO,
            version=openvino_version(),
            gpu=self.device,
            compute_capability="",
            camera_size=self.camera_size or ANY_SIZE,
            options={"precision": self.precision, "capabilities": " ".join(sorted(capabilities))},
        )

    def build(self, timing_cache: bytes | None, progress: Progress) -> BuiltEngine:
        """Compile the network as far as its logits. Raises ``ModelError``."""
        progress(0.0, "OpenVINO compiles the network")
        with _refusals(f"model {self.model}: OpenVINO cannot compile it"):
            data = read_file(self.model)
            require_whole(data, self.model)
            require_bounded_graph(data, self.info, self.model)
            core = openvino_core()
            model = core.read_model(str(self.model))
            check_interface(self.model, self.info, _names(model.inputs), _names(model.outputs))
            if self.camera_size is not None:
                shapes = engine_inputs(self.info, self.camera_size)
                model.reshape({name: list(tensor.shape) for name, tensor in shapes.items()})
            # OpenVINO computes all outputs of a network: where phrases are taken, there is one with and one without.
            always = _LOGITS, *instance_outputs(self.info)
            asked = self._compiled(core, model, (*always, *PHRASE_OUTPUTS)) if self.info.language else b""
            plain = self._compiled(core, model, always)
        return BuiltEngine(len(plain).to_bytes(_LENGTH, "little") + plain + asked if asked else plain, None, None)

    def _compiled(self, core: Any, model: Any, outputs: tuple[str, ...]) -> bytes:
        """``model``, which is cut down to ``outputs``, as OpenVINO stores it."""
        for result in model.get_results():
            if not set(outputs) & result.output(0).get_names():
                model.remove_result(result)
        exported = core.compile_model(model, "CPU", self._options()).export_model()
        return exported if isinstance(exported, bytes) else exported.getvalue()

    def load(self, data: bytes, reason: str) -> Segmenter:
        """Raises ``ModelError``."""
        with _refusals(f"model {self.model}: OpenVINO cannot load what it compiled"):
            parts = _two(data) if self.info.language else [data]
            compiled = [openvino_core().import_model(part, "CPU", self._options()) for part in parts]
            return OpenVinoSegmenter(compiled, self.info, reason, self.camera_size, self.threads, self.requests)

    def build_command(self, cache: EngineCache) -> str:
        words = ["gemini-ros", "model", "benchmark", str(self.model), "--backend", OPENVINO]
        words += ["--size", "x".join(map(str, self.camera_size))] if self.camera_size else []
        return shlex.join([*words, "--cache-dir", str(cache.directory)])

    def _options(self) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": self.requests,
            # The cores belong to the whole robot: a pinned thread waits for its core while another one is free.
            "ENABLE_CPU_PINNING": False,
        }


class OpenVinoSegmenter(Segmenter):
    """A compiled model, and for one that takes phrases a second that answers them.

    Each of ``requests`` frames at once has ``threads // requests`` threads to itself.
    """

    backend = OPENVINO

    def __init__(
        self,
        compiled: Sequence[Any],
        info: ModelInfo,
        reason: str,
        camera_size: tuple[int, int] | None,
        threads: int,
        requests: int,
    ) -> None:
        super().__init__(info, reason, camera_size, threads=threads, requests=requests)
        self._compiled = list(compiled)
        self._free: list[queue.LifoQueue[Any]] = [queue.LifoQueue() for _ in compiled]
        for network, free in zip(compiled, self._free, strict=True):
            for _ in range(requests):
                free.put(network.create_infer_request())
        # What is made with the first frame is made now.
        self._run(self._zeros())

    def _run(self, inputs: dict[str, np.ndarray]) -> Segmentation:
        rows, columns = inputs[self.info.modality_names[0]].shape[1:3]
        answers = asks(inputs)
        free = self._free[answers]
        request = free.get()
        try:
            start = time.perf_counter_ns()
            request.infer(inputs, share_inputs=True)
            middle = time.perf_counter_ns()
            # The request owns the logits: it must not run again before they are used.
            logits = request.get_tensor(_LOGITS).data[0]
            labels, confidence = finish(logits, rows, columns, self.info.temperature)
            of_things = [request.get_tensor(name).data.copy() for name in instance_outputs(self.info)]
            things = instance_maps(of_things, self.info)
            said = [request.get_tensor(name).data.copy() for name in PHRASE_OUTPUTS] if answers else []
            end = time.perf_counter_ns()
        finally:
            free.put(request)
        timings = {"network": middle - start, "postprocess": end - middle}
        return Segmentation(labels, confidence, timings, phrase_maps(said) if said else None, things)

    def close(self) -> None:
        """Give back the network's memory; a second time does nothing."""
        for free in self._free:
            while not free.empty():
                free.get()
        vars(self).pop("_compiled", None)


def _two(data: bytes) -> list[bytes]:
    """The network without phrases, and with them."""
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    return [data[_LENGTH:end], data[end:]]


def _names(ports: list[Any]) -> list[str]:
    return [port.get_any_name() for port in ports]


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """OpenVINO's errors, which have no class of their own, as ``ModelError`` in one line."""
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except Exception as error:
        raise ModelError(f"{what}: {one_line(error)}") from error
