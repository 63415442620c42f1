"""How the learning rate goes over a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

DECAYS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
        "poly": lambda progress: 1 - progress,  # power 1, as SegFormer and GeminiFusion train
        "constant": lambda progress: 1.0,
    }
)


def rate_factor(step: int, total: int, warmup: int, decay: str = "cosine", stages: Sequence[float] = (1.0,)) -> float:
    """Factor on the learning rate at ``step`` of ``total``.

    Linear over the first ``warmup`` steps, then ``decay`` (a name of ``DECAYS``) to the end. ``stages`` are factors of
    equally long parts of the training; the decay begins anew in each. Raises ``KeyError`` for an unknown decay.
    """
    if step < warmup:
        return stages[0] * (step + 1) / warmup
    length = total / len(stages)
    stage = min(int(step / length), len(stages) - 1)
    begin = max(stage * length, warmup if stage == 0 else 0)
    progress = (step - begin) / max(1.0, (stage + 1) * length - begin)
    return stages[stage] * DECAYS[decay](min(1.0, progress))
