"""Streams that live and never pair: for how long, how far apart their stamps are, and what to set."""

from __future__ import annotations

from dataclasses import dataclass

from gemini_ros.pipeline.settings import MAX_OFFSET_S, MAX_SLOP_S

UNPAIRED_NS = 1_000_000_000
"""Two streams that come without a pair for this long do not pair."""
_MESSAGES = 3  # of each, so that slow cameras have had their chance


@dataclass(frozen=True)
class Unpaired:
    """``stream`` and ``reference`` came for ``lasting_ns`` without a pair.

    ``nearest_ns``: the smallest difference of their stamps (stream - reference, with the clock offsets) on receipt.
    """

    stream: str
    reference: str
    lasting_ns: int
    nearest_ns: int
    slop_ns: int
    offset_ns: int

    def __str__(self) -> str:
        nearest_s, slop_s = abs(self.nearest_ns) / 1e9, self.slop_ns / 1e9
        order = "after" if self.nearest_ns > 0 else "before"
        return (
            f"{self.reference} and {self.stream} have not paired for {self.lasting_ns / 1e9:.1f} s: the nearest stamps "
            f"are {1000 * nearest_s:.4g} ms apart ({self.stream} {order} {self.reference}), sync.slop_s allows "
            f"{1000 * slop_s:g} ms: {self._cure(nearest_s, slop_s)}"
        )

    def _cure(self, nearest_s: float, slop_s: float) -> str:
        if nearest_s <= slop_s:
            return "messages come too late; publish each stream in the order of its stamps"
        offset_s = (self.offset_ns - self.nearest_ns) / 1e9
        cures = []
        if nearest_s < MAX_SLOP_S:
            cures.append(f"set sync.slop_s above {nearest_s:.3g} if the cameras trigger at different times")
        if abs(offset_s) <= MAX_OFFSET_S:
            cures.append(f"set sync.offset_s.{self.stream} to {offset_s:.3g} if their clocks differ")
        return ", or ".join(cures) or "synchronise the clocks of the two cameras"


class PairWatch:
    """Notices that a stream and the reference both come and never pair."""

    def __init__(self) -> None:
        self.begin()

    @property
    def began(self) -> bool:
        """Whether anything came since ``begin``."""
        return self._since_ns is not None

    def begin(self) -> None:
        """They paired, or one of them is gone, or time began anew."""
        self.nearest_ns: int | None = None
        self._since_ns: int | None = None
        self._came = {True: 0, False: 0}

    def note(self, of_reference: bool, difference_ns: int | None, now_ns: int) -> None:
        """A message of either came; ``difference_ns`` is stream - reference, ``None`` where the other never came."""
        if self._since_ns is None:
            self._since_ns = now_ns
        self._came[of_reference] += 1
        if difference_ns is not None and (self.nearest_ns is None or abs(difference_ns) < abs(self.nearest_ns)):
            self.nearest_ns = difference_ns

    def lasting_ns(self, now_ns: int) -> int:
        """For how long they have not paired; 0 while that says nothing yet."""
        if self._since_ns is None or now_ns - self._since_ns < UNPAIRED_NS or min(self._came.values()) < _MESSAGES:
            return 0
        return now_ns - self._since_ns
