"""``report.html`` of an adaptation: what changed on the drive and on simulation, and single frames before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import blend, colorize
from gemini_ros.report.page import (
    Bar,
    Changes,
    Facts,
    Page,
    Picture,
    Section,
    Shot,
    Shots,
    Table,
    number,
    percent,
    write_page,
)
from gemini_ros.report.pictures import encode, ground, small
from gemini_ros.report.scores import class_legend
from gemini_ros.training.adaptation.classes import Groups
from gemini_ros.training.adaptation.gate import FALSELY, Judged, Shown

_NOTES = (
    "The kept blocks of the drive, against its labels in hindsight, which are not human labels: they leave out what "
    "was never near.",
    "Scenes that were not learnt from, against their true labels: what was forgotten shows here.",
)


def write_adaptation_page(
    path: Path,
    title: str,
    judged: Sequence[Judged],
    groups: Groups,
    bags: Sequence[Mapping[str, Any]],
    facts: Sequence[tuple[str, str]],
    refusals: Sequence[str],
    exported: str,
) -> None:
    """Write the page of a drive and simulation (``judged``, in this order) to ``path``, atomically.

    ``bags`` are the entries of the labels' ``dataset.yaml``; ``exported`` is the model file, empty with ``refusals``.
    """
    sections: list[Section] = []
    for part, note in zip(judged, _NOTES, strict=True):
        sections += [_bars(part, note), _table(part)]
    if judged[0].shown:
        sections.append(_frames(judged[0].shown, groups.label_set, groups))
    sections += [_labels(bags), Facts("Run", facts=facts)]
    headline = [f"{part.where}: {part.changes[1].text()}." for part in judged if len(part.changes) > 1]
    passed = f"Not worse on either part: exported as {exported}." if exported else ""
    failures = [f"Nothing is exported. Worse: {text}" for text in refusals]
    write_page(path, Page(title, "gemini-ros adapt", headline, sections, failures, passed))


def _bars(part: Judged, note: str) -> Section:
    changes = [
        Bar(change.name, sign * 100 * d.value, *_points(sign, d.low, d.high))
        for change in part.changes
        if np.isfinite(change.difference.value)
        for d, sign in [(change.difference, -1 if change.name.startswith(FALSELY) else 1)]
    ]
    told = f"{note} Points, to the right is better; intervals of 95 % over {part.units} blocks or scenes."
    return Changes(f"Change on {part.where}", told, changes=changes)


def _points(sign: int, low: float | None, high: float | None) -> tuple[float | None, float | None]:
    if low is None or high is None:
        return None, None
    ends = sorted((sign * 100 * low, sign * 100 * high))
    return ends[0], ends[1]


def _table(part: Judged) -> Section:
    rows = []
    for change in part.changes:
        d = change.difference
        p = "" if d.p is None else f"{d.p:.3f}"
        rows.append([change.name, number(d.first), number(d.second), p, "FAILED: worse" if change.worse else ""])
    return Table(f"Before and after on {part.where}", "", head=["score", "before", "after", "p", ""], rows=rows)


def _frames(shown: Sequence[Shown], label_set: LabelSet, groups: Groups) -> Section:
    note = "Frames of the kept blocks on which the model was worst before."
    shots = [_shot(frame, label_set, groups) for frame in shown]
    return Shots("Worst frames", note, shots=shots, legend=class_legend(label_set))


def _shot(frame: Shown, label_set: LabelSet, groups: Groups) -> Shot:
    images = {name: small(image, sharp=name != "rgb") for name, image in frame.images.items()}
    below = ground(images)
    assert below is not None
    truth = groups.examples[small(frame.truth, sharp=True)]
    pictures = {
        "camera": encode(below),
        "hindsight": encode(colorize(truth, label_set), sharp=True),
        "before": encode(blend(below, small(frame.before, sharp=True), label_set, 0.7)),
        "after": encode(blend(below, small(frame.after, sharp=True), label_set, 0.7)),
    }
    drawn = [Picture(data, f"{name} of frame {frame.stem}", name) for name, data in pictures.items()]
    before, after = (percent(share) for share in frame.wrong)
    return Shot(f"{frame.stem}: {before} of the labelled pixels wrong before, {after} after", drawn)


def _labels(bags: Sequence[Mapping[str, Any]]) -> Section:
    names = list(dict.fromkeys(name for bag in bags for name in bag["shares"]))
    rows = [
        [bag["bag"], str(bag["frames"]), *(percent(bag["shares"].get(name, 0.0)) for name in names), bag["mounting"]]
        for bag in bags
    ]
    note = "Shares of the pixels of all frames; the rest is unlabelled."
    return Table("Labels in hindsight", note, head=["bag", "frames", *names, "mounting"], rows=rows)
