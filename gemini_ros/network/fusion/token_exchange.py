"""Token exchange (TokenFusion, arXiv:2204.08721): uninformative tokens are replaced by the other stream's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gemini_ros.network.fusion.operator import BlockState, FusionOperator, Site

THRESHOLD = 0.02
NEUTRAL_LOGIT = 6.0  # a score of 0.998
EPS = 1e-6


class TokenExchange(FusionOperator):
    """On the attention branch: a_i <- s_i a_i; where s_i < 0.02 the other's s_j a_j takes its place.

    The scores s (B, N, 1) are read from the block's input by a predictor of each modality that all blocks of a stage
    share. The auxiliary loss is the mean score, which the paper's L1 term pushes towards exchange.
    """

    place = "branch"

    def __init__(self, predictors: nn.ModuleList) -> None:
        super().__init__()
        self.predictors = predictors

    def make_neutral(self) -> None:
        for predictor in self.predictors:
            assert isinstance(predictor, nn.Sequential)
            last = predictor[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            with torch.no_grad():
                last.bias[0] = NEUTRAL_LOGIT

    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        scores = [p(x).softmax(-1)[..., :1] for p, x in zip(self.predictors, block.inputs, strict=True)]
        a, b = x_a * scores[0], x_b * scores[1]
        exchanged = torch.where(scores[0] >= THRESHOLD, a, b), torch.where(scores[1] >= THRESHOLD, b, a)
        return *exchanged, (scores[0].mean() + scores[1].mean()) / 2


def make_token_exchange(site: Site, blocks: int) -> list[FusionOperator]:
    """The operators of one stage around the predictors they share."""
    predictors = nn.ModuleList(_predictor(site.width) for _ in range(2))
    return [TokenExchange(predictors) for _ in range(blocks)]


def _predictor(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width, eps=EPS),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Linear(width, width // 2),
        nn.GELU(),
        nn.Linear(width // 2, width // 4),
        nn.GELU(),
        nn.Linear(width // 4, 2),
    )
