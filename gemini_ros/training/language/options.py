"""The options of a training with phrases, from one YAML file (``config/training/phrases/nano.yaml``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gemini_ros.core.documents import read_yaml
from gemini_ros.core.entries import require_entries
from gemini_ros.network.language.branch import LanguageOptions

SENTENCES, CLASS_NAMES = "sentences", "class_names"


@dataclass(frozen=True)
class PhraseLoss:
    """Weights of what is minimised.

    ``dual`` is that of the dual mapping loss (0.1 in the paper, 0 leaves it out), ``latents`` of whether a window holds
    the target, ``choice`` of which of all windows it is, ``pixel_choice`` of which of all pixels, ``inside_class`` of
    the cross entropy among the pixels of the noun's class alone, which teaches to choose one of several.
    """

    masks: float = 2.0
    inside_class: float = 2.0
    dice: float = 1.0
    latents: float = 1.0
    choice: float = 1.0
    pixel_choice: float = 0.3
    present: float = 0.5
    count: float = 0.2
    dual: float = 0.1


@dataclass(frozen=True)
class PhraseStage:
    """``steps`` of ``frames`` x ``phrases`` at a learning rate that rises over 100 steps and falls as a cosine.

    ``late_factor`` is times the rate for the guided blocks, which begin as the plain network's.
    """

    steps: int
    learning_rate: float = 1.5e-3
    frames: int = 8
    phrases: int = 8
    late_factor: float = 0.25


@dataclass(frozen=True)
class PhraseTraining:
    """``model`` is a shipped model's name or a weights file, which stays as it is.

    ``folders`` hold its scenes and their ``questions.jsonl``; on those of ``validation`` the windows' hits are told.
    ``texts`` is ``sentences``, or ``class_names`` for an ablation that reads no more than those.
    ``checkpoint_minutes`` is the most that a stop can cost.
    """

    model: str
    folders: tuple[Path, ...]
    validation: Path | None = None
    words: str = "warehouse"
    network_size: tuple[int, int] = (320, 240)
    seed: int = 0
    texts: str = SENTENCES
    checkpoint_minutes: float = 3.0
    branch: LanguageOptions = field(default_factory=LanguageOptions)
    loss: PhraseLoss = field(default_factory=PhraseLoss)
    latents: PhraseStage = field(default_factory=lambda: PhraseStage(1500, 1e-3, 16))
    all: PhraseStage = field(default_factory=lambda: PhraseStage(1500))

    def __post_init__(self) -> None:
        if self.texts not in (SENTENCES, CLASS_NAMES):
            raise ValueError(f"texts {self.texts!r:.80}, expected {SENTENCES} or {CLASS_NAMES}")
        if not self.folders or any(side % 16 or side < 96 for side in self.network_size):
            raise ValueError(
                f"{len(self.folders)} folders, network_size {self.network_size}, expected at least one folder, and "
                "sides of at least 96 that are multiples of 16"
            )
        for stage in (self.latents, self.all):
            if min(stage.frames, stage.phrases) < 1 or stage.steps < 0 or stage.learning_rate <= 0:
                raise ValueError(f"stage {stage}: expected 1 or more frames and phrases, steps from 0, a rate above 0")
        if not 0 < self.checkpoint_minutes <= 1440 or min(vars(self.loss).values()) < 0:
            raise ValueError("expected checkpoint_minutes above 0 and weights of the loss of at least 0")


def read_options(path: Path, overrides: Mapping[str, Any] | None = None) -> PhraseTraining:
    """The options of a file; ``overrides`` take the place of its entries. Raises ``ValueError`` for unknown ones."""
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ValueError(f"{path}: expected a mapping of options, found {type(data).__name__}")
    return _made(PhraseTraining, {**data, **(overrides or {})}, str(path))


_NESTED = {"branch": LanguageOptions, "loss": PhraseLoss, "latents": PhraseStage, "all": PhraseStage}


def _made(kind: type, data: object, where: str) -> Any:
    names = {entry.name for entry in fields(kind)}
    needed = {"model", "folders"} if kind is PhraseTraining else {"steps"} if kind is PhraseStage else set()
    entries = dict(require_entries(data, needed, names - needed, where))
    for name, value in entries.items():
        if name in _NESTED and kind is PhraseTraining:
            entries[name] = _made(_NESTED[name], value, f"{where}: {name}")
        elif name == "folders":
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise ValueError(f"{where}: folders {value!r:.80}, expected a list of folders")
            entries[name] = tuple(map(Path, value))
        elif name == "validation":
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{where}: validation {value!r:.80}, expected a folder")
            entries[name] = value and Path(value)
        elif name == "network_size":
            if not (isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value)):
                raise ValueError(f"{where}: network_size {value!r:.80}, expected [width, height]")
            entries[name] = (value[0], value[1])
        else:
            entries[name] = _plain(value, name, kind, where)
    return kind(**entries)


def _plain(value: object, name: str, kind: type, where: str) -> Any:
    """A value of the type that stands beside it; a whole number is a number too."""
    expected = next(entry.type for entry in fields(kind) if entry.name == name)
    fits = {"int": type(value) is int, "float": type(value) in (int, float), "bool": type(value) is bool}
    if not fits.get(str(expected), isinstance(value, str)):
        raise ValueError(f"{where}: {name} {value!r:.80}, expected {expected}")
    return float(value) if expected == "float" and isinstance(value, int) else value
