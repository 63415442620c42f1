"""A CPU backend: ONNX Runtime runs the network, the labels are finished outside the graph."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from gemini_ros.core.frames import Segmentation
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.phrase_maps import PHRASE_OUTPUTS
from gemini_ros.inference.cpu import ONNXRUNTIME
from gemini_ros.inference.finishing import finish
from gemini_ros.inference.model_file import ModelError
from gemini_ros.inference.onnx_session import OnnxSession
from gemini_ros.inference.segmenter import Segmenter, asks, instance_maps, instance_outputs, phrase_maps


class OnnxSegmenter(Segmenter):
    """ONNX Runtime on the CPU; each of ``requests`` frames at once has ``threads // requests`` threads."""

    backend = ONNXRUNTIME

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
        self._session = OnnxSession(path, info, max(threads // requests, 1))
        zeros = self._zeros()
        (logits,) = self._session.try_out(["logits"], zeros)
        shape, classes = np.shape(logits), len(info.label_set)
        if len(shape) != 4 or shape[:2] != (1, classes) or 0 in shape or logits.dtype != np.float32:
            raise ModelError(f"model {path}: logits {shape}, expected float32 (1, {classes}, H, W)")
        self._run(zeros)  # compiles what finishes a frame

    def _run(self, inputs: dict[str, np.ndarray]) -> Segmentation:
        rows, columns = inputs[self.info.modality_names[0]].shape[1:3]
        start = time.perf_counter_ns()
        # Asked only where a phrase is in force. ONNX Runtime 1.32 computes the rest all the same.
        of_things = instance_outputs(self.info)
        wanted = ["logits", *of_things, *(PHRASE_OUTPUTS if asks(inputs) else ())]
        logits, *said = self._session.run(wanted, inputs)
        things, said = instance_maps(said[: len(of_things)], self.info), said[len(of_things) :]
        middle = time.perf_counter_ns()
        labels, confidence = finish(logits[0], rows, columns, self.info.temperature)
        end = time.perf_counter_ns()
        timings = {"network": middle - start, "postprocess": end - middle}
        return Segmentation(labels, confidence, timings, phrase_maps(said) if said else None, things)

    def close(self) -> None:
        """Give back the network's memory."""
        del self._session
