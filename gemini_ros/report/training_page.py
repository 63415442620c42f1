"""``report.html`` of a training: scores, confusion, curves, and what the network makes of single frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import blend, colorize
from gemini_ros.report.gallery import wrong_share
from gemini_ros.report.page import (
    Page,
    Picture,
    Plot,
    Plots,
    Section,
    Shot,
    Shots,
    Table,
    number,
    percent,
    write_page,
)
from gemini_ros.report.pictures import brightened, draw_errors, encode
from gemini_ros.report.scores import class_legend, confusion_of, headline, iou_bars

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Panel:
    """A frame to look at: ``rgb`` uint8 (H, W, 3), ``truth`` and ``labels`` uint8 (H, W)."""

    title: str
    rgb: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


def write_training_page(
    path: Path,
    title: str,
    label_set: LabelSet,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    scores: Scores,
    counts: npt.NDArray[np.int64],
    panels: Sequence[Panel],
) -> None:
    """Write the page to ``path``, atomically.

    ``curves``: (step, value) by name. ``scores``: by condition and part of the data, what ``scores.json`` holds; the
    first condition is that of all modalities. ``counts`` (n, n + 1): its confusion matrix.
    """
    condition, by_part = next(iter(scores.items()))
    complete = by_part["all"]
    said = headline(complete["miou"], complete["iou"], counts) or "There is no truth to score the network by"
    plots = [Plot(name, {name: points}, "step") for name, points in curves.items() if points]
    sections = [
        iou_bars(label_set, {name: {"value": value} for name, value in complete["iou"].items()}),
        confusion_of(label_set, counts),
        *_tables(scores),
        *([Plots("Curves", "What the training logged, over its steps.", plots=plots)] if plots else []),
        *([_frames(panels, label_set)] if panels else []),
    ]
    write_page(path, Page(title, "gemini-ros train test", [said, _without(condition, scores)], sections))


def _without(condition: str, scores: Scores) -> str:
    """What is left where a modality is missing."""
    rest = [f"{name} {number(by_part['all']['miou'])}" for name, by_part in scores.items() if name != condition]
    return f"mIoU of all frames with {condition} modalities" + (f"; {', '.join(rest)}." if rest else ".")


def _tables(scores: Scores) -> list[Section]:
    """mIoU by condition and part; then what else is measured of all frames, and the IoU of each class."""
    parts = list(dict.fromkeys(part for by_part in scores.values() for part in by_part))
    rows = [[name, *(number(by_part.get(part, {}).get("miou")) for part in parts)] for name, by_part in scores.items()]
    everything = {name: by_part["all"] for name, by_part in scores.items()}
    first = next(iter(everything.values()))
    measures = [key for key, value in first.items() if isinstance(value, float) and key != "miou"]
    measured = [[key, *(number(score.get(key)) for score in everything.values())] for key in measures]
    by_class = [[name, *(number(score["iou"][name]) for score in everything.values())] for name in first["iou"]]
    return [
        Table("mIoU by condition", "Columns are parts of the data.", head=["condition", *parts], rows=rows),
        Table("Other measures", "Of all frames.", head=["measure", *everything], rows=measured),
        Table("IoU by condition", "Of all frames.", head=["class", *everything], rows=by_class),
    ]


def _frames(panels: Sequence[Panel], label_set: LabelSet) -> Section:
    note = "Frames evenly spread over the data. The errors show the class that was said in its colour; right is grey."
    shots = [_shot(panel, label_set) for panel in panels]
    return Shots("Frames", note, shots=shots, legend=class_legend(label_set, errors=True))


def _shot(panel: Panel, label_set: LabelSet) -> Shot:
    below = brightened(panel.rgb)
    pictures = {
        "camera": encode(below),
        "truth": encode(colorize(panel.truth, label_set), sharp=True),
        "network": encode(blend(below, panel.labels, label_set, 0.7)),
        "errors": encode(draw_errors(below, panel.labels, panel.truth, label_set)),
    }
    wrong = percent(wrong_share(panel.labels, panel.truth))
    shown = [Picture(data, f"{name} of frame {panel.title}", name) for name, data in pictures.items()]
    return Shot(f"{panel.title}: {wrong} of the pixels wrong", shown)
