"""What is missing, and when it is there again. Times are milliseconds."""

from __future__ import annotations

import pytest

from gemini_ros.pipeline.presence import Presence

TIMEOUT_MS = 500


@pytest.mark.parametrize("clock_ms", [740, 100, -10_000], ids=["stamps jump", "a little back", "far back"])
def test_pairs_in_a_row_begin_anew_at_a_time_jump(clock_ms):
    """Two pairs, then time jumps, within the timeout of the last pair or to before it: it takes three more."""
    presence = Presence(("rgb", "depth"), TIMEOUT_MS, "degrade")
    presence.note("rgb", 0)
    presence.watch(600)
    for now in (700, 733):
        presence.note("rgb", now), presence.note("depth", now)
        presence.matched(("rgb", "depth"), now)
    presence.restart(740, clock_ms)
    modes = []
    for now in (clock_ms + 10, clock_ms + 20, clock_ms + 30):
        presence.note("rgb", now), presence.note("depth", now)
        presence.matched(("rgb", "depth"), now)
        modes.append(presence.mode)
    assert modes == ["degrade:rgb+depth", "degrade:rgb+depth", "normal"]


def both(presence: Presence, now: int, depth_measures: bool = True) -> None:
    presence.note("rgb", now)
    presence.note("depth", now, depth_measures)
    presence.watch(now)


@pytest.mark.parametrize("policy", ["degrade", "hold", "stop"])
def test_a_stream_that_measures_nothing_is_as_good_as_missing(policy):
    presence = Presence(("rgb", "depth"), TIMEOUT_MS, policy)
    both(presence, 0)
    for now in range(100, 500, 100):
        both(presence, now, depth_measures=False)
        assert presence.mode == "normal", "one image, or a few, may be bad"
    both(presence, 500, depth_measures=False)
    assert (presence.mode, presence.blind("depth", 500)) == (f"{policy}:depth", True)
    assert presence.matched(("rgb", "depth"), 500) == (policy == "degrade")
    assert presence.admits(("rgb",)) == (policy == "degrade")
    for now in (600, 700, 800):
        assert presence.mode == f"{policy}:depth"
        both(presence, now)
        presence.matched(("rgb", "depth"), now)
    assert presence.mode == "normal"


def test_a_blind_stream_that_never_saw_and_one_that_dies():
    presence = Presence(("rgb", "depth"), TIMEOUT_MS, "degrade")
    for now in range(0, 700, 100):
        both(presence, now, depth_measures=False)
    assert presence.mode == "degrade:depth"
    presence.note("rgb", 1100)
    presence.watch(1200)
    assert (presence.mode, presence.blind("depth", 1200)) == ("degrade:depth", False)
    presence.restart(1200, 100)
    both(presence, 110, depth_measures=False)
    assert presence.mode == "degrade:depth", "a time jump gives nobody sight"


@pytest.mark.parametrize("policy", ["degrade", "hold", "stop"])
def test_matches_that_all_fail_are_as_good_as_none(policy):
    presence = Presence(("rgb", "depth"), TIMEOUT_MS, policy)
    for now in range(0, 600, 100):
        assert presence.mode in ("waiting", "normal")
        presence.outcome(labelled=False)
        both(presence, now)
    assert (presence.mode, presence.failing) == (f"{policy}:rgb+depth", True)
    assert presence.matched(("rgb", "depth"), 600), "or nobody would find out that it is over"
    for now, labelled in ((700, True), (800, True), (900, False), (1000, True), (1100, True)):
        presence.outcome(labelled)
        both(presence, now)
        assert presence.mode == f"{policy}:rgb+depth"
    presence.outcome(labelled=True)
    both(presence, 1200)
    assert (presence.mode, presence.failing) == ("normal", False)


def test_a_failure_now_and_then_and_a_last_one_are_none_of_it():
    presence = Presence(("rgb", "depth"), TIMEOUT_MS, "degrade")
    for now in range(0, 3000, 100):
        presence.outcome(labelled=now % 400 == 0)
        both(presence, now)
        assert presence.mode == "normal"
    presence.outcome(labelled=False)
    for now in range(3000, 4000, 100):
        both(presence, now)
    assert presence.mode == "normal", "nothing was tried since"
