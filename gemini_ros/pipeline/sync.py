"""Time synchronisation of image streams: which RGB image goes with which depth or thermal image.

Pure: no threads, no locks, no clock, no callbacks. The same calls give the same matches, live and offline.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from gemini_ros.core.model_info import MOST_MODALITIES
from gemini_ros.pipeline.presence import POLICIES, Presence
from gemini_ros.pipeline.repeats import Moved, Repeats
from gemini_ros.pipeline.settings import DEFAULTS
from gemini_ros.pipeline.statistics import CAUSES, message_identity
from gemini_ros.pipeline.unpaired import PairWatch, Unpaired
from gemini_ros.pipeline.waiting import Message, Stream, StreamCounts, time_of

__all__ = ["POLICIES", "POLL_NS", "Match", "PairMatcher", "StreamCounts"]

POLL_NS = 50_000_000
"""How often time passes for a matcher, live and offline."""
_BEFORE_ALL, _AFTER_ALL = -(1 << 63), 1 << 63


@dataclass(frozen=True)
class Match:
    """Messages of one instant.

    ``stamp_ns`` is RGB's own stamp, without clock offset, or where RGB is missing that of the image present;
    ``offset_ns`` is the clock offset of the same stream, and ``time_ns`` the stamp on the common clock. ``items`` holds
    what was added, by stream, and ``times_ns`` the stamps of those on the common clock. A ``pair`` has all required
    streams, be they one or four; a ``single`` lacks those in ``missing``, and may still hold two or three.
    """

    stamp_ns: int
    items: Mapping[str, Any]
    kind: Literal["pair", "single"]
    missing: tuple[str, ...] = ()
    offset_ns: int = 0
    times_ns: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def time_ns(self) -> int:
        return self.stamp_ns + self.offset_ns


class PairMatcher:
    """Matches one to four required streams, and extras beside them, by their stamps.

    ``required``: the model's modalities; the reference is ``rgb``, else the first. ``extras`` are attached where one
    lies within ``slop_ns`` and never cause a single. ``offsets_ns`` are added to the stamps of a stream to put it on
    the common clock. ``now_ns`` everywhere is the receiver's clock.

    **Choice.** References are decided in the order of their stamps. Each takes the nearest partner within ``slop_ns``
    (inclusive; of two equally near the earlier), leaving one to the next reference where that is nearer to it; no
    message is used twice, none older than one used before. A reference with a partner at or after it is decided at
    once. With one before it only, it waits for a nearer one while that can still come: until something at or after
    it came, until the rhythm of the partner (the shortest of its last eight intervals) rules it out, and for at most
    twice ``slop_ns``. Likewise it waits with a partner to which, by rhythm, the next reference is due to be nearer.
    Streams are taken to be in order; disorder does no harm before the decision, what comes after it is ``late``.
    References without partner are dropped ``no_partner``. With three or four required streams each but the reference
    is such a partner, chosen by itself; a reference that lacks one is dropped, and what it would have taken stays.

    **Missing.** A required stream without anything usable for ``missing_timeout_ns`` is missing; the images
    of a frozen camera (by ``fingerprint`` and ``moved``, under the rule ``repeated``, see ``Repeats``) and repeated
    stamps are dropped ``duplicate`` and are not usable. The timeout must be
    longer than the period of the slowest stream. ``degrade``: the rest goes out as singles, matched as if it alone were
    required; its reference is its first stream where that of all is missing. ``hold`` and ``stop``: the rest is dropped
    ``no_partner`` (what tells the two apart is up to the caller). A stream is back with the third match in a row of it
    and the rest, each within the timeout of the one before; all is normal with the third pair. The two before it are
    given out when degraded, where references that find no partner meanwhile stay singles, and dropped ``not_ready``
    otherwise.

    **Unpaired.** Where a required stream and the reference come and never match for a second (and three messages of
    each), that stream counts as missing, by the same policy and with the same return; ``unpaired`` has the distance of
    their stamps.

    **Blind.** A required stream that comes and has measured next to nothing for the timeout counts as missing, with the
    same return; its images still go out with their partners where the policy lets them. Where all matches fail
    (``outcome``), all required streams count as missing until the third success; what is given out stays the same.

    **Extras.** The same choice. A match waits for an extra only while that is alive and one in reach is soon due.

    **Time jumps.** A stamp more than ``jump_ns`` before the newest of its stream, or ``now_ns`` a missing timeout
    before an earlier one (by less, it counts as that one), drops all that waits (``time_jump``) and begins anew at
    once, in the mode of before; missing streams stay missing. When the other streams follow, only what they brought
    meanwhile is dropped. Jumps forward need nothing.

    **Bounds.** At most ``queue_size`` messages of each stream wait between calls; when full, the oldest reference
    is settled with what there is, or the oldest message is dropped ``overflow``. Matches come in the order of the
    reference's (or single's) stamp on the common clock, between two time jumps.

    Raises ``ValueError`` for settings without sense, unknown streams and unknown causes.
    """

    def __init__(
        self,
        required: Sequence[str],
        extras: Sequence[str] = (),
        *,
        slop_ns: int = DEFAULTS.slop_ns,
        offsets_ns: Mapping[str, int] = MappingProxyType({}),
        queue_size: int = 10,
        missing_timeout_ns: int = DEFAULTS.missing_timeout_ns,
        policy: str = DEFAULTS.missing_policy,
        repeated: str = DEFAULTS.repeated,
        moved: Moved = lambda *_: None,
        jump_ns: int = 1_000_000_000,
    ) -> None:
        names = (*required, *extras)
        if not 1 <= len(required) <= MOST_MODALITIES or len(set(names)) != len(names):
            raise ValueError(
                f"streams {names}: expected 1 to {MOST_MODALITIES} required ones, then extras, each named once"
            )
        if unknown := set(offsets_ns) - set(names):
            raise ValueError(f"offset of {', '.join(sorted(unknown))}: expected streams among {', '.join(names)}")
        if queue_size < 1 or jump_ns <= 0:
            raise ValueError(f"queue size {queue_size}, jump {jump_ns} ns: expected at least 1, and a positive jump")
        self._streams = {name: Stream(name, int(offsets_ns.get(name, 0)), Repeats(repeated, moved)) for name in names}
        self._required = [self._streams[name] for name in required]
        self._extras = [self._streams[name] for name in extras]
        self._reference = self._streams["rgb" if "rgb" in required else required[0]]
        self._partners = [stream for stream in self._required if stream is not self._reference]
        self._order = (self._reference, *self._partners)  # in which a stream leads where those before it are missing
        self._watched = self._reference  # against which the others are held
        self._presence = Presence(required, missing_timeout_ns, policy)
        self._watches = {name: PairWatch() for name in names}
        self.unpaired_ever: dict[str, Unpaired] = {}
        """The latest of each stream that did not pair, to the end of the run."""
        self._queue_size, self._jump_ns = queue_size, jump_ns
        self.reconfigure(slop_ns=slop_ns, missing_timeout_ns=missing_timeout_ns, policy=policy)
        self._now_ns = _BEFORE_ALL
        self._emitted_ns: int | None = None
        self._epoch = 0

    def reconfigure(self, *, slop_ns: int, missing_timeout_ns: int, policy: str) -> None:
        """Change what may change between two calls; counts and what waits stay. Raises ``ValueError``."""
        if slop_ns < 0:
            raise ValueError(f"slop {slop_ns} ns, expected at least 0")
        self._presence.reconfigure(missing_timeout_ns, policy)
        self._slop_ns, self._timeout_ns = slop_ns, missing_timeout_ns

    @property
    def mode(self) -> str:
        """``waiting`` (not all required streams came yet), ``normal``, or the policy and what is missing:
        ``degrade:depth``, ``hold:rgb``, ``stop:rgb+depth``."""
        return self._presence.mode

    @property
    def failing(self) -> bool:
        """Whether matches are tried and none becomes labels; the mode names all required streams then."""
        return self._presence.failing

    @property
    def mode_changes(self) -> deque[tuple[int, str]]:
        """The latest 1024 changes of the mode as (``now_ns``, mode)."""
        return self._presence.changes

    @property
    def time_jumps(self) -> int:
        """How often time began anew."""
        return self._epoch

    @property
    def counts(self) -> dict[str, StreamCounts]:
        """What became of the messages of each stream, as of now."""
        return {name: stream.counts() for name, stream in self._streams.items()}

    @property
    def buffered(self) -> dict[str, int]:
        """How many messages of each stream wait."""
        return {name: len(stream.waiting) for name, stream in self._streams.items()}

    @property
    def unpaired(self) -> dict[str, Unpaired]:
        """The streams that come and do not match the reference, or the first that comes where it is missing."""
        found = {}
        for name, watch in self._watches.items():
            lasting_ns = watch.lasting_ns(self._now_ns)
            if lasting_ns and watch.nearest_ns is not None:
                offset_ns = self._streams[name].offset_ns
                found[name] = Unpaired(name, self._watched.name, lasting_ns, watch.nearest_ns, self._slop_ns, offset_ns)
        return found

    def check_identities(self) -> list[str]:
        """A sentence for each stream whose messages do not add up; empty when all do."""
        return [
            sentence
            for name, stream in self._streams.items()
            for sentence in message_identity(name, stream.counts(), len(stream.waiting))
        ]

    def add(
        self,
        stream: str,
        stamp_ns: int,
        item: Any,
        now_ns: int,
        fingerprint: int | None = None,
        measured: bool = True,
    ) -> list[Match]:
        """Take a message; returns the matches settled by it, or by the time that passed, in order.

        ``measured``: whether it shows more than next to nothing, see ``Presence``.
        """
        source = self._stream(stream)
        matches = self.poll(now_ns)
        time_ns = stamp_ns + source.offset_ns
        source.received += 1
        if source.newest_ns is not None and time_ns < source.newest_ns - self._jump_ns:
            self._jump_back(source)
        cause = source.refusal(time_ns, fingerprint)
        if source is self._reference and cause is None and not self._in_order(time_ns):
            cause = "late"
        if cause != "duplicate":  # even what is late shows that the stream lives
            self._presence.note(stream, now_ns, measured)
            self._measure(source, time_ns)
        if cause:
            source.dropped[cause] += 1
        else:
            source.insert(Message(stamp_ns, time_ns, item, now_ns))
        self._advance(matches)
        self._make_room(source, matches)
        return matches

    def poll(self, now_ns: int) -> list[Match]:
        """Let time pass; returns the matches that need not wait any longer.

        Call it every few hundredths of a second: it is what notices that everything has stopped.
        """
        if now_ns <= self._now_ns - self._timeout_ns:
            self._restart(now_ns)
        self._now_ns = max(now_ns, self._now_ns)
        matches: list[Match] = []
        self._advance(matches)
        return matches

    def outcome(self, labelled: bool) -> None:
        """A match became labels, or failed; from any thread."""
        self._presence.outcome(labelled)

    def drop(self, stream: str, cause: str, now_ns: int) -> None:
        """Count a message that came but cannot be used (it did not decode, say). It is no sign of life."""
        source = self._stream(stream)
        _check_cause(cause)
        source.received += 1
        source.dropped[cause] += 1
        if cause != "not_ready":  # nothing is missing yet that nobody could have used
            self._presence.expect(stream, now_ns)

    def finish(self, cause: str = "shutdown") -> list[Match]:
        """Nothing more will come: give out what is complete without waiting, and drop the rest."""
        matches: list[Match] = []
        while self._settle_oldest(matches, give_up=cause):
            pass
        self.flush(cause)
        return matches

    def flush(self, cause: str = "shutdown") -> None:
        """Drop all that waits; for the end of a recording see ``finish``."""
        _check_cause(cause)
        for stream in self._streams.values():
            stream.drop_all(cause)

    def _stream(self, name: str) -> Stream:
        if name not in self._streams:
            raise ValueError(f"stream {name!r}, expected one of {', '.join(self._streams)}")
        return self._streams[name]

    def _in_order(self, time_ns: int) -> bool:
        return self._emitted_ns is None or time_ns > self._emitted_ns

    # Time jumps

    def _restart(self, now_ns: int) -> None:
        self._epoch += 1
        self._emitted_ns = None
        self._presence.restart(self._now_ns, now_ns)
        self._now_ns = now_ns
        for watch in self._watches.values():
            watch.begin()
        for stream in self._streams.values():
            stream.restart()

    def _jump_back(self, source: Stream) -> None:
        """The stamps of ``source`` jumped back, as the first of all, or after another or the clock did."""
        if source.epoch == self._epoch:
            self._restart(self._now_ns)
        else:
            source.restart()
        source.epoch = self._epoch

    def _of_another_epoch(self, ahead_ns: int, lead: Stream) -> bool:
        """Whether a message that far after the head of ``lead`` is left over from before a time jump.

        Not where ``lead`` itself went on to there: then the head has a bad stamp, or all jumped forward.
        """
        return ahead_ns > self._jump_ns >= lead.waiting[-1].time_ns - lead.waiting[0].time_ns

    # Streams that do not pair

    def _measure(self, source: Stream, time_ns: int) -> None:
        """How far a message that came is from the nearest of the other streams."""
        self._follow_reference()
        if source is not self._watched:
            to_reference_ns = self._watched.distance_ns(time_ns, self._jump_ns)
            difference_ns = None if to_reference_ns is None else -to_reference_ns
            self._watches[source.name].note(False, difference_ns, self._now_ns)
            return
        for name, watch in self._watches.items():
            if name != source.name:
                watch.note(True, self._streams[name].distance_ns(time_ns, self._jump_ns), self._now_ns)

    def _follow_reference(self) -> None:
        """Hold the streams against another where the one of before is gone."""
        if self._watched is self._reference and self._presence.alive(self._reference.name, self._now_ns):
            return
        for watched in self._order:
            if self._presence.alive(watched.name, self._now_ns):
                break
        else:
            watched = self._reference
        if watched is not self._watched:
            self._watched = watched
            for watch in self._watches.values():
                watch.begin()

    # Matching

    def _advance(self, matches: list[Match]) -> None:
        self._follow_reference()
        living = self._presence.alive(self._watched.name, self._now_ns)
        lasting_ns = 0
        for name, watch in self._watches.items():
            if not watch.began:
                continue
            if living and self._presence.alive(name, self._now_ns):
                lasting_ns = lasting_ns or watch.lasting_ns(self._now_ns)
            else:
                watch.begin()
        unpaired = self.unpaired if lasting_ns else {}
        self.unpaired_ever.update(unpaired)
        self._presence.watch(self._now_ns, unpaired)
        while self._settle_oldest(matches):
            pass

    def _make_room(self, source: Stream, matches: list[Match]) -> None:
        while len(source.waiting) > self._queue_size:
            in_vain = source in self._extras or (len(self._partners) > 1 and self._out_of_reach(source))
            if in_vain or not self._settle_oldest(matches, give_up="overflow"):
                self._part_with_oldest(source, "overflow", matches)

    def _out_of_reach(self, source: Stream) -> bool:
        """Whether one of several partners is full of what nobody waits for; it must not end the wait for the others."""
        lead = next(stream for stream in self._order if stream.waiting)
        return abs(source.waiting[0].time_ns - lead.waiting[0].time_ns) > self._slop_ns

    def _settle_oldest(self, matches: list[Match], give_up: str = "") -> bool:
        """Decide on the oldest reference, or where that is missing on the oldest of the first stream that is not.

        False if there is none, or if waiting may still do it good. With a cause to ``give_up`` under, nothing waits.
        """
        place = 0
        while not self._order[place].waiting:
            if not self._presence.missing(self._order[place].name, self._now_ns) or place + 1 == len(self._order):
                return False
            place += 1
        lead, hurry = self._order[place], bool(give_up)
        head = lead.waiting[0]
        end_ns = head.time_ns - self._slop_ns
        for stream in self._streams.values():
            while stream.waiting and stream.waiting[0].time_ns < end_ns:
                if not hurry and len(self._partners) > 1 and self._awaits_rest(stream, end_ns):
                    break
                self._part_with_oldest(stream, "no_partner", matches, end_ns)

        chosen = {lead: head}
        for partner in self._order[place + 1 :]:
            found, settled = self._nearest(partner, lead, hurry)
            if not settled:
                return False
            if found:
                chosen[partner] = found
        if len(chosen) < len(self._required) and not self._presence.admits(self._required_in(chosen)):
            self._note_match(chosen)
            lead.drop(give_up or "no_partner")
            return True
        for extra in self._extras:
            found, settled = self._nearest(extra, lead, hurry)
            if not settled:
                return False
            if found:
                chosen[extra] = found
        self._release(chosen, matches)
        return True

    def _nearest(self, stream: Stream, lead: Stream, hurry: bool) -> tuple[Message | None, bool]:
        """The message of ``stream`` that goes with the oldest of ``lead``, and whether nothing can change that."""
        head, waiting = lead.waiting[0], stream.waiting
        at = bisect_right(waiting, head.time_ns, key=time_of)
        before = waiting[at - 1] if at else None
        after = waiting[at] if at < len(waiting) else None
        behind_ns = head.time_ns - before.time_ns if before else self._slop_ns + 1
        ahead_ns = after.time_ns - head.time_ns if after else self._slop_ns + 1
        if after and ahead_ns <= self._slop_ns and ahead_ns < behind_ns:
            if self._rival_takes(lead, stream, at):
                return before, True
            # What follows the head by less than twice the distance is nearer to `after` than the head is.
            due = 0 < lead.shortest_ns < 2 * ahead_ns and len(lead.waiting) == 1
            return after, hurry or not due or self._waited(head, after)
        if hurry or not self._presence.alive(stream.name, self._now_ns):
            return before, True
        if after and not self._of_another_epoch(ahead_ns, lead):
            return before, True
        if before:
            due = stream.shortest_ns < 2 * behind_ns
            return before, not due or self._waited(head, before)
        return None, not self._is_waited_for(stream) and not self._due_in_reach(stream, head)

    def _is_waited_for(self, stream: Stream) -> bool:
        """Whether a stream is, until it says what it has: of several partners one that is absent is not."""
        if stream not in self._partners:
            return False
        return len(self._partners) < 2 or stream.name not in self._presence.absent

    def _rival_takes(self, lead: Stream, stream: Stream, at: int) -> bool:
        """Whether the reference after the head is nearer to message ``at`` of ``stream``, and to none after that."""
        if len(lead.waiting) < 2:
            return False
        rival_ns, wanted_ns = lead.waiting[1].time_ns, stream.waiting[at].time_ns
        distance_ns = abs(rival_ns - wanted_ns)
        if distance_ns >= wanted_ns - lead.waiting[0].time_ns:
            return False
        return at + 1 == len(stream.waiting) or abs(rival_ns - stream.waiting[at + 1].time_ns) > distance_ns

    def _due_in_reach(self, stream: Stream, head: Message) -> bool:
        """Whether, by its rhythm, a stream may soon bring something within the slop of the head."""
        if stream.latest_ns is None:
            return True
        behind_ns = head.time_ns - stream.latest_ns
        return stream.shortest_ns - self._slop_ns <= behind_ns < self._timeout_ns

    def _waited(self, one: Message, other: Message) -> bool:
        # What is nearer to one than the other, within the slop, follows its predecessor by less than twice the slop.
        return self._now_ns - max(one.received_ns, other.received_ns) >= 2 * self._slop_ns

    def _part_with_oldest(self, stream: Stream, cause: str, matches: list[Match], end_ns: int = _AFTER_ALL) -> None:
        """Let the oldest message of a stream go, which finds no partner: out as a single, or dropped.

        What goes out with it is older than ``end_ns``.
        """
        if single := self._single_of(stream, end_ns):
            self._release(single, matches)
        else:
            stream.drop(cause)

    def _single_of(self, lead: Stream, end_ns: int) -> dict[Stream, Message]:
        """The oldest of ``lead`` with the rest of what is not absent; empty where that does not go out."""
        if lead.name in self._presence.absent:
            return {}
        rest = self._rest()
        if not rest or rest[0] is not lead:
            return {}
        chosen = {lead: lead.waiting[0]}
        for stream in rest[1:]:
            found, _ = self._nearest(stream, lead, hurry=True)
            if not found or found.time_ns >= end_ns:
                return {}
            chosen[stream] = found
        return chosen

    def _rest(self) -> list[Stream]:
        """The required streams that make singles without the absent ones, the one that leads them first."""
        if not self._presence.singles:
            return []
        return [stream for stream in self._order if stream.name not in self._presence.absent]

    def _awaits_rest(self, stream: Stream, end_ns: int) -> bool:
        """Whether the oldest of a stream, older than ``end_ns``, may yet become part of a single of several."""
        rest = self._rest()
        if stream not in rest or len(rest) < 2 or rest[0] is self._reference:
            return False
        lead = rest[0]
        if stream is lead:
            return not all(self._nearest(other, lead, hurry=False)[1] for other in rest[1:])
        if lead.waiting and lead.waiting[0].time_ns < end_ns:
            return True
        yet_to_come = lead.latest_ns is None or lead.latest_ns < stream.waiting[0].time_ns
        return yet_to_come and self._presence.alive(lead.name, self._now_ns)

    def _release(self, chosen: dict[Stream, Message], matches: list[Match]) -> None:
        first_ns = min(message.time_ns for message in chosen.values())
        for stream, message in chosen.items():
            while stream.waiting[0] is not message:
                self._part_with_oldest(stream, "no_partner", matches, first_ns)
        if self._note_match(chosen):
            self._emit(chosen, matches)
        else:
            for stream in self._required:
                stream.drop("not_ready")

    def _required_in(self, chosen: Mapping[Stream, Message]) -> tuple[str, ...]:
        return tuple([stream.name for stream in self._required if stream in chosen])

    def _note_match(self, chosen: Mapping[Stream, Message]) -> bool:
        """Streams matched; whether they go out, be it that not all are there or that all are back."""
        if len(chosen) > 1:
            for stream in chosen:
                self._watches[stream.name].begin()
        return not self._presence.absent or self._presence.matched(self._required_in(chosen), self._now_ns)

    def _emit(self, chosen: dict[Stream, Message], matches: list[Match]) -> None:
        """Give out a match; the first of ``chosen`` leads. A single overtaken by a newer pair is late."""
        lead, head = next(iter(chosen.items()))
        if not self._in_order(head.time_ns):
            lead.drop("late")
            return
        missing = tuple(stream.name for stream in self._required if stream not in chosen)
        for stream in chosen:
            stream.take()
            stream.epoch = self._epoch
            if missing:
                stream.singles += 1
            else:
                stream.in_pairs += 1
        self._emitted_ns = head.time_ns
        items = MappingProxyType({stream.name: message.item for stream, message in chosen.items()})
        times_ns = MappingProxyType({stream.name: message.time_ns for stream, message in chosen.items()})
        kind = "single" if missing else "pair"
        matches.append(Match(head.stamp_ns, items, kind, missing, lead.offset_ns, times_ns))


def _check_cause(cause: str) -> None:
    if cause not in CAUSES:
        raise ValueError(f"cause {cause!r}, expected one of {', '.join(CAUSES)}")
