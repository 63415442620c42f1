"""Swin in deploy form: position bias and shift mask become one constant for each block."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.deploy.fusion import FusedProjection, PlainFusion
from gemini_ros.network.deploy.layers import image, linear, tokens
from gemini_ros.network.encoders.swin import PatchMerging, SwinBlock, SwinStage, SwinTransformer, shift_mask
from gemini_ros.network.fusion.gemini import GeminiFusion, valid_shares


class DeployedSwin(nn.Module):
    """Normalised images (1, 3, H, W) per stream -> four maps per stream."""

    def __init__(self, encoder: SwinTransformer) -> None:
        super().__init__()
        self.patch_embed = encoder.patch_embed
        self.stages = nn.ModuleList(DeployedSwinStage(stage) for stage in encoder.layers)
        self.norms = encoder.norms

    @valid_shares
    def forward(self, images: list[Tensor], _present: Tensor) -> list[list[Tensor]]:
        maps = [self.patch_embed["proj"](x) for x in images]
        height, width = maps[0].shape[2:]
        xs = [self.patch_embed["norm"][m](tokens(x)) for m, x in enumerate(maps)]
        features: list[list[Tensor]] = [[] for _ in images]
        for stage, norm in zip(self.stages, self.norms, strict=True):
            for block in stage.blocks:
                xs = block(xs, height, width)
            for m, x in enumerate(xs):
                features[m].append(image(norm[m](x), height, width))
            if stage.downsample is not None:
                xs = [stage.downsample(x, height, width) for x in xs]
                height, width = (height + 1) // 2, (width + 1) // 2
        return features


class DeployedSwinStage(nn.Module):
    """One resolution."""

    def __init__(self, stage: SwinStage) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DeployedSwinBlock(block) for block in stage.blocks)
        self.downsample = None if stage.downsample is None else DeployedMerging(stage.downsample)


class DeployedMerging(nn.Module):
    """Patch merging on tokens (N, C)."""

    def __init__(self, merging: PatchMerging) -> None:
        super().__init__()
        self.merging = merging

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        return self.merging(x[None], height, width)[0][0]


class DeployedSwinBlock(nn.Module):
    """A block on tokens (N, C) per stream."""

    def __init__(self, block: SwinBlock) -> None:
        super().__init__()
        self.attn, self.mlp, self.shift = block.attn, block.mlp, block.shift
        self.norm1, self.norm2 = block.norm1, block.norm2
        operator = block.fusion
        self.merged = FusedProjection(operator, None) if isinstance(operator, GeminiFusion) else None
        self.fusion = PlainFusion(operator, block.norm2) if operator is not None and self.merged is None else None
        width = block.attn.proj.in_features
        scale = (width // block.attn.heads) ** -0.5
        weights, biases = block.attn.qkv.weight.chunk(3), block.attn.qkv.bias.chunk(3)
        self.q = linear(weights[0] * scale, biases[0] * scale)
        self.k, self.v = linear(weights[1], biases[1]), linear(weights[2], biases[2])

    def forward(self, xs: list[Tensor], height: int, width: int) -> list[Tensor]:
        branches = [self._attend(self.norm1(x), height, width) for x in xs]
        if self.merged is not None:
            branches = self.merged(*branches)
        elif self.fusion is not None:
            branches = self.fusion(branches, xs, height, width)
        xs = [x + branch for x, branch in zip(xs, branches, strict=True)]
        return [x + self.mlp(self.norm2(x)) for x in xs]

    def _attend(self, x: Tensor, height: int, width: int) -> Tensor:
        side = self.attn.window
        x = F.pad(x.unflatten(0, (height, width)), (0, 0, 0, -width % side, 0, -height % side))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (0, 1))
        rows, columns = x.shape[0] // side, x.shape[1] // side
        x = x.unflatten(1, (columns, side)).unflatten(0, (rows, side)).transpose(1, 2).flatten(0, 3)
        q, k, v = (
            layer(x).unflatten(0, (rows * columns, side * side)).unflatten(2, (self.attn.heads, -1)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        bias = self.attn.bias()
        if self.shift:
            bias = bias + shift_mask(height, width, side).to(bias)[:, None]
        x = ((q @ k.transpose(2, 3) + bias).softmax(-1) @ v).transpose(1, 2).flatten(0, 1).flatten(1)
        x = self.attn.proj(x).unflatten(0, (rows, columns, side, side)).transpose(1, 2).flatten(2, 3).flatten(0, 1)
        if self.shift:
            x = x.roll((self.shift, self.shift), (0, 1))
        return x[:height, :width].flatten(0, 1)
