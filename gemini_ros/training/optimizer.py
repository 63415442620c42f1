"""The optimiser, in the form that is fastest where it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def adamw(groups: Sequence[dict[str, Any]], device: torch.device) -> torch.optim.AdamW:
    """AdamW over groups of parameters.

    On a CPU every step is one pass over the weights instead of a dozen. On a GPU torch's own choice stays: Lightning
    does not clip gradients of a fused optimiser in mixed precision.
    """
    return torch.optim.AdamW(groups, fused=device.type == "cpu" or None)
