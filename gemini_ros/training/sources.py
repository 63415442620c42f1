"""Several data sets in one training: their classes as those of the model, scenes held back, samples by weight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from math import isfinite

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, WeightedRandomSampler

from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import LabelSet, label_set_from_dict, load_label_set
from gemini_ros.datasets.folder import description
from gemini_ros.datasets.layout import Layout
from gemini_ros.training.options import SourceOptions
from gemini_ros.training.samples import Sample

GROUPS = ("scene", "bag", "drive")
Records = Sequence[Mapping[str, str]]


class JoinedFrames(Dataset):
    """Some frames of each of several data sets as one; ``index`` of a sample points into ``records``.

    Labels of a data set that says nothing of their confidence are certain. ``retain`` says of each whether its frames
    keep their answers; without it none does, and the samples do not say.
    """

    def __init__(
        self, parts: Sequence[tuple[Dataset[Sample], Records, Sequence[int]]], retain: Sequence[bool] = ()
    ) -> None:
        self._frames = [(frames, i) for frames, _, chosen in parts for i in chosen]
        told = zip(parts, retain, strict=True) if any(retain) else ()
        self._retain = [torch.tensor(kept) for (_, _, chosen), kept in told for _ in chosen]
        self.records: Records = [records[i] for _, records, chosen in parts for i in chosen]
        self._weighted = any("confidence" in frames[0] for frames, _, chosen in parts if chosen)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        frames, own = self._frames[index]
        sample = frames[own] | {"index": torch.tensor(index)}
        if self._weighted and "confidence" not in sample:
            sample["confidence"] = torch.full_like(sample["labels"], 255)
        if self._retain:
            sample["retain"] = self._retain[index]
        return sample


def weighted_sampler(counts: Sequence[int], weights: Sequence[float]) -> WeightedRandomSampler:
    """Draws each source by its weight and its frames alike, as many samples as there are frames.

    ``seed_everything`` decides which.
    """
    each = [weight / max(count, 1) for count, weight in zip(counts, weights, strict=True) for _ in range(count)]
    generator = torch.Generator().manual_seed(torch.initial_seed())
    return WeightedRandomSampler(each, len(each), generator=generator)


def require_source(source: SourceOptions) -> None:
    """Raise ``ValueError`` for numbers that are out of range."""
    if not (isfinite(source.weight) and source.weight > 0):
        raise ValueError(f"data.sources: {source.dir}: weight {source.weight}, expected a number above 0")
    if not 0 <= source.val_share <= 1:
        raise ValueError(f"data.sources: {source.dir}: val_share {source.val_share}, expected 0 to 1")
    if not (isfinite(source.scale) and source.scale > 0):
        raise ValueError(f"data.sources: {source.dir}: scale {source.scale}, expected a number above 0")


def source_labels(source: SourceOptions, layout: Layout, model: LabelSet | None) -> LabelSet:
    """The label set of the source's images: as said, of the layout, of ``dataset.yaml``, or the model's.

    Without any of them a ``map`` has no names to go by: raises ``ValueError``.
    """
    if not source.dir.exists():
        raise ValueError(f"data.sources: {source.dir}: no such folder or bag")
    described = description(source.dir).get("label_set") if source.dir.is_dir() else None
    if named := source.label_set or layout.label_set:
        return load_label_set(named)
    if described is not None:
        return label_set_from_dict(described, str(source.dir / "dataset.yaml"))
    if model is None or source.map is not None:
        raise ValueError(f"data.sources: {source.dir}: a map of classes that have no names: give its label_set")
    return model


def class_map(source: SourceOptions, own: LabelSet, model: LabelSet) -> npt.NDArray[np.uint8] | None:
    """uint8 (256,), the model's class of each class of the source; ``None`` where they are the same.

    Raises ``ValueError`` for other classes without a ``map``, and for a ``map`` that leaves out a class of the source
    or names one that is not there.
    """
    where = f"data.sources: {source.dir}"
    if source.map is None:
        if own.names == model.names:
            return None
        raise ValueError(
            f"{where}: labels of {own.name}, the model has those of {model.name}: give a map from each of "
            f"{', '.join(own.names)!s:.200} to one of {', '.join(model.names)!s:.200}, or to null for unlabelled"
        )
    _require_known(source.map, own, f"{where}: map", "classes")
    _require_known((name for name in source.map.values() if name is not None), model, f"{where}: map", "targets")
    if lacking := [name for name in own.names if name not in source.map]:
        raise ValueError(
            f"{where}: map does not say what {', '.join(lacking)!s:.200} of {own.name} is, expected a class of "
            f"{model.name}, or null for unlabelled"
        )
    table = np.full(256, UNLABELLED, np.uint8)
    for i, name in enumerate(own.names):
        target = source.map[name]
        table[i] = UNLABELLED if target is None else model.names.index(target)
    return table


def held_back(source: SourceOptions, records: Records) -> tuple[list[int], list[int]]:
    """The frames to learn from and those to validate on; all frames of a scene are in one of them.

    Whether a scene is held back follows from its name alone, so that further ones change nothing; at least one is, and
    one is not. Raises ``ValueError`` where a part of one scene would
    have to be, and for frames that have no such part.
    """
    every = list(range(len(records)))
    if source.val_share in (0, 1):
        return (every, []) if source.val_share == 0 else ([], every)
    known = set.intersection(*(set(record) for record in records))
    group = source.group or next((name for name in GROUPS if name in known), None)
    if source.group and source.group not in known:
        raise ValueError(
            f"data.sources: {source.dir}: group {source.group!r:.80}, expected one of {', '.join(sorted(known))}"
        )
    scenes = {record[group] for record in records} if group else set()
    if len(scenes) < 2:
        raise ValueError(
            f"data.sources: {source.dir}: val_share {source.val_share} of one scene or drive, whose frames must not be "
            "parted: use val_share 1 for another source, or name with group what tells its scenes apart"
        )
    place = {scene: _place(scene) for scene in scenes}
    chosen = {scene for scene in scenes if place[scene] < source.val_share} or {min(scenes, key=place.__getitem__)}
    if chosen == scenes:
        chosen = scenes - {max(scenes, key=place.__getitem__)}
    parted = [record[group] in chosen for record in records] if group else []
    return [i for i in every if not parted[i]], [i for i in every if parted[i]]


def _place(scene: str) -> float:
    """A number from 0 to 1 that follows from a name."""
    return int.from_bytes(sha256(scene.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64


def _require_known(names: Iterable[str], label_set: LabelSet, where: str, what: str) -> None:
    if strange := sorted(str(name) for name in names if name not in label_set.names):
        raise ValueError(
            f"{where}: {what} {', '.join(strange)!s:.200}, expected some of {label_set.name}: "
            f"{', '.join(label_set.names)!s:.300}"
        )
