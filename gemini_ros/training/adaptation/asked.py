"""What an adaptation is asked to do, whether its model and bags fit, and the folder that it does it in."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from gemini_ros.bags.reader import BagReader
from gemini_ros.core.documents import read_json
from gemini_ros.core.files import atomic_path, locked, sha256_of
from gemini_ros.core.resources import MODEL_SUFFIX, WEIGHTS_SUFFIX, find_weights, shipped_models
from gemini_ros.datasets.hindsight.recording import Recording
from gemini_ros.datasets.hindsight.teach import LICENCE
from gemini_ros.pipeline.streams import find_topics

CORE_HOURS = 0.2
LABELS = "labels"
_PLAN, _SIMULATION = "plan.json", "simulation"


@dataclass(frozen=True)
class Adaptation:
    """What is asked for. ``simulation`` is a folder of the simulator's form, ``None`` to render one."""

    recordings: Sequence[Recording]
    model: str
    out: Path
    core_hours: float = CORE_HOURS
    simulation: Path | None = None
    licence: str = LICENCE

    def __post_init__(self) -> None:
        if not 0 < self.core_hours <= 1000:
            raise ValueError(f"--core-hours {self.core_hours}, expected a number above 0, up to 1000")

    def identity(self, weights: Path) -> dict[str, Any]:
        """What a run that goes on must have in common with this one, as JSON."""
        rest = [{f.name: _stable(getattr(r.settings, f.name)) for f in fields(r.settings)} for r in self.recordings]
        read = json.dumps([rest, [_stable(r.choice) for r in self.recordings]], sort_keys=True)
        return {
            "bags": [sha256_of(recording.bag) for recording in self.recordings],
            "weights": sha256_of(weights),
            "core-hours": self.core_hours,
            "every": [recording.every_s for recording in self.recordings],
            _SIMULATION: str(self.simulation.resolve()) if self.simulation else "rendered",
            "licence": self.licence,
            "settings": hashlib.sha256(read.encode()).hexdigest(),
        }


def weights_of(model: str) -> Path:
    """The weights beside a model file, or of a shipped model. Raises ``ValueError`` where there are none."""
    if model in shipped_models(WEIGHTS_SUFFIX):
        return find_weights(model)
    file = Path(model).expanduser()
    beside = file.with_suffix(WEIGHTS_SUFFIX)
    if file.suffix not in (MODEL_SUFFIX, WEIGHTS_SUFFIX) or not beside.is_file():
        raise ValueError(
            f"--model {model}: no weights to start from, expected X.onnx with X.safetensors beside it, as `gemini-ros "
            f"model export` writes both, or one of {', '.join(sorted(shipped_models(WEIGHTS_SUFFIX)))}"
        )
    return beside


def require_modalities(recording: Recording, wanted: Sequence[str]) -> None:
    with BagReader(recording.bag) as reader:
        there = find_topics(reader, recording.choice, recording.settings).images()
    if lacking := [name for name in wanted if name not in there]:
        raise ValueError(
            f"{recording.bag}: no {' and no '.join(lacking)}, the model takes {', '.join(wanted)}: choose a model of "
            f"some of {', '.join(there)}, or name the topic with --topic"
        )


@contextmanager
def opened(asked: Adaptation, identity: dict[str, Any]) -> Iterator[None]:
    """The folder: a new one, or one of the same run. Held while it is worked in.

    The simulation belongs to the run only once it is learnt from (``begin_training``): until then it may be corrected.
    """
    plan = asked.out / _PLAN
    if not plan.is_file() and any(asked.out.iterdir()):
        raise ValueError(f"{asked.out}: holds something else than a run of `adapt`: expected a new folder")
    if plan.is_file():
        found = read_json(plan)
        found = found if isinstance(found, dict) else {}
        settled = [key for key in identity if key != _SIMULATION or key in found]
        if unlike := [key for key in settled if found.get(key) != identity[key]]:
            raise ValueError(f"{asked.out}: of another run, of other {', '.join(unlike)}: choose another --out")
    else:
        _write_plan(asked, {key: value for key, value in identity.items() if key != _SIMULATION})
    with locked(asked.out / ".lock"):
        for left in asked.out.glob(f".{LABELS}.*"):  # of a labelling that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield


def begin_training(asked: Adaptation, identity: dict[str, Any]) -> None:
    """Write down all that the run is of, its simulation too."""
    _write_plan(asked, identity)


def _write_plan(asked: Adaptation, plan: dict[str, Any]) -> None:
    with atomic_path(asked.out / _PLAN) as file:
        file.write_text(json.dumps(plan, indent=1), encoding="utf-8")


def _stable(value: Any) -> Any:
    """A setting as JSON that is the same in every process."""
    if is_dataclass(value):
        return {each.name: _stable(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _stable(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return repr(value)
