"""Time synchronisation of image streams: which RGB image goes with which depth or thermal image.

Pure: no threads, no locks, no clock, no callbacks. The same calls give the same matches, live and offline.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from gemini_ros.core.statistics import CAUSES, message_identity
from gemini_ros.core.stream import Message, Stream, StreamCounts, time_of

__all__ = ["POLICIES", "Match", "PairMatcher", "StreamCounts"]

POLICIES = ("degrade", "hold", "stop")
RETURN_PAIRS = 3
_MODE_CHANGES_KEPT = 1024


@dataclass(frozen=True)
class Match:
    """Messages of one instant. ``stamp_ns`` is RGB's own stamp, without clock offset, or where RGB is missing that of
    the image present. ``items`` holds what was added, by stream. A ``pair`` has all required streams, a ``single``
    lacks those in ``missing``."""

    stamp_ns: int
    items: Mapping[str, Any]
    kind: Literal["pair", "single"]
    missing: tuple[str, ...] = field(default=())


class PairMatcher:
    """Matches one or two required streams, and extras beside them, by their stamps.

    ``required``: the model's modalities; the reference is ``rgb``, else the first. ``extras`` are attached where one
    lies within ``slop_ns`` and never cause a single. ``offsets_ns`` are added to the stamps of a stream to put it on
    the common clock. ``now_ns`` everywhere is the receiver's clock.

    **Choice.** References are decided in the order of their stamps. Each takes the nearest partner within ``slop_ns``
    (inclusive; of two equally near the earlier), leaving one to the next reference where that is nearer to it; no
    message is used twice, none older than one used before. A reference with a partner at or after it is decided at
    once. With one before it only, it waits for a nearer one while that can still come: until something at or after
    it came, until the rhythm of the partner (the shortest of its last eight intervals) rules it out, and for at most
    ``slop_ns``. Likewise it waits with a partner to which, by rhythm, the next reference is due to be nearer. Streams
    are taken to be in order; disorder does no harm before the decision, what comes after it is ``late``. References
    without partner are dropped ``no_partner``.

    **Missing.** A required stream without anything usable for ``missing_timeout_ns`` is missing; repeated content
    (same ``fingerprint``) and repeated stamps are dropped ``duplicate`` and are not usable. The timeout must be
    longer than the period of the slowest stream. ``degrade``: messages of the other go out at once as singles; ``hold``
    and ``stop``: they are dropped ``no_partner`` (what the two do beyond that is the caller's). All is normal again
    with the third pair in a row, each within the timeout of the one before; the two before it are given out when
    degraded, where references that find no partner stay singles, and dropped ``not_ready`` otherwise.

    **Extras.** The same choice. A match waits for an extra only while that is alive and one that would be taken is due.

    **Time jumps.** A stamp more than ``jump_ns`` before the newest of its stream, or ``now_ns`` before the last one,
    drops all that waits (``time_jump``) and begins anew at once, in the mode of before; missing streams stay missing.

    **Bounds.** At most ``queue_size`` messages of each stream wait between calls; when full, the oldest reference
    is settled with what there is, or the oldest message is dropped ``overflow``. Matches come in the order of the
    reference's (or single's) stamp on the common clock, within one epoch.

    Raises ``ValueError`` for settings without sense, unknown streams and unknown causes.
    """

    def __init__(
        self,
        required: Sequence[str],
        extras: Sequence[str] = (),
        *,
        slop_ns: int = 20_000_000,
        offsets_ns: Mapping[str, int] = MappingProxyType({}),
        queue_size: int = 10,
        missing_timeout_ns: int = 500_000_000,
        policy: str = "degrade",
        jump_ns: int = 1_000_000_000,
    ) -> None:
        names = (*required, *extras)
        if not 1 <= len(required) <= 2 or len(set(names)) != len(names):
            raise ValueError(f"streams {names}: expected one or two required ones and extras, each named once")
        if unknown := set(offsets_ns) - set(names):
            raise ValueError(f"offset of {', '.join(sorted(unknown))}: expected streams among {', '.join(names)}")
        if policy not in POLICIES:
            raise ValueError(f"missing policy {policy!r}, expected one of {', '.join(POLICIES)}")
        if slop_ns < 0 or queue_size < 1 or missing_timeout_ns <= 0 or jump_ns <= 0:
            raise ValueError(
                f"slop_ns {slop_ns}, queue_size {queue_size}, missing_timeout_ns {missing_timeout_ns}, jump_ns "
                f"{jump_ns}: expected a slop of at least 0, a queue of at least 1, the others positive"
            )
        self._streams = {name: Stream(name, int(offsets_ns.get(name, 0))) for name in names}
        first = "rgb" if "rgb" in required else required[0]
        self._reference = self._streams[first]
        self._partner = next((self._streams[name] for name in required if name != first), None)
        self._required = [self._streams[name] for name in required]
        self._extras = [self._streams[name] for name in extras]
        self._slop_ns, self._queue_size, self._policy = slop_ns, queue_size, policy
        self._timeout_ns, self._jump_ns = missing_timeout_ns, jump_ns
        self._now_ns: int | None = None
        self._emitted_ns: int | None = None
        self._absent: tuple[str, ...] = ()
        self._pairs_in_a_row = 0
        self._last_pair_ns = 0
        self._mode = "waiting"
        self.mode_changes: deque[tuple[int, str]] = deque(maxlen=_MODE_CHANGES_KEPT)
        """The latest 1024 changes as (``now_ns``, mode)."""

    @property
    def mode(self) -> str:
        """``waiting`` (not all required streams came yet), ``normal``, or the policy and what is missing:
        ``degrade:depth``, ``hold:rgb``, ``stop:rgb+depth``."""
        return self._mode

    @property
    def counts(self) -> dict[str, StreamCounts]:
        """What became of the messages of each stream, as of now."""
        return {name: stream.counts() for name, stream in self._streams.items()}

    @property
    def buffered(self) -> dict[str, int]:
        """How many messages of each stream wait."""
        return {name: len(stream.waiting) for name, stream in self._streams.items()}

    def check_identities(self) -> list[str]:
        """A sentence for each stream whose messages do not add up; empty when all do."""
        return [
            sentence
            for name, stream in self._streams.items()
            for sentence in message_identity(name, stream.counts(), len(stream.waiting))
        ]

    def add(
        self, stream: str, stamp_ns: int, item: Any, now_ns: int, fingerprint: int | None = None
    ) -> list[Match]:
        """Take a message; returns the matches that are settled by it, or by the time, in order."""
        source = self._stream(stream)
        matches = self.poll(now_ns)
        time_ns = stamp_ns + source.offset_ns
        source.received += 1
        if source.newest_ns is not None and time_ns < source.newest_ns - self._jump_ns:
            self._restart(now_ns)
        cause = source.refusal(time_ns, fingerprint)
        if cause is None and source is self._reference and self._emitted_ns is not None and time_ns <= self._emitted_ns:
            cause = "late"
        if cause != "duplicate":  # what is late has come all the same
            self._note_life(source, now_ns)
        if cause:
            source.dropped[cause] += 1
        else:
            source.insert(Message(stamp_ns, time_ns, item, now_ns))
        self._watch(now_ns)
        self._advance(now_ns, matches)
        self._make_room(source, now_ns, matches)
        return matches

    def poll(self, now_ns: int) -> list[Match]:
        """Let time pass; returns the matches that need not wait any longer. Call it every few hundredths of a second:
        it is what notices that everything has stopped."""
        if self._now_ns is not None and now_ns < self._now_ns:
            self._restart(now_ns)
        self._now_ns = now_ns
        matches: list[Match] = []
        self._watch(now_ns)
        self._advance(now_ns, matches)
        return matches

    def drop(self, stream: str, cause: str, now_ns: int) -> None:
        """Count a message that came but cannot be used (it did not decode, say). It is no sign of life."""
        if cause not in CAUSES:
            raise ValueError(f"cause {cause!r}, expected one of {', '.join(CAUSES)}")
        source = self._stream(stream)
        source.received += 1
        source.dropped[cause] += 1

    def flush(self, cause: str = "shutdown") -> None:
        """Drop all that waits. ``poll`` beforehand, ``slop_ns`` after the last message, lets out what is complete."""
        if cause not in CAUSES:
            raise ValueError(f"cause {cause!r}, expected one of {', '.join(CAUSES)}")
        for stream in self._streams.values():
            while stream.waiting:
                stream.drop(cause)

    # -- life and modes

    def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            raise ValueError(f"stream {name!r}, expected one of {', '.join(self._streams)}")
        return self._streams[name]

    def _note_life(self, source: Stream, now_ns: int) -> None:
        source.seen = True
        source.deadline_ns = now_ns + self._timeout_ns
        for stream in self._required:  # the first message of one starts the clock of the other
            if stream.deadline_ns is None and source in self._required:
                stream.deadline_ns = now_ns + self._timeout_ns

    def _watch(self, now_ns: int) -> None:
        dead = tuple(s.name for s in self._required if s.deadline_ns is not None and now_ns >= s.deadline_ns)
        if dead and dead != self._absent:
            self._absent = dead
            self._pairs_in_a_row = 0
        self._update_mode(now_ns)

    def _update_mode(self, now_ns: int) -> None:
        if self._absent:
            mode = f"{self._policy}:{'+'.join(self._absent)}"
        else:
            mode = "normal" if all(stream.seen for stream in self._required) else "waiting"
        if mode != self._mode:
            self._mode = mode
            self.mode_changes.append((now_ns, mode))

    def _restart(self, now_ns: int) -> None:
        self.flush("time_jump")
        for stream in self._streams.values():
            stream.forget()
            if stream.deadline_ns is not None:  # the silence of what was alive begins anew, what was missing still is
                was_alive = self._now_ns is not None and stream.alive(self._now_ns)
                stream.deadline_ns = now_ns + (self._timeout_ns if was_alive else 0)
        self._emitted_ns = None
        self._pairs_in_a_row = 0

    # -- matching

    def _advance(self, now_ns: int, matches: list[Match]) -> None:
        while self._settle_oldest(now_ns, matches):
            pass

    def _make_room(self, source: Stream, now_ns: int, matches: list[Match]) -> None:
        while len(source.waiting) > self._queue_size:
            if source in self._extras or not self._reference.waiting:
                self._orphan(source, "overflow", matches)
            else:
                self._settle_oldest(now_ns, matches, hurry=True)

    def _settle_oldest(self, now_ns: int, matches: list[Match], hurry: bool = False) -> bool:
        """Decide on the oldest reference, or single where the reference is missing; False if there is none, or if it
        had better wait and there is no ``hurry``."""
        lead = self._reference
        dead = lead.deadline_ns is not None and now_ns >= lead.deadline_ns
        if not lead.waiting and self._partner and dead:
            lead = self._partner
        if not lead.waiting:
            return False
        head = lead.waiting[0]
        cause = "overflow" if hurry else "no_partner"
        hurry = hurry or (dead and lead is self._reference)
        others = [s for s in self._streams.values() if s is not lead]
        self._forget_older(others, head.time_ns - self._slop_ns, matches)

        chosen = {lead: head}
        if lead is self._reference and self._partner:
            partner, settled = self._nearest(self._partner, lead, now_ns, hurry)
            if not settled:
                return False
            if partner:
                chosen[self._partner] = partner
        complete = len(chosen) == len(self._required)
        if not complete and not self._goes_single(lead):
            lead.drop(cause)
            return True
        for extra in self._extras:
            found, settled = self._nearest(extra, lead, now_ns, hurry)
            if not settled:
                return False
            if found:
                chosen[extra] = found
        self._release(lead, chosen, now_ns, matches)
        return True

    def _nearest(self, stream: Stream, lead: Stream, now_ns: int, hurry: bool) -> tuple[Message | None, bool]:
        """The message of ``stream`` that goes with the oldest of ``lead``, and whether this is final."""
        head, waiting = lead.waiting[0], stream.waiting
        at = bisect_right(waiting, head.time_ns, key=time_of)
        before = waiting[at - 1] if at else None
        after = waiting[at] if at < len(waiting) and waiting[at].time_ns - head.time_ns <= self._slop_ns else None
        if after and (not before or after.time_ns - head.time_ns < head.time_ns - before.time_ns):
            gap = 2 * (after.time_ns - head.time_ns)  # a reference that follows within it is nearer to `after`
            if len(lead.waiting) > 1:
                rival = lead.waiting[1].time_ns
                beyond = waiting[at + 1].time_ns if at + 1 < len(waiting) else None
                content = beyond is not None and abs(beyond - rival) <= abs(after.time_ns - rival)
                return (before if rival - head.time_ns < gap and not content else after), True
            due = 0 < lead.shortest_ns < gap
            return after, hurry or not due or self._waited(head, after, now_ns)
        if at < len(waiting) or hurry or not stream.alive(now_ns):
            return before, True
        if before:
            due = stream.shortest_ns < 2 * (head.time_ns - before.time_ns)
            return before, not due or self._waited(head, before, now_ns)
        # A required partner is waited for until its stream is missing, an extra only if its rhythm lets one be due.
        due = stream is self._partner or not stream.shortest_ns or stream.latest_ns is None
        return None, not (due or stream.latest_ns + stream.shortest_ns <= head.time_ns + self._slop_ns)

    def _waited(self, one: Message, other: Message, now_ns: int) -> bool:
        return now_ns - max(one.received_ns, other.received_ns) >= self._slop_ns

    def _goes_single(self, stream: Stream) -> bool:
        return (
            self._policy == "degrade"
            and bool(self._absent)
            and stream in self._required
            and stream.name not in self._absent
        )

    def _forget_older(self, streams: Iterable[Stream], time_ns: int, matches: list[Match]) -> None:
        for stream in streams:
            while stream.waiting and stream.waiting[0].time_ns < time_ns:
                self._orphan(stream, "no_partner", matches)

    def _orphan(self, stream: Stream, cause: str, matches: list[Match]) -> None:
        """Part with the oldest message of a stream, which will find no partner."""
        if self._goes_single(stream):
            self._emit({stream: stream.waiting[0]}, stream, matches)
        else:
            stream.drop(cause)

    def _release(self, lead: Stream, chosen: dict[Stream, Message], now_ns: int, matches: list[Match]) -> None:
        for stream, message in chosen.items():
            while stream.waiting[0] is not message:
                self._orphan(stream, "no_partner", matches)
        complete = all(stream in chosen for stream in self._required)
        if complete and self._absent and not self._may_go_out(now_ns):
            for stream in self._required:
                stream.drop("not_ready")
            return
        self._emit(chosen, lead, matches)

    def _may_go_out(self, now_ns: int) -> bool:
        """Count a pair on the way back to normal; whether it is given out."""
        if all(stream.alive(now_ns) for stream in self._required):
            in_a_row = now_ns - self._last_pair_ns < self._timeout_ns
            self._pairs_in_a_row = self._pairs_in_a_row + 1 if in_a_row else 1
            self._last_pair_ns = now_ns
            if self._pairs_in_a_row >= RETURN_PAIRS:
                self._absent = ()
                self._update_mode(now_ns)
        return not self._absent or self._policy == "degrade"

    def _emit(self, chosen: dict[Stream, Message], lead: Stream, matches: list[Match]) -> None:
        head = chosen[lead]
        missing = tuple(stream.name for stream in self._required if stream not in chosen)
        if self._emitted_ns is not None and head.time_ns <= self._emitted_ns:
            lead.drop("late")  # a single overtaken by a pair whose reference is newer
            return
        for stream in chosen:
            stream.take()
            if missing:
                stream.singles += 1
            else:
                stream.in_pairs += 1
        self._emitted_ns = head.time_ns
        items = MappingProxyType({stream.name: message.item for stream, message in chosen.items()})
        matches.append(Match(head.stamp_ns, items, "single" if missing else "pair", missing))
