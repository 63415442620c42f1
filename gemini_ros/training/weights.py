"""Checkpoints of ``train fit``: what is read of them, and whether weights fit a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gemini_ros.network.checkpoint import read_checkpoint, require_state_dict

_KINDS: dict[str, type] = {"hyper_parameters": dict, "state_dict": dict}
_COUNTS, _LARGEST_COUNT = {"ready", "started", "processed", "completed"}, 10**12
_LIGHTNING: dict[str, type] = {"epoch": int, "global_step": int, "pytorch-lightning_version": str, "loops": dict}


def read_trained(path: Path, *, for_lightning: bool = False) -> dict[str, Any]:
    """A checkpoint of ``train fit``; ``for_lightning`` also requires what Lightning reads of one.

    Raises ``ValueError`` for any other file, without running what is in it.
    """
    data = read_checkpoint(path)
    for name, kind in (_KINDS | (_LIGHTNING if for_lightning else {})).items():
        if not isinstance(data.get(name), kind):
            found = type(data[name]).__name__ if name in data else "nothing"
            raise ValueError(f"{path}: {name}: {found}, expected {kind.__name__} as in a checkpoint of `train fit`")
    require_state_dict(data["state_dict"], str(path))
    if for_lightning:
        _require_progress(data["loops"], str(path))
    sources, imagenet = data.get("sources", []), data.get("imagenet")
    if not (isinstance(sources, list) and all(isinstance(text, str) for text in (*sources, imagenet or ""))):
        raise ValueError(f"{path}: sources {sources!r:.80}, imagenet {imagenet!r:.80}, expected names")
    return data


def _require_progress(loops: Mapping[str, Any], where: str) -> None:
    """How far a training is: counts of batches and epochs, which Lightning takes as they are."""
    if not isinstance(loops.get("fit_loop"), Mapping):
        raise ValueError(f"{where}: loops {loops!s:.80}, expected those of a training")
    found: list[Any] = [loops]
    for value in found:
        found += [inner for inner in value.values() if isinstance(inner, Mapping)]
        for name in value.keys() & _COUNTS:
            if type(value[name]) is not int or not 0 <= value[name] <= _LARGEST_COUNT:
                raise ValueError(f"{where}: loops: {name} {value[name]!r:.80}, expected a count")


def require_fitting(state: Mapping[str, Tensor], own: Mapping[str, Tensor], where: str) -> None:
    """Raise ``ValueError`` naming the first weight of ``state`` that is missing, too many or of another shape."""
    for name in (*own, *state):
        found, expected = (tuple(s[name].shape) if name in s else None for s in (state, own))
        if found != expected:
            raise ValueError(f"{where}: {name} has shape {found}, expected {expected}")
