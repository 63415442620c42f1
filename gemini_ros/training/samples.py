"""A sample: the images of one frame as tensors, augmented, and what the network sees of a batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gemini_ros.core.model_info import Modality
from gemini_ros.network.normalise import normalise
from gemini_ros.training.augmentation import Augmentation

Sample = dict[str, Tensor]


def to_sample(
    images: Mapping[str, np.ndarray], modalities: tuple[str, ...], augmentation: Augmentation | None, index: int
) -> Sample:
    """``rgb`` uint8 (H, W, 3), ``depth`` metres and ``thermal`` degrees Celsius float32 (H, W) with NaN holes,
    ``labels`` uint8 (H, W), ``confidence`` alike where it is known, ``present`` float32 (modalities,), ``index``."""
    present = np.ones(len(modalities), np.float32)
    if augmentation is not None:
        images, present = augmentation(dict(images), modalities)
    sample = {kind: torch.from_numpy(np.ascontiguousarray(image)) for kind, image in images.items()}
    return sample | {"present": torch.from_numpy(present), "index": torch.tensor(index)}


def require_a_batch(frames: int, size: int) -> None:
    """Raise ``ValueError`` where there are too few frames for one batch: what does not fill one is left out."""
    if frames < size:
        raise ValueError(f"data.loading.batch_size: {size}, expected at most the {frames} frames to learn from")


class Normaliser(nn.ModuleList):
    """From a batch of samples to the network's images, float32 (B, 3, H, W) in the order of ``modalities``."""

    def __init__(self, modalities: Sequence[Modality]) -> None:
        super().__init__(normalise(modality) for modality in modalities)
        self.names = tuple(modality.name for modality in modalities)

    def forward(self, sample: Sample) -> list[Tensor]:
        steps = zip(self.names, self, strict=True)
        return [step(sample[name], sample["present"][:, i]) for i, (name, step) in enumerate(steps)]
