"""What every backend shares: the checks of a frame and the conversion to the model file's inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.model_info import ModelInfo


class Segmenter(ABC):
    """A loaded model. ``backend`` names what runs it and ``reason`` why it was chosen.

    ``requests`` is how many threads may be inside ``segment`` at once.
    """

    backend: str
    requests: int = 1

    def __init__(self, info: ModelInfo, reason: str, camera_size: tuple[int, int] | None) -> None:
        self.info = info
        self.reason = reason
        self.camera_size = camera_size

    def segment(self, frame: Frame) -> Segmentation:
        """Labels and confidence on the frame's own grid; a modality that the frame has not counts as absent.

        Raises ``ValueError`` if none of the model's modalities is there or the frame is not of ``camera_size``.
        """
        names = self.info.modality_names
        images = {name: frame.image(name) for name in names}
        present = [image is not None for image in images.values()]
        if not any(present):
            raise ValueError(f"frame with {', '.join(frame.images())}; the model takes {', '.join(names)}")
        if self.camera_size is not None and frame.size != self.camera_size:
            raise ValueError(
                f"frame {frame.size[0]}x{frame.size[1]}, expected {self.camera_size[0]}x{self.camera_size[1]}"
            )
        inputs = {
            name: absent_image(name, *frame.size) if image is None else np.ascontiguousarray(image)[None]
            for name, image in images.items()
        }
        inputs["present"] = np.array(present, np.float32)
        return self._run(inputs)

    @abstractmethod
    def close(self) -> None:
        """Give back what the backend holds; the segmenter is of no use afterwards."""

    @abstractmethod
    def _run(self, inputs: dict[str, np.ndarray]) -> Segmentation:
        """Run the network on inputs of the model file's names, types and shapes."""


def absent_image(name: str, width: int, height: int) -> np.ndarray:
    """The model file's input for a modality that is not there."""
    return np.zeros((1, height, width, 3), np.uint8) if name == "rgb" else np.zeros((1, height, width), np.float32)
