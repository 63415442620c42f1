"""Fusion operators in deploy form: GeminiFusion folded with the projection around it, the others as they are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.deploy.layers import linear
from gemini_ros.network.fusion.gemini import HEADS, GeminiFusion, PairAttention
from gemini_ros.network.fusion.operator import BlockState, FusionOperator


class PlainFusion(nn.Module):
    """Any operator on tokens (N, C)."""

    def __init__(self, operator: FusionOperator, norm2: nn.Module) -> None:
        super().__init__()
        self.operator = operator
        self.norm2 = norm2

    def forward(self, xs: list[Tensor], inputs: list[Tensor], height: int, width: int) -> list[Tensor]:
        state = BlockState((inputs[0][None], inputs[1][None]), self.norm2)
        a, b, _ = self.operator(xs[0][None], xs[1][None], height, width, state)
        return [a[0], b[0]]


class FusedProjection(nn.Module):
    """GeminiFusion and the attention's output projection in one, tokens (N, C) per stream -> projected tokens.

    With stream i as x and the other as y: m = V2 + g (V1 - V2), out = (Wp Wo) m + Wp x + constant. Without a projection
    (Swin has it before the operator) Wp is the identity.
    """

    def __init__(self, fusion: GeminiFusion, projection: nn.Linear | None) -> None:
        super().__init__()
        width = fusion.fc2.in_features
        self.head_width = width // HEADS
        self.relation_self = linear(fusion.fc1.weight[:, :width], fusion.fc1.bias)
        self.relation_other = linear(fusion.fc1.weight[:, width:])
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

    def __init__(
        self, attention: PairAttention, k_noise: Tensor, v_noise: Tensor, projection: nn.Linear | None
    ) -> None:
        super().__init__()
        w_q, w_k, w_v = attention.in_proj_weight.chunk(3)
        b_q, _, b_v = attention.in_proj_bias.chunk(3)
        scale = (w_q.shape[0] // HEADS) ** -0.5
        self.q = linear(w_q * scale, b_q * scale)
        self.k = linear(w_k, w_k @ k_noise)
        self.v_own = linear(w_v, b_v + w_v @ v_noise)
        self.v_other = linear(w_v, b_v)
        out = attention.out_proj
        if projection is None:
            self.out, self.skip = linear(out.weight, out.bias), nn.Identity()
        else:
            self.out = linear(projection.weight @ out.weight)
            self.skip = linear(projection.weight, projection.bias + projection.weight @ out.bias)
