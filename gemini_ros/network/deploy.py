"""The deploy form: the trained network folded for inference, and wrapped into the model-file contract.

All rewritings are exact (tested to rounding): the two-key attention as a sigmoid, the attention scale inside the query
projection, both output projections merged, constants for the noise rows, tokens as (N, C) without a batch, the MLP as
1x1 convolutions, the decoder as four convolutions at the stages' own resolutions with its BatchNorm folded in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.core.model_info import Modality
from gemini_ros.network.decoder import MlpDecoder
from gemini_ros.network.encoders.mit import Block, Stage
from gemini_ros.network.fusion.gemini import HEADS, GeminiFusion, PairAttention
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.normalise import EPS, normalise


class ModelFile(nn.Module):
    """The graph of a model file, batch 1: images as a camera gives them -> labels, confidence, logits.

    Inputs: per modality ``rgb`` uint8 (1, H, W, 3) or float32 (1, H, W), then ``present`` float32 (N,). Outputs: labels
    and confidence uint8 (1, H, W), logits float32 (1, classes, h/4, w/4) at the network's size (h, w).
    """

    def __init__(self, model: FusionSegmenter, modalities: tuple[Modality, ...], network_size: tuple[int, int]) -> None:
        super().__init__()
        self.normalise = nn.ModuleList(normalise(m, network_size[::-1]) for m in modalities)
        self.network = DeployedSegmenter(model)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        *images, present = inputs
        rows, columns = images[0].shape[1:3]
        normalised = [
            step(image, present[i : i + 1]) for i, (step, image) in enumerate(zip(self.normalise, images, strict=True))
        ]
        logits = self.network(normalised, present)
        upsampled = F.interpolate(logits, size=(rows, columns), mode="bilinear", align_corners=False)
        # uint8 is an output type only for TensorRT: the cast goes through float32.
        labels = upsampled.argmax(1).to(torch.float32).to(torch.uint8)
        probability = logits.softmax(1).amax(1, keepdim=True)
        confidence = F.interpolate(probability, size=(rows, columns), mode="bilinear", align_corners=False)
        return labels, (confidence[:, 0] * 255 + 0.5).floor().to(torch.uint8), logits


class DeployedSegmenter(nn.Module):
    """Folded encoder and decoder; returns the ensemble's logits (1, classes, h/4, w/4)."""

    alpha: Tensor

    def __init__(self, model: FusionSegmenter) -> None:
        super().__init__()
        self.stages = nn.ModuleList(DeployedStage(stage) for stage in model.encoder.stages)
        self.decoder = DeployedDecoder(model.decoder)
        self.register_buffer("alpha", model.alpha.detach().softmax(0))

    def forward(self, images: list[Tensor], present: Tensor) -> Tensor:
        features: list[list[Tensor]] = [[] for _ in images]
        for stage in self.stages:
            images = stage(images)
            for maps, image in zip(features, images, strict=True):
                maps.append(image)
        weights = self.alpha * present
        weights = weights / weights.sum().clamp_min(EPS)
        fused = [self.decoder(maps) * weights[m] for m, maps in enumerate(features)]
        return self.decoder.predict(fused[0] if len(fused) == 1 else fused[0] + fused[1])


class DeployedStage(nn.Module):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.embed = stage.embed
        self.blocks = nn.ModuleList(DeployedBlock(block) for block in stage.blocks)
        self.norm = stage.norm

    def forward(self, images: list[Tensor]) -> list[Tensor]:
        maps = [self.embed.proj(image) for image in images]
        height, width = maps[0].shape[2:]
        xs = [self.embed.norm[m](_tokens(x)) for m, x in enumerate(maps)]
        for block in self.blocks:
            xs = block(xs, height, width)
        return [_image(self.norm[m](x), height, width) for m, x in enumerate(xs)]


class DeployedBlock(nn.Module):
    """A block on tokens (N, C): attention, then fusion and output projection in one, then the MLP as convolutions."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.attn = block.attn
        self.norm1, self.norm2 = block.norm1, block.norm2
        fusion = block.fusion
        self.merge = FusedProjection(fusion, block.attn.proj) if isinstance(fusion, GeminiFusion) else None
        self.fc1, self.dwconv, self.fc2 = _as_conv(block.mlp.fc1), block.mlp.dwconv, _as_conv(block.mlp.fc2)
        width = block.attn.q.in_features
        self.q = _linear(
            block.attn.q.weight * (width // self.attn.heads) ** -0.5,
            block.attn.q.bias * (width // self.attn.heads) ** -0.5,
        )
        self.k = _linear(block.attn.kv.weight[:width], block.attn.kv.bias[:width])
        self.v = _linear(block.attn.kv.weight[width:], block.attn.kv.bias[width:])

    def forward(self, xs: list[Tensor], height: int, width: int) -> list[Tensor]:
        attended = [self._attend(self.norm1[m](x), height, width, m) for m, x in enumerate(xs)]
        branches = self.merge(*attended) if self.merge else [self.attn.proj(a) for a in attended]
        xs = [x + branch for x, branch in zip(xs, branches, strict=True)]
        return [x + self._mlp(self.norm2[m](x), height, width) for m, x in enumerate(xs)]

    def _attend(self, x: Tensor, height: int, width: int, stream: int) -> Tensor:
        source = x
        if self.attn.reduction > 1:
            source = self.attn.norm[stream](_tokens(self.attn.sr(_image(x, height, width))))
        heads = self.attn.heads
        q = self.q(x).unflatten(1, (heads, -1)).transpose(0, 1)
        k = self.k(source).unflatten(1, (heads, -1)).permute(1, 2, 0)
        v = self.v(source).unflatten(1, (heads, -1)).transpose(0, 1)
        return ((q @ k).softmax(-1) @ v).transpose(0, 1).flatten(1)

    def _mlp(self, x: Tensor, height: int, width: int) -> Tensor:
        return _tokens(self.fc2(F.gelu(self.dwconv(self.fc1(_image(x, height, width))))))


class FusedProjection(nn.Module):
    """GeminiFusion and the attention's output projection in one, tokens (N, C) per stream -> projected tokens.

    With stream i as x and the other as y: m = V2 + g (V1 - V2), out = (Wp Wo) m + Wp x + constant.
    """

    def __init__(self, fusion: GeminiFusion, projection: nn.Linear) -> None:
        super().__init__()
        width = projection.in_features
        self.head_width = width // HEADS
        self.relation_self = _linear(fusion.fc1.weight[:, :width], fusion.fc1.bias)
        self.relation_other = _linear(fusion.fc1.weight[:, width:])
        self.relation_out = fusion.fc2
        self.directions = nn.ModuleList(
            _Direction(attention, fusion.k_noise[i], fusion.v_noise[i], projection)
            for i, attention in enumerate(fusion.attention)
        )

    def forward(self, x_a: Tensor, x_b: Tensor) -> list[Tensor]:
        streams = (x_a, x_b)
        own = [self.relation_self(x) for x in streams]
        other = [self.relation_other(x) for x in streams]
        outputs = []
        for i, direction in enumerate(self.directions):
            x, y = streams[i], streams[1 - i]
            relation = self.relation_out(F.gelu(own[i] + other[1 - i])).softmax(-1)
            product = direction.q(x) * direction.k(x - x * relation)
            score = product.unflatten(1, (HEADS, self.head_width)).sum(-1, keepdim=True)
            v_1 = direction.v_own(x).unflatten(1, (HEADS, self.head_width))
            v_2 = direction.v_other(y).unflatten(1, (HEADS, self.head_width))
            mixed = (v_2 + score.sigmoid() * (v_1 - v_2)).flatten(1)
            outputs.append(direction.out(mixed) + direction.skip(x))
        return outputs


class _Direction(nn.Module):
    """Folded weights of one direction of GeminiFusion."""

    def __init__(self, attention: PairAttention, k_noise: Tensor, v_noise: Tensor, projection: nn.Linear) -> None:
        super().__init__()
        w_q, w_k, w_v = attention.in_proj_weight.chunk(3)
        b_q, _, b_v = attention.in_proj_bias.chunk(3)
        scale = (w_q.shape[0] // HEADS) ** -0.5
        self.q = _linear(w_q * scale, b_q * scale)
        self.k = _linear(w_k, w_k @ k_noise)
        self.v_own = _linear(w_v, b_v + w_v @ v_noise)
        self.v_other = _linear(w_v, b_v)
        self.out = _linear(projection.weight @ attention.out_proj.weight)
        self.skip = _linear(projection.weight, projection.bias + projection.weight @ attention.out_proj.bias)


class DeployedDecoder(nn.Module):
    """Four convolutions at the stages' own resolutions, summed at 1/4; ``predict`` is applied after the ensemble."""

    def __init__(self, decoder: MlpDecoder) -> None:
        super().__init__()
        norm = decoder.norm
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - gain * norm.running_mean
        slices = reversed(decoder.fuse.weight.flatten(1).chunk(len(decoder.linear), dim=1))
        folded = [gain[:, None] * piece for piece in slices]
        self.project = nn.ModuleList(
            _as_conv(_linear(weight @ linear.weight, weight @ linear.bias + (shift if i == 0 else 0)))
            for i, (weight, linear) in enumerate(zip(folded, decoder.linear, strict=True))
        )
        self.predict = decoder.predict

    def forward(self, features: list[Tensor]) -> Tensor:
        size = features[0].shape[2:]
        total = self.project[0](features[0])
        for feature, project in zip(features[1:], list(self.project)[1:], strict=True):
            total = total + F.interpolate(project(feature), size=size, mode="bilinear", align_corners=False)
        return F.relu(total)


def _linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer


def _as_conv(linear: nn.Linear) -> nn.Conv2d:
    layer = nn.Conv2d(linear.in_features, linear.out_features, 1)
    layer.weight = nn.Parameter(linear.weight.detach()[..., None, None].clone(), requires_grad=False)
    layer.bias = nn.Parameter(linear.bias.detach().clone(), requires_grad=False)
    return layer


def _image(x: Tensor, height: int, width: int) -> Tensor:
    """Tokens (N, C) as (1, C, H, W)."""
    return x.transpose(0, 1).reshape(1, -1, height, width)


def _tokens(x: Tensor) -> Tensor:
    """(1, C, H, W) as tokens (N, C)."""
    return x[0].flatten(1).transpose(0, 1)
