"""``gemini-ros train instances``: features once, then the head, then a model file. A run that was stopped goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.model_info import Instances
from gemini_ros.core.resources import find_weights
from gemini_ros.network.instances import InstanceHead
from gemini_ros.network.weights_file import read_weights
from gemini_ros.training.export import golden_frames, write_checked
from gemini_ros.training.fit import quieten
from gemini_ros.training.frozen import Say, Stage, plain_network, require_same, run_stage
from gemini_ros.training.instances.data import FrozenFeatures, ThingBatches, cache_things
from gemini_ros.training.instances.options import InstanceTraining
from gemini_ros.training.instances.scoring import things_found
from gemini_ros.training.instances.task import InstanceTask

HEAD, MODEL, OPTIONS = "head", "model.onnx", "options.json"


def train_instances(options: InstanceTraining, out: Path, *, say: Say = print) -> Path:
    """Train by ``options`` and write ``OUT/model.onnx`` with its golden file; returns its path.

    What ``out`` holds of the same options is not done again. Raises ``ValueError`` for one of other options, and for
    data that do not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    require_same(options, out / OPTIONS)
    stored = read_weights(find_weights(Path(options.model)))
    label_set = marking(stored.info.label_set, options.label_set)
    network = plain_network(stored)
    marked = np.zeros(256, bool)
    marked[: len(label_set)] = [bool(c.instances) for c in label_set.classes]
    frozen = FrozenFeatures(network, stored.info, options.network_size or stored.info.network_size, marked)
    frames = [cache_things(folder, frozen, out / "cache", say) for folder in options.folders]
    if not any(each.ids.any() for each in frames):
        names = ", ".join(c.name for c in label_set.classes if c.instances)
        raise ValueError(f"{', '.join(map(str, options.folders))!s:.200}: no thing of {names}, expected some to learn")
    held_back = cache_things(options.validation, frozen, out / "cache", say) if options.validation else None
    quieten()
    torch.manual_seed(options.seed)
    head = InstanceHead(network.decoder.predict.in_channels).train()

    def batches(first: int) -> ThingBatches:
        return ThingBatches(frames, options.frames, options.seed, first)

    task = InstanceTask(head, options.steps, options.learning_rate)
    run_stage(Stage(HEAD, task, head, options.steps, batches, options.checkpoint_minutes), out, say)
    for name, some in (("train", frames), ("held back", [held_back] if held_back else [])):
        for each in some:
            found, there = things_found(head, each)
            say(f"{HEAD:8s} {name}: {found} of {there} things found, their pixels given")
    info = replace(
        stored.info,
        label_set=label_set,
        network_size=frozen.size,
        instances=Instances(tuple(c.name for c in label_set.classes if c.instances)),
    )
    golden = golden_frames(options.folders[0], info.modality_names)
    write_checked(network, info, out / MODEL, golden, instances=head.eval())
    say(f"wrote    {out / MODEL}")
    return out / MODEL


def marking(own: LabelSet, name_or_path: str) -> LabelSet:
    """The classes of a model as another label set marks them.

    Raises ``ValueError`` for a set of other classes, and for one that marks none.
    """
    label_set = own.with_meaning_of(load_label_set(name_or_path))
    if not any(c.instances for c in label_set.classes):
        raise ValueError(
            f"label set {label_set.name!r:.80}: marks no class with instances: true; mark some in a copy and name that"
        )
    return label_set
