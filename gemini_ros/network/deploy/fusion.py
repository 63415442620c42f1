"""Fusion operators in deploy form: GeminiFusion folded with the projection around it, the others as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.deploy.layers import added, linear
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

    With stream i as x and the other as y: m = g (V1 - V2) + V2, out = (Wp Wo) m + Wp x + constant. Without a projection
    (Swin has it before the operator) Wp is the identity. The gate g is summed over a head's channels and spread over
    them again by a constant matrix (C, heads) of 0 and 1: faster than summing a few channels at a time.
    """

    of_head: Tensor

    def __init__(self, fusion: GeminiFusion, projection: nn.Linear | None) -> None:
        super().__init__()
        width = fusion.fc2.in_features
        self.register_buffer("of_head", torch.eye(HEADS).repeat_interleave(width // HEADS, 0))
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
        outputs = []
        for i, direction in enumerate(self.directions):
            x, y = streams[i], streams[1 - i]
            relation = self.relation_out(F.gelu(added(own[i], y, self.relation_other))).softmax(-1)
            product = direction.q(x) * direction.k(x - x * relation)
            gate = (product @ self.of_head).sigmoid() @ self.of_head.T
            minus_v_2 = direction.minus_v_other(y)
            mixed = gate * added(minus_v_2, x, direction.v_own) - minus_v_2
            outputs.append(added(direction.skip(x), mixed, direction.out))
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
        noise = w_v @ v_noise
        self.minus_v_other, self.v_own = linear(-w_v, noise), linear(w_v)
        out = attention.out_proj
        constant = out.bias + out.weight @ (b_v + noise)
        if projection is None:
            self.out, self.skip = linear(out.weight), Shift(constant)
        else:
            self.out = linear(projection.weight @ out.weight)
            self.skip = linear(projection.weight, projection.bias + projection.weight @ constant)


class Shift(nn.Module):
    """x + constant."""

    constant: Tensor

    def __init__(self, constant: Tensor) -> None:
        super().__init__()
        self.register_buffer("constant", constant.detach())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.constant
