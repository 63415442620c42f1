"""Streams that live and never pair are noticed, measured, and treated as the policy says."""

from __future__ import annotations

import re

import pytest

from gemini_ros.pipeline.sync import PairMatcher

MS = 1_000_000


def run(matcher: PairMatcher, until_ms: int, shift_ms: float = 50, period_ms: int = 100, start_ms: int = 0) -> list:
    """RGB and the other stream of ``matcher``, the other's stamps ``shift_ms`` later; all received together."""
    other = next(name for name in matcher.counts if name != "rgb")
    matches = []
    for now in range(start_ms, until_ms, period_ms):
        matches += matcher.add("rgb", now * MS, "rgb", now * MS)
        matches += matcher.add(other, round((now + shift_ms) * MS), other, now * MS)
    return matches


@pytest.mark.parametrize("policy", ["degrade", "hold", "stop"])
def test_two_live_cameras_that_never_pair_are_told_after_a_second(policy):
    matcher = PairMatcher(("rgb", "depth"), policy=policy)
    assert run(matcher, 1000) == []
    assert (matcher.mode, matcher.unpaired) == ("normal", {})
    singles = run(matcher, 2000, start_ms=1000)
    assert matcher.mode == f"{policy}:depth"
    assert [match.missing for match in singles] == ([("depth",)] * len(singles) if policy == "degrade" else [])
    assert bool(singles) == (policy == "degrade")
    found = matcher.unpaired["depth"]
    assert found.nearest_ns == 50 * MS
    text = str(found)
    assert "the nearest stamps are 50 ms apart (depth after rgb), sync.slop_s allows 20 ms" in text
    assert "set sync.slop_s above 0.05" in text
    assert "set sync.offset_s.depth to -0.05 if their clocks differ" in text
    matcher.finish()
    assert matcher.check_identities() == []
    assert str(matcher.unpaired_ever["depth"]) == text


@pytest.mark.parametrize("policy", ["degrade", "hold", "stop"])
def test_the_named_slop_mends_it_and_three_pairs_return_to_normal(policy):
    matcher = PairMatcher(("rgb", "depth"), policy=policy)
    run(matcher, 2000)
    matcher.reconfigure(slop_ns=55 * MS, missing_timeout_ns=500 * MS, policy=policy)
    matches = run(matcher, 2800, start_ms=2000)
    assert matcher.mode == "normal"
    assert matcher.unpaired == {}
    assert matches[-1].kind == "pair"


def test_the_named_offset_pairs_the_streams():
    apart = PairMatcher(("rgb", "depth"))
    run(apart, 2000, shift_ms=-5000, period_ms=33)
    found = apart.unpaired["depth"]
    assert found.nearest_ns / 1e9 == pytest.approx(-5, abs=0.034)
    assert "sync.slop_s above" not in str(found), "the slop ends at a second"
    assert re.search(r"set sync\.offset_s\.depth to (5|4\.9\d) if their clocks differ", str(found))
    mended = PairMatcher(("rgb", "depth"), offsets_ns={"depth": -round(found.nearest_ns)})
    run(mended, 2000, shift_ms=-5000, period_ms=33)
    assert (mended.mode, mended.unpaired) == ("normal", {})


def test_clocks_that_no_parameter_reaches_are_to_be_synchronised():
    matcher = PairMatcher(("rgb", "depth"))
    run(matcher, 2000, shift_ms=86_400_000)
    assert str(matcher.unpaired["depth"]).endswith("synchronise the clocks of the two cameras")


def test_slow_cameras_have_their_chance():
    matcher = PairMatcher(("rgb", "depth"), missing_timeout_ns=5000 * MS)
    run(matcher, 4000, shift_ms=1000, period_ms=2000)
    assert matcher.unpaired == {}
    run(matcher, 9000, shift_ms=1000, period_ms=2000, start_ms=4000)
    assert matcher.unpaired["depth"].nearest_ns == 1000 * MS


def test_pairs_now_and_then_are_no_fault():
    matcher = PairMatcher(("rgb", "depth"))
    for start in range(0, 6000, 600):
        run(matcher, start + 500, start_ms=start)
        run(matcher, start + 600, start_ms=start + 500, shift_ms=0)
        assert (matcher.unpaired, matcher.mode) == ({}, "normal")


def test_a_dead_camera_is_missing_and_not_unpaired():
    matcher = PairMatcher(("rgb", "depth"))
    run(matcher, 2000)
    for now in range(2000, 4000, 100):
        matcher.add("rgb", now * MS, "rgb", now * MS)
    assert (matcher.mode, matcher.unpaired) == ("degrade:depth", {})


def test_an_extra_that_never_pairs_is_told_and_the_pairs_go_on():
    matcher = PairMatcher(("rgb",), ("depth",))
    matches = run(matcher, 2000)
    assert "set sync.slop_s above 0.05" in str(matcher.unpaired["depth"])
    assert matcher.mode == "normal"
    assert len(matches) > 15


def test_a_partner_back_without_pairs_is_still_unpaired():
    """Depth starts late: it counts as missing, comes, and never pairs: nobody may go on saying that it is missing."""
    matcher = PairMatcher(("rgb", "depth"))
    for now in range(0, 1000, 100):
        matcher.add("rgb", now * MS, "rgb", now * MS)
    run(matcher, 3000, start_ms=1000)
    assert matcher.mode == "degrade:depth"
    assert matcher.unpaired["depth"].nearest_ns == 50 * MS
