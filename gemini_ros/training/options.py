"""The options of a training by subject, as ``--help`` and ``config/training/*.yaml`` group them.

Checkpoints hold them as plain values (``plain``), since a checkpoint is read without running any code in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from gemini_ros.core.frames import MODALITIES
from gemini_ros.datasets.folder import SIMULATED
from gemini_ros.training.modalities import ThermalKind


@dataclass(frozen=True)
class NetworkOptions:
    """What is trained: a ``network.model.FusionSegmenter``.

    ``label_set`` is a name in ``config/labels`` or the path of a file. ``thermal_kind`` says what thermal images are:
    degrees, or counts of a camera whose gain and offset nobody knows. ``drop_path`` is the rate of stochastic depth
    (arXiv:1603.09382) in the last block of the encoder. All but it are the network's for good: weights of a network
    trained with other ones do not fit.
    """

    encoder: str
    modalities: tuple[str, ...]
    label_set: str
    fusion: str = "gemini"
    thermal_kind: ThermalKind = "radiometric"
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", tuple(self.modalities))


@dataclass(frozen=True)
class LossOptions:
    """What is minimised at labelled pixels (``training.loss``): cross entropy, and what helps where classes are rare.

    ``dice``: weight of the Dice loss (arXiv:1606.04797), added. ``class_weights``: one factor for each class.
    ``ohem_threshold``: learn only from pixels whose true class has a probability below it, and in any case from the
    hardest sixteenth (online hard example mining, arXiv:1604.03540). ``single_output``: only the ensemble is asked, and
    the streams learn through it; else each stream is asked too, as in the paper. ``retention``: weight of the
    divergence from the answers of the weights that the training began with, at frames of sources that say ``retain``
    (learning without forgetting, arXiv:1606.09282).
    """

    dice: float = 0.0
    class_weights: tuple[float, ...] | None = None
    ohem_threshold: float | None = None
    single_output: bool = False
    retention: float = 1.0


@dataclass(frozen=True)
class RobustOptions:
    """What a training does so that a network of several modalities does without one of them, or with a bad one.

    ``distillation``: weight of what a frame that is spoilt or lacks a modality is to answer as the same network does,
    without a gradient, for the frame as it was before: the divergence of the two answers, at logits over
    ``distillation_temperature``. ``single_every``: every so many steps one modality alone is learnt from, each in turn;
    0 is never.
    """

    distillation: float = 0.0
    distillation_temperature: float = 2.0
    single_every: int = 0

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("distillation", self.distillation >= 0, "a weight of at least 0"),
            ("distillation_temperature", self.distillation_temperature > 0, "a number above 0"),
            ("single_every", self.single_every >= 0, "a number of steps, or 0"),
        ):
            if not good:
                raise ValueError(f"{name} {getattr(self, name)}, expected {expected}")


@dataclass(frozen=True)
class OptimizerOptions:
    """AdamW (``training.optimizer``).

    ``decoder_factor`` is times the learning rate for the decoder. ``weight_decay`` leaves biases and norms alone.
    ``channel_sparsity`` is of the fusion ``channel_exchange`` alone, which exchanges nothing without it: the L1 penalty
    on its scales.
    """

    learning_rate: float = 1e-3
    decoder_factor: float = 1.0
    weight_decay: float = 0.01
    channel_sparsity: float = 0.0


@dataclass(frozen=True)
class ScheduleOptions:
    """How the learning rate goes over a training (``training.schedule``).

    Linear over the first ``warmup_steps``, then by ``decay`` to the end. ``stages`` are factors of equally long parts
    of the training; the decay begins anew in each.
    """

    warmup_steps: int = 200
    decay: Literal["cosine", "poly", "constant"] = "cosine"
    stages: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class ScoringOptions:
    """How ``train test`` scores (``training.testing``).

    Images are scored at these ``scales`` and, with ``flip``, mirrored too, and the probabilities of all views averaged.
    ``merged`` is a layout whose labels make coarser classes of the model's, which are then scored as well.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    merged: str | None = None


@dataclass(frozen=True)
class FolderOptions:
    """Where the images are: folders of one ``layout`` (a name in ``config/datasets``, or the path of a YAML file).

    ``train`` are the folders to learn from, ``val`` the one to score on; ``root`` stands for both where one folder
    holds all. ``train_split`` and ``val_split`` say which part is which, where a folder of the layout holds several.
    A bag with label images may stand for a folder of layout ``recorded``.
    """

    layout: str = SIMULATED
    root: Path | None = None
    train: tuple[Path, ...] = ()
    val: Path | None = None
    train_split: str | None = None
    val_split: str | None = None


@dataclass(frozen=True)
class SourceOptions:
    """One of several data sets to learn from (``training.sources``): a folder ``dir`` of a ``layout``, or a bag.

    ``map`` says what each class of its label set is in the model's: a class, or null for unlabelled; it may be left out
    where both have the same classes. ``label_set`` names the folder's classes where neither the layout nor its
    ``dataset.yaml`` does. ``weight`` is its share of the samples against the other sources'. ``split`` names a part of
    a layout that has several. ``val_share`` of its scenes are held back for validation, 1 for all; a scene is what has
    one value of the part or column ``group``, by default ``scene``, ``bag`` or ``drive``, whichever the frames have.
    Crops are taken of images scaled by ``scale``, times what ``augmentation`` draws. With ``retain`` its frames keep
    the answers of the weights that the training begins with, as far as ``model.loss.retention`` says.
    """

    dir: Path
    layout: str = SIMULATED
    map: dict[str, str | None] | None = None
    weight: float = 1.0
    label_set: str | None = None
    split: str | None = None
    val_share: float = 0.0
    group: str | None = None
    scale: float = 1.0
    retain: bool = False


@dataclass(frozen=True)
class AugmentationOptions:
    """What is done to a frame before it is learnt from (``training.augmentation``).

    A crop of ``crop_size`` (width, height) after scaling by ``scale_range``. ``modality_dropout`` holds, per modality,
    how often it alone is taken away; empty, none is. Depth gets noise of up to ``depth_noise`` x z^2 metres (z in
    metres). With the probability ``misregistration`` depth or thermal is shifted against the labels, by up to 1 % of
    the width. ``thermal_kind`` is the network's.

    ``modality_subsets``, in place of ``modality_dropout``, says how often what remains of a frame is a subset of its
    modalities: ``{rgb: 0.1, rgb+depth: 0.05}``, or ``{each: 0.1}`` for every one. ``corruptions`` says how often a
    family spoils a frame (``training.spoiling``): noise, misregistration, clock offset, darkness, motion blur, fog,
    JPEG. ``tone`` says how often a picture gets another contrast, saturation, white balance and brightness, far beyond
    what one camera does: for models that learn in simulation and work on photographs.
    """

    crop_size: tuple[int, int] = (160, 120)
    scale_range: tuple[float, float] = (0.5, 1.0)
    modality_dropout: tuple[float, ...] = ()
    depth_noise: float = 0.0
    misregistration: float = 0.0
    thermal_kind: ThermalKind = "radiometric"
    modality_subsets: dict[str, float] = field(default_factory=dict)
    corruptions: dict[str, float] = field(default_factory=dict)
    tone: float = 0.0


@dataclass(frozen=True)
class LoadingOptions:
    """How samples come: ``workers`` processes load batches of ``batch_size``.

    Validation takes batches of ``val_batch_size``, where all images have one size, and while training ``val_limit``
    frames, evenly spread.
    """

    batch_size: int = 16
    val_batch_size: int = 4
    val_limit: int | None = None
    workers: int = 0


def plain(options: Any) -> dict[str, Any]:
    """A dataclass of options as a checkpoint may hold it: dictionaries, lists, text and numbers."""
    return json.loads(json.dumps(asdict(options), default=str))


def network_options(hyper_parameters: object, where: str = "options") -> NetworkOptions:
    """The network of a checkpoint; in those written before there were groups, all options lie side by side.

    Raises ``ValueError`` for other content, named ``where``.
    """
    known = _group(hyper_parameters, "network", where)
    found = {field.name: known[field.name] for field in fields(NetworkOptions) if field.name in known}
    modalities = found.get("modalities")
    for name, good, expected in (
        (
            "modalities",
            isinstance(modalities, (list, tuple)) and set(map(str, modalities)) <= set(MODALITIES),
            MODALITIES,
        ),
        ("thermal_kind", found.get("thermal_kind", "radiometric") in get_args(ThermalKind), get_args(ThermalKind)),
        ("drop_path", type(rate := found.get("drop_path", 0.0)) in (int, float) and 0 <= rate < 1, ("a number 0-1",)),
        *((name, isinstance(found.get(name, ""), str), ("text",)) for name in ("encoder", "label_set", "fusion")),
        *((name, name in found, ("one",)) for name in ("encoder", "label_set")),
    ):
        if not good:
            raise ValueError(f"{where}: {name} {found.get(name)!r:.80}, expected {' or '.join(expected)}")
    return NetworkOptions(**found)


def layout_name(hyper_parameters: object, where: str = "options") -> str:
    """The layout of the data of a checkpoint, of the same two forms, or that of all its sources.

    Raises ``ValueError`` as ``network_options``, and for sources of several layouts.
    """
    sources = hyper_parameters.get("sources") if isinstance(hyper_parameters, Mapping) else None
    if isinstance(sources, list) and sources and all(isinstance(source, Mapping) for source in sources):
        layouts = sorted({str(source.get("layout")) for source in sources})
        if len(layouts) > 1:
            raise ValueError(f"{where}: learnt from layouts {', '.join(layouts)}, expected one of them in --layout")
        return layouts[0]
    layout = _group(hyper_parameters, "folders", where).get("layout", SIMULATED)
    if not isinstance(layout, str):
        raise ValueError(f"{where}: layout {layout!r:.80}, expected text")
    return layout


def _group(hyper_parameters: object, name: str, where: str) -> Mapping[str, Any]:
    """The options of one group, or all of them where there are no groups."""
    known = hyper_parameters.get(name, hyper_parameters) if isinstance(hyper_parameters, Mapping) else None
    if not isinstance(known, Mapping):
        raise ValueError(f"{where}: options {known!r:.80}, expected names and values")
    return known
