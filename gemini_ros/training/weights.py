"""Start a task from the weights of another."""

from __future__ import annotations

from pathlib import Path

import lightning
import torch
from torch import Tensor

from gemini_ros.network.fusion import FusionOperator
from gemini_ros.network.layers import ModalityNorm
from gemini_ros.training.options import network_options

CLASSIFIER = "network.decoder.predict."


def load_weights(task: lightning.LightningModule, path: Path) -> None:
    """Give ``task`` the network weights of a checkpoint, of the same configuration or of one modality alone.

    A network of one modality is spread over a task of two: every stream gets its weights, which the streams share, and
    its norms; the fusion starts neutral, so that each stream is at first the old network on its own image. A network
    of other labels lends all but its classifier. Raises ``ValueError`` naming the first weight that is missing or has
    another shape.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    state = checkpoint["state_dict"]
    own = task.state_dict()
    alpha = state.get("network.alpha")
    if alpha is not None and len(alpha) == 1 < len(own["network.alpha"]):
        state = _spread(task, state)
    if network_options(checkpoint["hyper_parameters"]).label_set != network_options(task.hparams).label_set:
        state = {name: own[name] if name.startswith(CLASSIFIER) else value for name, value in state.items()}
    for name, value in own.items():
        found = tuple(state[name].shape) if name in state else None
        if found != tuple(value.shape):
            raise ValueError(f"{path}: {name} has shape {found}, expected {tuple(value.shape)}")
    task.load_state_dict(state)
    task.on_load_checkpoint(checkpoint)


def _spread(task: lightning.LightningModule, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of one modality's network under the names of a network of several."""
    norms = {name for name, module in task.named_modules() if isinstance(module, ModalityNorm)}
    operators = [(name, module) for name, module in task.named_modules() if isinstance(module, FusionOperator)]
    for _, operator in operators:
        operator.make_neutral()
    spread = {}
    for name, value in task.state_dict().items():
        head, _, last = name.rpartition(".")
        norm = head.rpartition(".")[0]
        fused = name == "network.alpha" or any(name.startswith(f"{prefix}.") for prefix, _ in operators)
        source = f"{norm}.0.{last}" if norm in norms else name
        if fused:
            spread[name] = value
        elif source in state:
            spread[name] = state[source]
    return spread
