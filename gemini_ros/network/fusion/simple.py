"""Baselines and controls: no exchange, addition, concatenation, and the other stream instead of one's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gemini_ros.network.fusion.operator import BlockState, FusionOperator, Site


class NoFusion(FusionOperator):
    """Two streams that share weights and never meet before the ensemble."""

    def __init__(self, site: Site) -> None:
        super().__init__()

    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        return x_a, x_b, None


class Sum(FusionOperator):
    """Both streams go on with x_a + x_b."""

    def __init__(self, site: Site) -> None:
        super().__init__()

    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        total = x_a + x_b
        return total, total, None


class Swap(FusionOperator):
    """Each stream goes on with the other's tokens: a control that shows what exchange alone does."""

    def __init__(self, site: Site) -> None:
        super().__init__()

    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        return x_b, x_a, None


class Concat(FusionOperator):
    """x_i' = W_i [x_i; x_j] + b_i, a linear layer for each direction."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.mix = nn.ModuleList(nn.Linear(2 * site.width, site.width) for _ in range(2))

    def make_neutral(self) -> None:
        for linear in self.mix:
            assert isinstance(linear, nn.Linear)
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        a = self.mix[0](torch.cat([x_a, x_b], -1))
        return a, self.mix[1](torch.cat([x_b, x_a], -1)), None
