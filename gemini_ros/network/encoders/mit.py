"""Mix Transformer (SegFormer, arXiv:2105.15203) for one or several modalities with shared weights.

Every convolution and linear layer is shared by the modalities, LayerNorms are not (arXiv:2406.01210). With several
modalities a fusion operator sits in every block, between the attention's heads and its output projection. It joins two
streams: of three or four modalities the first is one, the others together are the second (``scored_maximum``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.encoders.scored_maximum import ScoredMaximum, further_there
from gemini_ros.network.fusion import FusionOperator, Site, StageFusions
from gemini_ros.network.fusion.gemini import valid_shares
from gemini_ros.network.fusion.operator import BlockState
from gemini_ros.network.layers import DropPath, ModalityNorm, image_from_tokens, tokens_from_image

EPS = 1e-6
MLP_RATIO = 4
HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
TAKEN_STAGE = 2  # in whose middle the language branch begins


@dataclass(frozen=True)
class MiTConfig:
    """Widths and numbers of blocks of the four stages (strides 4, 8, 16, 32)."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]


MIT_SIZES = {
    "nano": MiTConfig((16, 32, 80, 128), (2, 2, 2, 2)),
    "b0": MiTConfig((32, 64, 160, 256), (2, 2, 2, 2)),
    "b1": MiTConfig((64, 128, 320, 512), (2, 2, 2, 2)),
    "b2": MiTConfig((64, 128, 320, 512), (3, 4, 6, 3)),
    "b3": MiTConfig((64, 128, 320, 512), (3, 4, 18, 3)),
    "b4": MiTConfig((64, 128, 320, 512), (3, 8, 27, 3)),
    "b5": MiTConfig((64, 128, 320, 512), (3, 6, 40, 3)),
}


class PatchEmbedding(nn.Module):
    """Overlapping patches: a strided convolution, then a LayerNorm per modality."""

    def __init__(self, modalities: int, inputs: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, kernel, stride, kernel // 2)
        self.norm = ModalityNorm(modalities, width, EPS)

    def forward(self, image: Tensor, modality: int) -> tuple[Tensor, int, int]:
        """(B, C', H, W) -> tokens (B, N, C) and their grid's height and width."""
        x = self.proj(image)
        return self.norm(tokens_from_image(x), modality), x.shape[2], x.shape[3]


class ReducedAttention(nn.Module):
    """Self-attention whose keys and values are spatially reduced; its output projection is applied by the block."""

    def __init__(self, streams: int, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.reduction = reduction
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = ModalityNorm(streams, width, EPS)

    def forward(self, x: Tensor, height: int, width: int, stream: int) -> Tensor:
        """Tokens (B, N, C) -> the heads' outputs concatenated (B, N, C)."""
        source = x
        if self.reduction > 1:
            source = self.norm(tokens_from_image(self.sr(image_from_tokens(x, height, width))), stream)
        q = self._split(self.q(x))
        k, v = (self._split(t) for t in self.kv(source).chunk(2, dim=-1))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class MixMlp(nn.Module):
    """Feed-forward layer with a depthwise 3x3 convolution that carries the position (arXiv:2105.15203, eq. 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = MLP_RATIO * width
        self.fc1 = nn.Linear(width, hidden)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = tokens_from_image(self.dwconv(image_from_tokens(self.fc1(x), height, width)))
        return self.fc2(F.gelu(x))


class Block(nn.Module):
    """One transformer block over all streams: attention, fusion, projection; then the MLP."""

    def __init__(
        self, streams: int, width: int, heads: int, reduction: int, fusion: FusionOperator | None, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = ModalityNorm(streams, width, EPS)
        self.attn = ReducedAttention(streams, width, heads, reduction)
        self.fusion = fusion
        self.drop_path = DropPath(drop_path)
        self.norm2 = ModalityNorm(streams, width, EPS)
        self.mlp = MixMlp(width)

    def forward(self, xs: list[Tensor], height: int, width: int) -> tuple[list[Tensor], Tensor | None]:
        """Tokens (B, N, C) per stream -> the same, and the fusion's auxiliary loss if it has one."""
        attended = [self.attn(self.norm1(x, m), height, width, m) for m, x in enumerate(xs)]
        attended, heads_loss = self._fuse("heads", attended, xs, height, width)
        branches = [self.attn.proj(a) for a in attended]
        branches, branch_loss = self._fuse("branch", branches, xs, height, width)
        xs = [x + self.drop_path(branch) for x, branch in zip(xs, branches, strict=True)]
        normed = [self.norm2(x, m) for m, x in enumerate(xs)]
        normed, mlp_loss = self._fuse("mlp", normed, xs, height, width)
        xs = [x + self.drop_path(self.mlp(y, height, width)) for x, y in zip(xs, normed, strict=True)]
        return xs, next((loss for loss in (heads_loss, branch_loss, mlp_loss) if loss is not None), None)

    def _fuse(
        self, place: str, tokens: list[Tensor], inputs: list[Tensor], height: int, width: int
    ) -> tuple[list[Tensor], Tensor | None]:
        """Run the operator if this is its place."""
        if self.fusion is None or self.fusion.place != place:
            return tokens, None
        state = BlockState((inputs[0], inputs[1]), self.norm2)
        a, b, loss = self.fusion(tokens[0], tokens[1], height, width, state)
        return [a, b], loss


class Stage(nn.Module):
    """Patch embedding, blocks and the closing norm of one resolution; with more than two modalities, their scores."""

    def __init__(
        self,
        modalities: int,
        inputs: int,
        width: int,
        index: int,
        fusion: StageFusions | None,
        drop_paths: Sequence[float],
    ) -> None:
        super().__init__()
        site = Site(width, HEADS[index], REDUCTIONS[index])
        operators = fusion(site, len(drop_paths)) if fusion else [None] * len(drop_paths)
        kernel, stride = (7, 4) if index == 0 else (3, 2)
        streams = min(modalities, 2)
        self.embed = PatchEmbedding(modalities, inputs, width, kernel, stride)
        self.scores = ScoredMaximum(modalities - 1, width) if modalities > streams else None
        self.blocks = nn.ModuleList(
            Block(streams, width, site.heads, site.key_reduction, operator, rate)
            for operator, rate in zip(operators, drop_paths, strict=True)
        )
        self.norm = ModalityNorm(streams, width, EPS)

    def forward(
        self, images: list[Tensor], there: Tensor, taken: list[list[Tensor]] | None = None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Images (B, C', H, W) per modality -> maps (B, C, h, w) per stream, the next stage's images, losses.

        ``there`` is ``further_there`` of the modalities that are present; ``taken`` gets the tokens after each block.
        """
        embedded = [self.embed(image, m) for m, image in enumerate(images)]
        xs = [tokens for tokens, _, _ in embedded]
        _, height, width = embedded[0]
        scored: list[Tensor] = []
        if self.scores is not None:
            further, scored = self.scores([image_from_tokens(x, height, width) for x in xs[1:]], there)
            xs = [xs[0], tokens_from_image(further)]
        losses = []
        for block in self.blocks:
            xs, loss = block(xs, height, width)
            if taken is not None:
                taken.append(xs)
            if loss is not None:
                losses.append(loss)
        maps = [image_from_tokens(self.norm(x, m), height, width) for m, x in enumerate(xs)]
        return maps, [maps[0], *(x + maps[1] for x in scored)] if scored else maps, losses


class MixTransformer(nn.Module):
    """Encoder of images (B, 3, H, W), one for each of ``modalities``, into one or two streams.

    A stream has four maps (B, C_i, H/2^(i+1), W/2^(i+1)), i = 1..4.
    """

    def __init__(
        self, config: MiTConfig, modalities: int, fusion: StageFusions | None = None, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.config = config
        rates = np.linspace(0, drop_path, sum(config.depths)).tolist()
        inputs = (3, *config.widths[:3])
        self.stages = nn.ModuleList()
        for index, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            first = sum(config.depths[:index])
            self.stages.append(Stage(modalities, inputs[index], width, index, fusion, rates[first : first + depth]))
        self.apply(_initialise)
        # Zeros, which stand for an absent modality, become tokens that vary: LayerNorm would multiply the gradients of
        # constant ones by 1000.
        first = self.stages[0].embed.proj
        first.bias.data = torch.linspace(-0.2, 0.2, len(first.bias))
        for stage in self.stages:
            if stage.scores is not None:
                stage.scores.initialise()

    @valid_shares
    def forward(
        self, images: list[Tensor], present: Tensor | None = None, taken: list[list[Tensor]] | None = None
    ) -> tuple[list[list[Tensor]], list[Tensor]]:
        """Maps per stream and stage, and the auxiliary losses of the fusion operators.

        ``present`` (B, modalities) of 0 and 1 says which of more than two images the second stream is made of; all, if
        omitted. With up to two it changes nothing. ``taken`` gets the tokens of the streams after each block of the
        third stage.
        """
        if present is None:
            present = images[0].new_ones(images[0].shape[0], len(images))
        there = further_there(present) if len(images) > 2 else present
        features: list[list[Tensor]] = [[] for _ in images[:2]]
        losses: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            outputs, images, stage_losses = stage(images, there, taken if index == TAKEN_STAGE else None)
            losses += stage_losses
            for maps, image in zip(features, outputs, strict=True):
                maps.append(image)
        return features, losses


def _initialise(module: nn.Module) -> None:
    """Truncated normal for linears, fan-out normal for convolutions, as SegFormer."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
