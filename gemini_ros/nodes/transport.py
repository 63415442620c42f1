"""Messages that were sent and never arrived: an estimate from stamps, and what helps."""

from __future__ import annotations

from collections import deque

import numpy as np

#: Where the cure is, for the messages that name it.
PROFILE = "config/fastdds.xml"
#: A longer gap is an interruption of the sender (the mode shows it), not loss on the way.
LONGEST_GAP_NS = 1_000_000_000
_SAMPLES = 100
_ENOUGH = 10
# Stamps are regular where this share of the differences is this near to a whole number of periods.
_REGULAR_SHARE = 0.8
_REGULAR_WITHIN = 0.15


class StampGaps:
    """Counts the periods missing between the stamps of one stream.

    The period is a low quantile of the stamp differences seen: with half of the messages lost the median is already
    two periods. Differences below a millisecond (bursts, duplicates) say nothing, and neither do irregular stamps, as
    a camera driver gives that stamps by its own clock on a busy machine.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._last: int | None = None
        self._differences: deque[int] = deque(maxlen=_SAMPLES)
        self._held: list[int] = []

    @property
    def period_ns(self) -> int | None:
        """The estimated period of the sender, or ``None`` while too few messages have arrived."""
        if len(self._differences) < _ENOUGH:
            return None
        return int(np.quantile(self._differences, 0.1))

    def add(self, stamp_ns: int) -> None:
        """Take the stamp of a message that arrived; one before the last starts over (a bag looped)."""
        last, self._last = self._last, stamp_ns
        if last is None or not 1_000_000 <= stamp_ns - last <= LONGEST_GAP_NS:
            return
        self._differences.append(stamp_ns - last)
        self._held.append(stamp_ns - last)
        period = self.period_ns
        if period is None:
            return
        if self._regular(period):
            self.lost += sum(max(round(difference / period) - 1, 0) for difference in self._held)
        self._held.clear()

    def _regular(self, period_ns: int) -> bool:
        periods = np.array(self._differences) / period_ns
        return bool((np.abs(periods - np.round(periods)) <= _REGULAR_WITHIN).mean() >= _REGULAR_SHARE)


def loss_message(stream: str, lost: int, received: int, transport: str) -> str:
    """One line: how much of a stream is lost on the way, and what helps."""
    share = lost / (lost + received)
    message = f"{stream}: {lost} of {lost + received} images ({share:.0%}) lost in transport: "
    return message + cure(transport)


def cure(transport: str) -> str:
    """What helps against loss on the way."""
    profile = (
        f"start the publisher with FASTRTPS_DEFAULT_PROFILES_FILE set to gemini_ros's {PROFILE} (Kilted and later: "
        "FASTDDS_DEFAULT_PROFILES_FILE)"
    )
    return profile if transport != "raw" else f"{profile}, or set <input>.image_transport to compressed"
