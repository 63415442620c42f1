"""Three and four required streams: which of them go together, and what goes out while some are missing."""

from __future__ import annotations

from itertools import combinations

import pytest

from gemini_ros.pipeline.presence import POLICIES
from test.pipeline.test_sync import MS, Feed, every, merged

THREE = ("rgb", "depth", "thermal")
FOUR = (*THREE, "event")
SUBSETS = [(names, kept) for names in (THREE, FOUR) for n in range(1, len(names)) for kept in combinations(names, n)]


def at_once(*names: str, until: float, first: float = 0.0, period: float = 50) -> list[tuple]:
    """All of them under one stamp, received with it in the order of their names."""
    return [(name, t, t) for t in every(period, until, first) for name in names]


def shape(feed: Feed, after: float = 0.0) -> set[tuple[str, ...]]:
    return {tuple(sorted(match.items)) for match in feed.matches if match.stamp_ns >= after * MS}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("names", "kept"), SUBSETS, ids="+".join)
def test_any_of_them_missing_and_back(names, kept, policy):
    feed, missing = Feed(names, policy=policy), "+".join(name for name in names if name not in kept)
    feed.run(at_once(*names, until=1000))
    feed.run(at_once(*kept, until=3000, first=1000))
    assert feed.mode == f"{policy}:{missing}"
    gone = [match for match in feed.matches if match.stamp_ns >= 1000 * MS]
    counts = feed.matcher.counts
    assert [counts[name].singles for name in names] == [len(gone) * (name in kept) for name in names]
    assert {(m.kind, m.missing, *sorted(m.items)) for m in gone} == (
        {("single", tuple(missing.split("+")), *sorted(kept))} if policy == "degrade" else set()
    )
    assert len(gone) == (40 if policy == "degrade" else 0)
    feed.run(at_once(*names, until=3500, first=3000))
    assert [mode for _, mode in feed.matcher.mode_changes] == ["normal", f"{policy}:{missing}", "normal"]
    assert {tuple(sorted(names))} == shape(feed, 3050)
    dropped = {feed.matcher.counts[name].dropped.get("not_ready", 0) for name in names}
    assert dropped == {0 if policy == "degrade" else 2}
    paired = {feed.matcher.counts[name].in_pairs for name in names}
    assert paired == {sum(match.kind == "pair" for match in feed.matches)}
    feed.finish()


@pytest.mark.parametrize("names", [THREE, FOUR])
def test_silence_of_all_names_all_and_ends_with_the_third_match(names):
    feed = Feed(names)
    feed.run(at_once(*names, until=500))
    feed.poll(2000)
    assert feed.mode == f"degrade:{'+'.join(names)}"
    feed.run(at_once(*names, until=2150, first=2000))  # RGB of 2000 went alone, before the others came
    assert feed.mode == f"degrade:{'+'.join(names[1:])}", "RGB is there: the others have to go with it first"
    feed.run(at_once(*names, until=2200, first=2150))
    assert feed.mode == "normal"
    feed.finish()


@pytest.mark.parametrize("policy", POLICIES)
def test_one_of_two_missing_streams_returns_by_itself(policy):
    feed = Feed(THREE, policy=policy)
    feed.run(at_once("rgb", until=1000))
    feed.run(at_once("rgb", "depth", until=1150, first=1000))
    assert feed.mode == f"{policy}:depth+thermal"
    feed.run(at_once("rgb", "depth", until=1300, first=1150))
    assert feed.mode == f"{policy}:thermal"
    assert shape(feed, 1050) == ({("depth", "rgb")} if policy == "degrade" else set())
    feed.finish()


def test_what_is_left_is_matched_as_if_the_model_took_no_more():
    """Without thermal an RGB image without depth is dropped, as it is where a model takes these two."""
    feed, two = Feed(THREE), Feed()
    feed.run(at_once("thermal", until=50)), feed.poll(600)
    events = merged(("rgb", every(33, 3000, 600)), ("depth", every(100, 3000, 604)))
    feed.run(events), two.run(events)
    assert feed.mode == "degrade:thermal"
    found, expected = ([dict(m.items) for m in of.matches if m.stamp_ns > 1000 * MS] for of in (feed, two))
    assert found == expected and len(found) > 15
    feed.finish()


def test_all_have_to_be_there_while_none_is_missing():
    """Two of three are no match: the third lives, and a model that gets it now and then would flicker."""
    feed = Feed(THREE)
    feed.run(at_once(*THREE, until=200))
    feed.run([("rgb", 200), ("depth", 200), ("rgb", 250), ("depth", 250), ("thermal", 250)])
    assert shape(feed) == {tuple(sorted(THREE))} and feed.matches[-1].stamp_ns == 250 * MS
    assert feed.dropped("rgb") == {"no_partner": 1} and feed.dropped("depth") == {"no_partner": 1}
    feed.finish()


@pytest.mark.parametrize("late", [(0, 0, 0), (0, 40, 10), (90, 0, 40), (0, 90, 0), (10, 0, 80)])
def test_each_partner_is_the_nearest_whatever_the_transport(late):
    feed = Feed(THREE)
    rates = {"rgb": every(100 / 3, 3000), "depth": every(200 / 3, 3000, 3), "thermal": every(1000 / 9, 3000, 7)}
    events = [(n, t, t + delay) for (n, times), delay in zip(rates.items(), late, strict=True) for t in times]
    feed.run(sorted(events, key=lambda event: event[2]))
    nearest = {n: [min(rates[n], key=lambda d: abs(d - t)) for t in rates["rgb"]] for n in ("depth", "thermal")}
    expected = [
        {"rgb": t, "depth": d, "thermal": h}
        for t, d, h in zip(rates["rgb"], nearest["depth"], nearest["thermal"], strict=True)
        if abs(d - t) <= 16 and abs(h - t) <= 16  # nearer than to any other RGB image
    ]
    found = [{name: item[1] for name, item in match.items.items()} for match in feed.matches]
    missed = [match for match in expected if match not in found]
    assert len(found) > 10 and all(match["rgb"] > 2850 for match in missed), missed
    assert [mode for _, mode in feed.matcher.mode_changes] == ["normal"]
    feed.finish()


def test_rgb_that_returns_slowly_costs_no_match_of_the_others():
    """RGB once in 600 ms, received before the others: between its images depth and thermal go out together."""
    feed = Feed(THREE)
    others = [(n, t, t + 60 + i) for t in every(50, 4000) for i, n in enumerate(("thermal", "depth"))]
    rgb = [("rgb", t, t) for t in every(600, 4000, 1230)]
    feed.run(sorted(others + rgb, key=lambda event: event[2]))
    feed.poll(4200)
    assert [mode for _, mode in feed.matcher.mode_changes] == ["degrade:rgb"]
    assert shape(feed) == {("depth", "thermal"), tuple(sorted(THREE))}
    assert [match.items["depth"][1] for match in feed.matches] == every(50, 4000)
    feed.finish()


@pytest.mark.parametrize("names", [THREE, FOUR])
@pytest.mark.parametrize("clock", [0, 3000])
def test_every_loop_of_a_bag_yields_the_same_matches(names, clock):
    feed, loops = Feed(names), []
    for loop in range(3):
        before = len(feed.matches)
        feed.run((name, t, now + clock * loop) for name, t, now in at_once(*names, until=3000, period=40))
        feed.poll(3000 + clock * loop)
        loops.append([dict(match.items) for match in feed.matches[before:]])
    assert loops[0] == loops[1] == loops[2] and len(loops[0]) == 75
    assert feed.matcher.time_jumps == 2
    feed.finish()


def test_memory_is_bounded_while_one_of_four_is_dead_and_never_missing():
    feed = Feed(FOUR, queue_size=5, missing_timeout_ns=10**18)
    feed("event", 0)
    for event in at_once(*THREE, until=8000):
        feed(*event)
        assert max(feed.matcher.buffered.values()) <= 5
    assert len(feed.matches) == 1 and feed.dropped("rgb")["overflow"] > 100
    feed.finish()


# -- streams that live and do not match


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("other", THREE[1:])
@pytest.mark.parametrize("ahead", [5000, -5000])
def test_the_stream_of_another_clock_is_named_and_the_rest_goes_on(other, ahead, policy):
    feed, (fine,) = Feed(THREE, policy=policy), set(THREE[1:]) - {other}
    feed.run((n, t + ahead * (n == other), now) for n, t, now in at_once(*THREE, until=3000))
    assert feed.mode == f"{policy}:{other}"
    assert list(feed.matcher.unpaired) == [other] == list(feed.matcher.unpaired_ever)
    assert abs(feed.matcher.unpaired[other].nearest_ns - ahead * MS) <= 50 * MS
    assert f"set sync.offset_s.{other} to {'-' if ahead > 0 else ''}" in str(feed.matcher.unpaired[other])
    assert shape(feed) == ({tuple(sorted(("rgb", fine)))} if policy == "degrade" else set())
    if policy == "degrade":
        assert feed.matches[-1].stamp_ns == 2950 * MS, "nobody waits for a stream that is as good as missing"
    feed.finish()


def test_without_the_reference_the_others_are_held_against_the_first_of_them():
    feed = Feed(THREE)
    feed.run(at_once(*THREE, until=500))
    feed.run((n, t + 325 * (n == "thermal"), now) for n, t, now in at_once(*THREE[1:], until=4000, first=500))
    assert feed.mode == "degrade:rgb+thermal" and list(feed.matcher.unpaired) == ["thermal"]
    assert str(feed.matcher.unpaired["thermal"]).startswith("depth and thermal have not paired for")
    assert shape(feed, 3000) == {("depth",)}
    feed.run((n, t, now) for n, t, now in at_once(*THREE, until=5000, first=4300))
    assert feed.mode == "normal" and feed.matcher.unpaired == {}
    feed.finish()


def test_an_extra_beside_three():
    feed = Feed(("rgb", "thermal", "event"), ("depth",))
    feed.run(at_once("rgb", "thermal", "event", "depth", until=1000))
    feed.run(at_once("rgb", "thermal", "depth", until=2500, first=1000))
    assert shape(feed, 50) == {("depth", "event", "rgb", "thermal"), ("depth", "rgb", "thermal")}
    assert feed.mode == "degrade:event"
    feed.finish()
