"""The CPU backend: ONNX Runtime runs the network, the labels are finished outside the graph."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime

from gemini_ros.core.documents import one_line
from gemini_ros.core.files import read_file
from gemini_ros.core.frames import Segmentation
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.inference.finishing import finish
from gemini_ros.inference.graph_limits import require_bounded_graph
from gemini_ros.inference.model_file import ModelError, require_whole
from gemini_ros.inference.segmenter import Segmenter, absent_image

_ERROR_LEVEL = 3


class OnnxSegmenter(Segmenter):
    """ONNX Runtime on the CPU; ``threads`` None leaves the number to ONNX Runtime (the physical cores)."""

    backend = "onnxruntime"

    def __init__(
        self, path: Path, info: ModelInfo, reason: str, camera_size: tuple[int, int] | None, threads: int | None
    ) -> None:
        super().__init__(info, reason, camera_size)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERROR_LEVEL
        # Spinning threads would take the cores from the rest of the robot between two frames.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        data = read_file(path)
        require_whole(data, path)
        require_bounded_graph(data, info, path)
        self._run_options = onnxruntime.RunOptions()
        self._run_options.only_execute_path_to_fetches = True
        width, height = camera_size or info.network_size
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            self._check_interface(path)
            (logits,) = self._session.run(["logits"], self._zeros(width, height), self._run_options)
        except ModelError:
            raise
        # ONNX Runtime's errors have no public base class of their own below RuntimeError and Exception.
        except Exception as error:
            raise ModelError(f"model {path}: ONNX Runtime cannot run it: {one_line(error)}") from error
        shape, classes = np.shape(logits), len(info.label_set)
        if len(shape) != 4 or shape[:2] != (1, classes) or 0 in shape or np.asarray(logits).dtype != np.float32:
            raise ModelError(f"model {path}: logits {shape}, expected float32 (1, {classes}, H, W)")
        finish(np.asarray(logits)[0], height, width, info.temperature)  # compiles, before the first frame

    def _run(self, inputs: dict[str, np.ndarray]) -> Segmentation:
        rows, columns = inputs[self.info.modality_names[0]].shape[1:3]
        start = time.perf_counter_ns()
        (logits,) = self._session.run(["logits"], inputs, self._run_options)
        middle = time.perf_counter_ns()
        labels, confidence = finish(np.asarray(logits)[0], rows, columns, self.info.temperature)
        end = time.perf_counter_ns()
        return Segmentation(labels, confidence, {"network": middle - start, "postprocess": end - middle})

    def close(self) -> None:
        """Give back the network's memory."""
        del self._session

    def _check_interface(self, path: Path) -> None:
        found = [i.name for i in self._session.get_inputs()], [o.name for o in self._session.get_outputs()]
        expected = [*self.info.modality_names, "present"], ["labels", "confidence", "logits"]
        if found != expected:
            raise ModelError(
                f"model {path}: inputs {found[0]}, outputs {found[1]}; expected {expected[0]}, {expected[1]}"
            )

    def _zeros(self, width: int, height: int) -> dict[str, np.ndarray]:
        """Inputs of the right shapes, so that everything that is made once is made before the first frame."""
        inputs = {name: absent_image(name, width, height) for name in self.info.modality_names}
        return inputs | {"present": np.ones(len(inputs), np.float32)}
