"""Start a task from the weights of another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
from torch import Tensor

from gemini_ros.network.checkpoint import read_checkpoint, require_state_dict
from gemini_ros.network.encoders.scored_maximum import ScoredMaximum
from gemini_ros.network.fusion import FusionOperator
from gemini_ros.network.layers import ModalityNorm
from gemini_ros.training.options import network_options

CLASSIFIER = "network.decoder.predict."
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


def load_weights(task: lightning.LightningModule, path: Path) -> None:
    """Give ``task`` the network weights of a checkpoint, of the same configuration or of one modality alone.

    A network of one modality is spread over a task of several: every stream gets its weights, which the streams share,
    and its norms; the fusion starts neutral, so that each stream is at first the old network on its own image. The
    scores of a second stream that is of several modalities are new, and it starts near the old network only. A network
    of other labels lends all but its classifier. Raises ``ValueError`` naming the first weight that is missing or has
    another shape.
    """
    checkpoint = read_trained(path)
    state = checkpoint["state_dict"]
    own, task_label_set = task.state_dict(), network_options(task.hparams, "the task").label_set
    alpha = state.get("network.alpha")
    if alpha is not None and len(alpha) == 1 < len(own["network.alpha"]):
        state = _spread(task, state)
    if network_options(checkpoint["hyper_parameters"], str(path)).label_set != task_label_set:
        state = {name: own[name] if name.startswith(CLASSIFIER) else value for name, value in state.items()}
    require_fitting(state, own, str(path))
    task.load_state_dict(state)
    task.on_load_checkpoint(checkpoint)


def _spread(task: lightning.LightningModule, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of one modality's network under the names of a network of several."""
    norms = {name for name, module in task.named_modules() if isinstance(module, ModalityNorm)}
    new = {name: module for name, module in task.named_modules() if isinstance(module, (FusionOperator, ScoredMaximum))}
    for module in new.values():
        if isinstance(module, FusionOperator):
            module.make_neutral()
    spread = {}
    for name, value in task.state_dict().items():
        head, _, last = name.rpartition(".")
        norm = head.rpartition(".")[0]
        source = f"{norm}.0.{last}" if norm in norms else name
        if name == "network.alpha" or any(name.startswith(f"{prefix}.") for prefix in new):
            spread[name] = value
        elif source in state:
            spread[name] = state[source]
    return spread
