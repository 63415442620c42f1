"""A sample: the images of one frame as tensors, augmented."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from gemini_ros.training.augmentation import Augmentation

Sample = dict[str, Tensor]


def to_sample(
    images: Mapping[str, np.ndarray], modalities: tuple[str, ...], augmentation: Augmentation | None, index: int
) -> Sample:
    """``rgb`` uint8 (H, W, 3), ``depth`` metres and ``thermal`` degrees Celsius float32 (H, W) with NaN holes,
    ``labels`` uint8 (H, W), ``present`` float32 (modalities,), ``index``."""
    present = np.ones(len(modalities), np.float32)
    if augmentation is not None:
        images, present = augmentation(dict(images), modalities)
    sample = {kind: torch.from_numpy(np.ascontiguousarray(image)) for kind, image in images.items()}
    return sample | {"present": torch.from_numpy(present), "index": torch.tensor(index)}
