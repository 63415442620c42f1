"""Completed depth of a bag against measured pixels that are held out, beside cheap ways to fill holes.

No truth is needed. Of a frame, measured depth is taken away where its own holes are when they are mirrored left to
right, and in spots over a tenth of the image; each way fills these holes from the rest. Training cuts holes of another
kind (``core/depth_holes.py``). What is drawn by chance depends on bag and stamp alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core import infilling
from gemini_ros.core.corruptions import spots
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.image_scores import ANY, depth_counts
from gemini_ros.evaluation.store import BagRecord, Store
from gemini_ros.pipeline.translations import DEPTH_COMPLETED, Translations

KEY, TABLE = "completed_depth", "completed"
NETWORK = "network"
APART_S = 1.0
"""Frames that are scored are at least this far apart."""
_SPOT, _HELD_OUT = 1 / 12, 0.1
_LEAST_MEASURED = 0.01

_Way = Callable[[Frame], npt.NDArray[np.float32]]
_RIVALS: Mapping[str, _Way] = {
    **{way: lambda frame, fill=fill: fill(_depth(frame)) for way, fill in infilling.FILLS.items()},
    "joint bilateral": lambda frame: infilling.joint_bilateral(_depth(frame), np.asarray(frame.rgb)),
}


class CompletionRecorder:
    """Scores some frames of a bag; nothing where no model completes depth."""

    def __init__(self, record: BagRecord, translations: Translations, bag_sha256: str) -> None:
        self._record, self._translations, self._sha256 = record, translations, bag_sha256
        self._last_ns: int | None = None

    def add(self, number: int, frame: Frame, segmentation: Segmentation) -> None:
        """Score frame ``number``, unless one of the last second was."""
        if DEPTH_COMPLETED not in self._translations.paths or frame.depth is None:
            return
        if self._last_ns is not None and 0 <= frame.stamp_ns - self._last_ns < APART_S * 1e9:
            return
        held = held_out(frame.depth, self._sha256, frame.stamp_ns)
        seen = np.where(held, np.float32(np.nan), frame.depth)
        if np.isfinite(seen).mean() < _LEAST_MEASURED or not held.any():
            return
        cut = dataclasses.replace(frame, depth=seen)
        made = self._translations.completed(cut, segmentation)
        if made is None:
            return
        self._last_ns = frame.stamp_ns
        for least, counts in depth_counts(made.depth, made.confidence / 255, frame.depth, seen).items():
            self._record.add(TABLE, number, NETWORK, least, *counts)
        for way, fill in _RIVALS.items():
            if way != "joint bilateral" or frame.rgb is not None:
                counts = depth_counts(fill(cut), np.ones(seen.shape), frame.depth, seen)[ANY]
                self._record.add(TABLE, number, way, ANY, *counts)


def held_out(depth: npt.NDArray[np.float32], bag_sha256: str, stamp_ns: int) -> npt.NDArray[np.bool_]:
    """Which measured pixels of a frame are taken away, bool (H, W)."""
    seed = hashlib.sha256(f"{bag_sha256} {stamp_ns} held out".encode()).digest()[:16]
    rng = np.random.default_rng(int.from_bytes(seed, "big"))
    measured = np.isfinite(depth)
    chance = spots(depth.shape, max(2, round(_SPOT * depth.shape[1])), rng) < _HELD_OUT
    return measured & (~measured[:, ::-1] | chance)


def completion_of(store: Store) -> dict[str, Any] | None:
    """The scores over all bags as JSON can hold them; ``None`` where nothing was scored.

    Of each way ``abs_error_m`` over the held-out pixels, and by least confidence the ``coverage`` of these and the
    error there.
    """
    rows = store.rows(TABLE, "bag, frame, way, least, pixels, kept, off")
    if not rows:
        return None
    sums: dict[str, dict[float, list[float]]] = {}
    for _, _, way, least, *counts in rows:
        into = sums.setdefault(way, {}).setdefault(least, [0.0, 0.0, 0.0])
        for i, value in enumerate(counts):
            into[i] += value
    ways = {way: _scores(found) for way, found in sorted(sums.items(), key=lambda item: item[0] != NETWORK)}
    pixels = int(sums[NETWORK][ANY][0])
    return {"frames": len({row[:2] for row in rows}), "held_out_pixels": pixels, "ways": ways}


def lines(data: Mapping[str, Any]) -> list[str]:
    """``completed_depth`` of ``results.json`` in words."""
    frames = f"{data['frames']} frame" + "s" * (data["frames"] != 1)
    found = [f"completed depth, on {data['held_out_pixels']} held-out pixels of {frames}"]
    for way, each in data["ways"].items():
        sure = "".join(
            f", {100 * at['coverage']:.0f} % covered at {least} with {_metres(at['abs_error_m'])}"
            for least, at in each["by_confidence"].items()
        )
        found.append(f"{way:16s} error {_metres(each['abs_error_m'])}{sure}")
    return found


def _metres(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} m"


def _depth(frame: Frame) -> npt.NDArray[np.float32]:
    assert frame.depth is not None
    return frame.depth


def _scores(found: Mapping[float, list[float]]) -> dict[str, Any]:
    by = {}
    for least, (pixels, kept, off) in sorted(found.items()):
        by[least] = {"coverage": kept / pixels if pixels else None, "abs_error_m": off / kept if kept else None}
    return {**by.pop(ANY), "by_confidence": {f"{least:g}": each for least, each in by.items()}}
