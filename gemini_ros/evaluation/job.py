"""How bags are evaluated: the model, the parameters, and what else the results depend on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemini_ros import __version__
from gemini_ros.core.files import sha256_of
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.resources import find_model
from gemini_ros.evaluation.common_classes import CommonClasses, common_classes
from gemini_ros.evaluation.conditions import TimeRange
from gemini_ros.evaluation.robustness import RobustnessOptions
from gemini_ros.evaluation.store import FORMAT
from gemini_ros.evaluation.truth import TruthMap
from gemini_ros.inference import Segmenter, load_segmenter
from gemini_ros.inference.cpu import ONNXRUNTIME
from gemini_ros.pipeline.answers import ANSWERS
from gemini_ros.pipeline.settings import DEFAULTS, Settings, label_set_for
from gemini_ros.pipeline.streams import StreamChoice


@dataclass(frozen=True)
class Job:
    """How bags are evaluated, the same for each of them.

    ``write`` names outputs of the node (``evaluation.outputs.OUTPUTS``) to keep as a bag, under its
    topics and stamps. ``threads`` limits the CPU. ``backend`` runs the network: scores are to be the same on every
    machine, so that by default no measurement decides it. ``truth_map`` brings truth of another label set to the
    model's classes. ``conditions``: topics and ranges of time that frames are told apart by. ``camera`` and ``topics``
    say which topics of a bag are meant, see ``StreamChoice``. ``robustness``: also run the robustness protocol.
    """

    model: Path
    settings: Settings = DEFAULTS
    write: tuple[str, ...] = ()
    threads: int | None = None
    backend: str = ONNXRUNTIME
    truth_map: TruthMap | None = None
    conditions: tuple[str | TimeRange, ...] = ()
    camera: str | None = None
    topics: tuple[tuple[str, str], ...] = ()
    robustness: RobustnessOptions | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that are written: those of ``write``, and answers where there are phrases."""
        return tuple(dict.fromkeys((*self.write, *([ANSWERS] if self.settings.phrases else []))))

    @property
    def choice(self) -> StreamChoice:
        """The topics that the user named."""
        return StreamChoice(self.camera, dict(self.topics))

    def classes(self, label_set: LabelSet) -> CommonClasses:
        """Those that are scored, of the model's. Raises ``ValueError`` for a map that does not fit them."""
        classes = common_classes(label_set, self.truth_map.merged if self.truth_map else {})
        if self.truth_map is not None:
            self.truth_map.table(classes.label_set)
        return classes

    def load(self) -> Segmenter:
        """The model, ready to run. Raises ``ModelError``."""
        return load_segmenter(self.model, backend=self.backend, threads=self.threads)

    def run(self, segmenter: Segmenter) -> dict[str, str]:
        """What the table ``run`` of a store says: everything that scores depend on beside the bag.

        Raises ``ValueError`` as ``classes`` does.
        """
        label_set = label_set_for(segmenter.info, self.settings)
        scored = self.classes(label_set).label_set
        translations = {name: sha256_of(find_model(text)) for name, text in self.settings.translations.items()}
        return {
            "format": str(FORMAT),
            "version": __version__,
            "model": self.model.stem,
            "model_sha256": sha256_of(self.model),
            "licence": segmenter.info.licence,
            "commercial_use": segmenter.info.commercial_use,
            "label_set": json.dumps(label_set.to_dict()),
            **({"scored_label_set": json.dumps(scored.to_dict())} if scored is not label_set else {}),
            "parameters": json.dumps(_plain(self.settings), sort_keys=True),
            "truth_map": json.dumps(_plain(self.truth_map), sort_keys=True),
            "conditions": json.dumps(_plain(self.conditions)),
            "topics": json.dumps({"camera": _plain(self.camera and Path(self.camera)), "topics": dict(self.topics)}),
            "backend": segmenter.backend,
            "threads": str(self.threads or "default"),
            **({"translations": json.dumps(translations)} if translations else {}),
            **({"robustness": self.robustness.describe(segmenter.info.modality_names)} if self.robustness else {}),
        }


def settings_data(settings: Settings) -> dict[str, Any]:
    """Settings as ``parameters`` of a store holds them."""
    return _plain(settings)


def _plain(value: Any) -> Any:
    """What JSON can hold of settings; a file counts by what is in it."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value)}
    if isinstance(value, (set, frozenset)):
        return sorted(map(_plain, value))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return f"sha256 {sha256_of(value)}" if value.is_file() else str(value)
    return value
