"""How the learning rate goes over a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from gemini_ros.training.options import ScheduleOptions

DECAYS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),
        "poly": lambda progress: 1 - progress,  # power 1, as SegFormer and GeminiFusion train
        "constant": lambda progress: 1.0,
    }
)


def rate_factor(step: int, total: int, options: ScheduleOptions) -> float:
    """Factor on the learning rate at ``step`` of ``total``. Raises ``KeyError`` for a decay not in ``DECAYS``."""
    warmup, stages = options.warmup_steps, options.stages
    if step < warmup:
        return stages[0] * (step + 1) / warmup
    length = total / len(stages)
    stage = min(int(step / length), len(stages) - 1)
    begin = max(stage * length, warmup if stage == 0 else 0)
    progress = (step - begin) / max(1.0, (stage + 1) * length - begin)
    return stages[stage] * DECAYS[options.decay](min(1.0, progress))
