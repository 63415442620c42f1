"""A light head that tells single things apart, on what the streams' shared decoder sees at 1/4 resolution.

A heat map of centres and an offset to them, as in Panoptic-DeepLab (arXiv:1911.10194, sec. 3.2) and EMSANet
(arXiv:2207.04526), of the plain network's own features: ``core.grouping`` makes things of the two.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.encoders.scored_maximum import stream_presence
from gemini_ros.network.model import FusionSegmenter, ensemble

HEAD_WIDTH = 16
CENTRES_WEIGHT, OFFSETS_WEIGHT = 200.0, 0.01
"""Of the two losses, as in Panoptic-DeepLab."""
_KERNEL, _DILATIONS = 5, (1, 3)
_REACH_PX = 32.0  # an offset of this many pixels is 1 to the head


class InstanceHead(nn.Module):
    """The decoder's features (B, C, h/4, w/4) -> centres (B, h/4, w/4), and offsets (B, 2, h/4, w/4) in pixels.

    5600 weights of the 256 channels of the usual decoder. The first layer is linear, so that the deploy form can sum it
    over pieces of the decoder.
    """

    def __init__(self, inputs: int, width: int = HEAD_WIDTH) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, width, 1)
        self.spread = nn.ModuleList(_Spread(width, dilation) for dilation in _DILATIONS)
        self.out = nn.Conv2d(width, 3, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.maps(self.project(features))

    def maps(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        """What ``project`` gives (B, width, h/4, w/4) -> centres and offsets."""
        x = F.relu(projected)
        for spread in self.spread:
            x = spread(x)
        x = self.out(x)
        return x[:, 0], x[:, 1:] * _REACH_PX


class _Spread(nn.Module):
    """A depthwise convolution and a pointwise one: a place looks at those around it."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        padding = dilation * (_KERNEL // 2)
        self.around = nn.Conv2d(width, width, _KERNEL, padding=padding, dilation=dilation, groups=width, bias=False)
        self.mix = nn.Conv2d(width, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.norm(self.mix(self.around(x))))


def decoder_features(network: FusionSegmenter, images: list[Tensor], present: Tensor) -> Tensor:
    """What the head sees of normalised images (B, 3, h, w) per modality and ``present`` (B, modalities).

    The streams' features before the prediction, weighed as the ensemble weighs the streams' logits.
    """
    features, _ = network.encoder(images, present)
    hidden = [network.decoder.features(maps) for maps in features]
    return ensemble(hidden, network.alpha, stream_presence(present))


def instance_loss(
    found: tuple[Tensor, Tensor], centres: Tensor, offsets: Tensor, things: Tensor, known: Tensor
) -> Mapping[str, Tensor]:
    """The weighted parts of what is minimised, against the truth of the head's shapes.

    ``things`` (B, h/4, w/4) of 0 and 1 are the places that offsets are learnt at (L1), ``known`` those that centres are
    (squared error): what is labelled.
    """
    off = (found[1] - offsets).abs().sum(1)
    return {
        "centres": CENTRES_WEIGHT * _mean((found[0] - centres).square(), known),
        "offsets": OFFSETS_WEIGHT * _mean(off, things),
    }


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp_min(1)


@torch.no_grad()
def folded(head: InstanceHead) -> InstanceHead:
    """A copy for inference, in evaluation mode, whose norms are in the convolutions before them."""
    made = InstanceHead(head.project.in_channels, head.project.out_channels)
    made.load_state_dict(head.state_dict())
    made.eval()
    for spread in made.spread:
        assert isinstance(spread, _Spread)
        spread.mix = torch.nn.utils.fusion.fuse_conv_bn_eval(spread.mix, spread.norm)
        spread.norm = nn.Identity()  # type: ignore[assignment]
    return made
