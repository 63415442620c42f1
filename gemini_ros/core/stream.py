"""One stream of stamped messages inside a matcher: what waits, its rhythm, whether it lives, and its counts."""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

# As many intervals in a row say what the shortest to come will be; before, anything may come at any time.
_RHYTHM = 8


@dataclass(frozen=True)
class StreamCounts:
    """What became of the messages of one stream: received = in_pairs + singles + dropped + those still waiting."""

    received: int = 0
    in_pairs: int = 0
    singles: int = 0
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


class Message(NamedTuple):
    """A message that waits: ``time_ns`` is its stamp on the common clock, ``received_ns`` the receiver's time."""

    stamp_ns: int
    time_ns: int
    item: Any
    received_ns: int


time_of = attrgetter("time_ns")


class Stream:
    """The waiting messages of one stream in the order of their stamps, and what is remembered of those gone."""

    def __init__(self, name: str, offset_ns: int) -> None:
        self.name = name
        self.offset_ns = offset_ns
        self.waiting: list[Message] = []
        self.seen = False
        self.deadline_ns: int | None = None  # receiver's time from which it counts as missing; None: not yet expected
        self.received = 0
        self.in_pairs = 0
        self.singles = 0
        self.dropped: Counter[str] = Counter()
        self.forget()

    def forget(self) -> None:
        """Start a new epoch of stamps; waiting messages must have been taken before."""
        self.newest_ns: int | None = None  # of all stamps
        self.latest_ns: int | None = None  # of all accepted stamps
        self.gone_ns: int | None = None  # newest that left; nothing older is taken any more
        self.shortest_ns = 0  # of the last intervals; 0 until the rhythm is known
        self._intervals: deque[int] = deque(maxlen=_RHYTHM)
        self._fingerprint: int | None = None

    def refusal(self, time_ns: int, fingerprint: int | None) -> str | None:
        """The cause for which a message that came cannot be used, or None; remembers stamp and content."""
        newest = self.newest_ns
        if newest is not None and time_ns <= newest:
            if time_ns in (newest, self.gone_ns) or any(m.time_ns == time_ns for m in self.waiting):
                return "duplicate"
        else:
            self.newest_ns = time_ns
        if fingerprint is not None:
            if fingerprint == self._fingerprint:
                return "duplicate"
            self._fingerprint = fingerprint
        return "late" if self.gone_ns is not None and time_ns < self.gone_ns else None

    def insert(self, message: Message) -> None:
        """Put an accepted message among the waiting; in-order ones also tell the rhythm."""
        if self.latest_ns is None or message.time_ns > self.latest_ns:
            if self.latest_ns is not None:
                self._intervals.append(message.time_ns - self.latest_ns)
                if len(self._intervals) == _RHYTHM:
                    self.shortest_ns = min(self._intervals)
            self.latest_ns = message.time_ns
            self.waiting.append(message)
        else:
            insort(self.waiting, message, key=time_of)

    def take(self) -> Message:
        """Remove the oldest waiting message."""
        message = self.waiting.pop(0)
        self.gone_ns = message.time_ns
        return message

    def drop(self, cause: str) -> None:
        """Remove the oldest waiting message under a cause."""
        self.take()
        self.dropped[cause] += 1

    def alive(self, now_ns: int) -> bool:
        """Whether it sent something usable recently enough that more may be expected."""
        return self.deadline_ns is not None and now_ns < self.deadline_ns

    def counts(self) -> StreamCounts:
        """The counts as of now."""
        dropped = MappingProxyType({cause: n for cause, n in self.dropped.items() if n})
        return StreamCounts(self.received, self.in_pairs, self.singles, dropped)
