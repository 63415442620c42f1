"""Start a task from the weights of another: what fits is taken, the rest begins anew, and both are said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
from torch import Tensor, nn

from gemini_ros.core.resources import WEIGHTS_SUFFIX, find_weights
from gemini_ros.network.encoders.scored_maximum import ScoredMaximum
from gemini_ros.network.fusion import FusionOperator
from gemini_ros.network.layers import ModalityNorm
from gemini_ros.network.weights_file import read_weights
from gemini_ros.training.options import NetworkOptions, network_options
from gemini_ros.training.weights import read_trained, require_fitting

NETWORK = "network."
CLASSIFIER = f"{NETWORK}decoder.predict."
ALPHA = f"{NETWORK}alpha"


@dataclass(frozen=True)
class Weights:
    """Weights under the names of a task, and the network that they are of. ``classes`` are None if a file is named
    for them."""

    where: str
    state: dict[str, Tensor]
    network: NetworkOptions
    classes: Sequence[str] | None
    sources: list[str]
    imagenet: str | None


@dataclass(frozen=True)
class Start:
    """What a task took of other weights, what begins anew in it, and sentences on what starts as something else."""

    where: str
    taken: tuple[str, ...]
    anew: tuple[str, ...]
    borrowed: tuple[str, ...]

    def lines(self) -> list[str]:
        """A sentence for each."""
        taken = f"{', '.join(self.taken[:-1])} and {self.taken[-1]} are taken"
        anew = [f"{name} begins anew" for name in self.anew or ("nothing",)]
        return [f"{self.where}: {sentence}" for sentence in (taken, *anew, *self.borrowed)]


def load_weights(task: lightning.LightningModule, text: Path) -> Start:
    """Give ``task`` the weights of a checkpoint, of a weights file, or of a shipped model by name.

    They are of the same encoder and fusion and of some of the task's modalities, the first one among them. Those of one
    modality, whichever it is, serve every stream: they share its weights and each gets its norms, and the fusion starts
    neutral, so that each stream is at first the old network on its own image. The scores of a second stream that is of
    several modalities are new, and it starts near the old network only. The classifier is taken where the classes are
    the same. Raises ``ValueError`` for weights of another network, naming what differs.
    """
    weights = _read(find_weights(text))
    ours = network_options(task.hparams, "the task")
    _require_related(weights, ours)
    own = task.state_dict()
    state = _carried(task, weights, ours)
    if weights.classes is None:
        same_classes = weights.network.label_set == ours.label_set
    else:
        same_classes = list(weights.classes) == task.labels.names
    if not same_classes:
        state |= {name: value for name, value in own.items() if name.startswith(CLASSIFIER)}
    try:
        require_fitting(state, own, weights.where)
    except ValueError as error:
        kinds = [f"{o.encoder} with {o.fusion}" for o in (weights.network, ours)]
        raise ValueError(f"{error}: the weights are of {kinds[0]}, the network is {kinds[1]}") from error
    task.load_state_dict(state)
    task.on_load_checkpoint({"imagenet": weights.imagenet, "sources": weights.sources})
    return _started(weights, ours, None if same_classes else len(task.labels))


def _read(path: Path) -> Weights:
    where = str(path)
    if path.suffix != WEIGHTS_SUFFIX:
        data = read_trained(path)
        options = network_options(data["hyper_parameters"], where)
        imagenet, classes = data.get("imagenet"), trained_classes(data, where)
        return Weights(where, data["state_dict"], options, classes, data.get("sources", []), imagenet)
    stored = read_weights(path)
    info = stored.info
    known = {
        "modalities": info.modality_names,
        "label_set": info.label_set.name,
        "thermal_kind": next((m.kind for m in info.modalities if m.name == "thermal"), "radiometric"),
    }
    options = network_options({"network": info.architecture | known}, where)
    state = {f"{NETWORK}{name}": value for name, value in stored.state.items()}
    return Weights(where, state, options, info.label_set.names, stored.sources, stored.imagenet)


def trained_classes(checkpoint: Mapping[str, Any], where: str) -> list[str] | None:
    """The names of the classes that a checkpoint was trained with; None in those before 0.2, which only name a file.

    Raises ``ValueError`` for other content.
    """
    found = checkpoint.get("classes")
    if found is not None and not (isinstance(found, list) and all(isinstance(name, str) for name in found)):
        raise ValueError(f"{where}: classes {found!r:.80}, expected their names")
    return found


def _require_related(weights: Weights, ours: NetworkOptions) -> None:
    """Raise ``ValueError`` for weights of several modalities that are not ours, or that another operator joins."""
    theirs = weights.network
    if len(theirs.modalities) == 1:
        return
    have, found = ", ".join(ours.modalities), ", ".join(theirs.modalities)
    if not set(theirs.modalities) <= set(ours.modalities):
        raise ValueError(f"{weights.where}: weights of {found}, the network has {have}: expected some of these, or one")
    if theirs.modalities[0] != ours.modalities[0]:
        raise ValueError(
            f"{weights.where}: weights whose first stream is {theirs.modalities[0]}, that of the network is "
            f"{ours.modalities[0]}: expected the same"
        )
    if theirs.fusion != ours.fusion:
        raise ValueError(f"{weights.where}: weights of fusion {theirs.fusion}, the network has {ours.fusion}")


def _carried(task: nn.Module, weights: Weights, ours: NetworkOptions) -> dict[str, Tensor]:
    """The state of the task with what the weights have for it, their surplus, and without what they lack."""
    theirs = weights.network.modalities
    own, names = task.state_dict(), _Counterparts(task, theirs, ours.modalities)
    new = [f"{name}." for name, module in task.named_modules() if _begins_anew(module, theirs, ours.modalities)]
    if len(theirs) == 1 < len(ours.modalities):
        new.append(ALPHA)
    state, used = {}, {ALPHA}
    for name, value in own.items():
        if name.startswith(tuple(new)):
            state[name] = value
            continue
        used.add(source := names.of(name))
        if source in weights.state:
            state[name] = weights.state[source]
    return state | {name: value for name, value in weights.state.items() if name not in used}


def _begins_anew(module: nn.Module, theirs: Sequence[str], ours: Sequence[str]) -> bool:
    """Whether the weights can have nothing for this module; a fusion operator of that kind is made neutral."""
    if isinstance(module, FusionOperator) and len(theirs) == 1:
        module.make_neutral()
        return True
    return isinstance(module, ScoredMaximum) and len(theirs) < len(ours)


class _Counterparts:
    """The names of a task's weights in the state of a network of other modalities."""

    def __init__(self, task: nn.Module, theirs: Sequence[str], ours: Sequence[str]) -> None:
        self._norms = {name for name, module in task.named_modules() if isinstance(module, ModalityNorm)}
        self._scores = {name for name, module in task.named_modules() if isinstance(module, ScoredMaximum)}
        self._theirs, self._ours = theirs, ours

    def of(self, name: str) -> str:
        head, _, last = name.rpartition(".")
        norm, _, index = head.rpartition(".")
        if norm in self._norms:
            # Patches have a norm for each modality, blocks and stages one for each of the two streams.
            of = self._modality if norm.endswith(".embed.norm") else self._stream
            return f"{norm}.{of(int(index))}.{last}"
        for scores in self._scores:
            if name.startswith(f"{scores}."):
                further, _, rest = name.removeprefix(f"{scores}.").partition(".")
                return f"{scores}.{self._modality(int(further) + 1) - 1}.{rest}"
        return name

    def _modality(self, index: int) -> int:
        name = self._ours[index]
        return self._theirs.index(name) if name in self._theirs else self._stream(min(index, 1))

    def _stream(self, index: int) -> int:
        return min(index, len(self._theirs) - 1)


def _started(weights: Weights, ours: NetworkOptions, new_classes: int | None) -> Start:
    """What came of it; ``new_classes`` is the size of a classifier that begins anew."""
    theirs, several = weights.network, len(weights.network.modalities) > 1
    taken = ("the encoder", *(["the fusion"] if several else []), "the decoder")
    anew = []
    if new_classes is not None:
        anew.append(f"the classifier of {new_classes} classes")
    if not several and len(ours.modalities) > 1:
        anew.append(f"the fusion {ours.fusion}")
    if len(ours.modalities) > max(2, len(theirs.modalities)):
        anew.append("the score of each modality of the second stream")
    model = theirs.modalities[1 if several else 0]
    borrowed = [f"{name} starts as {model}" for name in ours.modalities if name not in theirs.modalities]
    if "thermal" in theirs.modalities and "thermal" in ours.modalities and theirs.thermal_kind != ours.thermal_kind:
        borrowed.append(f"thermal was {theirs.thermal_kind} there and is {ours.thermal_kind} here")
    return Start(weights.where, taken, tuple(anew), tuple(borrowed))
