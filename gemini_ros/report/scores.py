"""Sections of scores that every page of ``report.html`` words and draws alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import COSTLY_COLOR, FREE_COLOR, LETHAL_COLOR, UNKNOWN_COLOR
from gemini_ros.report.canvas import legend_entries
from gemini_ros.report.page import Bar, Bars, Color, Confusion, Section, percent
from gemini_ros.report.pictures import FALSELY_FREE

NO_TRUTH = "There is no truth to compare the labels with, so nothing is scored."
Score = Mapping[str, "float | None"]


def headline(
    miou: float | None, iou: Mapping[str, float | None], counts: npt.NDArray[np.int64] | None = None
) -> str | None:
    """The mIoU, the worst class, and by ``counts`` (n, n + 1) what that one is mistaken for; ``None`` without truth."""
    known = {name: value for name, value in iou.items() if value is not None}
    if miou is None or not known:
        return None
    worst = min(known, key=lambda name: known[name])
    text = f"mIoU {miou:.2f}; worst class {worst} {known[worst]:.2f}"
    mistake = "" if counts is None else mistaken_for(list(iou), counts, list(iou).index(worst))
    return f"{text}, {mistake}" if mistake else text


def mistaken_for(names: Sequence[str], counts: npt.NDArray[np.int64], label: int) -> str:
    """What a class is mostly mistaken for: pixels of it that are missed, or pixels of others that are called so."""
    missed, called = counts[label].astype(float), counts[:, label].astype(float)
    missed, called = missed / max(missed.sum(), 1), called / max(called.sum(), 1)
    missed[label] = called[label] = 0
    others = [*names, "nothing"]
    if not missed.any() and not called.any():
        return ""
    if missed.max() >= called.max():
        return f"{percent(float(missed.max()))} of it called {others[int(missed.argmax())]}"
    return f"{percent(float(called.max()))} of what is called so is {others[int(called.argmax())]}"


def iou_bars(label_set: LabelSet, iou: Mapping[str, Score], intervals: str = "") -> Section:
    """The IoU of each class, the worst first. ``iou`` has ``value``, ``low`` and ``high`` by class name."""
    found = [
        Bar(c.name, value, iou[c.name].get("low"), iou[c.name].get("high"), c.color)
        for c in label_set.classes
        if (value := iou.get(c.name, {}).get("value")) is not None
    ]
    if not found:
        return Section("IoU of each class", NO_TRUTH)
    absent = [name for name in label_set.names if iou.get(name, {}).get("value") is None]
    note = "Intersection over union, the worst class first."
    if any(bar.low is not None for bar in found):
        note += f" Intervals of 95 %: {intervals}."
    elif intervals:
        note += f" No intervals: {intervals.removeprefix('none: ')}; at least six units are needed."
    return Bars("IoU of each class", note, bars=sorted(found, key=lambda bar: bar.value), absent=absent)


def confusion_of(label_set: LabelSet, counts: npt.NDArray[np.int64]) -> Section:
    """``counts`` (n, n + 1): pixels by true and predicted class."""
    if not counts.any():
        return Section("Confusion", NO_TRUTH)
    note = "Of the pixels of each class (row), the percentage that was labelled as each class (column)."
    return Confusion("Confusion", note, names=label_set.names, counts=counts)


def class_legend(label_set: LabelSet, *, errors: bool = False) -> list[tuple[str, Color]]:
    """The colours of the classes, and that of falsely free pixels with ``errors``."""
    return [*([("labelled free, is not free", FALSELY_FREE)] if errors else []), *legend_entries(label_set)]


def map_legend() -> list[tuple[str, Color]]:
    """The colours of the map."""
    return [
        ("map: free", FREE_COLOR),
        ("costly", COSTLY_COLOR),
        ("lethal", LETHAL_COLOR),
        ("unknown", UNKNOWN_COLOR),
    ]
