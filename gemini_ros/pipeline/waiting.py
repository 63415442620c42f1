"""One stream of stamped messages inside a matcher: what waits, its rhythm, and what became of the rest."""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from gemini_ros.pipeline.repeats import Repeats

# The shortest of this many intervals in a row is taken for a bound of the next; before, anything may come any time.
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

    def __init__(self, name: str, offset_ns: int, repeats: Repeats) -> None:
        self.name = name
        self.offset_ns = offset_ns
        self.epoch = 0  # of the matcher's epochs of stamps, the latest this stream is known to have reached
        self.waiting: list[Message] = []
        self.received = 0
        self.in_pairs = 0
        self.singles = 0
        self.dropped: Counter[str] = Counter()
        self._repeats = repeats
        self._forget()

    def _forget(self) -> None:
        self.newest_ns: int | None = None  # of all stamps
        self.latest_ns: int | None = None  # of all stamps that were accepted
        self.gone_ns: int | None = None  # newest that left; nothing older is taken any more
        self.shortest_ns = 0  # interval; 0 until the rhythm is known
        self._intervals: deque[int] = deque(maxlen=_RHYTHM)

    def restart(self) -> None:
        """Drop all that waits as ``time_jump`` and forget all earlier stamps and contents."""
        self.drop_all("time_jump")
        self._forget()
        self._repeats.forget()

    def refusal(self, time_ns: int, fingerprint: int | None) -> str | None:
        """The cause for which a message that came cannot be used, or None; remembers stamp and content."""
        if self.newest_ns is None or time_ns > self.newest_ns:
            self.newest_ns = time_ns
        elif time_ns in (self.newest_ns, self.gone_ns) or any(m.time_ns == time_ns for m in self.waiting):
            return "duplicate"
        if fingerprint is not None and self._repeats.frozen(fingerprint, time_ns):
            return "duplicate"
        return "late" if self.gone_ns is not None and time_ns < self.gone_ns else None

    def insert(self, message: Message) -> None:
        """Put an accepted message among the waiting; those in order also tell the rhythm."""
        if self.latest_ns is not None and message.time_ns < self.latest_ns:
            insort(self.waiting, message, key=time_of)
            return
        if self.latest_ns is not None:
            self._intervals.append(message.time_ns - self.latest_ns)
            if len(self._intervals) == _RHYTHM:
                self.shortest_ns = min(self._intervals)
        self.latest_ns = message.time_ns
        self.waiting.append(message)

    def distance_ns(self, time_ns: int, far_ns: int) -> int | None:
        """From ``time_ns`` to the nearest message still known; to the newest where that is beyond ``far_ns``."""
        known = [t for t in (self.gone_ns, self.latest_ns, *(m.time_ns for m in self.waiting)) if t is not None]
        if not known:
            return None
        nearest_ns = min((t - time_ns for t in known), key=abs)
        return nearest_ns if abs(nearest_ns) <= far_ns else known[-1] - time_ns

    def take(self) -> Message:
        """Remove the oldest waiting message."""
        message = self.waiting.pop(0)
        self.gone_ns = message.time_ns
        return message

    def drop(self, cause: str) -> None:
        """Remove the oldest waiting message under a cause."""
        self.take()
        self.dropped[cause] += 1

    def drop_all(self, cause: str) -> None:
        """Remove every waiting message under a cause."""
        while self.waiting:
            self.drop(cause)

    def counts(self) -> StreamCounts:
        """The counts as of now."""
        return StreamCounts(self.received, self.in_pairs, self.singles, MappingProxyType(dict(self.dropped)))
