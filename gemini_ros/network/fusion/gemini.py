"""GeminiFusion: pixel-wise attention between the two tokens at one place (arXiv:2406.01210, eq. 4-9).

For a token x and its co-located partner y, the query is x, the keys are x + noise_k and x * phi(x, y), the values are
x + noise_v and y. Attention over two keys is a sigmoid of their difference, so the cost is linear in the tokens; the
formulas below are that exact rewriting.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.fusion.operator import BlockState, FusionOperator, Site

HEADS = 8


class PairAttention(nn.Module):
    """Multi-head attention of one query over the two keys K1, K2 and values V1, V2 of one place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, key_difference: Tensor, value_difference: Tensor, value_2: Tensor) -> Tensor:
        """Attend from ``x``; differences are first minus second, before projection. All (B, N, C)."""
        width = x.shape[-1]
        w_q, w_k, w_v = self.in_proj_weight.chunk(3)
        b_q, _, b_v = self.in_proj_bias.chunk(3)
        q = F.linear(x, w_q, b_q)
        dk = F.linear(key_difference, w_k)
        score = (q * dk).unflatten(-1, (HEADS, width // HEADS)).sum(-1, keepdim=True)
        gate = torch.sigmoid(score * (width // HEADS) ** -0.5)
        dv = F.linear(value_difference, w_v).unflatten(-1, (HEADS, width // HEADS))
        mixed = F.linear(value_2, w_v, b_v) + (gate * dv).flatten(-2)
        return self.out_proj(mixed)


class GeminiFusion(FusionOperator):
    """The paper's operator, on the attention's heads.

    Both directions read the original tokens. The width must be divisible by the 8 heads.
    """

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
