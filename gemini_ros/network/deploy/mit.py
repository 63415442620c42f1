"""MiT in deploy form."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.deploy.fusion import FusedProjection, PlainFusion
from gemini_ros.network.deploy.layers import image, join_heads, linear, pointwise, split_heads, tokens
from gemini_ros.network.encoders.mit import TAKEN_STAGE, Block, MixTransformer, Stage
from gemini_ros.network.encoders.scored_maximum import further_there, maximum_of_those_there
from gemini_ros.network.fusion.gemini import GeminiFusion, valid_shares

# By the reduction of the keys: into how many pieces the queries go, one after the other, so that the scores of a piece
# (all of stage 1 at 480x640: 19200 x 300) are still in the cache when they are used. Fixed: no graph depends on tokens.
QUERY_PIECES = {8: 16, 4: 8, 2: 2, 1: 1}


class DeployedMit(nn.Module):
    """Normalised images (1, 3, H, W) per modality -> four maps per stream; ``present`` float32 (modalities,).

    ``taken`` gets the tokens (N, C) of the streams after each block of the third stage.
    """

    def __init__(self, encoder: MixTransformer) -> None:
        super().__init__()
        self.stages = nn.ModuleList(DeployedStage(stage) for stage in encoder.stages)

    @valid_shares
    def forward(
        self, images: list[Tensor], present: Tensor, taken: list[list[Tensor]] | None = None
    ) -> list[list[Tensor]]:
        there = further_there(present[None]) if len(images) > 2 else None
        features: list[list[Tensor]] = [[] for _ in images[:2]]
        for index, stage in enumerate(self.stages):
            outputs, images = stage(images, there, taken if index == TAKEN_STAGE else None)
            for maps, x in zip(features, outputs, strict=True):
                maps.append(x)
        return features


class DeployedStage(nn.Module):
    """One resolution."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.embed = stage.embed
        # As they are: folded into one convolution with a single output, a score takes ONNX Runtime twice the time.
        self.scores = stage.scores
        self.blocks = nn.ModuleList(DeployedBlock(block) for block in stage.blocks)
        self.norm = stage.norm

    def forward(
        self, images: list[Tensor], there: Tensor | None, taken: list[list[Tensor]] | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Images per modality -> maps per stream, and the next stage's images."""
        maps = [self.embed.proj(image) for image in images]
        height, width = maps[0].shape[2:]
        xs = [self.embed.norm[m](tokens(x)) for m, x in enumerate(maps)]
        scored: list[Tensor] = []
        if self.scores is not None and there is not None:
            scores = [net(image(x, height, width)).sigmoid() for net, x in zip(self.scores, xs[1:], strict=True)]
            scored = [x * (1 + tokens(score)) for x, score in zip(xs[1:], scores, strict=True)]
            xs = [xs[0], maximum_of_those_there(scored, there)]
        for block in self.blocks:
            xs = block(xs, height, width)
            if taken is not None:
                taken.append(xs)
        normed = [self.norm[m](x) for m, x in enumerate(xs)]
        outputs = [image(x, height, width) for x in normed]
        return outputs, [outputs[0], *(image(x + normed[1], height, width) for x in scored)] if scored else outputs


class DeployedBlock(nn.Module):
    """A block on tokens (N, C): attention, then fusion and output projection in one, then the MLP."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.attn = block.attn
        self.norm1, self.norm2 = block.norm1, block.norm2
        operator = block.fusion
        self.merged = FusedProjection(operator, block.attn.proj) if isinstance(operator, GeminiFusion) else None
        self.fusion = PlainFusion(operator, block.norm2) if operator is not None and self.merged is None else None
        self.fc1, self.dwconv, self.fc2 = pointwise(block.mlp.fc1), block.mlp.dwconv, block.mlp.fc2
        width = block.attn.q.in_features
        self.q = linear(
            block.attn.q.weight * (width // self.attn.heads) ** -0.5,
            block.attn.q.bias * (width // self.attn.heads) ** -0.5,
        )
        self.k = linear(block.attn.kv.weight[:width], block.attn.kv.bias[:width])
        self.v = linear(block.attn.kv.weight[width:], block.attn.kv.bias[width:])

    def forward(self, xs: list[Tensor], height: int, width: int) -> list[Tensor]:
        attended = [self._attend(self.norm1[m](x), height, width, m) for m, x in enumerate(xs)]
        if self.merged is not None:
            branches = self.merged(*attended)
        else:
            attended = self._fuse("heads", attended, xs, height, width)
            branches = [self.attn.proj(a) for a in attended]
            branches = self._fuse("branch", branches, xs, height, width)
        xs = [x + branch for x, branch in zip(xs, branches, strict=True)]
        normed = self._fuse("mlp", [self.norm2[m](x) for m, x in enumerate(xs)], xs, height, width)
        return [x + self._mlp(y, height, width) for x, y in zip(xs, normed, strict=True)]

    def _fuse(self, place: str, xs: list[Tensor], inputs: list[Tensor], height: int, width: int) -> list[Tensor]:
        if self.fusion is None or self.fusion.operator.place != place:
            return xs
        return self.fusion(xs, inputs, height, width)

    def _attend(self, x: Tensor, height: int, width: int, stream: int) -> Tensor:
        source = x
        if self.attn.reduction > 1:
            source = self.attn.norm[stream](tokens(self.attn.sr(image(x, height, width))))
        heads = self.attn.heads
        q = split_heads(self.q(x), heads)
        k = split_heads(self.k(source), heads).transpose(1, 2)
        v = split_heads(self.v(source), heads)
        pieces = [(piece @ k).softmax(-1) @ v for piece in q.chunk(QUERY_PIECES[self.attn.reduction], 1)]
        return join_heads(pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1))

    def _mlp(self, x: Tensor, height: int, width: int) -> Tensor:
        return self.fc2(F.gelu(tokens(self.dwconv(self.fc1(image(x, height, width))))))
