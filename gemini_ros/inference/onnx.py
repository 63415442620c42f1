"""A CPU backend: ONNX Runtime runs the network, the labels are finished outside the graph."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from gemini_ros.core.frames import Segmentation
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.phrase_maps import PHRASE_OUTPUTS
from gemini_ros.inference.cpu import ONNXRUNTIME
from gemini_ros.inference.finishing import finish
from gemini_ros.inference.model_file import ModelError
from gemini_ros.inference.onnx_session import SPINNING, OnnxSession
from gemini_ros.inference.segmenter import Segmenter, asks, instance_maps, instance_outputs, phrase_maps


class OnnxSegmenter(Segmenter):
    """ONNX Runtime on the CPU; each of ``requests`` frames at once has ``threads // requests`` threads."""

    backend = ONNXRUNTIME
    session_entries: Mapping[str, str] = SPINNING

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
        plain = "logits", *instance_outputs(info)
        threads = max(threads // requests, 1)
        open_for = partial(OnnxSession, path, info, threads=threads, entries=self.session_entries)
        self._without_phrases = open_for(plain)
        # Every frame pays for all that its session makes: where phrases are taken, there is one with and one without.
        self._with_phrases = open_for((*plain, *PHRASE_OUTPUTS)) if info.language else None
        zeros = self._zeros()
        logits = self._without_phrases.try_out(zeros)[0]
        shape, classes = np.shape(logits), len(info.label_set)
        if len(shape) != 4 or shape[:2] != (1, classes) or 0 in shape or logits.dtype != np.float32:
            raise ModelError(f"model {path}: logits {shape}, expected float32 (1, {classes}, H, W)")
        if self._with_phrases is not None:
            self._with_phrases.try_out(zeros)
        self._run(zeros)  # compiles what finishes a frame

    def _run(self, inputs: dict[str, np.ndarray]) -> Segmentation:
        rows, columns = inputs[self.info.modality_names[0]].shape[1:3]
        start = time.perf_counter_ns()
        session = self._with_phrases if self._with_phrases is not None and asks(inputs) else self._without_phrases
        logits, *said = session.run(inputs)
        count = len(instance_outputs(self.info))
        things, said = instance_maps(said[:count], self.info), said[count:]
        middle = time.perf_counter_ns()
        labels, confidence = finish(logits[0], rows, columns, self.info.temperature)
        end = time.perf_counter_ns()
        timings = {"network": middle - start, "postprocess": end - middle}
        return Segmentation(labels, confidence, timings, phrase_maps(said) if said else None, things)

    def close(self) -> None:
        """Give back the network's memory; a second time does nothing."""
        for session in ("_without_phrases", "_with_phrases"):
            vars(self).pop(session, None)
