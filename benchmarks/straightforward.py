"""GeminiFusion on MiT written down straight from the paper: what the package's own form is measured against.

Multi-head attention with the tokens as its batch and two keys each, concatenations where the paper writes them, the
decoder at 1/4 resolution. Three and four modalities are those of the authors' branch for DeLiVER. Module names are the
ones of the official checkpoints of the main branch, so weights load by name.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.encoders.mit import EPS, HEADS, MLP_RATIO, REDUCTIONS, MiTConfig

FUSION_HEADS = 8
DECODER_WIDTH = 256


class Shared(nn.Module):
    """One module for all streams or modalities."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        return [self.module(x) for x in xs]


class Norms(nn.Module):
    """A LayerNorm for each stream or modality."""

    def __init__(self, width: int, count: int = 2) -> None:
        super().__init__()
        for i in range(count):
            setattr(self, f"ln_{i}", nn.LayerNorm(width, eps=EPS))

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        return [getattr(self, f"ln_{i}")(x) for i, x in enumerate(xs)]


class Relation(nn.Module):
    """phi(x, y), a softmax over the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(2 * width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(torch.cat([x, y], -1)))).softmax(-1)


class Attention(nn.Module):
    """Spatially reduced self-attention with the paper's fusion before its projection."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.q = Shared(nn.Linear(width, width))
        self.kv = Shared(nn.Linear(width, 2 * width))
        self.proj = Shared(nn.Linear(width, width))
        if reduction > 1:
            self.sr = Shared(nn.Conv2d(width, width, reduction, reduction))
            self.norm = Norms(width)
        self.cross_attn_0_to_1 = nn.MultiheadAttention(width, FUSION_HEADS)
        self.cross_attn_1_to_0 = nn.MultiheadAttention(width, FUSION_HEADS)
        self.relation_judger = nn.ModuleList([Relation(width)])
        self.k_noise, self.v_noise = nn.Embedding(2, width), nn.Embedding(2, width)

    def forward(self, xs: list[Tensor], height: int, width: int) -> list[Tensor]:
        a, b = self._attend(xs, height, width)
        fused = [self._fuse(0, a, b, self.cross_attn_0_to_1), self._fuse(1, b, a, self.cross_attn_1_to_0)]
        return self.proj(fused)

    def _attend(self, xs: list[Tensor], height: int, width: int) -> list[Tensor]:
        sources = xs
        if self.reduction > 1:
            images = [x.transpose(1, 2).reshape(x.shape[0], x.shape[2], height, width) for x in xs]
            sources = self.norm([x.flatten(2).transpose(1, 2) for x in self.sr(images)])
        outputs = []
        for q, kv in zip(self.q(xs), self.kv(sources), strict=True):
            batch, tokens, channels = q.shape
            q = q.reshape(batch, tokens, self.heads, -1).transpose(1, 2)
            k, v = kv.reshape(batch, -1, 2, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
            weights = (q @ k.transpose(-2, -1) * (channels // self.heads) ** -0.5).softmax(-1)
            outputs.append((weights @ v).transpose(1, 2).reshape(batch, tokens, channels))
        return outputs

    def _fuse(self, i: int, x: Tensor, y: Tensor, attention: nn.MultiheadAttention) -> Tensor:
        results = []
        for one, other in zip(x, y, strict=True):
            relation = self.relation_judger[0](one, other)
            query = one[None]
            key = torch.stack([one + self.k_noise.weight[i], one * relation])
            value = torch.stack([one + self.v_noise.weight[i], other])
            results.append(one + attention(query, key, value, need_weights=False)[0][0])
        return torch.stack(results)


class DepthwiseConv(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 3, padding=1, groups=width)


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = Shared(nn.Linear(width, MLP_RATIO * width)), Shared(nn.Linear(MLP_RATIO * width, width))
        self.dwconv = DepthwiseConv(MLP_RATIO * width)

    def forward(self, xs: list[Tensor], height: int, width: int) -> list[Tensor]:
        mixed = []
        for x in self.fc1(xs):
            image = x.transpose(1, 2).reshape(x.shape[0], x.shape[2], height, width)
            mixed.append(F.gelu(self.dwconv.dwconv(image).flatten(2).transpose(1, 2)))
        return self.fc2(mixed)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norms(width), Norms(width)
        self.attn = Attention(width, heads, reduction)
        self.mlp = Mlp(width)

    def forward(self, xs: list[Tensor], height: int, width: int) -> list[Tensor]:
        xs = [x + d for x, d in zip(xs, self.attn(self.norm1(xs), height, width), strict=True)]
        return [x + d for x, d in zip(xs, self.mlp(self.norm2(xs), height, width), strict=True)]


class PatchEmbed(nn.Module):
    def __init__(self, modalities: int, inputs: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = Shared(nn.Conv2d(inputs, width, kernel, stride, kernel // 2))
        self.norm = Norms(width, modalities)

    def forward(self, xs: list[Tensor]) -> tuple[list[Tensor], int, int]:
        xs = self.proj(xs)
        height, width = xs[0].shape[2:]
        return self.norm([x.flatten(2).transpose(1, 2) for x in xs]), height, width


class Scores(nn.Module):
    """The embeddings behind the first (B, C, H, W), each weighted by 1 + its score."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.score_nets = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, 1, 1))
            for _ in range(count)
        )

    def forward(self, images: list[Tensor]) -> list[Tensor]:
        scores = [net(x).sigmoid() for net, x in zip(self.score_nets, images, strict=True)]
        return [score * x + x for score, x in zip(scores, images, strict=True)]


class Encoder(nn.Module):
    def __init__(self, config: MiTConfig, modalities: int) -> None:
        super().__init__()
        inputs = (3, *config.widths)
        for i, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            kernel, stride = (7, 4) if i == 0 else (3, 2)
            setattr(self, f"patch_embed{i + 1}", PatchEmbed(modalities, inputs[i], width, kernel, stride))
            blocks = nn.ModuleList(Block(width, HEADS[i], REDUCTIONS[i]) for _ in range(depth))
            setattr(self, f"block{i + 1}", blocks)
            setattr(self, f"norm{i + 1}", Norms(width))
        further = modalities - 1 if modalities > 2 else 0
        self.extra_score_predictor = nn.ModuleList(Scores(width, further) for width in config.widths)

    def forward(self, images: list[Tensor], present: Sequence[bool]) -> list[list[Tensor]]:
        features: list[list[Tensor]] = [[], []]
        for stage in (1, 2, 3, 4):
            xs, height, width = getattr(self, f"patch_embed{stage}")(images)
            scored: list[Tensor] = []
            if len(images) > 2:
                scored = self.extra_score_predictor[stage - 1]([_image(x, height, width) for x in xs[1:]])
                chosen = [x for x, there in zip(scored, present[1:], strict=True) if there] or scored
                xs = [xs[0], torch.stack(chosen).amax(0).flatten(2).transpose(1, 2)]
            for block in getattr(self, f"block{stage}"):
                xs = block(xs, height, width)
            maps = [_image(x, height, width) for x in getattr(self, f"norm{stage}")(xs)]
            for outputs, x in zip(features, maps, strict=True):
                outputs.append(x)
            images = [maps[0], *(x + maps[1] for x in scored)] if scored else maps
        return features


def _image(x: Tensor, height: int, width: int) -> Tensor:
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], height, width).contiguous()


class Projection(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, DECODER_WIDTH)


class ConvModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * DECODER_WIDTH, DECODER_WIDTH, 1, bias=False)
        self.bn = nn.BatchNorm2d(DECODER_WIDTH)


class Decoder(nn.Module):
    def __init__(self, config: MiTConfig, classes: int) -> None:
        super().__init__()
        for i, width in enumerate(config.widths):
            setattr(self, f"linear_c{i + 1}", Projection(width))
        self.linear_fuse = ConvModule()
        self.linear_pred = nn.Conv2d(DECODER_WIDTH, classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        size = features[0].shape[2:]
        projected = []
        for i in (4, 3, 2, 1):
            x = features[i - 1]
            tokens = getattr(self, f"linear_c{i}").proj(x.flatten(2).transpose(1, 2))
            image = tokens.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
            projected.append(F.interpolate(image, size=size, mode="bilinear", align_corners=False))
        fused = self.linear_fuse.bn(self.linear_fuse.conv(torch.cat(projected, 1)))
        return self.linear_pred(F.relu(fused))


class StraightforwardSegmenter(nn.Module):
    """Normalised images (B, 3, H, W) of two to four modalities -> the logits of both streams and of their ensemble."""

    def __init__(self, config: MiTConfig, classes: int, modalities: int = 2) -> None:
        super().__init__()
        self.encoder = Encoder(config, modalities)
        self.decoder = Decoder(config, classes)
        self.alpha = nn.Parameter(torch.ones(2))

    def forward(self, *images: Tensor, present: Sequence[bool] | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """``present`` says which modalities of all samples are there; by default all. The image of another is zero."""
        present = [True] * len(images) if present is None else present
        logits = [self.decoder(maps) for maps in self.encoder(list(images), present)]
        weights = self.alpha.softmax(0)
        if not present[0] or not any(present[1:]):
            weights = weights.new_tensor([0.0, 1.0] if not present[0] else [1.0, 0.0])
        return logits[0], logits[1], weights[0] * logits[0] + weights[1] * logits[1]
