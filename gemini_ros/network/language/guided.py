"""Text-guided encoding: word pieces beside the pixels in the encoder's late blocks (arXiv:2504.09925, sec. 3.1).

The early blocks see no text and run once, in the plain network. The late ones are copies of the plain network's with
the two streams in one, and go their own way in training; the plain network's own labels never depend on them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.core.phrase_maps import TEXT_WIDTH
from gemini_ros.network.encoders.mit import EPS, Block
from gemini_ros.network.fusion.gemini import GatedGemini, GeminiFusion
from gemini_ros.network.language.maps import PlainMaps, first_guided, require_mit
from gemini_ros.network.layers import ModalityNorm, image_from_tokens, tokens_from_image
from gemini_ros.network.model import FusionSegmenter

MASKED = -1e4  # added to the score of padding: within fp16


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two layers with a GELU between."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


@dataclass(frozen=True)
class Guided:
    """``third`` (B, C3, h/16, w/16) and ``fourth`` (B, C4, h/32, w/32) know the phrases.

    ``patches`` (B, N, C4) are the fourth stage's tokens before its blocks, ``text`` (B, P T, C4) the word pieces behind
    them; ``None`` where the encoder reads no text.
    """

    third: Tensor
    fourth: Tensor
    patches: Tensor
    text: Tensor | None


class GuidedBlock(nn.Module):
    """A block of MiT on one stream of pixels and, beside them, word pieces, which share all its weights.

    Word pieces are appended to the reduced keys and values. Of the depthwise convolution, which has no place for them,
    they get the sum of its taps.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        attention = block.attn
        self.heads = attention.heads
        self.norm1, self.norm2 = _mean(block.norm1), _mean(block.norm2)
        self.q, self.kv = copy.deepcopy(attention.q), copy.deepcopy(attention.kv)
        self.proj = _with_fusion(block)
        self.reduce = copy.deepcopy(attention.sr) if attention.reduction > 1 else None
        self.reduced_norm = _mean(attention.norm) if attention.reduction > 1 else None
        self.mlp = copy.deepcopy(block.mlp)

    def forward(self, x: Tensor, text: Tensor | None, bias: Tensor | None, height: int, width: int):
        """Pixels (B, N, C) and word pieces (B, M, C), ``bias`` (B, 1, 1, M) on their scores -> the same two."""
        count = height * width
        whole = x if text is None else torch.cat([x, text], 1)
        normed = self.norm1(whole)
        source = normed[:, :count]
        if self.reduce is not None and self.reduced_norm is not None:
            reduced = self.reduce(image_from_tokens(source, height, width))
            source = self.reduced_norm(tokens_from_image(reduced))
        if bias is not None:
            bias = F.pad(bias, (source.shape[1], 0))
            source = torch.cat([source, normed[:, count:]], 1)
        k, v = (self._split(part) for part in self.kv(source).chunk(2, -1))
        attended = F.scaled_dot_product_attention(self._split(self.q(normed)), k, v, bias)
        whole = whole + self.proj(attended.transpose(1, 2).flatten(2))
        whole = whole + self._mlp(self.norm2(whole), height, width)
        return whole[:, :count], None if text is None else whole[:, count:]

    def _mlp(self, x: Tensor, height: int, width: int) -> Tensor:
        count, kernel = height * width, self.mlp.dwconv
        hidden = self.mlp.fc1(x)
        pixels = tokens_from_image(kernel(image_from_tokens(hidden[:, :count], height, width)))
        words = hidden[:, count:] * kernel.weight.sum((1, 2, 3)) + kernel.bias
        return self.mlp.fc2(F.gelu(torch.cat([pixels, words], 1)))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class GuidedEncoder(nn.Module):
    """The late blocks, from ``PlainMaps.entry`` on. ``text`` says whether they read the phrases.

    ``image_of_text`` maps word pieces among the tokens of the last stage (t2v of the paper), ``text_of_image`` back
    (v2t); ``mapping.py`` has the loss that holds the two together.
    """

    def __init__(self, network: FusionSegmenter, text: bool = True) -> None:
        super().__init__()
        encoder = require_mit(network)
        third, fourth = encoder.stages[2], encoder.stages[3]
        streams, wide, widest = len(third.norm), encoder.config.widths[2], encoder.config.widths[3]
        self.text = text
        self.join = nn.Linear(streams * wide, wide)
        with torch.no_grad():  # at first the streams' mean
            self.join.weight.copy_(torch.cat([torch.eye(wide) / streams] * streams, 1))
            self.join.bias.zero_()
        self.third = nn.ModuleList(GuidedBlock(b) for b in third.blocks[first_guided(encoder) :])
        self.third_norm = _mean(third.norm)
        self.embed, self.embed_norm = copy.deepcopy(fourth.embed.proj), _mean(fourth.embed.norm)
        self.fourth = nn.ModuleList(GuidedBlock(b) for b in fourth.blocks)
        self.fourth_norm = _mean(fourth.norm)
        self.image_of_text_early = mlp(TEXT_WIDTH, 2 * wide, wide) if text else None
        self.carry = nn.Linear(wide, widest) if text else None
        self.image_of_text = mlp(TEXT_WIDTH, 2 * widest, widest)
        self.text_of_image = mlp(widest, 2 * widest, TEXT_WIDTH)

    def forward(self, maps: PlainMaps, phrases: Tensor, mask: Tensor) -> Guided:
        """``phrases`` (B, P, T, 384), zero where ``mask`` (B, P, T) is; the pieces of all phrases stand together."""
        pieces, bias = phrases.flatten(1, 2), ((1 - mask) * MASKED).flatten(1)[:, None, None]
        height, width = maps.entry.shape[3:]
        x = self.join(tokens_from_image(maps.entry.flatten(1, 2)))
        text = None
        if self.image_of_text_early is not None:
            text = self.image_of_text_early(pieces)
        else:
            bias = None
        for block in self.third:
            x, text = block(x, text, bias, height, width)
        third = image_from_tokens(self.third_norm(x), height, width)
        embedded = self.embed(third)
        height, width = embedded.shape[2:]
        x = patches = self.embed_norm(tokens_from_image(embedded))
        if self.carry is not None:
            text = self.carry(text) + self.image_of_text(pieces)
        for block in self.fourth:
            x, text = block(x, text, bias, height, width)
        fourth = image_from_tokens(self.fourth_norm(x), height, width)
        return Guided(third, fourth, patches, None if text is None else self.fourth_norm(text))


def _mean(norms: ModalityNorm) -> nn.LayerNorm:
    """One norm in the place of those of all streams."""
    norm = nn.LayerNorm(norms[0].normalized_shape[0], eps=EPS)
    with torch.no_grad():
        norm.weight.copy_(torch.stack([each.weight for each in norms]).mean(0))
        norm.bias.copy_(torch.stack([each.bias for each in norms]).mean(0))
    return norm


@torch.no_grad()
def _with_fusion(block: Block) -> nn.Linear:
    """The output projection behind a fusion whose two streams are equal: GeminiFusion is linear then, noise aside."""
    projection, operator = copy.deepcopy(block.attn.proj), block.fusion
    if not isinstance(operator, (GeminiFusion, GatedGemini)):
        return projection
    width = projection.in_features
    both = []
    for attention in operator.attention:
        weight, bias = attention.in_proj_weight[2 * width :], attention.in_proj_bias[2 * width :]
        out = attention.out_proj
        both.append((out.weight @ weight + torch.eye(width), out.weight @ bias + out.bias))
    weight, bias = (torch.stack(parts).mean(0) for parts in zip(*both, strict=True))
    projection.bias.copy_(projection.weight @ bias + projection.bias)
    projection.weight.copy_(projection.weight @ weight)
    return projection
