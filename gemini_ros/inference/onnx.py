"""A CPU backend: ONNX Runtime runs the network, the labels are finished outside the graph."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from gemini_ros.core.documents import one_line
from gemini_ros.core.files import read_file
from gemini_ros.core.frames import Segmentation
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.phrase_maps import PHRASE_OUTPUTS
from gemini_ros.inference.cpu import ONNXRUNTIME
from gemini_ros.inference.finishing import finish
from gemini_ros.inference.graph_limits import require_bounded_graph
from gemini_ros.inference.model_file import ModelError, require_whole
from gemini_ros.inference.segmenter import Segmenter, asks, check_interface, phrase_maps

_ERROR_LEVEL = 3


class OnnxSegmenter(Segmenter):
    """ONNX Runtime on the CPU; each of ``requests`` frames at once has ``threads // requests`` threads."""

    backend = ONNXRUNTIME
    # Threads that sleep between two operators come too late for the next one, so that a second core brings nothing.
    # After a frame they stop: between two frames the cores are the rest of the robot's.
    session_entries: Mapping[str, str] = {
        "session.intra_op.allow_spinning": "1",
        "session.force_spinning_stop": "1",
    }

    def __init__(
        self,
        path: Path,
        info: ModelInfo,
        reason: str,
        camera_size: tuple[int, int] | None,
        threads: int,
        requests: int = 1,
    ) -> None:
        super().__init__(info, reason, camera_size, threads=threads, requests=requests)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERROR_LEVEL
        options.intra_op_num_threads = max(threads // requests, 1)
        for name, value in self.session_entries.items():
            options.add_session_config_entry(name, value)
        data = read_file(path)
        require_whole(data, path)
        require_bounded_graph(data, info, path)
        self._run_options = onnxruntime.RunOptions()
        self._run_options.only_execute_path_to_fetches = True
        zeros = self._zeros()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
            check_interface(path, info, [i.name for i in inputs], [o.name for o in outputs])
            (logits,) = self._session.run(["logits"], zeros, self._run_options)
        except ModelError:
            raise
        # ONNX Runtime's errors have no public base class of their own below RuntimeError and Exception.
        except Exception as error:
            raise ModelError(f"model {path}: ONNX Runtime cannot run it: {one_line(error)}") from error
        shape, classes = np.shape(logits), len(info.label_set)
        if len(shape) != 4 or shape[:2] != (1, classes) or 0 in shape or np.asarray(logits).dtype != np.float32:
            raise ModelError(f"model {path}: logits {shape}, expected float32 (1, {classes}, H, W)")
        self._run(zeros)  # compiles what finishes a frame

    def _run(self, inputs: dict[str, np.ndarray]) -> Segmentation:
        rows, columns = inputs[self.info.modality_names[0]].shape[1:3]
        start = time.perf_counter_ns()
        # Only what is fetched is computed: without phrases the network is the plain one.
        wanted = ["logits", *(PHRASE_OUTPUTS if asks(inputs) else ())]
        logits, *said = (np.asarray(output) for output in self._session.run(wanted, inputs, self._run_options))
        middle = time.perf_counter_ns()
        labels, confidence = finish(logits[0], rows, columns, self.info.temperature)
        end = time.perf_counter_ns()
        timings = {"network": middle - start, "postprocess": end - middle}
        return Segmentation(labels, confidence, timings, phrase_maps(said) if said else None)

    def close(self) -> None:
        """Give back the network's memory."""
        del self._session
