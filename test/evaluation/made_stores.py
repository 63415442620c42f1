"""Stores of made-up bags, for tests of what reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.evaluation.store import FORMAT, STORE, BagRecord, write_store
from gemini_ros.pipeline.statistics import STAGES

NAMES = ("floor", "wall", "person")
START_NS = 1_700_000_000_000_000_000
PIXELS = 1000


def label_set(names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    classes = [
        {
            "id": i,
            "name": name,
            "color": [40 * i, 40, 90],
            "nav": "lethal" if i else "free",
            "cost": 0,
            "dynamic": False,
        }
        for i, name in enumerate(names)
    ]
    return {"name": "made", "source": "test", "ignore_index": 255, "classes": classes}


def made_bag(
    name: str, right: float | npt.ArrayLike, *, frames: int = 8, sha256: str = "", drift: float = 0.0, first: int = 0
) -> BagRecord:
    """A bag at 2 Hz in which the share ``right`` of each class is labelled so, ``drift`` less in the dark.

    ``right`` may be one for each frame; ``first``: how many frames before these are not there.
    """
    rights = np.broadcast_to(np.asarray(right), frames)
    record = BagRecord(name)
    record.add("bags", sha256 or f"sum of {name}", START_NS, 1_000_000_000, "{}", "{}", None)
    for i in range(frames):
        stamp, seconds, dark = START_NS + (first + i) * 500_000_000, 0.5 * (first + i), i < frames // 2
        place = ("odom", 900, 700, 60, "", 0.0, 0.0, 0.0)
        record.add("frames", i, stamp, stamp, seconds, "cam", "normal", "rgb+depth", 0, 0.8, 400, 20 + i, *place)
        record.add("conditions", i, "light", "dark" if dark else "day")
        record.add("conditions", i, "streams", "rgb+depth")
        confusion = confusion_of(rights[i] + (-drift if dark else drift))
        for truth, predicted in np.argwhere(confusion):
            shown = 255 if predicted == len(NAMES) else int(predicted)
            record.add("confusion", i, int(truth), shown, int(confusion[truth, predicted]))
        for label, pixels in enumerate(confusion.sum(axis=0)):
            record.add("pixels", i, 255 if label == len(NAMES) else label, int(pixels))
        hits = int(np.trace(confusion))
        record.add("calibration", i, 11, int(confusion.sum()), hits, int(confusion.sum()) * 200)
        for confidence in (0.5, 0.8, 0.95):
            record.add("floor", i, confidence, 2 * PIXELS, int(confusion[1:, 0].sum()))
        record.add("times", i, *(1_000_000 * (k + 1) for k, _ in enumerate(STAGES)))
    return record


def confusion_of(right: float) -> np.ndarray:
    """int64 (n, n + 1): what is not right is the next class."""
    found = np.zeros((len(NAMES), len(NAMES) + 1), np.int64)
    hits = round(PIXELS * right)
    for i in range(len(NAMES)):
        found[i, i] = hits
        found[i, (i + 1) % len(NAMES)] = PIXELS - hits
    return found


def made_store(folder: Path, bags: list[BagRecord], run: Mapping[str, Any] | None = None) -> Path:
    """A folder with a store of ``bags``."""
    values = {
        "format": str(FORMAT),
        "version": "0",
        "model": folder.name,
        "model_sha256": "0",
        "label_set": json.dumps(label_set()),
        "parameters": "{}",
        "truth_map": "null",
        "conditions": "[]",
        "topics": "{}",
        "backend": "onnxruntime",
        "threads": "1",
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_store(folder / STORE, values | dict(run or {}), bags)
    return folder
