"""Whether a backend answers as the model does: the gate that an engine passes before it serves frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gemini_ros.core.documents import one_line, read_npz
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.inference.cache import PASSED, REJECTED, Parity
from gemini_ros.inference.cpu import default_threads
from gemini_ros.inference.model_file import ModelError
from gemini_ros.inference.segmenter import Segmenter

# Where ONNX Runtime is more certain than this, 99 % of the labels of an fp32 engine are equal, 95 % in less precision.
CONFIDENT = 128
LEAST_AGREEMENT = {"fp32": 0.99}
LEAST_AGREEMENT_BELOW_FP32 = 0.95
# The costmap weighs by confidence: an engine that is sure of everything must not get through on its labels.
LARGEST_CONFIDENCE_DIFFERENCE = 12.8


def golden_path(model: Path) -> Path:
    """The golden file of a model file: ``X.golden.npz`` beside ``X.onnx``."""
    return model.with_suffix(".golden.npz")


def gate(segmenter: Segmenter, golden: Path, model: Path, gpu: str = "") -> Parity:
    """Run the frames of ``golden`` and compare with its outputs, all frames together.

    For a segmenter of another size than these frames are, they are scaled to it (nearest pixel), and what they are
    compared with comes from ONNX Runtime on ``model``. Raises ``ModelError`` where there is nothing to compare with.
    """
    frames, expected = read_golden(golden, segmenter.info)
    size = segmenter.camera_size
    if size is not None and size != frames[0].size:
        frames = [scaled(frame, size) for frame in frames]
        expected = _reference(model, segmenter.info, frames)
    confident = equal = difference = pixels = 0
    for frame, reference in zip(frames, expected, strict=True):
        result = segmenter.segment(frame)
        judged = reference.confidence >= CONFIDENT
        confident += int(judged.sum())
        equal += int((result.labels == reference.labels)[judged].sum())
        difference += int(np.abs(result.confidence.astype(np.int16) - reference.confidence).sum())
        pixels += judged.size
    if not confident:
        raise ModelError(
            f"{golden}: no pixel of confidence {CONFIDENT} or more to judge an engine by; export the model again"
        )
    return _verdict(equal / confident, difference / pixels, segmenter.info, gpu)


def _verdict(agreement: float, difference: float, info: ModelInfo, gpu: str) -> Parity:
    least = LEAST_AGREEMENT.get(info.architecture.get("precision", "fp32"), LEAST_AGREEMENT_BELOW_FP32)
    reasons = []
    if agreement < least:
        reasons.append(f"{agreement:.4f} of the confident labels are those of ONNX Runtime, expected {least}")
    if difference > LARGEST_CONFIDENCE_DIFFERENCE:
        expected = f"expected at most {LARGEST_CONFIDENCE_DIFFERENCE}"
        reasons.append(f"the confidence differs by {difference:.1f} of 255 in the mean, {expected}")
    state = REJECTED if reasons else PASSED
    return Parity(state, round(agreement, 6), round(difference, 3), gpu, "; ".join(reasons))


def read_golden(path: Path, info: ModelInfo) -> tuple[list[Frame], list[Segmentation]]:
    """The frames of a golden file, and what the model says of them. Raises ``ModelError``."""
    try:
        arrays = read_npz(path)
        count = sum(name.endswith("/labels") for name in arrays)
        frames = [
            Frame.from_images(i, "golden", {name: arrays[f"input{i}/{name}"] for name in info.modality_names})
            for i in range(count)
        ]
        expected = [
            Segmentation(arrays[f"output{i}/labels"], arrays[f"output{i}/confidence"], {}) for i in range(count)
        ]
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file; it belongs beside the model, and no engine serves frames unchecked: copy it, or "
            "export the model again"
        ) from error
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: damaged, or not of this model: {one_line(error)}") from error
    if any(array.dtype != np.uint8 for result in expected for array in (result.labels, result.confidence)):
        raise ModelError(f"{path}: labels and confidence, expected uint8; export the model again")
    shapes = {(height, width) for width, height in (frame.size for frame in frames)}
    shapes |= {array.shape for result in expected for array in (result.labels, result.confidence)}
    if len(shapes) != 1:
        raise ModelError(f"{path}: frames and outputs of {sorted(shapes)}, expected one size; export the model again")
    return frames, expected


def write_golden(path: Path, frames: list[Frame], results: list[Segmentation]) -> None:
    """Write ``frames`` with what a model says of them, all or nothing."""
    arrays = {}
    for i, (frame, result) in enumerate(zip(frames, results, strict=True)):
        arrays |= {f"input{i}/{name}": image for name, image in frame.images().items()}
        arrays |= {f"output{i}/labels": result.labels, f"output{i}/confidence": result.confidence}
    with atomic_path(path) as part:
        np.savez_compressed(part, **arrays)


def _reference(model: Path, info: ModelInfo, frames: list[Frame]) -> list[Segmentation]:
    try:
        from gemini_ros.inference.onnx import OnnxSegmenter
    except ModuleNotFoundError as error:
        raise ModelError(f"model {model}: {error.name} is not installed, which an engine is compared with") from error
    reference = OnnxSegmenter(model, info, "reference of the gate", frames[0].size, default_threads())
    try:
        return [reference.segment(frame) for frame in frames]
    finally:
        reference.close()


def scaled(frame: Frame, size: tuple[int, int]) -> Frame:
    """The frame at ``size`` (width, height); each pixel is the nearest one, so that holes stay holes."""
    width, height = frame.size
    columns = (2 * np.arange(size[0]) + 1) * width // (2 * size[0])
    rows = (2 * np.arange(size[1]) + 1) * height // (2 * size[1])
    images = {name: np.ascontiguousarray(image[rows][:, columns]) for name, image in frame.images().items()}
    return Frame.from_images(frame.stamp_ns, frame.frame_id, images)
