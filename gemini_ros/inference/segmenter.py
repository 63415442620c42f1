"""What every backend shares: the checks of a frame and the conversion to the model file's inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.model_info import ModelInfo
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

    def segment(self, frame: Frame) -> Segmentation:
        """Labels and confidence on the frame's own grid; a modality that the frame has not counts as absent.

        Raises ``ValueError`` if none of the model's modalities is there or the frame is not of ``camera_size``.
        """
        return self._run(model_inputs(frame, self.info, self.camera_size))

    @abstractmethod
    def close(self) -> None:
        """Give back what the backend holds; the segmenter is of no use afterwards."""

    @abstractmethod
    def _run(self, inputs: dict[str, np.ndarray]) -> Segmentation:
        """Run the network on inputs of the model file's names, types and shapes."""

    def _zeros(self) -> dict[str, np.ndarray]:
        """Inputs of the right shapes, so that everything that is made once is made before the first frame."""
        size = self.camera_size or self.info.network_size
        inputs = {name: absent_image(name, *size) for name in self.info.modality_names}
        return inputs | {"present": np.ones(len(inputs), np.float32)}


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


def check_interface(path: Path, info: ModelInfo, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Raise ``ModelError`` where a network's inputs and outputs are not those that its metadata say."""
    found = list(inputs), list(outputs)
    answers = ["labels", "confidence", "logits"] if info.target is None else ["translated", "confidence"]
    expected = [*info.modality_names, "present"], answers
    if found != expected:
        raise ModelError(f"model {path}: inputs {found[0]}, outputs {found[1]}; expected {expected[0]}, {expected[1]}")


def absent_image(name: str, width: int, height: int) -> np.ndarray:
    """The model file's input for a modality that is not there."""
    return np.zeros((1, height, width, 3), np.uint8) if name == "rgb" else np.zeros((1, height, width), np.float32)
