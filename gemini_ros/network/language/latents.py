"""Recursive alignment decoding (arXiv:2504.09925, sec. 3.2): latents that look at their own windows, again and again.

Each latent stands for a window of 3x3 places of the third stage's grid. It begins with what the plain network sees
there, in words' reach with all other latents and the phrase, and asks its window anew in each round.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.core.phrase_maps import COUNTS, MOST_PIECES, TEXT_WIDTH
from gemini_ros.network.language.guided import MASKED, mlp
from gemini_ros.network.language.maps import GEOMETRY, PlainMaps

SIDE = 3
STRIDE = 4  # of the third stage's grid in places of the first's
_HEADS = 4


def windows(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, L, 9, C), the windows row by row; zeros fill up what does not divide by three."""
    height, width = x.shape[2:]
    x = F.pad(x, (0, -width % SIDE, 0, -height % SIDE))
    x = x.unflatten(3, (-1, SIDE)).unflatten(2, (-1, SIDE))  # (B, C, R, 3, K, 3)
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)


def window_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of windows of a third stage of ``height`` x ``width``."""
    return -(-height // SIDE), -(-width // SIDE)


class SentenceLayer(nn.Module):
    """A pre-norm transformer layer over the latents, the word pieces and the end of a phrase."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = mlp(width, 2 * width, width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, N, C), ``bias`` (B, 1, 1, N) on the scores."""
        q, k, v = (t.unflatten(-1, (_HEADS, -1)).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class Interaction(nn.Module):
    """One look of each latent at its own window: the query is of the latent and the phrase's end, then as the paper."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.join = nn.Linear(2 * width, width, bias=False)
        self.query_norm, self.key_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.kv = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, width, bias=False), nn.GELU(), nn.Linear(width, width, bias=False))

    def forward(self, latents: Tensor, end: Tensor, context: Tensor) -> Tensor:
        """``latents`` (B, P, L, C), ``end`` (B, P, C), ``context`` (B, L, 9, C) -> latents."""
        query = self.join(torch.cat([end[:, :, None].expand_as(latents), latents], -1))
        # (B, L, heads, P, C) against (B, L, heads, 9, C): a window serves all phrases.
        q = self.q(self.query_norm(query)).transpose(1, 2).unflatten(-1, (_HEADS, -1)).transpose(2, 3)
        k, v = (t.unflatten(-1, (_HEADS, -1)).transpose(2, 3) for t in self.kv(self.key_norm(context)).chunk(2, -1))
        found = (q * q.shape[-1] ** -0.5 @ k.transpose(3, 4)).softmax(-1) @ v
        found = found.transpose(2, 3).flatten(3).transpose(1, 2)
        return latents + self.mlp(self.norm(self.out(found) + query))


class LatentDecoder(nn.Module):
    """Latents of a frame and a phrase. ``interactions`` false leaves out the looks at the windows: an ablation."""

    def __init__(self, coarse: int, coarsest: int, classes: int, width: int, rounds: int, interactions: bool) -> None:
        super().__init__()
        self.width = width
        self.begin = nn.Linear(coarse + coarsest, width)
        self.classes = nn.Linear(classes, width)
        self.measured = mlp(3 * GEOMETRY, width, width)
        self.text = nn.Linear(TEXT_WIDTH, width)
        self.order = nn.Parameter(torch.randn(MOST_PIECES, width) * 0.02)
        self.end = nn.Parameter(torch.randn(width) * 0.02)
        self.layers = nn.ModuleList(SentenceLayer(width) for _ in range(rounds))
        self.looks = nn.ModuleList(Interaction(width) for _ in range(rounds if interactions else 0))
        self.plain_context = nn.Linear(coarse + GEOMETRY, width)
        self.guided_context = nn.Linear(width, width)
        nn.init.zeros_(self.guided_context.weight)  # at first as it was trained without the guided branch
        nn.init.zeros_(self.guided_context.bias)
        self.holds_target = mlp(width, width, 1)
        self.answer = mlp(2 * width, width, 1 + COUNTS)

    def forward(
        self, maps: PlainMaps, phrases: Tensor, mask: Tensor, guided: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Latents (B, P, L, C) and the phrases' ends (B, P, C).

        ``phrases`` (B, P, T, 384), zero where ``mask`` (B, P, T) is; ``guided`` (B, C, h/16, w/16) is a map that knows
        them.
        """
        count = phrases.shape[1]
        coarse, geometry = maps.coarse.flatten(1, 2), F.avg_pool2d(maps.geometry, STRIDE)
        context = self.plain_context(windows(torch.cat([coarse, geometry], 1)))
        if guided is not None:
            context = context + self.guided_context(windows(guided))
        latents = self._begin(maps, coarse, geometry)
        number = latents.shape[1]
        latents = latents[:, None].expand(-1, count, -1, -1)
        words = self.text(phrases) + self.order
        end = self.end.expand(len(phrases), count, 1, -1)
        bias = F.pad(F.pad((1 - mask) * MASKED, (number, 1)).flatten(0, 1)[:, None, None], (0, 0))
        x = torch.cat([latents, words, end], 2)
        for index, layer in enumerate(self.layers):
            x = layer(x.flatten(0, 1), bias).unflatten(0, (-1, count))
            if index < len(self.looks):
                looked = self.looks[index](x[:, :, :number], x[:, :, -1], context)
                x = torch.cat([looked, x[:, :, number:]], 2)
        return x[:, :, :number], x[:, :, -1]

    def judge(self, latents: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits: whether each window holds the target (B, P, L), whether it is there (B, P), how many (B, P, 6)."""
        answer = self.answer(torch.cat([end, latents.amax(2)], -1))
        return self.holds_target(latents)[..., 0], answer[..., 0], answer[..., 1:]

    def _begin(self, maps: PlainMaps, coarse: Tensor, geometry: Tensor) -> Tensor:
        coarsest = F.interpolate(maps.coarsest.flatten(1, 2), size=coarse.shape[2:], mode="nearest")
        seen = windows(torch.cat([coarse, coarsest], 1)).amax(2)
        classes = windows(F.avg_pool2d(maps.logits.softmax(1), STRIDE)).mean(2)
        measured = windows(geometry)
        spread = torch.cat([measured.mean(2), measured.amax(2), measured.amin(2)], -1)
        return self.begin(seen) + self.classes(classes) + self.measured(spread)
