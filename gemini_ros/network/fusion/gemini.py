"""GeminiFusion: pixel-wise attention between the two tokens at one place (arXiv:2406.01210, eq. 4-9).

For a token x and its co-located partner y, the query is x, the keys are x + noise_k and x * phi(x, y), the values are
x + noise_v and y. Attention over two keys is a sigmoid of their difference, so the cost is linear in the tokens; the
formulas below are that exact rewriting.

``GatedGemini`` also knows which share of a token's pixels each stream has measured, and turns away from a partner that
has measured little. The relation alone could not: it sums to one over the channels, so it hardly moves a key.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.fusion.operator import BlockState, FusionOperator, Site

HEADS = 8
STEEPNESS = 10.0  # of the doubt's weights, which an optimiser moves by little
DOUBT = 4.0  # about a partner without a valid pixel, at first: the own key is e^4 times as likely
_Result = TypeVar("_Result")


class PairAttention(nn.Module):
    """Multi-head attention of one query over the two keys K1, K2 and values V1, V2 of one place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        x: Tensor,
        key_difference: Tensor,
        value_difference: Tensor,
        value_2: Tensor,
        doubt: Tensor | None = None,
    ) -> Tensor:
        """Attend from ``x``; differences are first minus second, before projection. All (B, N, C).

        ``doubt`` (B, N, heads) is added to the score of the first key.
        """
        width = x.shape[-1]
        w_q, w_k, w_v = self.in_proj_weight.chunk(3)
        b_q, _, b_v = self.in_proj_bias.chunk(3)
        q = F.linear(x, w_q, b_q)
        dk = F.linear(key_difference, w_k)
        score = (q * dk).unflatten(-1, (HEADS, width // HEADS)).sum(-1, keepdim=True)
        score = score * (width // HEADS) ** -0.5
        gate = torch.sigmoid(score if doubt is None else score + doubt[..., None])
        dv = F.linear(value_difference, w_v).unflatten(-1, (HEADS, width // HEADS))
        mixed = F.linear(value_2, w_v, b_v) + (gate * dv).flatten(-2)
        return self.out_proj(mixed)


class _Gemini(FusionOperator):
    """The weights of the paper's operator. The width must be divisible by the 8 heads."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        width = site.width
        if width % HEADS:
            raise ValueError(f"GeminiFusion: width {width}, expected a multiple of {HEADS}")
        self.fc1 = nn.Linear(2 * width, width)
        self.fc2 = nn.Linear(width, width)
        self.attention = nn.ModuleList(PairAttention(width) for _ in range(2))
        self.k_noise = nn.Parameter(torch.randn(2, width))
        self.v_noise = nn.Parameter(torch.randn(2, width))

    def make_neutral(self) -> None:
        for attention in self.attention:
            assert isinstance(attention, PairAttention)
            nn.init.zeros_(attention.out_proj.weight)
            nn.init.zeros_(attention.out_proj.bias)


class GeminiFusion(_Gemini):
    """The paper's operator, on the attention's heads. Both directions read the original tokens."""

    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        w_self, w_other = self.fc1.weight.chunk(2, dim=1)
        projected = [(F.linear(x, w_self, self.fc1.bias), F.linear(x, w_other)) for x in (x_a, x_b)]
        outputs = []
        for i, (x, y) in enumerate(((x_a, x_b), (x_b, x_a))):
            relation = self.fc2(F.gelu(projected[i][0] + projected[1 - i][1])).softmax(-1)
            key_difference = x - x * relation + self.k_noise[i]
            value_difference = x - y + self.v_noise[i]
            outputs.append(x + self.attention[i](x, key_difference, value_difference, y))
        return outputs[0], outputs[1], None


class GatedGemini(_Gemini):
    """The paper's operator that is told what share of each token's pixels is not valid, of either stream.

    The shares enter the relation's hidden layer, at first with weight 0, and the partner's is added to the score of the
    own key by a weight for each head. Needs ``valid_shares`` around the encoder.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.relation_invalid = nn.Parameter(torch.zeros(2, site.width))
        self.doubt = nn.Parameter(torch.full((2, HEADS), DOUBT / STEEPNESS))

    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        w_self, w_other = self.fc1.weight.chunk(2, dim=1)
        invalid = [1 - share for share in shares_of_tokens(height, width)]
        own_invalid, other_invalid = self.relation_invalid
        outputs = []
        for i, (x, y) in enumerate(((x_a, x_b), (x_b, x_a))):
            hidden = F.linear(x, w_self, self.fc1.bias) + F.linear(y, w_other)
            hidden = hidden + invalid[i] * own_invalid + invalid[1 - i] * other_invalid
            relation = self.fc2(F.gelu(hidden)).softmax(-1)
            key_difference = x - x * relation + self.k_noise[i]
            value_difference = x - y + self.v_noise[i]
            doubt = STEEPNESS * invalid[1 - i] * self.doubt[i]
            outputs.append(x + self.attention[i](x, key_difference, value_difference, y, doubt))
        return outputs[0], outputs[1], None


_IMAGES: ContextVar[Sequence[Tensor] | None] = ContextVar("images of the encoder that runs", default=None)


def valid_shares(forward: Callable[..., _Result]) -> Callable[..., _Result]:
    """Let the operators inside an encoder's ``forward(images, ...)`` ask for the shares of valid pixels."""

    @functools.wraps(forward)
    def wrapped(self: Any, images: list[Tensor], *rest: Any, **named: Any) -> _Result:
        before = _IMAGES.set(images)
        try:
            return forward(self, images, *rest, **named)
        finally:
            _IMAGES.reset(before)

    return wrapped


def shares_of_tokens(height: int, width: int) -> list[Tensor]:
    """Of both streams the share of the pixels of each token that is valid, (B, N, 1), 0 to 1.

    A normalised pixel without a measurement is 0 in all channels. The images after the first are one stream. Raises
    ``RuntimeError`` outside an encoder that is marked ``valid_shares``.
    """
    images = _IMAGES.get()
    if images is None:
        raise RuntimeError("the gated fusion runs outside an encoder marked valid_shares: it knows no images")
    valid = [image.ne(0).to(image.dtype).amax(1, keepdim=True) for image in images]
    both = [valid[0], functools.reduce(torch.maximum, valid[1:])]
    rows, columns = valid[0].shape[2:]
    kernel = (-(-rows // height), -(-columns // width))
    whole = rows % kernel[0] == 0 and columns % kernel[1] == 0
    pooled = [F.avg_pool2d(x, kernel, ceil_mode=not whole, count_include_pad=False) for x in both]
    return [x.flatten(2).transpose(1, 2) for x in pooled]
