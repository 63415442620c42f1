"""Weights to start a training from: a safetensors file, matrices as fp16, with all that tells what they are of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from gemini_ros.core.documents import parse_json
from gemini_ros.core.entries import require_entries
from gemini_ros.core.files import atomic_path, read_file
from gemini_ros.core.model_info import METADATA_KEY, ModelInfo, parse_model_info
from gemini_ros.network.checkpoint import require_state_dict
from gemini_ros.network.model import FusionSegmenter

TRAINING_KEY = "gemini_ros_training"
MOST_BYTES = 2 * 10**9  # the largest network here has 0.2
_HEADER_SIZE = 8  # bytes, which say how long the header is


@dataclass(frozen=True)
class WeightsFile:
    """What a file of weights holds: the state of a ``FusionSegmenter`` and what it is of.

    ``info`` is that of the model file beside it. ``sources`` of all data that was learnt from and ``imagenet``, the
    published file that the encoder started from, decide the licence of what is trained further.
    """

    info: ModelInfo
    state: dict[str, Tensor]
    sources: list[str]
    imagenet: str | None


def write_weights(
    network: FusionSegmenter, info: ModelInfo, path: Path, sources: Sequence[str], imagenet: str | None = None
) -> None:
    """Write the weights of ``network`` to ``path`` atomically: matrices as fp16, vectors as they are.

    Raises ``ValueError`` for a weight that is no finite number as fp16.
    """
    state = {name: _stored(value) for name, value in network.state_dict().items()}
    require_state_dict(state, f"{path}: as fp16")
    training = {
        "sources": list(sources),
        "imagenet": imagenet,
        "weights_sha256": _digest(safetensors.torch.save(state)),
    }
    metadata = {METADATA_KEY: info.to_json(), TRAINING_KEY: json.dumps(training)}
    with atomic_path(path) as part:
        part.write_bytes(safetensors.torch.save(state, metadata))


def read_weights(path: Path) -> WeightsFile:
    """The content of a file of ``write_weights``, floating-point numbers as float32.

    Raises ``ValueError`` for any other file, and for one whose weights are not those that were written.
    """
    data = read_file(path, most_bytes=MOST_BYTES)
    try:
        state = safetensors.torch.load(data)
    except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path}: truncated, damaged or no safetensors file ({type(error).__name__})") from error
    metadata = parse_json(_header(data), f"{path}: header").get("__metadata__", {})
    if missing := [key for key in (METADATA_KEY, TRAINING_KEY) if key not in metadata]:
        raise ValueError(f"{path}: no metadata {missing[0]}, expected weights that `gemini-ros model export` wrote")
    training = _training(metadata[TRAINING_KEY], str(path))
    if training["weights_sha256"] != (found := _digest(data)):
        raise ValueError(f"{path}: weights of SHA-256 {found}, the metadata says {training['weights_sha256']}")
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    return WeightsFile(
        parse_model_info(metadata[METADATA_KEY], str(path)),
        require_state_dict(state, str(path)),
        training["sources"],
        training["imagenet"],
    )


def _training(text: str, where: str) -> dict[str, Any]:
    data = parse_json(text, f"{where}: metadata {TRAINING_KEY}")
    data = require_entries(data, {"sources", "imagenet", "weights_sha256"}, set(), f"{where}: metadata {TRAINING_KEY}")
    sources, imagenet = data["sources"], data["imagenet"]
    if not (isinstance(sources, list) and all(isinstance(name, str) for name in (*sources, imagenet or ""))):
        raise ValueError(f"{where}: sources {sources!r:.80}, imagenet {imagenet!r:.80}, expected names")
    return data


def _stored(value: Tensor) -> Tensor:
    """A copy of its own as it is stored: fp16 for matrices, which are nearly all, and what else is as it is."""
    value = value.detach().cpu()
    return (value.half() if value.is_floating_point() and value.ndim > 1 else value).clone().contiguous()


def _header(data: bytes) -> str:
    """The JSON in front of the weights."""
    return data[_HEADER_SIZE : _weights_start(data)].decode()


def _digest(data: bytes) -> str:
    """SHA-256 of the weights, without the header."""
    return hashlib.sha256(memoryview(data)[_weights_start(data) :]).hexdigest()


def _weights_start(data: bytes) -> int:
    return _HEADER_SIZE + int.from_bytes(data[:_HEADER_SIZE], "little")
