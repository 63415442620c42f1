"""Building blocks of the deploy form; tokens are (N, C), images (1, C, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A fixed linear layer of the given weights."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer


def pointwise(layer: nn.Linear) -> nn.Conv2d:
    """A linear layer as a 1x1 convolution."""
    conv = nn.Conv2d(layer.in_features, layer.out_features, 1, bias=layer.bias is not None, device="meta")
    conv.weight = nn.Parameter(layer.weight.detach()[..., None, None].clone(), requires_grad=False)
    if layer.bias is not None:
        conv.bias = nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
    return conv


def added(total: Tensor, x: Tensor, layer: nn.Linear) -> Tensor:
    """``total`` + ``layer``(x) as one product that starts from ``total``; the layer has no bias."""
    return torch.addmm(total, x, layer.weight.T)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Tokens (N, C) as (heads, N, C / heads)."""
    return x[None] if heads == 1 else x.unflatten(1, (heads, -1)).transpose(0, 1)


def join_heads(x: Tensor) -> Tensor:
    """(heads, N, C / heads) as tokens (N, C)."""
    return x[0] if len(x) == 1 else x.transpose(0, 1).flatten(1)


def image(x: Tensor, height: int, width: int) -> Tensor:
    """Tokens (N, C) as an image (1, C, H, W). ONNX Runtime merges a transposition in four dimensions, of the channels
    alone, with the reordering that its convolutions ask for."""
    return x.reshape(1, height, width, -1).permute(0, 3, 1, 2)


def tokens(x: Tensor) -> Tensor:
    """An image (1, C, H, W) as tokens (N, C)."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)
