"""From images as a camera gives them to what the network sees; the same code trains and is exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.core.model_info import Modality

EPS = 1e-6
CONTRAST = 6.0
NEAREST = -5.0  # what closer than a sixth of the mean is taken for
FARTHEST_STANDARD = 5.0
SMALLEST_SPREAD = 1e-5  # of the image's mean: below it an image is taken for flat


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

    Each of the modality's three channels is one of: ``value``, (x - mean) / std; ``inverse``, 1 - mean / x, in which
    planes are linear in the image and a stereo camera's noise is the same everywhere; ``contrast``,
    tanh(6 (x - the image's mean) / std), which shows small differences at any level; ``standard``, (x - the image's
    mean) / the image's standard deviation, cut at 5, in which a camera's gain and offset cancel; ``valid``, 1. All are
    taken of the camera's pixels and resized together. Validity comes first: nothing that is not finite reaches a
    product or a resize.
    """

    def __init__(self, modality: Modality, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.modality = modality
        self.channels = modality.channels or ("value",) * 3
        self.size = size

    def forward(self, image: Tensor, present: Tensor) -> Tensor:
        low, high = self.modality.range
        x = image[:, None]
        valid = (x > low) & (x < high) & (present[:, None, None, None] > 0.5)
        mean, std = self.modality.mean[0], self.modality.std[0]
        zero, one = torch.zeros((), dtype=x.dtype), torch.ones((), dtype=x.dtype)
        weight = torch.where(valid, one, zero)
        channels = {"value": torch.where(valid, (x - mean) / std, zero)}
        if "inverse" in self.channels:
            channels["inverse"] = torch.where(valid, 1 - mean / torch.where(valid, x, one), zero).clamp_min(NEAREST)
        if "contrast" in self.channels or "standard" in self.channels:
            value, count = channels["value"], weight.sum((2, 3), keepdim=True).clamp_min(1)
            level = value.sum((2, 3), keepdim=True) / count
            difference = (value - level) * weight
            if "contrast" in self.channels:
                channels["contrast"] = (difference * CONTRAST).tanh()
            if "standard" in self.channels:
                spread = ((difference * difference).sum((2, 3), keepdim=True) / count).sqrt()
                least = (SMALLEST_SPREAD * level.abs()).clamp_min(EPS)
                channels["standard"] = (difference / spread.maximum(least)).clamp(-FARTHEST_STANDARD, FARTHEST_STANDARD)
        if "valid" in self.channels:
            channels["valid"] = weight
        if self.size is not None:
            share = _resize(weight, self.size).clamp_min(EPS)
            channels = {name: _resize(channel, self.size) / share for name, channel in channels.items()}
        if len(set(self.channels)) == 1:
            return channels[self.channels[0]].expand(-1, 3, -1, -1)
        return torch.cat([channels[name] for name in self.channels], 1)


def normalise(modality: Modality, size: tuple[int, int] | None = None) -> nn.Module:
    """The normalisation of a modality."""
    return (NormaliseRgb if modality.name == "rgb" else NormaliseRange)(modality, size)


def _resize(x: Tensor, size: tuple[int, int] | None) -> Tensor:
    return x if size is None else F.interpolate(x, size=size, mode="bilinear", align_corners=False)
