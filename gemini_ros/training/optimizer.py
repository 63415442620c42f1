"""The optimiser, in the form that is fastest where it runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from gemini_ros.training.options import OptimizerOptions

DECODER = ("decoder", "alpha")  # its parameters' names begin so


def parameter_groups(parameters: Iterable[tuple[str, nn.Parameter]], options: OptimizerOptions) -> list[dict[str, Any]]:
    """The named parameters of a network by learning rate and weight decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        rate = options.learning_rate * (options.decoder_factor if name.startswith(DECODER) else 1.0)
        decay = 0.0 if parameter.ndim < 2 else options.weight_decay
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": held, "lr": rate, "weight_decay": decay} for (rate, decay), held in groups.items()]


def adamw(groups: Sequence[dict[str, Any]], device: torch.device, mixed: bool = False) -> torch.optim.AdamW:
    """AdamW over groups of parameters.

    On a CPU every step is one pass over the weights instead of a dozen. In mixed precision, and on a GPU where it is
    common, torch's own choice stays: Lightning does not clip gradients of a fused optimiser there.
    """
    return torch.optim.AdamW(groups, fused=(device.type == "cpu" and not mixed) or None)
