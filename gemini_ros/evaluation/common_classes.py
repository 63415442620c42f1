"""The classes that scores are of: the model's, some of them merged where the truth does not tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import LabelClass, LabelSet

FLOOR_CONFIDENCES = (0.5, 0.8, 0.95)
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CommonClasses:
    """``label_set`` are the common classes, ``model`` those of the model.

    ``table`` uint8 (256,): the common class of each label of the model.
    """

    label_set: LabelSet
    model: LabelSet
    table: Labels

    def labels(self, labels: Labels) -> Labels:
        """Labels of the model, uint8 (H, W), as common ones."""
        return labels if self.label_set is self.model else self.table[labels]

    def falsely_free(self, truth: Labels, labels: Labels, confidence: Labels) -> tuple[int, list[int]]:
        """How many pixels are not free by the truth, and how many of them the model labels free, all (H, W).

        The latter with at least each of ``FLOOR_CONFIDENCES``. ``truth`` is of the common classes, ``labels`` of the
        model. Truth of a class that was merged of free and other ones may be free, so that it does not count.
        """
        not_free = (truth != UNLABELLED) & ~self.label_set.nav_table("free")[truth]
        believed = confidence[not_free & self.model.nav_table("free")[labels]]
        return int(not_free.sum()), [int((believed >= 255 * least).sum()) for least in FLOOR_CONFIDENCES]


def common_classes(model: LabelSet, merged: Mapping[str, Sequence[str]]) -> CommonClasses:
    """``merged``: the name of a common class, and the classes of the model that it takes the place of.

    Raises ``ValueError`` where the model has no such classes, one is in two of them, or two would have one name.
    """
    known = ", ".join(model.names)
    members = [name for group in merged.values() for name in group]
    if strange := sorted(set(members) - set(model.names)):
        raise ValueError(f"map: merge has {', '.join(strange)!s:.200}, expected classes of the model: {known!s:.400}")
    if twice := sorted({name for name in members if members.count(name) > 1}):
        raise ValueError(f"map: merge has {', '.join(twice)!s:.200} more than once, expected each class once")
    if taken := sorted(set(merged) & (set(model.names) - set(members))):
        raise ValueError(
            f"map: merge makes {', '.join(taken)!s:.200}, which the model has and which is not merged: list it too"
        )
    if not merged:
        return CommonClasses(model, model, np.arange(256).astype(np.uint8))
    group_of = {name: group for group, names in merged.items() for name in names}
    found: dict[str, list[LabelClass]] = {}
    for each in model.classes:
        found.setdefault(group_of.get(each.name, each.name), []).append(each)
    classes = tuple(_joined(i, name, of) for i, (name, of) in enumerate(found.items()))
    table = np.full(256, UNLABELLED, np.uint8)
    for common, of in zip(classes, found.values(), strict=True):
        table[[each.id for each in of]] = common.id
    return CommonClasses(replace(model, name=f"{model.name} (merged)", classes=classes), model, table)


def _joined(number: int, name: str, of: Sequence[LabelClass]) -> LabelClass:
    """A class in the place of several: with the colour of the first, and free where one of them is."""
    free = any(each.nav == "free" for each in of)
    return replace(of[0], id=number, name=name, nav="free" if free else of[0].nav)
