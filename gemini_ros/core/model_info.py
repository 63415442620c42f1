"""What a model file says of itself: the JSON under the ONNX metadata key ``gemini_ros``.

New files are of format 2. A file of format 1 (two kinds of image beside RGB, none of the optional keys) loads as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gemini_ros.core.documents import one_line, parse_json
from gemini_ros.core.entries import require_entries
from gemini_ros.core.frames import MODALITIES, require_modality_name
from gemini_ros.core.instance_maps import INSTANCE_OUTPUTS
from gemini_ros.core.labels import LabelSet, label_set_from_dict
from gemini_ros.core.onnx_file import HASH_KEY
from gemini_ros.core.phrase_maps import PHRASE_INPUTS, PHRASE_OUTPUTS

FORMAT = 2
FORMATS = (1, FORMAT)
METADATA_KEY = "gemini_ros"
COMMERCIAL_USE = ("yes", "no", "unknown")
PRECISIONS = ("fp32", "fp16", "int8")  # of ``architecture``; the first where a file does not say
TASKS = SEGMENT, TRANSLATE = ("segment", "translate")
TRANSLATION_OUTPUTS = ("translated", "confidence")
TARGETS: Mapping[str, int] = {"depth": 1, "rgb": 3}
"""What a model of the task ``translate`` may make, each with its channels."""
MOST_MODALITIES = 4
MOST_NETWORK_PIXELS = 2048 * 1536
"""A network of this size takes 250 MB for its images; one of 8192x8192 would take 5 GB."""

METRES, CELSIUS, COUNTS = "m", "degC", "counts"
# Per modality its kinds, each with its unit; ``None`` where the file states its own. RGB has none.
KINDS: Mapping[str, Mapping[str, str | None]] = {
    "rgb": {"srgb": ""},
    "depth": {"metric": METRES},
    "thermal": {"radiometric": CELSIUS, "linear": None},
}
FURTHER_KINDS: Mapping[str, str | None] = {"linear": None}
CHANNELS = ("value", "inverse", "contrast", "standard", "valid")

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
_OPTIONAL_KEYS = {"task", "target", "language", "instances", "calibration", HASH_KEY}
_MODALITY_KEYS = {"name", "kind", "range", "mean", "std"}
_LANGUAGE_KEYS = {"encoder_sha256", "phrases", "pieces"}
_UNIT = re.compile(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_PHRASES = 32
# Two of a phrase's pieces are its ends; text encoders of this kind take 512 at most.
_FEWEST_PIECES, _MOST_PIECES = 3, 512
# A fit that ends outside did not find a temperature, and a softmax of float32 still means something inside.
_TEMPERATURES = (0.01, 100.0)
_LARGEST_FLOAT32 = 3.4e38


@dataclass(frozen=True)
class Modality:
    """One input. A value is valid where ``range[0] < x < range[1]``; the network sees ``(x - mean) / std``.

    ``unit`` is that of ``range``, ``mean`` and ``std``: depth is in ``m``, radiometric thermal in ``degC``, other
    images in what the file states; RGB has 0-255 (``mean`` and ``std`` per channel) and no unit. ``channels``: what the
    network's three input channels of an image beside RGB are, each one of ``CHANNELS`` as
    ``network.normalise.NormaliseRange`` defines them; by default ``value`` three times, as in the paper. RGB has none.
    """

    name: str
    kind: str
    range: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: tuple[str, ...] = ()
    unit: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the metadata; without ``channels`` where they are the default, and ``unit`` for RGB."""
        data = {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}
        return {key: value for key, value in data.items() if value or key not in ("channels", "unit")}


@dataclass(frozen=True)
class Language:
    """What a model takes of words: float32 (phrases, pieces, 384) from the encoder of this SHA-256, ends included."""

    encoder_sha256: str
    phrases: int
    pieces: int


@dataclass(frozen=True)
class Instances:
    """What a model tells apart: single things of the ``classes``, by their names in its label set."""

    classes: tuple[str, ...]


@dataclass(frozen=True)
class Calibration:
    """Confidence is the largest of softmax(logits / ``temperature``); the logits themselves stay as they are."""

    temperature: float


@dataclass(frozen=True)
class Target:
    """What a model of the task ``translate`` makes: ``depth`` in metres or ``rgb`` of 0-255, inside ``range``."""

    name: str
    range: tuple[float, float]

    @property
    def channels(self) -> int:
        return TARGETS[self.name]


@dataclass(frozen=True)
class ModelInfo:
    """Checked metadata of a model file; ``network_size`` is (width, height).

    ``target`` is there where the task is ``translate``; ``label_set`` is then that of the training data alone.
    """

    label_set: LabelSet
    modalities: tuple[Modality, ...]
    network_size: tuple[int, int]
    architecture: dict[str, Any]
    training_data: str
    scores: dict[str, Any]
    licence: str
    commercial_use: str
    task: str = SEGMENT
    language: Language | None = None
    calibration: Calibration | None = None
    target: Target | None = None
    instances: Instances | None = None

    @property
    def modality_names(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.modalities)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Of the model file, in its order."""
        return *self.modality_names, "present", *(PHRASE_INPUTS if self.language else ())

    @property
    def output_names(self) -> tuple[str, ...]:
        """Of the model file, in its order."""
        if self.target is not None:
            return TRANSLATION_OUTPUTS
        of_things = INSTANCE_OUTPUTS if self.instances else ()
        return "labels", "confidence", "logits", *(PHRASE_OUTPUTS if self.language else ()), *of_things

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The valid range of each modality that measures something, RGB left out, in its unit."""
        return {m.name: m.range for m in self.modalities if m.unit}

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax of the confidence; 1 without a calibration."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    def to_json(self, indent: int | None = None) -> str:
        """The metadata of a new file, of format 2; what is optional and not stated is left out."""
        data = {
            "format": FORMAT,
            "label_set": self.label_set.to_dict(),
            "modalities": [m.to_dict() for m in self.modalities],
            "network_size": list(self.network_size),
            "architecture": self.architecture,
            "training_data": self.training_data,
            "scores": self.scores,
            "licence": self.licence,
            "commercial_use": self.commercial_use,
        }
        if self.task != SEGMENT:
            data["task"] = self.task
        if self.target is not None:
            data["target"] = {"name": self.target.name, "range": list(self.target.range)}
        if self.language is not None:
            data["language"] = vars(self.language)
        if self.instances is not None:
            data["instances"] = {"classes": list(self.instances.classes)}
        if self.calibration is not None:
            data["calibration"] = vars(self.calibration)
        return json.dumps(data, indent=indent)


def parse_model_info(text: str, where: str) -> ModelInfo:
    """Check the metadata of any format. Raises ``ValueError`` naming the file, what was found and what was expected."""
    try:
        data = parse_json(text, where)
    except ValueError as error:
        cause = one_line(error.__cause__ or error)
        raise ValueError(f"{where}: metadata {METADATA_KEY} is not JSON: {cause}") from error
    found = data.get("format") if isinstance(data, dict) else type(data).__name__
    if type(found) is not int or found not in FORMATS:
        known = " or ".join(map(str, FORMATS))
        raise ValueError(f"{where}: metadata format {found!r:.80}, expected {known}: use a release that knows it")
    require_entries(data, _KEYS, _OPTIONAL_KEYS if found >= 2 else set(), f"{where}: metadata")
    modalities = _modalities(data["modalities"], found, where)
    size = data["network_size"]
    sides = isinstance(size, list) and len(size) == 2 and all(type(v) is int and 32 <= v <= 8192 for v in size)
    if not sides or size[0] * size[1] > MOST_NETWORK_PIXELS:
        raise ValueError(
            f"{where}: network_size {size!r:.80}, expected [width, height] of 32-8192 and at most "
            f"{MOST_NETWORK_PIXELS} pixels"
        )
    for key, kind in (("architecture", dict), ("scores", dict), ("training_data", str), ("licence", str)):
        if not isinstance(data[key], kind):
            raise ValueError(f"{where}: {key} is {type(data[key]).__name__}, expected {kind.__name__}")
    for key, choices, default in (("commercial_use", COMMERCIAL_USE, None), ("task", TASKS, SEGMENT)):
        if (value := data.get(key, default)) not in choices:
            raise ValueError(f"{where}: {key} {value!r:.80}, expected one of {', '.join(choices)}")
    if (precision := data["architecture"].get("precision", PRECISIONS[0])) not in PRECISIONS:
        raise ValueError(f"{where}: architecture: precision {precision!r:.80}, expected one of {', '.join(PRECISIONS)}")
    label_set = label_set_from_dict(data["label_set"], f"{where}: label_set")
    return ModelInfo(
        label_set,
        modalities,
        (size[0], size[1]),
        data["architecture"],
        data["training_data"],
        data["scores"],
        data["licence"],
        data["commercial_use"],
        data.get("task", SEGMENT),
        _language(data["language"], f"{where}: language") if "language" in data else None,
        _calibration(data["calibration"], f"{where}: calibration") if "calibration" in data else None,
        _target(data, where),
        _instances(data, label_set, where),
    )


def _modalities(entries: object, file_format: int, where: str) -> tuple[Modality, ...]:
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_MODALITIES:
        raise ValueError(f"{where}: modalities {entries!r:.80}, expected a list of 1 to {MOST_MODALITIES}")
    parse = _modality_of_format_1 if file_format == 1 else _modality
    checked = tuple(parse(entry, where) for entry in entries)
    names = [m.name for m in checked]
    if len(set(names)) != len(names):
        raise ValueError(f"{where}: modalities {names!s:.200}, expected each once")
    return checked


def _modality_of_format_1(entry: object, where: str) -> Modality:
    """RGB, depth or thermal, without a unit in the file."""
    entry = require_entries(entry, _MODALITY_KEYS, {"channels"}, f"{where}: modality")
    name = entry["name"]
    where = f"{where}: modality {name!s:.80}"
    if name not in MODALITIES:
        raise ValueError(f"{where}: expected one of {', '.join(MODALITIES)}")
    unit = _unit_of_kind(entry["kind"], KINDS[name], where)
    return _checked_modality(entry, COUNTS if unit is None else unit, where)


def _modality(entry: object, where: str) -> Modality:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: modality: expected a mapping, found {type(entry).__name__}")
    try:
        name = require_modality_name(entry.get("name"))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    where = f"{where}: modality {name}"
    required, optional = (_MODALITY_KEYS, set()) if name == "rgb" else ({*_MODALITY_KEYS, "unit"}, {"channels"})
    require_entries(entry, required, optional, where)
    unit = _unit_of_kind(entry["kind"], KINDS.get(name, FURTHER_KINDS), where)
    found = entry.get("unit", "")
    if unit is not None and found != unit:
        raise ValueError(f"{where}: unit {found!r:.80}, expected {unit!r}")
    if unit is None and not (isinstance(found, str) and _UNIT.fullmatch(found)):
        raise ValueError(f"{where}: unit {found!r:.80}, expected text of 1 to 32 characters")
    return _checked_modality(entry, found, where)


def _unit_of_kind(kind: object, kinds: Mapping[str, str | None], where: str) -> str | None:
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"{where}: kind {kind!r:.80}, expected one of {', '.join(kinds)}")
    return kinds[kind]


def _checked_modality(entry: Mapping[str, Any], unit: str, where: str) -> Modality:
    name = entry["name"]
    channels = 3 if name == "rgb" else 1
    low, high = _floats(entry["range"], 2, f"{where}: range")
    mean = _floats(entry["mean"], channels, f"{where}: mean")
    std = _floats(entry["std"], channels, f"{where}: std")
    if low >= high or min(std) <= 0:
        raise ValueError(f"{where}: range {[low, high]}, std {list(std)}; expected an increasing range and std above 0")
    return Modality(name, entry["kind"], (low, high), mean, std, _channels(entry, where), unit)


def _channels(entry: Mapping[str, Any], where: str) -> tuple[str, ...]:
    if "channels" not in entry:
        return ()
    found = entry["channels"]
    known = isinstance(found, list) and len(found) == 3 and all(channel in CHANNELS for channel in found)
    if entry["name"] == "rgb" or not known:
        raise ValueError(f"{where}: channels {found!r:.80}, expected three of {', '.join(CHANNELS)}, and none for rgb")
    return tuple(found)


def _language(entry: object, where: str) -> Language:
    entry = require_entries(entry, _LANGUAGE_KEYS, set(), where)
    digest, phrases, pieces = entry["encoder_sha256"], entry["phrases"], entry["pieces"]
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ValueError(f"{where}: encoder_sha256 {digest!r:.80}, expected 64 digits of lower-case hexadecimal")
    if type(phrases) is not int or not 1 <= phrases <= _MOST_PHRASES:
        raise ValueError(f"{where}: phrases {phrases!r:.80}, expected a whole number 1-{_MOST_PHRASES}")
    if type(pieces) is not int or not _FEWEST_PIECES <= pieces <= _MOST_PIECES:
        raise ValueError(f"{where}: pieces {pieces!r:.80}, expected a whole number {_FEWEST_PIECES}-{_MOST_PIECES}")
    return Language(digest, phrases, pieces)


def _instances(data: Mapping[str, Any], label_set: LabelSet, where: str) -> Instances | None:
    if "instances" not in data:
        return None
    if data.get("task", SEGMENT) != SEGMENT:
        raise ValueError(f"{where}: task {data['task']} with instances; only a model of {SEGMENT} tells things apart")
    names = require_entries(data["instances"], {"classes"}, set(), f"{where}: instances")["classes"]
    known = label_set.names
    good = isinstance(names, list) and all(isinstance(name, str) and name in known for name in names)
    if not good or not names or len(set(names)) != len(names):
        raise ValueError(
            f"{where}: instances: classes {names!r:.80}, expected some of {', '.join(known)!s:.200}, each once"
        )
    return Instances(tuple(names))


def _calibration(entry: object, where: str) -> Calibration:
    temperature = require_entries(entry, {"temperature"}, set(), where)["temperature"]
    low, high = _TEMPERATURES
    if type(temperature) not in (int, float) or not low <= temperature <= high:
        raise ValueError(f"{where}: temperature {temperature!r:.80}, expected a number {low:g}-{high:g}")
    return Calibration(float(temperature))


def _target(data: Mapping[str, Any], where: str) -> Target | None:
    task = data.get("task", SEGMENT)
    if ("target" in data) != (task == TRANSLATE):
        found = "a target" if "target" in data else "no target"
        raise ValueError(f"{where}: task {task} with {found}; a model of {TRANSLATE} has one and no other has")
    if task != TRANSLATE:
        return None
    entry = require_entries(data["target"], {"name", "range"}, set(), f"{where}: target")
    name = entry["name"]
    if not isinstance(name, str) or name not in TARGETS:
        raise ValueError(f"{where}: target {name!r:.80}, expected one of {', '.join(TARGETS)}")
    low, high = _floats(entry["range"], 2, f"{where}: target: range")
    least = 0.0 if name == "rgb" else 1e-3
    if not least <= low < high:
        raise ValueError(f"{where}: target: range {[low, high]}, expected an increasing one from {least:g} on")
    return Target(name, (low, high))


def _floats(value: object, count: int, where: str) -> tuple[float, ...]:
    if not (
        isinstance(value, list)
        and len(value) == count
        and all(type(v) in (int, float) and abs(v) <= _LARGEST_FLOAT32 for v in value)
    ):
        raise ValueError(f"{where} {value!r:.80}, expected {count} finite numbers")
    return tuple(float(v) for v in value)
