"""Swin Transformer (arXiv:2103.14030) for one or several modalities with shared weights.

With two modalities a fusion operator follows the whole window attention with its projection, on un-windowed tokens and
before the residual (arXiv:2406.01210). Norms inside the blocks are shared; those of the patches and stages are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.fusion import FusionOperator, Site, StageFusions
from gemini_ros.network.fusion.gemini import valid_shares
from gemini_ros.network.fusion.operator import BlockState, require_private_norm
from gemini_ros.network.layers import DropPath, ModalityNorm, image_from_tokens, tokens_from_image

STREAM_EPS = 1e-6
BLOCK_EPS = 1e-5
MLP_RATIO = 4
PATCH = 4
KEY_REDUCTIONS = (8, 4, 2, 1)  # of fusion operators that reduce their keys, as MiT's


@dataclass(frozen=True)
class SwinConfig:
    """Width of the first stage (it doubles with each), blocks and heads of the four stages, side of a window."""

    embed: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int = 7

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.embed << stage for stage in range(4))


SWIN_SIZES = {
    "swin_tiny": SwinConfig(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "swin_small": SwinConfig(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "swin_large_224": SwinConfig(192, (2, 2, 18, 2), (6, 12, 24, 48)),
    "swin_large_384": SwinConfig(192, (2, 2, 18, 2), (6, 12, 24, 48), window=12),
}


class WindowAttention(nn.Module):
    """Self-attention inside windows, with a learned bias for each relative position (arXiv:2103.14030, eq. 4)."""

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", _relative_positions(window))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Tokens by window (B windows, window^2, C); ``mask`` (windows, window^2, window^2) is added to the scores."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.bias()
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(x.shape[0] // mask.shape[0], 1, 1, 1)
        return self.proj(F.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2).flatten(2))

    def bias(self) -> Tensor:
        """Score bias (1, heads, window^2, window^2)."""
        index = self.relative_position_index
        return self.relative_position_bias_table[index.flatten()].unflatten(0, index.shape).permute(2, 0, 1)[None]


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """One block over all streams: (shifted) window attention, fusion, MLP."""

    def __init__(
        self, width: int, heads: int, window: int, shifted: bool, fusion: FusionOperator | None, drop_path: float
    ) -> None:
        super().__init__()
        self.shift = window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.norm2 = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.attn = WindowAttention(width, heads, window)
        if fusion is not None and fusion.place == "mlp":
            require_private_norm(self.norm2, type(fusion).__name__)
        self.fusion = fusion
        self.drop_path = DropPath(drop_path)
        self.mlp = Mlp(width)

    def forward(
        self, xs: list[Tensor], height: int, width: int, mask: Tensor | None
    ) -> tuple[list[Tensor], Tensor | None]:
        """Tokens (B, N, C) per stream -> the same, and the fusion's auxiliary loss if it has one."""
        attended = [self._attend(self.norm1(x), height, width, mask) for x in xs]
        loss = None
        if self.fusion is not None:
            state = BlockState((xs[0], xs[1]), self.norm2)
            *attended, loss = self.fusion(attended[0], attended[1], height, width, state)
        xs = [x + self.drop_path(a) for x, a in zip(xs, attended, strict=True)]
        return [x + self.drop_path(self.mlp(self.norm2(x))) for x in xs], loss

    def _attend(self, x: Tensor, height: int, width: int, mask: Tensor | None) -> Tensor:
        side = self.attn.window
        x = x.unflatten(1, (height, width))
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        windows = x.unflatten(1, (rows, side)).unflatten(3, (columns, side)).transpose(2, 3).flatten(3, 4).flatten(0, 2)
        windows = self.attn(windows, mask if self.shift else None)
        x = windows.unflatten(0, (-1, rows, columns)).unflatten(3, (side, side)).transpose(2, 3).flatten(3, 4)
        x = x.flatten(1, 2)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, :height, :width].flatten(1, 2)


class PatchMerging(nn.Module):
    """Halves the resolution: four neighbours side by side, normalised, projected to twice the width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width, eps=BLOCK_EPS)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor, height: int, width: int) -> tuple[Tensor, int, int]:
        x = F.pad(x.unflatten(1, (height, width)), (0, 0, 0, width % 2, 0, height % 2))
        neighbours = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
        height, width = neighbours.shape[1:3]
        return self.reduction(self.norm(neighbours.flatten(1, 2))), height, width


class SwinStage(nn.Module):
    """Blocks of one resolution and, but for the last, the merging towards the next."""

    def __init__(
        self,
        width: int,
        heads: int,
        window: int,
        key_reduction: int,
        fusion: StageFusions | None,
        drop_paths: Sequence[float],
        last: bool,
    ) -> None:
        super().__init__()
        self.window = window
        site = Site(width, heads, key_reduction)
        operators = fusion(site, len(drop_paths)) if fusion else [None] * len(drop_paths)
        self.blocks = nn.ModuleList(
            SwinBlock(width, heads, window, i % 2 == 1, operator, rate)
            for i, (operator, rate) in enumerate(zip(operators, drop_paths, strict=True))
        )
        self.downsample = None if last else PatchMerging(width)

    def forward(self, xs: list[Tensor], height: int, width: int) -> tuple[list[Tensor], list[Tensor]]:
        mask = shift_mask(height, width, self.window).to(xs[0])
        losses = []
        for block in self.blocks:
            xs, loss = block(xs, height, width, mask)
            if loss is not None:
                losses.append(loss)
        return xs, losses


class SwinTransformer(nn.Module):
    """Encoder of ``streams`` images (B, 3, H, W) -> per stream four maps, strides 4 to 32; H, W multiples of 4.

    Raises ``ValueError`` for more than two: the others would be joined where a stage embeds patches, as MiT's do.
    """

    def __init__(
        self, config: SwinConfig, streams: int, fusion: StageFusions | None = None, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        if streams > 2:
            raise ValueError(f"a Swin encoder with {streams} modalities, expected one or two: three and four need MiT")
        self.config = config
        rates = np.linspace(0, drop_path, sum(config.depths)).tolist()
        self.patch_embed = nn.ModuleDict(
            {
                "proj": nn.Conv2d(3, config.embed, PATCH, PATCH),
                "norm": ModalityNorm(streams, config.embed, STREAM_EPS),
            }
        )
        self.layers = nn.ModuleList()
        self.norms = nn.ModuleList()
        for stage, (width, depth, heads) in enumerate(zip(config.widths, config.depths, config.heads, strict=True)):
            first = sum(config.depths[:stage])
            drop = rates[first : first + depth]
            self.layers.append(SwinStage(width, heads, config.window, KEY_REDUCTIONS[stage], fusion, drop, stage == 3))
            self.norms.append(ModalityNorm(streams, width, STREAM_EPS))
        self.apply(_initialise)

    @valid_shares
    def forward(self, images: list[Tensor], _present: Tensor | None = None) -> tuple[list[list[Tensor]], list[Tensor]]:
        """Maps per stream and stage, and the auxiliary losses of the fusion operators."""
        maps = [self.patch_embed["proj"](image) for image in images]
        height, width = maps[0].shape[2:]
        xs = [self.patch_embed["norm"](tokens_from_image(x), m) for m, x in enumerate(maps)]
        features: list[list[Tensor]] = [[] for _ in images]
        losses: list[Tensor] = []
        for stage, norm in zip(self.layers, self.norms, strict=True):
            xs, stage_losses = stage(xs, height, width)
            losses += stage_losses
            for m, x in enumerate(xs):
                features[m].append(image_from_tokens(norm(x, m), height, width))
            if stage.downsample is not None:
                merged = [stage.downsample(x, height, width) for x in xs]
                xs = [x for x, _, _ in merged]
                _, height, width = merged[0]
        return features, losses


def shift_mask(height: int, width: int, window: int) -> Tensor:
    """Scores added in shifted windows: -100 between tokens that only the cyclic shift made neighbours.

    float32 (windows, window^2, window^2) for a map padded to whole windows.
    """
    shift = window // 2
    rows, columns = height + -height % window, width + -width % window
    region = torch.zeros(rows, columns)
    for i, down in enumerate((slice(0, -window), slice(-window, -shift), slice(-shift, None))):
        for j, across in enumerate((slice(0, -window), slice(-window, -shift), slice(-shift, None))):
            region[down, across] = 3 * i + j
    windows = region.unflatten(0, (-1, window)).unflatten(2, (-1, window)).transpose(1, 2).flatten(2).flatten(0, 1)
    return torch.where(windows[:, None] != windows[:, :, None], -100.0, 0.0)


def _relative_positions(window: int) -> Tensor:
    """Row of the bias table for each pair of tokens, int64 (window^2, window^2)."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], 1)
    difference = places[:, None] - places[None] + window - 1
    return difference[..., 0] * (2 * window - 1) + difference[..., 1]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
