"""What a model file says of itself: the JSON under the ONNX metadata key ``gemini_ros``, format 1."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from gemini_ros.core.frames import MODALITIES
from gemini_ros.core.labels import LabelSet, label_set_from_dict

FORMAT = 1
METADATA_KEY = "gemini_ros"
COMMERCIAL_USE = ("yes", "no", "unknown")
KINDS = {"rgb": ("srgb",), "depth": ("metric",), "thermal": ("radiometric", "linear")}

_KEYS = {
    "format",
    "label_set",
    "modalities",
    "network_size",
    "architecture",
    "training_data",
    "scores",
    "licence",
    "commercial_use",
}
_MODALITY_KEYS = {"name", "kind", "range", "mean", "std"}
CHANNELS = ("value", "inverse", "contrast", "standard", "valid")


@dataclass(frozen=True)
class Modality:
    """One input. A value is valid where ``range[0] < x < range[1]``; the network sees ``(x - mean) / std``.

    Units: RGB 0-255 (``mean`` and ``std`` per channel), depth metres, thermal degrees Celsius. ``channels``: what the
    network's three input channels of a depth or thermal image are, each one of ``CHANNELS`` as
    ``network.normalise.NormaliseRange`` defines them; by default ``value`` three times, as in the paper. RGB has none.
    """

    name: str
    kind: str
    range: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the metadata; without ``channels`` where they are the default."""
        data = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}
        if not self.channels:
            del data["channels"]
        return data


@dataclass(frozen=True)
class ModelInfo:
    """Checked metadata of a model file; ``network_size`` is (width, height)."""

    label_set: LabelSet
    modalities: tuple[Modality, ...]
    network_size: tuple[int, int]
    architecture: dict[str, Any]
    training_data: str
    scores: dict[str, Any]
    licence: str
    commercial_use: str

    @property
    def modality_names(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.modalities)

    def to_json(self, indent: int | None = None) -> str:
        return json.dumps(
            {
                "format": FORMAT,
                "label_set": self.label_set.to_dict(),
                "modalities": [m.to_dict() for m in self.modalities],
                "network_size": list(self.network_size),
                "architecture": self.architecture,
                "training_data": self.training_data,
                "scores": self.scores,
                "licence": self.licence,
                "commercial_use": self.commercial_use,
            },
            indent=indent,
        )


def parse_model_info(text: str, where: str) -> ModelInfo:
    """Check the metadata of format 1. Raises ``ValueError`` naming the file, what was found and what was expected."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: metadata {METADATA_KEY} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"{where}: metadata format {found!r}, expected {FORMAT}: use a release that knows it")
    if set(data) != _KEYS:
        raise ValueError(f"{where}: metadata keys {sorted(data)}, expected exactly {sorted(_KEYS)}")
    modalities = data["modalities"]
    if not isinstance(modalities, list) or not modalities:
        raise ValueError(f"{where}: modalities {modalities!r:.80}, expected a list of at least one")
    checked = tuple(_modality(entry, where) for entry in modalities)
    names = [m.name for m in checked]
    if len(set(names)) != len(names):
        raise ValueError(f"{where}: modalities {names}, expected each once")
    size = data["network_size"]
    if not (isinstance(size, list) and len(size) == 2 and all(type(v) is int and 32 <= v <= 8192 for v in size)):
        raise ValueError(f"{where}: network_size {size!r}, expected [width, height] of 32-8192")
    for key, kind in (("architecture", dict), ("scores", dict), ("training_data", str), ("licence", str)):
        if not isinstance(data[key], kind):
            raise ValueError(f"{where}: {key} is {type(data[key]).__name__}, expected {kind.__name__}")
    if data["commercial_use"] not in COMMERCIAL_USE:
        raise ValueError(
            f"{where}: commercial_use {data['commercial_use']!r}, expected one of {', '.join(COMMERCIAL_USE)}"
        )
    return ModelInfo(
        label_set_from_dict(data["label_set"], f"{where}: label_set"),
        checked,
        (size[0], size[1]),
        data["architecture"],
        data["training_data"],
        data["scores"],
        data["licence"],
        data["commercial_use"],
    )


def _modality(entry: object, where: str) -> Modality:
    if not isinstance(entry, dict) or set(entry) - {"channels"} != _MODALITY_KEYS:
        raise ValueError(f"{where}: modality {entry!r:.80}, expected a mapping of {sorted(_MODALITY_KEYS)}")
    name = entry["name"]
    where = f"{where}: modality {name}"
    if name not in MODALITIES:
        raise ValueError(f"{where}: expected one of {', '.join(MODALITIES)}")
    if entry["kind"] not in KINDS[name]:
        raise ValueError(f"{where}: kind {entry['kind']!r}, expected one of {', '.join(KINDS[name])}")
    channels = 3 if name == "rgb" else 1
    low, high = _floats(entry["range"], 2, f"{where}: range")
    mean = _floats(entry["mean"], channels, f"{where}: mean")
    std = _floats(entry["std"], channels, f"{where}: std")
    if low >= high or min(std) <= 0:
        raise ValueError(f"{where}: range {[low, high]}, std {list(std)}; expected an increasing range and std above 0")
    return Modality(name, entry["kind"], (low, high), mean, std, _channels(entry, where))


def _channels(entry: dict[str, Any], where: str) -> tuple[str, ...]:
    if "channels" not in entry:
        return ()
    found = entry["channels"]
    known = isinstance(found, list) and len(found) == 3 and all(channel in CHANNELS for channel in found)
    if entry["name"] == "rgb" or not known:
        raise ValueError(f"{where}: channels {found!r:.80}, expected three of {', '.join(CHANNELS)}, and none for rgb")
    return tuple(found)


def _floats(value: object, count: int, where: str) -> tuple[float, ...]:
    if not (
        isinstance(value, list)
        and len(value) == count
        and all(type(v) in (int, float) and math.isfinite(v) for v in value)
    ):
        raise ValueError(f"{where} {value!r:.80}, expected {count} finite numbers")
    return tuple(float(v) for v in value)
