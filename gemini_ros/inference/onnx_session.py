"""A session of ONNX Runtime on the CPU for one of our files: checked before it is opened, quiet, on so many threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from gemini_ros.core.documents import one_line
from gemini_ros.core.files import read_file
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.onnx_file import as_far_as, interface
from gemini_ros.inference.graph_limits import require_bounded_graph
from gemini_ros.inference.model_file import ModelError, damaged, require_whole
from gemini_ros.inference.segmenter import check_interface

_ERROR_LEVEL = 3
# Threads that sleep between two operators come too late for the next one, so that a second core brings nothing.
# After a frame they stop: between two frames the cores are the rest of the robot's.
SPINNING: Mapping[str, str] = {
    "session.intra_op.allow_spinning": "1",
    "session.force_spinning_stop": "1",
}


class OnnxSession:
    """A model file, open as far as its ``outputs`` need it: ONNX Runtime 1.32 computes what nobody fetches, too.

    Raises ``ModelError`` for a file that is damaged, too large, or not what its metadata say, and where it cannot run.
    """

    def __init__(
        self, path: Path, info: ModelInfo, outputs: Sequence[str], threads: int, entries: Mapping[str, str] = SPINNING
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERROR_LEVEL
        options.intra_op_num_threads = threads
        for name, value in entries.items():
            options.add_session_config_entry(name, value)
        data = read_file(path)
        require_whole(data, path)
        require_bounded_graph(data, info, path)
        try:
            declared, needed = interface(data), as_far_as(data, outputs)
        except (ValueError, IndexError) as error:
            raise damaged(data, path) from error
        check_interface(path, info, *declared)
        self._path, self._outputs = path, list(outputs)
        try:
            self._session = onnxruntime.InferenceSession(
                needed, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        # ONNX Runtime's errors have no public base class of their own below RuntimeError and Exception.
        except Exception as error:
            raise self._refused(error) from error

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs. Raises ONNX Runtime's errors."""
        return [np.asarray(output) for output in self._session.run(self._outputs, dict(inputs))]

    def try_out(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """``run`` for the first time. Raises ``ModelError`` where the graph cannot be computed."""
        try:
            return self.run(inputs)
        except Exception as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ModelError:
        # Types of ONNX Runtime's own: passed on as text.
        return ModelError(f"model {self._path}: ONNX Runtime cannot run it: {one_line(error)}")
