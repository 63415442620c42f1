"""From images as a camera gives them to what the network sees; the same code trains and is exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.core.model_info import Modality

EPS = 1e-6


class NormaliseRgb(nn.Module):
    """uint8 (B, H, W, 3) -> normalised (B, 3, h, w); zero where RGB is absent.

    ``size`` is (h, w); None keeps the camera's size. ``present`` is (B,) of 0 and 1.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, modality: Modality, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.tensor(modality.mean)[None, :, None, None], persistent=False)
        self.register_buffer("scale", 1 / torch.tensor(modality.std)[None, :, None, None], persistent=False)

    def forward(self, image: Tensor, present: Tensor) -> Tensor:
        # The cast comes before the transpose: TensorRT accepts uint8 as an input type only.
        x = _resize(image.to(torch.float32).permute(0, 3, 1, 2), self.size)
        return (x - self.mean) * self.scale * present[:, None, None, None]


class NormaliseRange(nn.Module):
    """float32 (B, H, W) with holes -> normalised (B, 3, h, w), zero where nothing valid is near or it is absent.

    Validity comes first: nothing that is not finite reaches a product or a resize.
    """

    def __init__(self, modality: Modality, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.modality = modality
        self.size = size

    def forward(self, image: Tensor, present: Tensor) -> Tensor:
        low, high = self.modality.range
        x = image[:, None]
        valid = (x > low) & (x < high) & (present[:, None, None, None] > 0.5)
        zero = torch.zeros((), dtype=x.dtype)
        values = torch.where(valid, (x - self.modality.mean[0]) / self.modality.std[0], zero)
        if self.size is not None:
            weight = torch.where(valid, torch.ones((), dtype=x.dtype), zero)
            values = _resize(values, self.size) / _resize(weight, self.size).clamp_min(EPS)
        return values.expand(-1, 3, -1, -1)


def normalise(modality: Modality, size: tuple[int, int] | None = None) -> nn.Module:
    """The normalisation of a modality."""
    return (NormaliseRgb if modality.name == "rgb" else NormaliseRange)(modality, size)


def _resize(x: Tensor, size: tuple[int, int] | None) -> Tensor:
    return x if size is None else F.interpolate(x, size=size, mode="bilinear", align_corners=False)
