"""MiT with GeminiFusion for a GPU: the streams in one tensor, all projections of a token in one product.

Fewer and larger kernels than the plain form, for the same arithmetic. Not yet run on a GPU. The split after the merged
product and the exchange between the streams are copies, which a CPU pays for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.deploy.fusion import FusedProjection
from gemini_ros.network.deploy.layers import linear, pointwise
from gemini_ros.network.encoders.mit import Block, MixTransformer, Stage
from gemini_ros.network.encoders.scored_maximum import further_there
from gemini_ros.network.fusion.gemini import GeminiFusion
from gemini_ros.network.layers import ModalityNorm, image_from_tokens, tokens_from_image


class StackedMit(nn.Module):
    """Normalised images (1, 3, H, W) per modality -> four maps of both streams; inside, tokens are (2, N, C).

    ``present`` is float32 (modalities,). Raises ``ValueError`` for another fusion than ``gemini``, or one modality.
    """

    def __init__(self, encoder: MixTransformer) -> None:
        super().__init__()
        self.stages = nn.ModuleList(StackedStage(stage) for stage in encoder.stages)

    def forward(self, images: list[Tensor], present: Tensor) -> list[list[Tensor]]:
        there = further_there(present[None]) if len(images) > 2 else None
        x = torch.cat(images)
        features: list[list[Tensor]] = [[], []]
        for stage in self.stages:
            outputs, x = stage(x, there)
            for maps, image in zip(features, outputs.split(1), strict=True):
                maps.append(image)
        return features


class StackedStage(nn.Module):
    """One resolution."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.project, self.scores = stage.embed.proj, stage.scores
        self.first_norm, self.last_norm = StackedNorm(stage.embed.norm), StackedNorm(stage.norm)
        self.blocks = nn.ModuleList(StackedBlock(block) for block in stage.blocks)

    def forward(self, images: Tensor, there: Tensor | None) -> tuple[Tensor, Tensor]:
        """Images (modalities, C', H, W) -> maps (2, C, h, w), and the next stage's images."""
        images = self.project(images)
        height, width = images.shape[2:]
        x = self.first_norm(tokens_from_image(images))
        scored: list[Tensor] = []
        if self.scores is not None and there is not None:
            first, *further = image_from_tokens(x, height, width).split(1)
            second, scored = self.scores(further, there)
            x = tokens_from_image(torch.cat([first, second]))
        for block in self.blocks:
            x = block(x, height, width)
        maps = image_from_tokens(self.last_norm(x), height, width)
        return maps, torch.cat([maps[:1], *(image + maps[1:] for image in scored)]) if scored else maps


class StackedNorm(nn.Module):
    """The LayerNorms of all modalities or streams as one, with a gain and a shift for each."""

    gain: Tensor
    shift: Tensor

    def __init__(self, norm: ModalityNorm) -> None:
        super().__init__()
        self.eps = norm[0].eps
        self.register_buffer("gain", torch.stack([n.weight.detach() for n in norm])[:, None])
        self.register_buffer("shift", torch.stack([n.bias.detach() for n in norm])[:, None])

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], eps=self.eps) * self.gain + self.shift


class StackedBlock(nn.Module):
    """A block on tokens (2, N, C)."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        if not isinstance(block.fusion, GeminiFusion):
            raise ValueError("the stacked deploy form knows gemini fusion between two streams: use the plain form")
        self.heads, self.reduction = block.attn.heads, block.attn.reduction
        self.norm1, self.norm2 = StackedNorm(block.norm1), StackedNorm(block.norm2)
        if self.reduction > 1:
            self.reduce, self.reduce_norm = block.attn.sr, StackedNorm(block.attn.norm)
        scale = (block.attn.q.in_features // self.heads) ** -0.5
        self.q = linear(block.attn.q.weight * scale, block.attn.q.bias * scale)
        self.kv = block.attn.kv
        self.fusion = StackedFusion(block.fusion, block.attn.proj)
        self.fc1, self.dwconv, self.fc2 = pointwise(block.mlp.fc1), block.mlp.dwconv, pointwise(block.mlp.fc2)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x + self.fusion(self._attend(self.norm1(x), height, width))
        images = image_from_tokens(self.norm2(x), height, width)
        return x + tokens_from_image(self.fc2(F.gelu(self.dwconv(self.fc1(images)))))

    def _attend(self, x: Tensor, height: int, width: int) -> Tensor:
        source = x
        if self.reduction > 1:
            source = self.reduce_norm(tokens_from_image(self.reduce(image_from_tokens(x, height, width))))
        q = self.q(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(source).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return ((q @ k.transpose(2, 3)).softmax(-1) @ v).transpose(1, 2).flatten(2)


class StackedFusion(nn.Module):
    """``FusedProjection`` with the six products of a token as one, its weights those of its stream."""

    first: Tensor
    first_bias: Tensor
    key: Tensor
    key_bias: Tensor
    out: Tensor
    of_head: Tensor

    def __init__(self, fusion: GeminiFusion, projection: nn.Linear) -> None:
        super().__init__()
        plain = FusedProjection(fusion, projection)
        self.width = projection.in_features
        self.relation_out = plain.relation_out
        self.register_buffer("of_head", plain.of_head)
        directions = list(plain.directions)
        layers = [
            [plain.relation_self, plain.relation_other, own.q, own.v_own, other.minus_v_other, own.skip]
            for own, other in (directions, reversed(directions))
        ]
        none = torch.zeros(self.width, dtype=projection.weight.dtype)
        self.register_buffer("first", torch.stack([torch.cat([_weight(x) for x in row]).T for row in layers]))
        biases = [torch.cat([none if x.bias is None else x.bias.detach() for x in row]) for row in layers]
        self.register_buffer("first_bias", torch.stack(biases)[:, None])
        self.register_buffer("key", torch.stack([_weight(d.k).T for d in directions]))
        self.register_buffer("key_bias", torch.stack([d.k.bias.detach() for d in directions])[:, None])
        self.register_buffer("out", torch.stack([_weight(d.out).T for d in directions]))

    def forward(self, x: Tensor) -> Tensor:
        own, other, q, v_1, minus_v_other, skip = (x @ self.first + self.first_bias).split(self.width, 2)
        relation = self.relation_out(F.gelu(own + _swapped(other))).softmax(-1)
        key = (x - x * relation) @ self.key + self.key_bias
        gate = ((q * key) @ self.of_head).sigmoid() @ self.of_head.T
        minus_v_2 = _swapped(minus_v_other)
        return (gate * (v_1 + minus_v_2) - minus_v_2) @ self.out + skip


def _swapped(x: Tensor) -> Tensor:
    return torch.cat([x[1:], x[:1]])


def _weight(layer: nn.Linear) -> Tensor:
    return layer.weight.detach()
