"""What a pipeline counts and measures: causes, match counters with their identities, latencies per stage."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

CAUSES = (
    "no_partner",
    "duplicate",
    "late",
    "overflow",
    "time_jump",
    "invalid",
    "unusable",
    "wrong_size",
    "wrong_frame",
    "not_ready",
    "replaced",
    "failed",
    "shutdown",
)
"""Every message or match that does not reach an inference is counted under exactly one of these."""

STAGES = ("sync", "queue", "registration", "preprocess", "network", "postprocess", "costmap", "publish", "total")
"""Where the time of a frame goes, in the order it passes them; ``total`` is from receipt to the last publication."""

_MATCH_CAUSES = ("replaced", "failed", "not_ready", "invalid", "wrong_size", "shutdown")
# 2**_PRECISION buckets per power of two: a value is known to 1 part in 128, its bucket's middle to 1 in 256.
_PRECISION = 7
_LONGEST = (1 << 62) - 1
_FAULTS_KEPT = 100
_STEPS, _STEP_S = 3, 0.9  # reports that come once a second come a little early now and then


class _MessageCounts(Protocol):
    @property
    def received(self) -> int: ...
    @property
    def in_pairs(self) -> int: ...
    @property
    def singles(self) -> int: ...
    @property
    def dropped(self) -> Mapping[str, int]: ...


@dataclass
class Counters:
    """What became of every match the synchroniser gave out, counted once each.

    ``pairs`` and ``singles`` are counted when the matcher emits; each such match then ends in exactly one of
    ``inferences`` or the causes: ``replaced`` by a newer one in the slot, ``failed`` in the segmenter, ``not_ready``
    while the model loads, ``invalid`` or ``wrong_size`` when its images make no frame, ``shutdown`` left over at the
    end. Pairs a matcher withholds itself (policies hold and stop) were never emitted: they are in its stream counts.

    Not locked: let each field have one writing thread.
    """

    pairs: int = 0
    singles: int = 0
    inferences: int = 0
    replaced: int = 0
    failed: int = 0
    not_ready: int = 0
    invalid: int = 0
    wrong_size: int = 0
    shutdown: int = 0
    labels_published: int = 0
    costmaps_published: int = 0

    @property
    def dropped_pairs(self) -> dict[str, int]:
        """Matches that reached no inference, by cause; causes that did not occur are left out."""
        return {cause: n for cause in _MATCH_CAUSES if (n := getattr(self, cause))}

    def drop(self, cause: str) -> None:
        """Count a match that reaches no inference. Raises ``ValueError`` for a cause of messages alone."""
        if cause not in _MATCH_CAUSES:
            raise ValueError(f"cause {cause!r}, expected one of {', '.join(_MATCH_CAUSES)}")
        setattr(self, cause, getattr(self, cause) + 1)

    def identities(self, stream_counts: Mapping[str, _MessageCounts] | None = None) -> list[str]:
        """The broken identities as sentences; empty when every message and match is accounted for.

        Holds only once the pipeline is at rest: matcher flushed, slot closed, worker joined.
        """
        broken = []
        matches, ended = self.pairs + self.singles, self.inferences + sum(self.dropped_pairs.values())
        if matches != ended:
            broken.append(
                f"pairs {self.pairs} + singles {self.singles} = {matches}, but inferences {self.inferences} + dropped "
                f"{self.dropped_pairs} = {ended}"
            )
        if self.labels_published != self.inferences:
            broken.append(f"labels_published {self.labels_published}, but inferences {self.inferences}")
        for name, counts in (stream_counts or {}).items():
            broken += message_identity(name, counts)
            for kind, of_stream, of_all in (
                ("pairs", counts.in_pairs, self.pairs),
                ("singles", counts.singles, self.singles),
            ):
                if of_stream > of_all:
                    broken.append(f"{name}: in {of_stream} {kind}, but only {of_all} {kind} were counted")
        return broken


def message_identity(name: str, counts: _MessageCounts, waiting: int = 0) -> list[str]:
    """Whether ``received`` = in pairs + singles + dropped + ``waiting`` of a stream: a sentence if not."""
    ended = counts.in_pairs + counts.singles + sum(counts.dropped.values())
    if counts.received == ended + waiting:
        return []
    return [
        f"{name}: received {counts.received}, but in_pairs {counts.in_pairs} + singles {counts.singles} + dropped "
        f"{dict(counts.dropped)} + waiting {waiting} = {ended + waiting}"
    ]


class FaultCounts(Counter[str]):
    """How often each sentence came. Sentences with figures in them have no end: the first hundred are kept."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, str] = {}

    def note(self, fault: str, kind: str = "") -> None:
        """Count a sentence, unless it is a new one beyond the hundredth.

        Those of one ``kind``, which differ in their figures, count as the first of them.
        """
        if kind:
            fault = self._first.setdefault(kind, fault)
        if fault in self or len(self) < _FAULTS_KEPT:
            self[fault] += 1


class StageTimer:
    """Nanoseconds one frame spends in each stage: ``with timer.stage("costmap"): ...``; times of a stage add up."""

    def __init__(self) -> None:
        self.timings_ns: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.monotonic_ns()
        try:
            yield
        finally:
            self.add(name, time.monotonic_ns() - start)

    def add(self, name: str, duration_ns: int) -> None:
        """Add a duration measured elsewhere, e.g. a segmenter's own ``network``."""
        self.timings_ns[name] = self.timings_ns.get(name, 0) + duration_ns


@dataclass
class Histogram:
    """Counts of durations in logarithmic buckets: 58 kB for ever, whatever is recorded."""

    buckets: np.ndarray = field(default_factory=lambda: np.zeros((64 - _PRECISION) << _PRECISION, np.int64))
    count: int = 0

    def record(self, value: int) -> None:
        """Count a duration; a negative one (clocks stepped) counts as zero."""
        value = min(max(int(value), 0), _LONGEST)
        shift = max(value.bit_length() - _PRECISION - 1, 0)
        # value >> shift is in [128, 256) once shift > 0, so successive shifts continue where the last one ended
        self.buckets[(shift << _PRECISION) + (value >> shift)] += 1
        self.count += 1

    def since(self, earlier: Histogram) -> Histogram:
        """What was recorded after ``earlier``, a copy of this histogram, was taken."""
        buckets = self.buckets - earlier.buckets
        return Histogram(buckets, int(buckets.sum()))

    def quantile(self, q: float) -> float:
        """The nearest rank's duration within 0.4 %, exact below 256; at least one must have been recorded."""
        rank = min(max(int(np.ceil(q * self.count)), 1), self.count)
        index = int(np.searchsorted(np.cumsum(self.buckets), rank))
        shift = max((index >> _PRECISION) - 1, 0)
        return ((index - (shift << _PRECISION)) + 0.5 * (shift > 0)) * 2.0**shift


class Rates(NamedTuple):
    """Per second: what the slowest camera brings, frames offered to the network, and frames that it finishes."""

    brought: float
    offered: float
    segmented: float


class Speed:
    """The ``Rates`` over three steps of a second, between one step before and one after.

    Where one of the five brought no frame, a run starts or ends: some are shorter than they seem, which says nothing of
    the network. Nothing counts as brought or offered then.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, tuple[int, ...]]] = deque(maxlen=_STEPS + 3)

    def begin(self) -> None:
        """Forget what was noted."""
        self._seen.clear()

    def note(self, now_s: float, counters: Counters, received: Sequence[int], least_hz: float) -> Rates | None:
        """Take the counts as of ``now_s``, ``received`` of each camera; ``None`` until there are enough.

        Steps are as long as ``least_hz`` needs for a frame in each.
        """
        totals = (counters.pairs + counters.singles, counters.inferences, *received)
        if self._seen and totals[0] < self._seen[-1][1][0]:
            self._seen.clear()
        step_s = _STEP_S * max(1.0, 1.0 / least_hz if least_hz else 0.0)
        if not self._seen or now_s - self._seen[-1][0] >= step_s:
            self._seen.append((now_s, totals))
        if len(self._seen) < _STEPS + 3:
            return None
        (start_s, before), (end_s, after) = self._seen[1], self._seen[-2]
        offered, segmented, *brought = ((n - m) / (end_s - start_s) for n, m in zip(after, before, strict=True))
        steady = all(_frames_came(a[1], b[1]) for a, b in pairwise(self._seen))
        return Rates(min(brought) * steady, offered * steady, segmented)


def _frames_came(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether matches were offered in a step, or every camera brought something."""
    offered, _, *brought = (n - m for n, m in zip(after, before, strict=True))
    return max(offered, min(brought)) > 0


class LatencyStatistics:
    """p50 and p99 of every stage over a whole run, in bounded memory.

    Durations go into logarithmic histograms (about 60 kB a stage that occurs), so nothing is forgotten and nothing
    grows; a quantile is the nearest rank's bucket, within 0.4 % of the exact value. ``overhead`` is taken frame by
    frame: total - queue - network. One thread writes; reading from another sees a frame more or less.
    """

    def __init__(self) -> None:
        self._histograms = {stage: Histogram() for stage in (*STAGES, "overhead")}

    def record(self, stage: str, duration_ns: int) -> None:
        """Count one duration of one stage. ``ValueError``: no such stage."""
        histogram = self._histograms.get(stage)
        if histogram is None:
            raise ValueError(f"stage {stage!r}, expected one of {', '.join(self._histograms)}")
        histogram.record(duration_ns)

    def record_frame(self, timings_ns: Mapping[str, int]) -> None:
        """All stages of one frame, and its overhead if ``total`` is among them (an absent queue or network is 0)."""
        for stage, duration_ns in timings_ns.items():
            self.record(stage, duration_ns)
        if "total" in timings_ns:
            waited = timings_ns.get("queue", 0) + timings_ns.get("network", 0)
            self.record("overhead", timings_ns["total"] - waited)

    def histogram(self, stage: str) -> Histogram:
        """The durations of a stage, or of ``overhead``, so far: a copy."""
        return self._histograms[stage].since(Histogram())

    def count(self, stage: str) -> int:
        """How many durations of ``stage`` were recorded."""
        return self._histograms[stage].count

    def quantile_ms(self, stage: str, q: float) -> float | None:
        """The ``q`` quantile (0 to 1) of a stage in milliseconds; None before anything was recorded."""
        histogram = self._histograms[stage]
        return histogram.quantile(q) * 1e-6 if histogram.count else None

    def p50_ms(self, stage: str) -> float | None:
        """The median of a stage in milliseconds."""
        return self.quantile_ms(stage, 0.5)

    def p99_ms(self, stage: str) -> float | None:
        """What 99 of 100 frames stay below in a stage, in milliseconds."""
        return self.quantile_ms(stage, 0.99)

    def to_dict(self) -> dict[str, dict[str, float | None]]:
        """``{stage: {"p50": ms, "p99": ms}}`` of every stage of ``STAGES``; None where nothing was recorded."""
        return {stage: self._summary(stage) for stage in STAGES}

    def overhead(self) -> dict[str, float | None]:
        """``{"p50": ms, "p99": ms}`` of what the frames cost beside waiting and the network."""
        return self._summary("overhead")

    def _summary(self, stage: str) -> dict[str, float | None]:
        return {"p50": self.p50_ms(stage), "p99": self.p99_ms(stage)}
