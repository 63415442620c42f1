"""What every backend shares: the checks of a frame and the conversion to the model file's inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.instance_maps import INSTANCE_OUTPUTS, InstanceMaps
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.phrase_maps import PhraseInputs, PhraseMaps, no_phrases
from gemini_ros.inference.model_file import ModelError


class Segmenter(ABC):
    """A loaded model. ``backend`` names what runs it and ``reason`` why it was chosen.

    As many threads as there are ``requests`` may call ``segment`` at once; one more would wait or slow the others down.
    ``threads`` of the CPU are shared by them; a GPU takes ``None``.
    """

    backend: str

    def __init__(
        self,
        info: ModelInfo,
        reason: str,
        camera_size: tuple[int, int] | None,
        *,
        threads: int | None = None,
        requests: int = 1,
    ) -> None:
        self.info = info
        self.reason = reason
        self.camera_size = camera_size
        self.threads = threads
        self.requests = requests

    def segment(self, frame: Frame, phrases: PhraseInputs | None = None) -> Segmentation:
        """Labels and confidence on the frame's own grid; a modality that the frame has not counts as absent.

        ``phrases`` are answered too where the model takes them, in ``Segmentation.phrases``; labels and confidence do
        not depend on them. Raises ``ValueError`` if none of the model's modalities is there, the frame is not of
        ``camera_size``, or the phrases are of another text encoder or shape.
        """
        inputs = model_inputs(frame, self.info, self.camera_size)
        said = self.info.language and phrases
        if not said:
            return self._run(inputs | self._nothing_asked())
        return _named(self._run(inputs | self._asked(said)), said.texts)

    @abstractmethod
    def close(self) -> None:
        """Give back what the backend holds; the segmenter is of no use afterwards."""

    @abstractmethod
    def _run(self, inputs: dict[str, np.ndarray]) -> Segmentation:
        """Run the network on inputs of the model file's names, types and shapes."""

    def _zeros(self) -> dict[str, np.ndarray]:
        """Inputs of the right shapes, so that everything that is made once is made before the first frame."""
        return zero_inputs(self.info, self.camera_size or self.info.network_size) | self._nothing_asked()

    def _nothing_asked(self) -> dict[str, np.ndarray]:
        """What a model that takes phrases is given where there are none."""
        language = self.info.language
        return no_phrases(language.phrases, language.pieces) if language else {}

    def _asked(self, phrases: PhraseInputs) -> dict[str, np.ndarray]:
        language = self.info.language
        assert language is not None
        if phrases.encoder != language.encoder_sha256:
            raise ValueError(
                f"phrases of the text encoder {phrases.encoder}, expected {language.encoder_sha256}: encode them again"
            )
        return phrases.padded(language.phrases, language.pieces)


def asks(inputs: Mapping[str, np.ndarray]) -> bool:
    """Whether any phrase is among a network's inputs."""
    return "phrase_mask" in inputs and bool(inputs["phrase_mask"].any())


def phrase_maps(outputs: Sequence[np.ndarray]) -> PhraseMaps:
    """Of a network's three outputs for phrases, still without their texts."""
    prob, present, count = outputs
    return PhraseMaps((), prob, present, count)


def instance_outputs(info: ModelInfo) -> tuple[str, ...]:
    """What is fetched of a model that tells things apart, of every frame; nothing of others."""
    return INSTANCE_OUTPUTS if info.instances else ()


def instance_maps(outputs: Sequence[np.ndarray], info: ModelInfo) -> InstanceMaps | None:
    """Of a network's outputs of ``instance_outputs``."""
    if info.instances is None:
        return None
    centres, offsets = outputs
    return InstanceMaps(centres, offsets, tuple(map(info.label_set.names.index, info.instances.classes)))


def _named(segmentation: Segmentation, texts: tuple[str, ...]) -> Segmentation:
    """The rows of phrases that are there, by their texts."""
    found = segmentation.phrases
    if found is None:
        return segmentation
    count = len(texts)
    named = PhraseMaps(texts, found.prob[:count], found.present[:count], found.count[:count])
    return replace(segmentation, phrases=named)


def model_inputs(frame: Frame, info: ModelInfo, camera_size: tuple[int, int] | None) -> dict[str, np.ndarray]:
    """The model file's inputs; a modality that the frame has not counts as absent.

    Raises ``ValueError`` if none of the model's modalities is there or the frame is not of ``camera_size``.
    """
    names = info.modality_names
    images = {name: frame.image(name) for name in names}
    present = [image is not None for image in images.values()]
    if not any(present):
        raise ValueError(f"frame with {', '.join(frame.images())}; the model takes {', '.join(names)}")
    if camera_size is not None and frame.size != camera_size:
        raise ValueError(f"frame {frame.size[0]}x{frame.size[1]}, expected {camera_size[0]}x{camera_size[1]}")
    inputs = {
        name: absent_image(name, *frame.size) if image is None else np.ascontiguousarray(image)[None]
        for name, image in images.items()
    }
    return inputs | {"present": np.array(present, np.float32)}


def zero_inputs(info: ModelInfo, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """The model file's images of ``size`` (width, height), all there and all 0; no phrases."""
    images = {name: absent_image(name, *size) for name in info.modality_names}
    return images | {"present": np.ones(len(images), np.float32)}


def check_interface(path: Path, info: ModelInfo, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Raise ``ModelError`` where a network's inputs and outputs are not those that its metadata say."""
    found = list(inputs), list(outputs)
    expected = [*info.input_names], [*info.output_names]
    if found != expected:
        raise ModelError(f"model {path}: inputs {found[0]}, outputs {found[1]}; expected {expected[0]}, {expected[1]}")


def absent_image(name: str, width: int, height: int) -> np.ndarray:
    """The model file's input for a modality that is not there."""
    return np.zeros((1, height, width, 3), np.uint8) if name == "rgb" else np.zeros((1, height, width), np.float32)
