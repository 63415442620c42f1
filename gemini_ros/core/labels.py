"""Label sets: which classes there are and what each means to a robot (``config/labels/NAME.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.entries import require_entries
from gemini_ros.core.resources import load_yaml

NAV_MEANINGS = ("free", "caution", "lethal", "unknown")
_SET_KEYS = {"name", "source", "ignore_index", "classes"}
_CLASS_KEYS = {"id", "name", "color", "nav", "cost", "dynamic"}
_OPTIONAL_CLASS_KEYS = ("speed_percent", "transparent", "instances")


@dataclass(frozen=True)
class LabelClass:
    """One class. ``cost`` is the occupancy (0-98) of a ``caution`` class; ``color`` is 8-bit RGB.

    What a set may leave out is ``None`` there: ``speed_percent`` (1-100), the share of its full speed that a robot
    keeps to on this class; ``transparent``, whether a depth camera measures what lies behind it; ``instances``, whether
    its things are told apart.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    nav: str
    cost: int
    dynamic: bool
    speed_percent: int | None = None
    transparent: bool | None = None
    instances: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a file, without what the set leaves out."""
        return {key: value for key, value in vars(self).items() if value is not None} | {"color": list(self.color)}


@dataclass(frozen=True)
class LabelSet:
    """Classes 0..n-1 in order; ``ignore_index`` is what an unlabelled pixel holds."""

    name: str
    source: str
    ignore_index: int
    classes: tuple[LabelClass, ...]

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.classes]

    @cached_property
    def colors(self) -> npt.NDArray[np.uint8]:
        """uint8 (256, 3) RGB look-up table; values that are no class are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.classes)] = [c.color for c in self.classes]
        return table

    def nav_table(self, meaning: str) -> npt.NDArray[np.bool_]:
        """bool (256,): which label values have this navigation meaning; values that are no class are unknown."""
        table = np.full(256, meaning == "unknown")
        table[: len(self.classes)] = [c.nav == meaning for c in self.classes]
        return table

    def to_dict(self) -> dict[str, Any]:
        """The plain form of the YAML file and of the model file's metadata."""
        return {
            "name": self.name,
            "source": self.source,
            "ignore_index": self.ignore_index,
            "classes": [c.to_dict() for c in self.classes],
        }

    def with_meaning_of(self, other: LabelSet) -> LabelSet:
        """``other`` in the place of this set; it may change colours and meaning, never names or order.

        Optional keys that ``other`` leaves out keep this set's values: an older file lifts no limit of speed. Raises
        ``ValueError`` for other classes.
        """
        if other.names != self.names:
            raise ValueError(
                f"label set {other.name!r}: classes {other.names}, expected the model's {self.names} in this order"
            )
        classes = (_completed(theirs, ours) for theirs, ours in zip(other.classes, self.classes, strict=True))
        return replace(other, classes=tuple(classes))


def label_set_from_dict(data: object, where: str) -> LabelSet:
    """Check and build a label set. Raises ``ValueError`` naming the first thing wrong."""
    data = require_entries(data, _SET_KEYS, set(), where)
    for key in ("name", "source"):
        if not isinstance(data[key], str):
            raise ValueError(f"{where}: {key} {data[key]!r:.80}, expected text")
    classes = data["classes"]
    if not isinstance(classes, list) or not 1 <= len(classes) <= 255:
        raise ValueError(f"{where}: classes must be a list of 1 to 255 entries, found {classes!r:.80}")
    checked = tuple(_label_class(entry, i, f"{where}: class {i}") for i, entry in enumerate(classes))
    names = [c.name for c in checked]
    if len(set(names)) != len(names):
        raise ValueError(f"{where}: class names must be unique, found {names!s:.200}")
    if data["ignore_index"] != 255:
        raise ValueError(f"{where}: ignore_index {data['ignore_index']!r:.80}, expected 255")
    return LabelSet(data["name"], data["source"], 255, checked)


def load_label_set(name_or_path: str | Path) -> LabelSet:
    """A label set by name (``warehouse``) or by path to its YAML file."""
    return label_set_from_dict(*load_yaml(name_or_path, "labels", "label set"))


def _completed(label: LabelClass, by: LabelClass) -> LabelClass:
    """``label`` with what ``by`` says where ``label`` says nothing."""
    absent = [key for key in _OPTIONAL_CLASS_KEYS if getattr(label, key) is None]
    return replace(label, **{key: getattr(by, key) for key in absent})


def _label_class(entry: object, index: int, where: str) -> LabelClass:
    entry = require_entries(entry, _CLASS_KEYS, set(_OPTIONAL_CLASS_KEYS), where)
    color = entry["color"]
    if not (isinstance(color, list) and len(color) == 3 and all(type(v) is int and 0 <= v <= 255 for v in color)):
        raise ValueError(f"{where}: color {color!r:.80}, expected [r, g, b] of 0-255")
    if entry["id"] != index:
        raise ValueError(f"{where}: id {entry['id']!r:.80}, expected ids 0..n-1 in order")
    if entry["nav"] not in NAV_MEANINGS:
        raise ValueError(f"{where}: nav {entry['nav']!r:.80}, expected one of {', '.join(NAV_MEANINGS)}")
    if type(entry["cost"]) is not int or not 0 <= entry["cost"] <= 98:
        raise ValueError(f"{where}: cost {entry['cost']!r:.80}, expected a whole number 0-98")
    if type(entry["dynamic"]) is not bool:
        raise ValueError(f"{where}: dynamic {entry['dynamic']!r:.80}, expected true or false")
    if not isinstance(entry["name"], str) or not entry["name"]:
        raise ValueError(f"{where}: name {entry['name']!r:.80}, expected a word")
    optional = {key: entry[key] for key in _OPTIONAL_CLASS_KEYS if key in entry}
    _check_optional(optional, where)
    r, g, b = color
    return LabelClass(index, entry["name"], (r, g, b), entry["nav"], entry["cost"], entry["dynamic"], **optional)


def _check_optional(entries: dict[str, Any], where: str) -> None:
    for key, value in entries.items():
        if key == "speed_percent":
            if type(value) is not int or not 1 <= value <= 100:
                raise ValueError(f"{where}: {key} {value!r:.80}, expected a whole number 1-100")
        elif type(value) is not bool:
            raise ValueError(f"{where}: {key} {value!r:.80}, expected true or false")
