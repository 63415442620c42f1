"""Forgetting is asymmetric: ground has to be seen again soon, an obstacle out of sight stays.

Ground expires ``decay_s`` after it was last measured, an obstacle ``memory_s`` after it was last hit, unless rays
contradict it before. Where the robot has stood or driven is free for ``memory_s``. The whole map is unknown
``timeout_s`` after the last evidence. Evidence has two ages, and counts while both are short enough: by its stamp on
the node's clock, and by its receipt on a steady clock, which nobody sets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.grid import AHEAD_NS

NEVER = -1
_FIRST_SIZE = 1024


class Ages(NamedTuple):
    """One moment on two clocks, in nanoseconds: that of the stamps, and the steady one of receipts."""

    stamp_ns: int
    received_ns: int


def is_fresh(seen: Ages, now: Ages, for_s: float) -> bool:
    """Whether evidence of ``seen`` counts for ``for_s`` at ``now``: by neither clock too old, or ahead."""
    return all(-AHEAD_NS <= at - was <= for_s * 1e9 for at, was in zip(now, seen, strict=True))


class FrameTimes:
    """When the frames were seen that cells remember by their number: a cell needs one number and no times.

    Numbers grow and are never used again.
    """

    def __init__(self) -> None:
        self._times = np.zeros((2, _FIRST_SIZE), np.int64)
        self._first = self._count = 0

    def add(self, seen: Ages, keep_s: float) -> int:
        """The number of the next frame; frames older than ``keep_s`` make room for new ones."""
        if self._count == self._times.shape[1]:
            self._make_room(seen, keep_s)
        self._times[:, self._count] = seen
        self._count += 1
        return self._first + self._count - 1

    def fresh(self, numbers: npt.NDArray[np.int32], now: Ages, for_s: float) -> npt.NDArray[np.bool_]:
        """Where the frames ``numbers`` (any shape) count for ``for_s`` at ``now``; NEVER does not."""
        ages = np.array(now)[:, None] - self._times[:, : self._count]
        counts = ((ages <= for_s * 1e9) & (ages >= -AHEAD_NS)).all(0)
        which = np.flatnonzero(counts)
        if not len(which):
            return np.zeros(numbers.shape, bool)
        first, last = int(which[0]), int(which[-1])
        if last - first + 1 == len(which):  # as long as no clock jumps
            fresh = numbers >= np.int32(self._first + first)
            return fresh if last == self._count - 1 else fresh & (numbers <= np.int32(self._first + last))
        # What is forgotten, and NEVER, is at place 0.
        return np.append(False, counts).take(numbers - np.int32(self._first - 1), mode="clip")

    def _make_room(self, seen: Ages, keep_s: float) -> None:
        needed = (np.array(seen)[:, None] - self._times <= keep_s * 1e9).all(0)
        gone = int(np.argmax(needed)) if needed.any() else self._count
        kept = self._times[:, gone : self._count]
        size = self._times.shape[1] * (2 if kept.shape[1] > self._times.shape[1] // 2 else 1)
        self._times = np.zeros((2, size), np.int64)
        self._times[:, : kept.shape[1]] = kept
        self._first += gone
        self._count = kept.shape[1]
