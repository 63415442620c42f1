"""Small layers shared by the encoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ModalityNorm(nn.ModuleList):
    """A LayerNorm of its own for each modality; everything else of a block is shared (arXiv:2406.01210, sec. 3)."""

    def __init__(self, streams: int, width: int, eps: float) -> None:
        super().__init__(nn.LayerNorm(width, eps=eps) for _ in range(streams))

    def forward(self, x: Tensor, stream: int) -> Tensor:
        """Normalise tokens (B, N, C) of one stream."""
        return self[stream](x)


class DropPath(nn.Module):
    """Stochastic depth (arXiv:1603.09382): drops a residual branch per sample while training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.empty((x.shape[0],) + (1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * mask / keep


def image_from_tokens(x: Tensor, height: int, width: int) -> Tensor:
    """Tokens (B, N, C) as an image (B, C, H, W)."""
    return x.transpose(1, 2).unflatten(2, (height, width))


def tokens_from_image(x: Tensor) -> Tensor:
    """Image (B, C, H, W) as tokens (B, H W, C)."""
    return x.flatten(2).transpose(1, 2)
