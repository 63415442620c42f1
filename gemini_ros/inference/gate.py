"""Whether a backend answers as the model does: the gate that an engine passes before it serves frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gemini_ros.core.documents import one_line, read_npz
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED, Frame, Segmentation
from gemini_ros.core.instance_maps import INSTANCE_OUTPUTS, STRIDE, InstanceMaps
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.phrase_maps import PHRASE_OUTPUTS, PhraseInputs, PhraseMaps
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
# A phrase is where its probability is above one half; in the mean it may differ by as much as the confidence, of 255.
LEAST_PHRASE_AGREEMENT = 0.99
LARGEST_PHRASE_DIFFERENCE = 0.05  # of presence and counts, which are probabilities
# Of things: the heat map, which is 1 on a centre, and the offsets in pixels of the network, in the mean.
LARGEST_CENTRE_DIFFERENCE = 0.02
LARGEST_OFFSET_DIFFERENCE_PX = 1.0
PHRASE_SETS = 2
_HALF = 127


def golden_path(model: Path) -> Path:
    """The golden file of a model file: ``X.golden.npz`` beside ``X.onnx``."""
    return model.with_suffix(".golden.npz")


def gate(segmenter: Segmenter, golden: Path, model: Path, gpu: str = "") -> Parity:
    """Run the frames of ``golden`` and compare with its outputs, all frames together, those for phrases and things too.

    For a segmenter of another size than these frames are, they are scaled to it (nearest pixel), and what they are
    compared with comes from ONNX Runtime on ``model``. Raises ``ModelError`` where there is nothing to compare with.
    """
    frames, expected = read_golden(golden, segmenter.info)
    phrases = read_golden_phrases(golden, segmenter.info)
    size = segmenter.camera_size
    if size is not None and size != frames[0].size:
        frames = [scaled(frame, size) for frame in frames]
        expected = _reference(model, segmenter.info, frames, phrases)
    confident = equal = difference = pixels = unlabelled = 0
    said, things = PhraseAgreement(), ThingAgreement()
    for index, (frame, reference) in enumerate(zip(frames, expected, strict=True)):
        result = segmenter.segment(frame, asked_of(phrases, index))
        if reference.phrases is not None and result.phrases is not None:
            said.add(result.phrases, reference.phrases)
        if reference.instances is not None and result.instances is not None:
            things.add(result.instances, reference.instances)
        judged = reference.confidence >= CONFIDENT
        confident += int(judged.sum())
        equal += int((result.labels == reference.labels)[judged].sum())
        difference += int(np.abs(result.confidence.astype(np.int16) - reference.confidence).sum())
        pixels += judged.size
        unlabelled += int(((result.labels == UNLABELLED) & (reference.labels != UNLABELLED)).sum())
    if not confident:
        raise ModelError(
            f"{golden}: no pixel of confidence {CONFIDENT} or more to judge an engine by; export the model again"
        )
    faults = [*said.faults(), *things.faults()]
    if unlabelled:  # of logits that are not finite, which no precision excuses
        faults.insert(0, f"{unlabelled} of {pixels} pixels are unlabelled, expected a label as ONNX Runtime gives")
    return _verdict(equal / confident, difference / pixels, faults, segmenter.info, gpu)


@dataclass
class PhraseAgreement:
    """How far two backends' answers about phrases agree, over all that was added."""

    pixels: int = 0
    equal: int = 0
    difference: int = 0
    largest: float = 0.0

    def add(self, found: PhraseMaps, expected: PhraseMaps) -> None:
        """Of the same phrases."""
        self.pixels += expected.prob.size
        self.equal += int(((found.prob > _HALF) == (expected.prob > _HALF)).sum())
        self.difference += int(np.abs(found.prob.astype(np.int16) - expected.prob).sum())
        for ours, theirs in ((found.present, expected.present), (found.count, expected.count)):
            # Python's max would pass over NaN.
            self.largest = float(np.maximum(self.largest, np.abs(ours - theirs).max(initial=0.0)))

    def faults(self) -> list[str]:
        """Why it is too little, in sentences; none where it is enough or nothing was added."""
        if not self.pixels:
            return []
        share, mean, found = self.equal / self.pixels, self.difference / self.pixels, []
        if not share >= LEAST_PHRASE_AGREEMENT:
            least = f"expected {LEAST_PHRASE_AGREEMENT}"
            found.append(f"{share:.4f} of the phrases' masks are those of ONNX Runtime, {least}")
        if not mean <= LARGEST_CONFIDENCE_DIFFERENCE:
            most = f"expected at most {LARGEST_CONFIDENCE_DIFFERENCE}"
            found.append(f"the phrases' probability differs by {mean:.1f} of 255 in the mean, {most}")
        if not self.largest <= LARGEST_PHRASE_DIFFERENCE:
            most = f"expected at most {LARGEST_PHRASE_DIFFERENCE}"
            found.append(f"presence or counts of phrases differ by {self.largest:.3f}, {most}")
        return found


@dataclass
class ThingAgreement:
    """How far two backends' maps of things agree, over all that was added."""

    frames: int = 0
    centres: float = 0.0
    offsets_px: float = 0.0

    def add(self, found: InstanceMaps, expected: InstanceMaps) -> None:
        """Of the same frame."""
        self.frames += 1
        self.centres += float(np.abs(found.centres - expected.centres).mean())
        self.offsets_px += float(np.abs(found.offsets - expected.offsets).mean())

    def faults(self) -> list[str]:
        """Why it is too little, in sentences; none where it is enough or nothing was added."""
        pairs = (
            (self.centres, LARGEST_CENTRE_DIFFERENCE, "centres of things differ by {:.3f}"),
            (self.offsets_px, LARGEST_OFFSET_DIFFERENCE_PX, "offsets of things differ by {:.2f} pixels"),
        )
        return [
            f"{text.format(total / self.frames)} in the mean, expected at most {most}"
            for total, most, text in pairs
            if self.frames and not total / self.frames <= most
        ]


def _verdict(agreement: float, difference: float, faults: list[str], info: ModelInfo, gpu: str) -> Parity:
    least = LEAST_AGREEMENT.get(info.architecture.get("precision", "fp32"), LEAST_AGREEMENT_BELOW_FP32)
    reasons = []
    if not agreement >= least:
        reasons.append(f"{agreement:.4f} of the confident labels are those of ONNX Runtime, expected {least}")
    if not difference <= LARGEST_CONFIDENCE_DIFFERENCE:
        expected = f"expected at most {LARGEST_CONFIDENCE_DIFFERENCE}"
        reasons.append(f"the confidence differs by {difference:.1f} of 255 in the mean, {expected}")
    reasons += faults
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
            Segmentation(
                arrays[f"output{i}/labels"],
                arrays[f"output{i}/confidence"],
                {},
                _golden_maps(arrays, i, info),
                _golden_things(arrays, i, info),
            )
            for i in range(count)
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


def read_golden_phrases(path: Path, info: ModelInfo) -> list[PhraseInputs]:
    """The sets of phrases of a golden file; none for a model that takes none. Raises ``ModelError``."""
    if info.language is None:
        return []
    try:
        arrays = read_npz(path)
        return [
            PhraseInputs(
                _names(arrays[f"phrases{k}/phrases"]),
                info.language.encoder_sha256,
                arrays[f"phrases{k}/phrases"],
                arrays[f"phrases{k}/phrase_mask"],
            )
            for k in range(PHRASE_SETS)
        ]
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: damaged, or not of this model: {one_line(error)}") from error


def asked_of(phrases: Sequence[PhraseInputs], index: int) -> PhraseInputs | None:
    """The set that the golden frame of this index is asked about, in turn."""
    return phrases[index % len(phrases)] if phrases else None


def _golden_maps(arrays: Mapping[str, np.ndarray], index: int, info: ModelInfo) -> PhraseMaps | None:
    if info.language is None:
        return None
    prob, present, count = (arrays[f"output{index}/{name}"] for name in PHRASE_OUTPUTS)
    return PhraseMaps(_names(prob), prob, present, count)


def _golden_things(arrays: Mapping[str, np.ndarray], index: int, info: ModelInfo) -> InstanceMaps | None:
    if info.instances is None:
        return None
    width, height = (side // STRIDE for side in info.network_size)
    centres, offsets = (arrays[f"output{index}/{name}"] for name in INSTANCE_OUTPUTS)
    if centres.shape != (height, width) or offsets.shape != (2, height, width):
        raise ValueError(f"centres {centres.shape}, offsets {offsets.shape}, expected them of {width}x{height}")
    return InstanceMaps(centres, offsets)


def _names(rows: np.ndarray) -> tuple[str, ...]:
    """A golden file has no texts."""
    return tuple(map(str, range(len(rows))))


def write_golden(
    path: Path, frames: list[Frame], results: list[Segmentation], phrases: Sequence[PhraseInputs] = ()
) -> None:
    """Write ``frames`` with what a model says of them, all or nothing; ``phrases`` are the sets it was asked about."""
    arrays = {}
    for k, asked in enumerate(phrases):
        arrays |= {f"phrases{k}/phrases": asked.phrases, f"phrases{k}/phrase_mask": asked.mask}
    for i, (frame, result) in enumerate(zip(frames, results, strict=True)):
        arrays |= {f"input{i}/{name}": image for name, image in frame.images().items()}
        arrays |= {f"output{i}/labels": result.labels, f"output{i}/confidence": result.confidence}
        if (said := result.phrases) is not None:
            values = (said.prob, said.present, said.count)
            arrays |= {f"output{i}/{name}": array for name, array in zip(PHRASE_OUTPUTS, values, strict=True)}
        if (things := result.instances) is not None:
            pairs = zip(INSTANCE_OUTPUTS, (things.centres, things.offsets), strict=True)
            arrays |= {f"output{i}/{name}": array for name, array in pairs}
    with atomic_path(path) as part:
        np.savez_compressed(part, **arrays)


def _reference(
    model: Path, info: ModelInfo, frames: list[Frame], phrases: Sequence[PhraseInputs]
) -> list[Segmentation]:
    try:
        from gemini_ros.inference.onnx import OnnxSegmenter
    except ModuleNotFoundError as error:
        raise ModelError(f"model {model}: {error.name} is not installed, which an engine is compared with") from error
    reference = OnnxSegmenter(model, info, "reference of the gate", frames[0].size, default_threads())
    try:
        return [reference.segment(frame, asked_of(phrases, index)) for index, frame in enumerate(frames)]
    finally:
        reference.close()


def scaled(frame: Frame, size: tuple[int, int]) -> Frame:
    """The frame at ``size`` (width, height); each pixel is the nearest one, so that holes stay holes."""
    width, height = frame.size
    columns = (2 * np.arange(size[0]) + 1) * width // (2 * size[0])
    rows = (2 * np.arange(size[1]) + 1) * height // (2 * size[1])
    images = {name: np.ascontiguousarray(image[rows][:, columns]) for name, image in frame.images().items()}
    return Frame.from_images(frame.stamp_ns, frame.frame_id, images)
