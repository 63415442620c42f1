"""The matcher against arbitrary interleavings, and against a matcher that sees everything at once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_ros.pipeline.presence import POLICIES
from gemini_ros.pipeline.statistics import CAUSES
from gemini_ros.pipeline.sync import PairMatcher

pytestmark = pytest.mark.once

MS = 1_000_000
SLOP = 20 * MS
STREAMS = ("rgb", "depth", "thermal", "event")

configurations = st.sampled_from(
    [
        (("rgb", "depth"), ()),
        (("rgb", "thermal"), ("depth",)),
        (("rgb",), ("depth", "thermal")),
        (("thermal", "depth"), ("rgb",)),
        (("depth",), ()),
        (("rgb", "depth", "thermal"), ()),
        (("thermal", "event", "rgb"), ("depth",)),
        (("depth", "thermal", "event"), ()),
        (STREAMS, ()),
    ]
)
# Steps of the clock and of the stamps: mostly small, sometimes a silence, a jump forward or back.
steps = st.one_of(st.integers(0, 40), st.integers(0, 40), st.sampled_from([-1500, -600, -30, 450, 700, 5000]))
events = st.lists(
    st.tuples(
        st.sampled_from((*STREAMS, "poll", "drop")),
        steps,  # of the receiver's clock, milliseconds
        st.one_of(st.integers(-60, 30), st.sampled_from([-3000, 2000])),  # of the stamp against a common clock
        st.one_of(st.none(), st.integers(0, 3)),  # content
    ),
    max_size=120,
)


class Checked:
    """A matcher whose every answer is checked; items are (stream, stamp, number)."""

    def __init__(self, required, extras, offsets, **options) -> None:
        self.required, self.extras, self.offsets = required, extras, offsets
        self.names = (*required, *extras)
        self.queue_size = options["queue_size"]
        self.policy = options["policy"]
        self.matcher = PairMatcher(required, extras, slop_ns=SLOP, offsets_ns=offsets, **options)
        self.reference = "rgb" if "rgb" in required else required[0]
        self.used: set = set()
        self.kinds: dict[str, Counter] = {name: Counter() for name in self.names}
        self.absent_lately: set[str] = set()
        self.last: int | None = None
        self.last_of: dict[str, int] = {}

    def absent(self) -> set[str]:
        return set(self.matcher.mode.partition(":")[2].split("+"))

    def check(self, matches, jumps_before) -> None:
        # what time let go before a jump came out first and belongs to the epoch before
        for match in matches:
            lead = next(name for name in (self.reference, *self.required) if name in match.items)
            present = [name for name in self.required if name in match.items]
            assert match.kind == "pair" or set(present) >= set(self.required) - self.absent_lately - self.absent(), (
                "lacks what is there"
            )
            times = {name: item[1] + self.offsets[name] for name, item in match.items.items()}
            assert match.stamp_ns == match.items[lead][1]
            assert all(abs(time - times[lead]) <= SLOP for time in times.values())
            assert match.missing == tuple(name for name in self.required if name not in match.items)
            assert (match.kind == "pair") == (not match.missing)
            assert match.kind == "pair" or self.policy == "degrade"
            for name, item in match.items.items():
                assert item[0] == name and item not in self.used, "used twice"
                self.used.add(item)
                self.kinds[name][match.kind] += 1
                assert self.matcher.time_jumps != jumps_before or times[name] > self.last_of.get(name, -(10**18))
                self.last_of[name] = times[name]
            if self.matcher.time_jumps == jumps_before and self.last is not None:
                assert times[lead] > self.last, "out of order"
            self.last = times[lead]
        if self.matcher.time_jumps != jumps_before:
            self.last, self.last_of = None, {}
        assert max(self.matcher.buffered.values()) <= self.queue_size
        assert self.matcher.check_identities() == []
        counts = self.matcher.counts
        for name in self.names:
            assert (counts[name].in_pairs, counts[name].singles) == (
                self.kinds[name]["pair"],
                self.kinds[name]["single"],
            )
            assert set(counts[name].dropped) <= set(CAUSES)

    def run(self, script) -> list:
        now = clock = 10_000 * MS
        found, received = [], Counter()
        for number, (what, step, difference, fingerprint) in enumerate(script):
            now += step * MS
            clock += step * MS
            jumps = self.matcher.time_jumps
            if what == "poll":
                matches = self.matcher.poll(now)
            elif what == "drop":
                self.matcher.drop(self.required[0], "invalid", now)
                received[self.required[0]] += 1
                continue
            elif what not in self.names:
                continue
            else:
                stamp = clock + difference * MS - self.offsets[what]
                matches = self.matcher.add(what, stamp, (what, stamp, number), now, fingerprint)
                received[what] += 1
            self.check(matches, jumps)
            found += matches
            self.absent_lately = self.absent()
        self.matcher.flush()
        assert set(self.matcher.buffered.values()) == {0} and self.matcher.check_identities() == []
        assert {name: c.received for name, c in self.matcher.counts.items()} == {n: received[n] for n in self.names}
        return found


@settings(max_examples=400)
@given(
    configurations,
    events,
    st.integers(1, 6),
    st.sampled_from(POLICIES),
    st.tuples(*[st.sampled_from([0, 0, 7 * MS, -5000 * MS])] * 4),
)
def test_whatever_comes_all_promises_hold(configuration, script, queue_size, policy, offsets):
    offsets = {name: offset for name, offset in zip(STREAMS, offsets, strict=True) if name in sum(configuration, ())}
    options = {"queue_size": queue_size, "policy": policy}
    found = Checked(*configuration, offsets, **options).run(script)
    assert Checked(*configuration, offsets, **options).run(script) == found, "not deterministic"


def best_in_stamp_order(rgb: list[int], depth: list[int]) -> list[tuple[int, int]]:
    """What is right when messages come in the order of their stamps, RGB first: each reference takes the nearest
    partner within the slop, one after it only if no other reference lies between, none not newer than the last used."""
    pairs, used = [], -(10**18)
    for i, reference in enumerate(rgb):
        between = rgb[i + 1] if i + 1 < len(rgb) else 10**18
        candidates = [d for d in depth if d > used and abs(d - reference) <= SLOP and (d <= reference or d < between)]
        if candidates:
            used = min(candidates, key=lambda d: (abs(d - reference), d))
            pairs.append((reference, used))
    return pairs


ordered = st.lists(st.integers(1, 60), min_size=1, max_size=8).map(
    lambda gaps: [sum(gaps[: i + 1]) * MS for i in range(len(gaps))]
)


@settings(max_examples=400)
@given(ordered, ordered)
def test_the_choice_is_that_of_brute_force_on_ordered_streams(rgb, depth):
    """At most eight messages each, so before any rhythm: every decision waits for all that could change it."""
    matcher, found = PairMatcher(("rgb", "depth"), missing_timeout_ns=10**12), []
    for time, _, name in sorted([(t, 0, "rgb") for t in rgb] + [(t, 1, "depth") for t in depth]):
        found += matcher.add(name, time, time, time)
    found += matcher.poll(max(rgb + depth) + 2 * SLOP)
    assert [(m.items["rgb"], m.items["depth"]) for m in found] == best_in_stamp_order(rgb, depth)


@settings(max_examples=200)
@given(
    st.integers(10, 120),
    st.integers(10, 120),
    st.integers(0, 120_000_000),
    st.integers(0, 150),
    st.integers(0, 150),
)
def test_steady_streams_pair_mutual_nearest_whatever_the_transport(rgb_ms, depth_ms, phase_ns, rgb_late, depth_late):
    """With known rhythms: pairs are mutually nearest, and every such pair within the slop is found."""
    rgb = [i * rgb_ms * MS for i in range(1 + 2000 // rgb_ms)]
    depth = [phase_ns + i * depth_ms * MS for i in range(1 + 2000 // depth_ms)]
    arrivals = [(t + rgb_late * MS, 0, "rgb", t) for t in rgb] + [(t + depth_late * MS, 1, "depth", t) for t in depth]
    matcher, found = PairMatcher(("rgb", "depth"), queue_size=40, missing_timeout_ns=10**9), []
    now = 0
    for now, _, name, stamp in sorted(arrivals):
        found += matcher.add(name, stamp, stamp, now)
    found += matcher.poll(now + 2 * SLOP)
    pairs = {(m.items["rgb"], m.items["depth"]) for m in found if m.kind == "pair"}

    def nearest(time: int, others: list[int]) -> int:
        return min(others, key=lambda other: (abs(other - time), other))

    known = max(rgb[min(10, len(rgb) - 1)], depth[min(10, len(depth) - 1)])
    end = min(rgb[-1], depth[-1])
    for reference in rgb:
        if not known < reference < end - 100 * MS:
            continue
        partner = nearest(reference, depth)
        distance = abs(partner - reference)
        tie = any(other != reference and abs(other - partner) == distance for other in rgb)
        if nearest(partner, rgb) == reference and not tie:
            assert ((reference, partner) in pairs) == (distance <= SLOP), (reference, partner)


@settings(max_examples=200)
@given(
    st.tuples(*[st.integers(12, 120)] * 3),
    st.tuples(*[st.integers(0, 120_000_000)] * 3),
    st.tuples(*[st.integers(0, 120)] * 4),
    st.integers(2, 3),
)
def test_several_steady_streams_match_the_mutual_nearest_of_each(periods_ms, phases_ns, late_ms, partners):
    """As above for two and three partners: with known rhythms a reference has each, or is dropped for a lack of one."""
    names = STREAMS[: partners + 1]
    times = {"rgb": [i * 40 * MS for i in range(50)]}
    for name, period_ms, phase_ns in zip(names[1:], periods_ms, phases_ns, strict=False):
        times[name] = [phase_ns + i * period_ms * MS for i in range(2000 // period_ms)]
    arrivals = sorted(
        (t + late * MS, i, name, t)
        for i, (name, late) in enumerate(zip(names, late_ms, strict=False))
        for t in times[name]
    )
    matcher, found = PairMatcher(names, queue_size=40, missing_timeout_ns=10**9), []
    for now, _, name, stamp in arrivals:
        found += matcher.add(name, stamp, stamp, now)
    found += matcher.poll(arrivals[-1][0] + 2 * SLOP)
    matches = {match.items["rgb"]: match.items for match in found if match.kind == "pair"}
    known = max(of[min(10, len(of) - 1)] for of in times.values())
    end = min(of[-1] for of in times.values()) - 100 * MS
    for reference in times["rgb"]:
        if not known < reference < end:
            continue
        nearest = {n: min(times[n], key=lambda t: (abs(t - reference), t)) for n in names[1:]}
        if any(abs(t - reference) > SLOP for t in nearest.values()):
            assert reference not in matches
        elif all(abs(t - reference) < 20 * MS for t in nearest.values()):  # and so to no other reference, 40 ms away
            assert matches[reference] == {"rgb": reference, **nearest}


@settings(max_examples=60)
@given(
    st.integers(1200, 6000),
    st.sampled_from([5, 9, 10, 30]),
    st.integers(0, 33),
    st.integers(0, 60),
    st.booleans(),
)
def test_every_loop_is_like_the_first(length_ms, rate, phase_ms, latency_ms, clock_loops):
    rgb = [i * 100 * MS // 3 for i in range(length_ms * 3 // 100)]
    depth = [phase_ms * MS + i * 1000 * MS // rate for i in range(max(length_ms - 40, 0) * rate // 1000)]
    once = sorted([(t, 0, "rgb", t) for t in rgb] + [(t + latency_ms * MS, 1, "depth", t) for t in depth])
    matcher, loops = PairMatcher(("rgb", "depth")), []
    for loop in range(3):
        start = 0 if clock_loops else loop * length_ms * MS
        matches, now = [], 0
        for now, _, name, stamp in once:
            matches += matcher.add(name, stamp, stamp, start + now)
        matches += matcher.poll(start + now + 2 * SLOP)
        loops.append([(m.kind, dict(m.items)) for m in matches])
    assert loops[0] and loops[1] == loops[2]
    # the first loop may begin by waiting for a partner yet to come; afterwards it does what all do
    assert loops[0] == loops[1]
