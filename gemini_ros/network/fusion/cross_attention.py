"""Cross-attention between the streams: the quadratic operator that pixel-wise attention replaces."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.fusion.operator import BlockState, FusionOperator, Site
from gemini_ros.network.layers import ModalityNorm, image_from_tokens, tokens_from_image

EPS = 1e-6


class CrossAttention(FusionOperator):
    """x_i' = x_i + softmax(Q_i K_j^T / sqrt d) V_j W_o, both directions, queries, keys, values and output own to each.

    Keys and values are read from the other stream, spatially reduced by ``key_reduction`` as MiT does for its own
    (convolution shared by the streams, norm private); 1 is dense, None the stage's own reduction.
    """

    def __init__(self, site: Site, key_reduction: int | None = None) -> None:
        super().__init__()
        width = site.width
        self.heads = site.heads
        self.key_reduction = site.key_reduction if key_reduction is None else key_reduction
        if self.key_reduction < 1:
            raise ValueError(f"key_reduction {self.key_reduction}, expected 1 (dense) or more")
        self.q = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.kv = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        if self.key_reduction > 1:
            self.reduce = nn.Conv2d(width, width, self.key_reduction, self.key_reduction)
            self.norm = ModalityNorm(2, width, EPS)

    def make_neutral(self) -> None:
        for linear in self.out:
            assert isinstance(linear, nn.Linear)
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        sources = [self._reduced(x, height, width, m) for m, x in enumerate((x_a, x_b))]
        outputs = []
        for i, x in enumerate((x_a, x_b)):
            q = self._split(self.q[i](x))
            k, v = (self._split(t) for t in self.kv[i](sources[1 - i]).chunk(2, dim=-1))
            outputs.append(x + self.out[i](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)))
        return outputs[0], outputs[1], None

    def _reduced(self, x: Tensor, height: int, width: int, stream: int) -> Tensor:
        if self.key_reduction == 1:
            return x
        return self.norm(tokens_from_image(self.reduce(image_from_tokens(x, height, width))), stream)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
