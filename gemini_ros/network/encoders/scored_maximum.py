"""All modalities but the first as one stream: the element-wise maximum of their scored embeddings.

A network of three or four modalities has two streams, as one of two: the first modality, and this one. The construction
is that of GeminiFusion's authors for DeLiVER (their branch of that name).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

FIRST_DEVIATION = 0.02  # of the weights that make a score: every score is one half before it is trained


class ScoredMaximum(nn.ModuleList):
    """A score net for each of ``modalities`` embeddings; one is weighted by 1 + its score, between 0 and 1."""

    def __init__(self, modalities: int, width: int) -> None:
        super().__init__(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, 1, 1))
            for _ in range(modalities)
        )

    def initialise(self) -> None:
        """Scores that embeddings do not saturate."""
        for _, score in self:
            nn.init.trunc_normal_(score.weight, std=FIRST_DEVIATION)
            nn.init.zeros_(score.bias)

    def forward(self, embedded: Sequence[Tensor], there: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embeddings as images (B, C, H, W), ``there`` bool (B, modalities) -> their maximum, and each one weighted."""
        scored = [x * (1 + score(x).sigmoid()) for score, x in zip(self, embedded, strict=True)]
        return maximum_of_those_there(scored, there), scored


def further_there(present: Tensor) -> Tensor:
    """Which of the modalities behind the first the maximum is taken of, bool (B, modalities - 1).

    Those that are present. Where none is, all of them: their images are zero then, as that of the second modality of a
    network of two. ``present`` is (B, modalities) of 0 and 1.
    """
    further = present[:, 1:]
    return further + (1 - further.amax(1, keepdim=True)) > 0.5


def maximum_of_those_there(values: Sequence[Tensor], there: Tensor) -> Tensor:
    """Element-wise maximum over the values (B, ...) whose flag in ``there`` (B, count) is set; at least one is."""
    flags = [flag[(...,) + (None,) * (values[0].ndim - 1)] for flag in there.unbind(1)]
    # From a value that is there on, so that no number has to stand for "lower than all".
    largest = values[-1]
    for value, flag in zip(values[-2::-1], flags[-2::-1], strict=True):
        largest = torch.where(flag, value, largest)
    for value, flag in zip(values[1:], flags[1:], strict=True):
        largest = torch.where(flag, torch.maximum(largest, value), largest)
    return largest


def stream_presence(present: Tensor) -> Tensor:
    """``present`` (..., modalities) of the streams, (..., 1 or 2): the second is there if any but the first is."""
    if present.shape[-1] <= 2:
        return present
    return torch.stack([present[..., 0], present[..., 1:].amax(-1)], -1)
