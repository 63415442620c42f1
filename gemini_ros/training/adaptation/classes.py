"""What the labels of hindsight, which are few, are in the classes of a model, which may be many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import LabelSet

GROUPS = ("floor", "obstacle", "drop")


@dataclass(frozen=True)
class Groups:
    """For each class of a model, uint8 (256,), which of ``GROUPS`` it is; 255 for what is no class.

    Ground to drive on is floor, a class ``drop`` is drop, and all else is what a robot runs into.
    """

    label_set: LabelSet
    of_class: npt.NDArray[np.uint8]

    def several(self, group: int) -> bool:
        """Whether the model tells several classes apart where hindsight knows one."""
        return int((self.of_class == group).sum()) > 1

    @property
    def resolves(self) -> bool:
        """Whether a network is needed to say which class a label is."""
        return any(self.several(group) for group in range(len(GROUPS)))

    @property
    def examples(self) -> npt.NDArray[np.uint8]:
        """uint8 (256,): for each of ``GROUPS`` its first class, to draw it; 255 for the rest."""
        table = np.full(256, UNLABELLED, np.uint8)
        for group in range(len(GROUPS)):
            table[group] = next(iter(np.flatnonzero(self.of_class == group)), UNLABELLED)
        return table

    def resolved(self, truth: npt.NDArray[np.uint8], logits: npt.NDArray[np.float32] | None) -> npt.NDArray[np.uint8]:
        """Labels by group, uint8 (H, W), as classes of the model: of those of the group the one with the highest of
        ``logits`` (classes, H, W), the model's own answer. A group that it does not know is unlabelled."""
        labels = np.full(truth.shape, UNLABELLED, np.uint8)
        for group in range(len(GROUPS)):
            there, members = truth == group, np.flatnonzero(self.of_class == group)
            if len(members) == 1:
                labels[there] = members[0]
            elif len(members) and logits is not None and there.any():
                labels[there] = members[logits[members][:, there].argmax(0)]
        return labels


def groups_of(label_set: LabelSet) -> Groups:
    """Raises ``ValueError`` for a set without ground that a robot may drive on, or without what it must not."""
    table = np.full(256, UNLABELLED, np.uint8)
    ground = label_set.nav_table("free") | label_set.nav_table("caution")
    for i, name in enumerate(label_set.names):
        table[i] = 0 if ground[i] else 2 if name == "drop" else 1
    lethal = label_set.nav_table("lethal")
    for group, there, meaning in ((0, ground, "free or caution"), (1, lethal & (table == 1), "lethal")):
        if not there[: len(label_set)].any():
            raise ValueError(
                f"label set {label_set.name} has no class of meaning {meaning}: a drive teaches floor and obstacle, "
                f"and nothing there is {GROUPS[group]}"
            )
    return Groups(label_set, table)


def grouped(labels: npt.NDArray[np.uint8], names: list[str]) -> npt.NDArray[np.uint8]:
    """Labels of hindsight, of classes ``names``, as indices into ``GROUPS``; 255 stays."""
    table = np.full(256, UNLABELLED, np.uint8)
    for group, name in enumerate(GROUPS):
        table[names.index(name)] = group
    return table[labels]
