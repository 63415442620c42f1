"""The truth of a bag in the classes that are scored: as recorded, or through a map from another label set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages, count
from gemini_ros.core.documents import read_yaml
from gemini_ros.core.entries import require_entries
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.metrics import Scores
from gemini_ros.core.registration import resized

Labels = npt.NDArray[np.uint8]
_CURE = "--map FILE says which is which, and which classes of the model the truth does not tell apart"


@dataclass(frozen=True)
class TruthMap:
    """The class, or ``None`` for unlabelled, that each number of the truth stands for.

    It is one of the model's, or one that takes the place of several: ``merged`` has the classes of the model in it.
    """

    classes: Mapping[int, str | None]
    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def table(self, label_set: LabelSet) -> npt.NDArray[np.int16]:
        """int16 (256,): the class of each number, 255 where unlabelled, -1 where the map does not name the number.

        ``label_set`` are the scored classes. Raises ``ValueError`` with the two lists where the map names another one.
        """
        names = label_set.names
        if strange := sorted({name for name in self.classes.values() if name is not None and name not in names}):
            theirs = "the model's, as merged" if self.merged else "the model's"
            raise ValueError(f"map: classes {strange!s:.200}, expected some of {theirs}: {names!s:.400}")
        table = np.full(256, -1, np.int16)
        table[UNLABELLED] = UNLABELLED
        for number, name in self.classes.items():
            table[number] = UNLABELLED if name is None else names.index(name)
        return table


def read_truth_map(path: str | Path) -> TruthMap:
    """A YAML file: ``map``, which says the model's class (or null) of each number, or name of ``label_set``.

    ``label_set`` is the name or path of the truth's label set; all its classes must be there. ``merge`` lists, under
    the name of a common class, the classes of the model that the truth does not tell apart. Raises ``ValueError``.
    """
    where = f"map {path}"
    data = require_entries(read_yaml(path, where), {"map"}, {"label_set", "merge"}, where)
    merged = _merged(data.get("merge"), where)
    entries = data["map"]
    if not isinstance(entries, dict) or not all(name is None or isinstance(name, str) for name in entries.values()):
        raise ValueError(
            f"{where}: map {entries!r:.80}, expected a class of the model, or null, for each of the truth's"
        )
    if data.get("label_set") is None:
        if not entries or not all(type(number) is int and 0 <= number < UNLABELLED for number in entries):
            raise ValueError(f"{where}: {sorted(map(str, entries))!s:.200}, expected numbers 0 to 254, or a label_set")
        return TruthMap(dict(entries), merged)
    if not isinstance(data["label_set"], str):
        raise ValueError(f"{where}: label_set {data['label_set']!r:.80}, expected the name or path of one")
    names = load_label_set(data["label_set"]).names
    if set(map(str, entries)) != set(names):
        raise ValueError(
            f"{where}: classes {sorted(map(str, entries))!s:.300}, expected those of {data['label_set']!r:.80}: "
            f"{sorted(names)!s:.300}"
        )
    return TruthMap({names.index(str(name)): target for name, target in entries.items()}, merged)


def _merged(data: object, where: str) -> dict[str, tuple[str, ...]]:
    groups = {} if data is None else data
    if not isinstance(groups, dict) or not all(
        isinstance(name, str) and isinstance(of, list) and of and all(isinstance(each, str) for each in of)
        for name, of in groups.items()
    ):
        raise ValueError(
            f"{where}: merge {data!r:.80}, expected under each common class a list of classes of the model, such as "
            "obstacle: [pallet, person]"
        )
    return {name: tuple(of) for name, of in groups.items()}


class Truth(Mapping[int, Labels]):
    """The label images of a bag, uint8 (H, W) by stamp, in the classes of ``label_set``, those that are scored.

    ``grid_size`` (width, height): what they are brought to, that of the images' grid where one is set.

    Raises ``ValueError`` where the bag says that its truth is of other classes, and so does ``score`` where the numbers
    are, with both lists.
    """

    def __init__(
        self,
        images: LabelImages,
        label_set: LabelSet,
        truth_map: TruthMap | None = None,
        grid_size: tuple[int, int] | None = None,
    ) -> None:
        self._images, self._label_set, self._grid_size = images, label_set, grid_size
        self._table = None if truth_map is None else truth_map.table(label_set)
        if truth_map is None and images.classes is not None and images.classes != tuple(label_set.names):
            raise ValueError(
                f"the truth has the classes {_numbered(images.classes)}; the model has {_numbered(label_set.names)}. "
                f"{_CURE}"
            )

    def __getitem__(self, stamp: int) -> Labels:
        labels = self._images[stamp]
        if self._grid_size is not None:
            labels = resized(labels, self._grid_size)
        if self._table is None:
            return labels
        mapped = self._table[labels]
        if (mapped < 0).any():
            strange = np.unique(labels[mapped < 0]).tolist()
            raise ValueError(f"truth at stamp {stamp} ns: values {strange}, which the map does not name")
        return mapped.astype(np.uint8)

    def __iter__(self) -> Iterator[int]:
        return iter(self._images)

    def __len__(self) -> int:
        return len(self._images)

    def score(self, stamp: int, labels: Labels, confidence: Labels) -> Scores:
        """The scores of one image against the truth of its stamp."""
        scores, truth = Scores(len(self._label_set)), self[stamp]
        try:
            count(scores, stamp, truth, labels, confidence)
        except ValueError as error:
            if truth.shape != labels.shape or self._table is not None:
                raise
            values = sorted({int(v) for image in self._images.values() for v in np.unique(image)} - {UNLABELLED})
            raise ValueError(
                f"{error} The truth has the values {', '.join(map(str, values))}; the model has the classes "
                f"{_numbered(self._label_set.names)}. {_CURE}"
            ) from error
        return scores


def _numbered(names: Sequence[str]) -> str:
    return ", ".join(f"{i} {name}" for i, name in enumerate(names))
