"""Random streams for the matcher, the same for a seed with every version of Python, and all that a matcher makes of
them as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from gemini_ros.pipeline.presence import POLICIES
from gemini_ros.pipeline.sync import PairMatcher

MS = 1_000_000
Event = tuple[int, str, int, "int | None"]
"""Receiver's time, stream, stamp, fingerprint; the stream may be ``poll`` or ``drop``."""


def below(random: Random, end: int) -> int:
    return int(random.random() * end)


def pick(random: Random, choices: Sequence):
    return choices[below(random, len(choices))]


def camera(random: Random, name: str, until_ms: int) -> Iterator[Event]:
    """A camera with a rhythm and most of what is wrong with cameras: jitter, latency, silence, disorder, a clock."""
    period = pick(random, (17, 33, 33, 50, 100, 111, 200)) * MS
    phase, latency = below(random, 60) * MS, pick(random, (0, 0, 2, 30, 90)) * MS
    jitter, shift = pick(random, (0, 0, 1, 8)) * MS, pick(random, (0, 0, 0, 0, 30, -40, 3_600_000)) * MS
    dead = below(random, until_ms) * MS
    back = dead + pick(random, (0, 0, 300, 900, 10_000)) * MS
    mends = below(random, until_ms) * MS  # when a shifted clock is set right
    again = pick(random, (until_ms, until_ms, until_ms // 2)) * MS  # a recording that starts over
    for i in range(until_ms * MS // period):
        at = i * period + phase
        if dead <= at < back or random.random() < 0.02:
            continue
        stamp = 10**10 + at % again + int(jitter * random.random()) + (shift if at < mends else 0)
        received = at + latency + int(jitter * random.random())
        kind = random.random()
        if kind < 0.01:
            yield received, "drop", 0, None
        elif kind < 0.02:
            yield received, name, stamp - pick(random, (5, 40, 3000)) * MS, None
        elif kind < 0.03:
            yield received, name, stamp + pick(random, (40, 700, 10**6)) * MS, None
        else:
            yield received, name, stamp, 7 if kind < 0.05 else i + 100


def case(seed: int, configurations: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> tuple[dict, list[Event]]:
    """The options of a matcher, and what happens to it."""
    random = Random(seed)
    required, extras = pick(random, configurations)
    names = (*required, *extras)
    options = {
        "required": required,
        "extras": extras,
        "policy": pick(random, (*POLICIES, "degrade")),
        "queue_size": pick(random, (2, 5, 10, 10)),
        "slop_ns": pick(random, (5, 20, 20, 60)) * MS,
        "missing_timeout_ns": pick(random, (200, 500, 500, 4000)) * MS,
        "offsets_ns": {name: pick(random, (0, 0, 0, 7, -12)) * MS for name in names},
    }
    until_ms = pick(random, (1500, 3000, 5000))
    events = [event for name in names for event in camera(random, name, until_ms)]
    events += [(at * MS, "poll", 0, None) for at in range(0, until_ms + 1500, 50)]
    return options, sorted(events, key=lambda event: (event[0], event[1], event[2]))


def run(options: dict, events: list[Event], finish: bool) -> list[str]:
    """A line for every match, change of mode and stream that a matcher tells of, and its counts at the end."""
    matcher, lines = PairMatcher(**options), []
    for number, (now, what, stamp, content) in enumerate(events):
        if what == "poll":
            found = matcher.poll(now)
        elif what == "drop":
            matcher.drop(options["required"][-1], "invalid", now)
            continue
        else:
            found = matcher.add(what, stamp, number, now, content)
        lines += [f"{m.stamp_ns} {sorted(m.items.items())} {m.kind} {m.missing} {m.offset_ns}" for m in found]
    lines += [f"{m.stamp_ns} {sorted(m.items.items())}" for m in (matcher.finish() if finish else [])]
    lines += [f"{now} {mode}" for now, mode in matcher.mode_changes]
    lines += [
        f"{n} {c.received} {c.in_pairs} {c.singles} {sorted(c.dropped.items())}" for n, c in matcher.counts.items()
    ]
    return lines + [str(matcher.unpaired_ever.get(name)) for name in options["required"]] + [str(matcher.time_jumps)]
