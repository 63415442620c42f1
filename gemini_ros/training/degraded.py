"""Frames that lack a modality or are spoilt, and the same frames as they were: what self-distillation compares."""

from __future__ import annotations

import torch
from torch import Tensor

from gemini_ros.training.augmentation import BEFORE
from gemini_ros.training.samples import Sample


def single_modality(sample: Sample, step: int, every: int) -> Sample:
    """The batch with one modality alone, each in turn, at every ``every``-th step; as it is at the others."""
    streams = sample["present"].shape[1]
    if not every or streams == 1 or step % every != every - 1:
        return sample
    present = torch.zeros_like(sample["present"])
    present[:, step // every % streams] = 1
    return sample | {"present": present}


def complete_frames(sample: Sample) -> tuple[Sample, Tensor]:
    """The degraded frames of a batch as they were before, all modalities there, and which ones these are, bool (B,)."""
    changed = (sample["present"] < 1).any(1)
    for name in (name for name in sample if name.startswith(BEFORE)):
        before, now = sample[name], sample[name.removeprefix(BEFORE)]
        equal = (before == now) | ((before != before) & (now != now))  # NaN is a hole in both
        changed = changed | ~equal.flatten(1).all(1)
    before = {name: sample.get(BEFORE + name, value)[changed] for name, value in sample.items()}
    return before | {"present": torch.ones_like(before["present"])}, changed
