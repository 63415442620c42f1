"""Image to image: the segmenter's encoder, fusion and decoder, whose channels become pixels of the target.

The decoder's 1/4 maps hold 4x4 pixels in their channels (arXiv:1609.05158): the target's own, and one that says how far
off they are. Depth is learnt as its logarithm, in which an error is a share of the distance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.core.model_info import Modality, Target
from gemini_ros.network.deploy import DeployedSegmenter
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.normalise import normalise

FINER = 4
CLOSE_DEPTH, CLOSE_RGB = 0.05, 16 / 255
"""What counts as right: 5 % of the distance, 16 of 255."""
_LEAST_SCALE = 1e-3


def channels_of(target: Target) -> int:
    """The channels of the decoder for a target: its own and the confidence's, of 4x4 pixels."""
    return FINER**2 * (target.channels + 1)


def unit_of(image: Tensor, target: Target) -> Tensor:
    """Metres (B, H, W) or RGB 0-255 (B, 3, H, W) as 0 to 1, (B, channels, H, W); NaN stays NaN."""
    low, high = target.range
    if target.name == "depth":
        return (image[:, None] / low).log() / math.log(high / low)
    return (image.float() - low) / (high - low)


def image_of(unit: Tensor, target: Target) -> Tensor:
    """The inverse of ``unit_of``."""
    low, high = target.range
    return low * (unit[:, 0] * math.log(high / low)).exp() if target.name == "depth" else low + unit * (high - low)


def predicted(maps: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """The decoder's maps (B, ``channels_of``, h, w) as units 0-1 (B, channels, 4h, 4w), and the scale of their Laplace
    error (B, 1, 4h, 4w)."""
    pixels = F.pixel_shuffle(maps, FINER)
    return pixels[:, : target.channels].sigmoid(), F.softplus(pixels[:, target.channels :]) + _LEAST_SCALE


def confidence_of(scale: Tensor, target: Target) -> Tensor:
    """The probability that an error of this scale is below what counts as right (B, 1, H, W)."""
    low, high = target.range
    close = math.log(1 + CLOSE_DEPTH) / math.log(high / low) if target.name == "depth" else CLOSE_RGB
    return 1 - (-close / scale).exp()


class TranslationFile(nn.Module):
    """The graph of a translation model's file, batch 1: images as a camera gives them -> translated, confidence.

    Inputs as those of ``deploy.ModelFile``. ``translated`` is float32 (1, H, W) in metres or uint8 (1, H, W, 3);
    ``confidence`` uint8 (1, H, W). What was measured of the target itself is handed on as it is.
    """

    def __init__(
        self,
        model: FusionSegmenter,
        modalities: tuple[Modality, ...],
        network_size: tuple[int, int],
        target: Target,
        stacked: bool = False,
    ) -> None:
        super().__init__()
        self.target = target
        names = [modality.name for modality in modalities]
        self.measured = names.index("depth") if target.name == "depth" and "depth" in names else None
        self.normalise = nn.ModuleList(normalise(m, (network_size[1], network_size[0])) for m in modalities)
        self.network = DeployedSegmenter(model, stacked)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        *images, present = inputs
        size = images[0].shape[1:3]
        normalised = [
            step(image, present[i : i + 1]) for i, (step, image) in enumerate(zip(self.normalise, images, strict=True))
        ]
        unit, scale = predicted(self.network(normalised, present), self.target)
        unit, sure = (
            F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            for x in (unit, confidence_of(scale, self.target))
        )
        sure, made = sure[:, 0], image_of(unit, self.target)
        if self.target.name == "rgb":
            made = (made + 0.5).floor().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        elif self.measured is not None:
            low, high = self.target.range
            depth = images[self.measured]
            valid = (depth > low) & (depth < high) & (present[self.measured] > 0.5)
            made, sure = torch.where(valid, depth, made), torch.where(valid, torch.ones(()), sure)
        return made, (sure * 255 + 0.5).floor().to(torch.uint8)
