"""Weights between those before a training and those after it: they forget less than the trained ones.

The idea is that of Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
"""

from __future__ import annotations

from pathlib import Path

import torch

from gemini_ros.core.files import atomic_path
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.weights import read_trained, require_fitting

SHARES = (1.0, 0.7, 0.4)
"""How far a model goes from the old weights to the trained ones, the farthest first."""


def write_between(before: SegmentationTask, trained: Path, share: float, out: Path) -> None:
    """Write the checkpoint ``trained`` to ``out`` with its weights ``share`` (0 to 1) of the way from ``before``.

    Raises ``ValueError`` for a checkpoint of another network.
    """
    data = read_trained(trained)
    old, new = before.state_dict(), data["state_dict"]
    require_fitting(new, old, str(trained))
    for name, value in new.items():
        if value.is_floating_point():
            new[name] = torch.lerp(old[name].float(), value.float(), share).to(value.dtype)
    with atomic_path(out) as part:
        torch.save(data, part)
