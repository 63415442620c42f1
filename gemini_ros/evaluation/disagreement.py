"""Where two models disagree on the same frames, with or without truth: class shares, label images and map cells."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.evaluation.outputs import topic_of
from gemini_ros.evaluation.store import STORE, Store

CELLS = ("unknown", "free", "caution", "lethal")
_MOST_FRAMES = 50
_DIGITS = 6


@dataclass(frozen=True)
class Pair:
    """One bag as two evaluations saw it: under its name in each, and the stamps of the frames that both have."""

    first: str
    second: str
    stamps: frozenset[int]


@dataclass
class Disagreement:
    """What is counted over frames. ``pixels`` int64 (n + 1, n + 1) by the class of either, the last one unlabelled;
    ``cells`` int64 (4, 4) by ``CELLS``; ``shares`` (2, n + 1), the pixels of each class, from the stores alone.

    ``frames`` has bag, stamp and the differing share of each frame; ``bags`` the shares of a bag; ``lacking`` the bags
    without label images or maps; ``notes`` say what could not be compared.
    """

    pixels: npt.NDArray[np.int64]
    shares: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(CELLS), len(CELLS)), np.int64))
    frames: list[tuple[str, int, float]] = field(default_factory=list)
    bags: dict[str, float] = field(default_factory=dict)
    lacking: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """What JSON can hold; ``None`` for what could not be compared."""
        names = (*names, "unlabelled")
        shares = self.shares / np.maximum(self.shares.sum(1, keepdims=True), 1)
        worst = sorted(self.frames, key=lambda frame: (-frame[2], frame[:2]))[:_MOST_FRAMES]
        return {
            "pixels": _table(self.pixels, names),
            "cells": _table(self.cells, CELLS),
            "classes": {
                name: {"a": round(a, _DIGITS), "b": round(b, _DIGITS)}
                for name, a, b in zip(names, *shares.tolist(), strict=True)
                if a or b
            },
            "frames": [
                {"bag": bag, "stamp_ns": stamp, "differing": round(share, _DIGITS)} for bag, stamp, share in worst
            ],
            "notes": self.notes,
        }


def disagreement(first: Store, second: Store, pairs: Sequence[Pair], n_classes: int) -> Disagreement:
    """Compare the frames of ``pairs`` pixel by pixel and cell by cell, as far as the outputs were kept.

    They lie beside the store, as ``evaluate --write labels,costmap`` leaves them. Without label images, the share of a
    frame's pixels that must differ follows from how many each class has.
    """
    found = Disagreement(np.zeros((n_classes + 1, n_classes + 1), np.int64), np.zeros((2, n_classes + 1), np.int64))
    for pair in pairs:
        classes = [
            _class_pixels(store, bag, pair.stamps, n_classes)
            for store, bag in ((first, pair.first), (second, pair.second))
        ]
        for row, of_frames in zip(found.shares, classes, strict=True):
            row += np.sum(list(of_frames.values()), axis=0, dtype=np.int64)
        paths = [outputs_of(store.path, bag) for store, bag in ((first, pair.first), (second, pair.second))]
        differing = _differing(found, pair, paths[0], paths[1]) if paths[0] and paths[1] else None
        if differing is None:
            found.lacking.setdefault("label images", []).append(pair.first)
            differing = {
                stamp: (0.5 * np.abs(classes[0][stamp] - classes[1][stamp]).sum(), classes[0][stamp].sum())
                for stamp in sorted(classes[0].keys() & classes[1].keys())
            }
        found.frames += [(pair.first, stamp, part / whole) for stamp, (part, whole) in differing.items() if whole]
        if whole := sum(count for _, count in differing.values()):
            found.bags[pair.first] = sum(part for part, _ in differing.values()) / whole
    for what, bags in found.lacking.items():
        least = ", their frames differ at least as much as the shares of the classes" if what != "maps" else ""
        found.notes.append(
            f"no {what} of {len(bags)} of {len(pairs)} bags, such as {bags[0]}{least}: evaluate both with --write "
            "labels,costmap"
        )
    return found


def outputs_of(store: Path, bag: str) -> Path | None:
    """The outputs of a bag beside the store that has it: in the bag's folder, or with one bag in that of the store."""
    name = f"{bag.rpartition('/')[2]}.outputs.mcap"
    folder = store.parent if store.name == STORE else store.with_suffix("")
    return next((path for path in (folder / bag / name, folder / name) if path.is_file()), None)


def _differing(found: Disagreement, pair: Pair, first: Path, second: Path) -> dict[int, tuple[float, int]] | None:
    """Add what two bags of outputs say; how many pixels of each frame differ, of how many."""
    topic, differing = topic_of("labels"), {}
    try:
        with BagReader(first) as reader, BagReader(second) as other:
            if topic not in reader.topics or topic not in other.topics:
                return None
            images, others = LabelImages(reader, topic), LabelImages(other, topic)
            for stamp in sorted(pair.stamps & images.keys() & others.keys()):
                a, b = images[stamp], others[stamp]
                if a.shape != b.shape:
                    raise ValueError(f"labels at stamp {stamp} ns: {a.shape} and {b.shape}, expected one size")
                differing[stamp] = int((a != b).sum()), a.size
                _count(found.pixels, a, b)
            _count_cells(found, pair, reader, other)
    except (BagError, OSError) as error:
        found.notes.append(f"{pair.first}: {error}")
        return None
    return differing


def _count_cells(found: Disagreement, pair: Pair, first: BagReader, second: BagReader) -> None:
    topic = topic_of("costmap")
    if topic not in first.topics or topic not in second.topics:
        found.lacking.setdefault("maps", []).append(pair.first)
        return
    maps, other_places = _maps(first, pair.stamps), 0
    for stamp, (place, data) in _maps(second, pair.stamps).items():
        if stamp not in maps:
            continue
        if maps[stamp][0] != place:
            other_places += 1
            continue
        a, b = (np.frombuffer(zlib.decompress(packed), np.uint8) for packed in (maps[stamp][1], data))
        _count(found.cells, a, b)
    if other_places:
        found.notes.append(f"{pair.first}: maps that lie in another place or have another size: {other_places}")


def _maps(reader: BagReader, stamps: frozenset[int]) -> dict[int, tuple[tuple[float, ...], bytes]]:
    """Where the map of each stamp lies, and its cells by ``CELLS``, compressed."""
    found = {}
    for stored in reader.messages([topic_of("costmap")]):
        message = reader.deserialize(stored)
        if (stamp := stamp_ns(message)) in stamps:
            info, data = message.info, np.asarray(message.data, np.int8)
            place = info.width, info.height, info.resolution, info.origin.position.x, info.origin.position.y
            states = np.select([data < 0, data == 0, data < 100], [0, 1, 2], 3).astype(np.uint8)
            found[stamp] = place, zlib.compress(states.tobytes(), 1)
    return found


def _count(table: npt.NDArray[np.int64], first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> None:
    """Add the pairs of values of two arrays to a square table; what is beyond it counts in its last row and column."""
    n = len(table)
    keys = np.minimum(first, n - 1).astype(np.int64) * n + np.minimum(second, n - 1)
    table += np.bincount(keys.ravel(), minlength=n * n).reshape(n, n)


def _class_pixels(store: Store, bag: str, stamps: frozenset[int], n_classes: int) -> dict[int, npt.NDArray[np.int64]]:
    """How many pixels (n + 1,) of each class the frames have, by their stamps."""
    of_frame = dict(store.rows("frames", "frame, stamp_ns", "bag = ?", [bag]))
    found: dict[int, npt.NDArray[np.int64]] = {}
    for frame, label, pixels in store.rows("pixels", "frame, class, pixels", "bag = ?", [bag]):
        if (stamp := of_frame[frame]) in stamps:
            counts = found.setdefault(stamp, np.zeros(n_classes + 1, np.int64))
            counts[n_classes if label == UNLABELLED else label] += pixels
    return found


def _table(counts: npt.NDArray[np.int64], names: Sequence[str]) -> Mapping[str, Any] | None:
    """How much was compared, how much differs, and the pairs that differ, the most frequent first."""
    if not counts.any():
        return None
    pairs = sorted(((-int(counts[i, j]), int(i), int(j)) for i, j in np.argwhere(counts) if i != j))
    return {
        "compared": int(counts.sum()),
        "differing": int(counts.sum() - np.trace(counts)),
        "pairs": [{"a": names[i], "b": names[j], "count": -count} for count, i, j in pairs],
    }
