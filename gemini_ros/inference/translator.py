"""Run a translation model: frames in, images of another modality out, with a confidence.

ONNX Runtime alone runs them so far.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from gemini_ros.core.documents import one_line, read_npz
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame
from gemini_ros.core.model_info import TRANSLATE, ModelInfo
from gemini_ros.inference.cpu import default_threads
from gemini_ros.inference.model_file import ModelError, read_model_info
from gemini_ros.inference.segmenter import model_inputs, zero_inputs

CONFIDENT = 128
_MEASURED = np.uint8(255)
LARGEST_DIFFERENCE = 0.01
"""Of the target's range, in the mean: what a backend may differ by from the golden outputs."""


@dataclass(frozen=True)
class Translation:
    """``image`` float32 (H, W) in metres or uint8 (H, W, 3); ``confidence`` uint8 (H, W) = round(255 p)."""

    image: npt.NDArray[np.float32] | npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    timings_ns: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


class Translator:
    """A translation model on ONNX Runtime. Raises ``ModelError`` for a file that is none or cannot be used.

    ``target`` is what it makes, ``depth`` or ``rgb``; a caller may name the one that it wants.
    """

    def __init__(self, path: str | Path, target: str | None = None, threads: int | None = None) -> None:
        path = Path(path)
        self.info = read_translation_info(path, target)
        assert self.info.target is not None
        self.target = self.info.target.name
        try:
            from gemini_ros.inference.onnx_session import OnnxSession
        except ImportError as error:
            cure = "pip install 'gemini_ros[runtime]'"
            raise ModelError(f"model {path}: onnxruntime cannot be imported ({error}): {cure}") from error
        self._session = OnnxSession(path, self.info, self.info.output_names, threads or default_threads())
        self._session.try_out(zero_inputs(self.info, self.info.network_size))

    def translate(self, frame: Frame) -> Translation:
        """The frame's image of the target, on the frame's own grid.

        Depth that the frame has stays as it is, with full confidence: also what lies beyond the model's range. Raises
        ``ValueError`` as ``answer``.
        """
        made = self.answer(frame)
        if self.target != "depth" or frame.depth is None:
            return made
        measured = np.isfinite(frame.depth)
        image, confidence = np.where(measured, frame.depth, made.image), np.where(measured, _MEASURED, made.confidence)
        return Translation(image, confidence, made.timings_ns)

    def answer(self, frame: Frame) -> Translation:
        """What the model file itself makes of a frame.

        Raises ``ValueError`` as ``Segmenter.segment``, and for a frame that lacks an image of the model: what it makes
        of fewer was never judged.
        """
        if lacking := [name for name in self.info.modality_names if frame.image(name) is None]:
            raise ValueError(f"the frame has no {' and no '.join(lacking)}, which the model takes")
        inputs = model_inputs(frame, self.info, None)
        start = time.perf_counter_ns()
        image, confidence = self._session.run(inputs)
        return Translation(image[0], confidence[0], {"network": time.perf_counter_ns() - start})


def read_translation_info(path: Path, target: str | None = None) -> ModelInfo:
    """The metadata of a translation model that makes ``target``. Raises ``ModelError`` for any other file."""
    info = read_model_info(path)
    if info.task != TRANSLATE or info.target is None:
        raise ModelError(f"model {path}: task {info.task}, expected {TRANSLATE}: it labels and makes no image")
    if target not in (None, info.target.name):
        raise ModelError(f"model {path}: it makes {info.target.name}, expected one that makes {target}")
    return info


def write_golden(path: Path, frames: Sequence[Frame], results: Sequence[Translation]) -> None:
    """Write ``frames`` with what a model makes of them, all or nothing."""
    arrays = {}
    for i, (frame, result) in enumerate(zip(frames, results, strict=True)):
        arrays |= {f"input{i}/{name}": image for name, image in frame.images().items()}
        arrays |= {f"output{i}/translated": result.image, f"output{i}/confidence": result.confidence}
    with atomic_path(path) as part:
        np.savez_compressed(part, **arrays)


def golden_difference(translator: Translator, golden: Path) -> float:
    """The mean difference from the golden outputs, of the target's range, where these are confident.

    A translator passes below ``LARGEST_DIFFERENCE``. Raises ``ModelError`` for a file of something else.
    """
    target = translator.info.target
    assert target is not None
    try:
        arrays = read_npz(golden)
        count = sum(name.endswith("/translated") for name in arrays)
        off, pixels = 0.0, 0
        for i in range(count):
            names = translator.info.modality_names
            frame = Frame.from_images(i, "golden", {name: arrays[f"input{i}/{name}"] for name in names})
            made = translator.answer(frame).image.astype(np.float64)
            judged = arrays[f"output{i}/confidence"] >= CONFIDENT
            off += float(np.abs(made - arrays[f"output{i}/translated"])[judged].sum()) / target.channels
            pixels += int(judged.sum())
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{golden}: missing, damaged, or not of this model: {one_line(error)}") from error
    if not pixels:
        raise ModelError(f"{golden}: no pixel of confidence {CONFIDENT} or more to judge by; export the model again")
    return off / pixels / (target.range[1] - target.range[0])
