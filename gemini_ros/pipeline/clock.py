"""When something happened: on the node's clock, which may be set, simulated or stopped, and on a steady one."""

from __future__ import annotations

from typing import NamedTuple


class Instant(NamedTuple):
    """One moment in nanoseconds: ``clock_ns`` on the node's clock, ``steady_ns`` on a clock that nobody sets.

    Under simulated time, and in a bag, there is no second clock that counts: both are the first.
    """

    clock_ns: int
    steady_ns: int

    @classmethod
    def of(cls, clock_ns: int) -> Instant:
        """The moment where there is one clock only."""
        return cls(clock_ns, clock_ns)


class Seen(NamedTuple):
    """When the images of a frame were taken and when they came.

    ``stamp_ns`` is the stamp in their headers; ``time_ns`` the same on the node's clock, with the stream's clock
    offset; ``receipt`` is that of the image that came first.
    """

    stamp_ns: int
    time_ns: int
    receipt: Instant

    @classmethod
    def of(cls, stamp_ns: int) -> Seen:
        """A frame that came when it was taken, stamped with the node's clock."""
        return cls(stamp_ns, stamp_ns, Instant.of(stamp_ns))
