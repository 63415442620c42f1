"""The one interface of all fusion operators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from gemini_ros.network.layers import ModalityNorm


@dataclass(frozen=True)
class Site:
    """Where an operator works: token width, attention heads, and how far the stage reduces its keys (1 = not)."""

    width: int
    heads: int
    key_reduction: int


@dataclass(frozen=True)
class BlockState:
    """What else of the block an operator may look at: its inputs (B, N, C) per stream and the norm before the MLP."""

    inputs: tuple[Tensor, Tensor]
    norm2: nn.Module


class FusionOperator(nn.Module, ABC):
    """Exchange between two streams inside a transformer block.

    ``place`` says where it is put: on the attention's ``heads`` before their output projection (in Swin after it), on
    the attention ``branch`` before the residual, or on the ``mlp`` input behind the second norm.
    """

    place: Literal["heads", "branch", "mlp"] = "heads"

    @abstractmethod
    def forward(
        self, x_a: Tensor, x_b: Tensor, height: int, width: int, block: BlockState
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Tokens (B, N, C) of both streams, N = height x width -> the same, and an auxiliary loss if it has one."""

    def make_neutral(self) -> None:
        """Let streams pass as they are until training says otherwise, where the operator has a weight for that."""


def require_private_norm(norm: nn.Module, operator: str) -> ModalityNorm:
    """The norm before the MLP if it has scales for each modality, else ``ValueError``."""
    if not isinstance(norm, ModalityNorm):
        raise ValueError(f"{operator} needs a norm for each modality inside the blocks: MiT has it, Swin has not")
    return norm
