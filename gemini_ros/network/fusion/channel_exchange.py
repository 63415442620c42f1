"""Channel exchange (CEN, arXiv:2011.05005), adapted from BatchNorm networks to MiT.

The original replaces channels whose BatchNorm scale is nearly zero by the other modality's. MiT has no BatchNorm: here
the private scales of the norm before the MLP decide, and that norm's outputs are exchanged. Under AdamW an L1 term on
the scales is turned into the proximal step that belongs to it, ``shrink``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gemini_ros.network.fusion.operator import BlockState, FusionOperator, Site, require_private_norm
from gemini_ros.network.layers import ModalityNorm

THRESHOLD = 0.02


class ChannelExchange(FusionOperator):
    """Channel c of stream i becomes the other's where its norm's scale is below 0.02; deployed, a fixed selection."""

    place = "mlp"

    def __init__(self, site: Site) -> None:
        super().__init__()

    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        norm = require_private_norm(block.norm2, "channel_exchange")
        keep_a, keep_b = (norm[m].weight.abs() >= THRESHOLD for m in range(2))
        return torch.where(keep_a, x_a, x_b), torch.where(keep_b, x_b, x_a), None


@torch.no_grad()
def shrink(norm: ModalityNorm, amount: float) -> None:
    """Soft threshold of the scales: the first half of the channels in stream 0, the second half in stream 1.

    The halves are disjoint, so that a channel is never given up by both streams (arXiv:2011.05005, sec. 3.3).
    """
    half = norm[0].weight.shape[0] // 2
    for scales in (norm[0].weight[:half], norm[1].weight[half:]):
        scales.copy_(scales.sign() * (scales.abs() - amount).clamp_min(0))


def shrink_exchanged(network: nn.Module, amount: float) -> None:
    """Soft threshold of the scales that decide about every ``ChannelExchange`` of a network."""
    for block in network.modules():
        if isinstance(getattr(block, "fusion", None), ChannelExchange):
            norm = block.norm2
            assert isinstance(norm, ModalityNorm)
            shrink(norm, amount)


def exchanged_share(network: nn.Module) -> float:
    """Share of the channels of both streams that a network with ``ChannelExchange`` takes from the other."""
    norms = [b.norm2 for b in network.modules() if isinstance(getattr(b, "fusion", None), ChannelExchange)]
    scales = torch.cat([norm[stream].weight for norm in norms for stream in range(2)])
    return float((scales.abs() < THRESHOLD).float().mean())
