"""The options of a training by subject, as ``--help`` and ``config/training/*.yaml`` group them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScoringOptions:
    """How ``train test`` scores (``training.testing``).

    Images are scored at these ``scales`` and, with ``flip``, mirrored too, and the probabilities of all views averaged.
    ``merged`` is a layout whose labels make coarser classes of the model's, which are then scored as well.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    merged: str | None = None
