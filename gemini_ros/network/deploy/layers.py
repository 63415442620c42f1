"""Building blocks of the deploy form; tokens are (N, C), images (1, C, H, W)."""

from __future__ import annotations

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
    conv = nn.Conv2d(layer.in_features, layer.out_features, 1, device="meta")
    conv.weight = nn.Parameter(layer.weight.detach()[..., None, None].clone(), requires_grad=False)
    conv.bias = nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
    return conv


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Tokens (N, C) as (heads, N, C / heads)."""
    return x.unflatten(1, (heads, -1)).transpose(0, 1)


def image(x: Tensor, height: int, width: int) -> Tensor:
    return x.transpose(0, 1).reshape(1, -1, height, width)


def tokens(x: Tensor) -> Tensor:
    return x[0].flatten(1).transpose(0, 1)
