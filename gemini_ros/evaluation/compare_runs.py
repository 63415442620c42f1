"""Two runs of ``gemini-ros train test`` beside each other, image by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.core.documents import read_json, read_npz
from gemini_ros.core.intervals import FEWEST
from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.evaluation.compare import FORMAT, Comparison
from gemini_ros.evaluation.differences import compared, scored
from gemini_ros.evaluation.rules import Rule, judged, overall, require_rules
from gemini_ros.evaluation.scores import TallyForm, Values

_MAIN = "frames.npz"


def is_run(folder: str | Path) -> bool:
    """Whether a folder has what ``train test`` leaves."""
    return (Path(folder) / _MAIN).is_file()


def compare_runs(
    first: str | Path, second: str | Path, rules: Sequence[Rule] = (), names: tuple[str, str] | None = None
) -> Comparison:
    """Compare the confusion matrices of the same images, complete, in both runs.

    ``merged`` has the scores of coarser classes, where both runs counted them. Raises ``ValueError``, with the lists,
    where the classes or the images differ.
    """
    folders = Path(first), Path(second)
    form, units = _read(*folders, _MAIN)
    require_rules(rules, form.score_names)
    every = compared(*units, form)
    verdicts = judged(rules, every)
    merged: dict[str, Any] = {}
    for path in sorted(folders[0].glob("frames_*.npz")):
        if (folders[1] / path.name).is_file():
            coarse, counts = _read(*folders, path.name)
            merged[path.stem.removeprefix("frames_")] = _known(scored(compared(*counts, coarse)))
    count = len(units[0])
    data = {
        "format": FORMAT,
        **{side: {"name": name} for side, name in zip("ab", names or map(str, folders), strict=True)},
        "units": f"exact sign-flip over {count} images" if count >= FEWEST else f"none: {count} images",
        "not_used": {},
        "frames": {"both": count, "only_a": 0, "only_b": 0, "scored": count},
        "scores": _known(scored(every)),
        "merged": merged,
        "bags": {},
        "conditions": {},
        "disagreement": {"pixels": None, "cells": None, "classes": {}, "frames": [], "notes": []},
        "fail_if": verdicts,
        "verdict": overall(verdicts),
    }
    return Comparison(data, {"latency_ms": {}})


def _read(first: Path, second: Path, name: str) -> tuple[TallyForm, tuple[Values, Values]]:
    """The tallies (n, k) of the images in both runs."""
    classes = [
        _classes(folder / name.replace("frames", "scores").replace(".npz", ".json")) for folder in (first, second)
    ]
    if classes[0] != classes[1]:
        lists = "; ".join(
            f"{folder} has {', '.join(own)}" for folder, own in zip((first, second), classes, strict=True)
        )
        raise ValueError(f"the classes differ: {lists}: scores of other classes cannot be compared")
    form = TallyForm(classes[0])
    counts = [_counts(folder / name, len(form.names)) for folder in (first, second)]
    if counts[0].shape != counts[1].shape or not np.array_equal(counts[0].sum(2), counts[1].sum(2)):
        raise ValueError(
            f"{first / name}: {len(counts[0])} images, {second / name}: {len(counts[1])}, expected the same images in "
            "one order, with the same truth"
        )
    found = [np.zeros((len(each), form.size)) for each in counts]
    for tallies, each in zip(found, counts, strict=True):
        tallies[:, form.at["confusion"]] = each.reshape(len(each), -1)
    return form, (found[0], found[1])


def _classes(path: Path) -> tuple[str, ...]:
    data = read_json(path)
    try:
        return tuple(str(name) for name in data["complete"]["all"]["iou"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected the scores of `gemini-ros train test`") from error


def _counts(path: Path, n: int) -> np.ndarray:
    counts = read_npz(path).get("counts")
    if counts is None or counts.ndim != 3 or counts.shape[1:] != (n, n + 1):
        found = "no counts" if counts is None else f"counts {counts.shape}"
        raise ValueError(f"{path}: {found}, expected (images, {n}, {n + 1})")
    for each in counts:
        ConfusionMatrix.from_counts(each)
    return counts


def _known(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores that a confusion matrix alone tells."""
    told = ("miou", "pixel_accuracy", "mean_accuracy")
    return {name: found for name, found in scores.items() if name in told or name.startswith("iou.")}
