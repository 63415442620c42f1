"""The matcher by example. Times are milliseconds; an item is its stream's name and stamp."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from gemini_ros.pipeline.sync import Match, PairMatcher

MS = 1_000_000


class Feed:
    """A matcher fed in milliseconds; unless told, a message is received at its stamp."""

    def __init__(self, required: tuple[str, ...] = ("rgb", "depth"), extras: tuple[str, ...] = (), **settings) -> None:
        self.matcher = PairMatcher(required, extras, **settings)
        self.matches: list[Match] = []

    def __call__(self, stream: str, stamp: float, now: float | None = None, fingerprint: int | None = None) -> list:
        now = stamp if now is None else now
        matches = self.matcher.add(stream, round(stamp * MS), (stream, stamp), round(now * MS), fingerprint)
        self.matches += matches
        return [shown(match) for match in matches]

    def poll(self, now: float) -> list:
        matches = self.matcher.poll(round(now * MS))
        self.matches += matches
        return [shown(match) for match in matches]

    def run(self, events: Iterable[tuple]) -> list:
        return [match for event in events for match in self(*event)]

    @property
    def mode(self) -> str:
        return self.matcher.mode

    def dropped(self, stream: str) -> dict[str, int]:
        return dict(self.matcher.counts[stream].dropped)

    def finish(self) -> None:
        """Every message is accounted for."""
        self.matcher.flush()
        assert not any(self.matcher.buffered.values())
        assert self.matcher.check_identities() == []


def shown(match: Match) -> tuple:
    """(kind, items' stamps in the order of their streams' names)."""
    return match.kind, *(f"{name} {stamp:g}" for name, stamp in sorted(match.items.values()))


def pair(rgb: float, depth: float) -> tuple:
    return "pair", f"depth {depth:g}", f"rgb {rgb:g}"


def single(stream: str, stamp: float) -> tuple:
    return "single", f"{stream} {stamp:g}"


def merged(*streams: tuple[str, Iterable[float]], start: float = 0.0) -> list[tuple]:
    """Events of several streams in the order of their stamps, received then; ``start`` shifts the receiver's clock."""
    events = [(name, stamp, stamp + start) for name, stamps in streams for stamp in stamps]
    return sorted(events, key=lambda event: (event[2], event[0]))


def every(period: float, until: float, first: float = 0.0) -> list[float]:
    count = int((until - first) / period + 0.999999)
    return [round(first + i * period, 6) for i in range(count)]


# -- the choice of the partner


def test_a_pair_comes_out_with_its_later_message():
    feed = Feed()
    assert feed("rgb", 100) == []
    assert feed("depth", 105) == [pair(100, 105)]
    match = feed.matches[0]
    assert match.stamp_ns == 100 * MS and match.missing == () and feed.mode == "normal"
    with pytest.raises(TypeError):
        match.items["rgb"] = None  # shared between threads: nobody may change it
    feed.finish()


def test_equal_stamps_pair_at_once_in_either_order():
    feed = Feed()
    assert feed("rgb", 0) == [] and feed("depth", 0) == [pair(0, 0)]
    assert feed("depth", 33) == [] and feed("rgb", 33) == [pair(33, 33)]


@pytest.mark.parametrize(("difference", "found"), [(20, True), (-20, True), (20.000001, False), (-20.000001, False)])
def test_the_slop_is_inclusive_to_the_nanosecond(difference, found):
    feed = Feed()
    feed("rgb", 100)
    matches = feed("depth", 100 + difference, 120) + feed("depth", 150)
    assert matches == ([pair(100, 100 + difference)] if found else [])
    feed.finish()


def test_zero_slop_pairs_equal_stamps_only():
    feed = Feed(slop_ns=0)
    assert feed.run([("rgb", 0), ("depth", 0.000001), ("rgb", 10), ("depth", 10)]) == [pair(10, 10)]
    feed.finish()


@pytest.mark.parametrize(
    ("depths", "best"),
    [((85, 99), 99), ((85, 101), 101), ((99, 102), 99), ((90, 110), 90), ((99, 101), 99), ((81, 119), 81)],
)
def test_the_nearest_partner_wins_not_the_first(depths, best):
    for order in (("depth", "rgb", "depth"), ("rgb", "depth", "depth"), ("depth", "depth", "rgb")):
        feed, stamps = Feed(), iter(depths)
        for stream in order:
            feed(stream, 100 if stream == "rgb" else next(stamps), 100)
        feed("depth", 150, 101)
        if order[0] == "rgb" and depths[0] > 100:
            continue
        assert [shown(match) for match in feed.matches] == [pair(100, best)], order
        feed.finish()


def test_a_partner_goes_to_the_nearest_reference_not_to_the_first():
    feed = Feed()
    assert feed.run([("rgb", 85), ("rgb", 99), ("depth", 100)]) == [pair(99, 100)]
    assert feed.dropped("rgb") == {"no_partner": 1}


def test_of_two_references_equally_near_the_earlier_keeps_the_partner():
    feed = Feed()
    assert feed.run([("rgb", 90), ("rgb", 110), ("depth", 100)]) == [pair(90, 100)]
    assert feed.run([("depth", 200), ("depth", 220), ("rgb", 210)]) == [pair(210, 200)]


def test_a_reference_gives_way_only_to_one_that_takes_the_partner():
    """115 is nearer to 110 than 100 is, but 116 suits it best; an extra on its way keeps all undecided."""
    feed = Feed(extras=("thermal",))
    feed.run([("thermal", 0), ("depth", 110), ("depth", 116), ("rgb", 115, 117), ("rgb", 100, 118)])
    feed("thermal", 140)
    assert [shown(match) for match in feed.matches] == [pair(100, 110), pair(115, 116)]


def test_no_lock_in_to_the_neighbour_when_depth_comes_just_before_rgb():
    """60 Hz within a slop of 20 ms: taking the first would pair every image with the depth of the next for ever."""
    feed = Feed()
    rgb, depth = every(50 / 3, 1000), every(50 / 3, 1000, first=50 / 3 - 0.5)
    feed.run(merged(("rgb", rgb), ("depth", depth)))
    spreads = [abs(m.items["rgb"][1] - m.items["depth"][1]) for m in feed.matches]
    assert max(spreads[10:]) == pytest.approx(0.5, abs=1e-3) and len(spreads) > 55
    feed.finish()


def test_a_known_rhythm_settles_without_waiting():
    """Depth 5 ms before RGB: with the next depth due in 28 ms, nothing nearer can come."""
    feed = Feed()
    for i in range(20):
        feed("depth", 33 * i)
        found = feed("rgb", 33 * i + 5)
        if i > 8:
            assert found == [pair(33 * i + 5, 33 * i)]
    feed.finish()


def test_waiting_for_a_nearer_partner_ends_after_twice_the_slop():
    feed = Feed()
    feed("depth", 95)
    assert feed("rgb", 100, 100) == []
    assert feed.poll(139.999) == []
    assert feed.poll(140) == [pair(100, 95)]


def test_clock_offsets_are_added_and_the_stamp_stays_rgbs_own():
    feed = Feed(offsets_ns={"depth": -7000 * MS, "rgb": 3 * MS})
    assert feed("rgb", 100) == [] and feed("depth", 7103, 103) == [pair(100, 7103)]
    assert feed.matches[0].stamp_ns == 100 * MS
    feed("rgb", 150, 150)
    assert feed("depth", 7173.5, 173) == []  # 153 and 173.5 on the common clock
    feed.finish()


def test_disorder_before_the_decision_does_no_harm_and_is_late_after_it():
    feed = Feed()
    feed("rgb", 133, 133), feed("rgb", 100, 134)
    assert feed("depth", 101, 135) == [pair(100, 101)]
    assert feed("depth", 134, 136) == [pair(133, 134)]
    assert feed("rgb", 110, 137) == [] and feed("depth", 111, 137) == []
    assert feed.dropped("rgb") == {"late": 1} and feed.dropped("depth") == {"late": 1}
    feed.finish()


def test_repeated_stamps_are_duplicates_before_and_after_the_decision():
    feed = Feed()
    feed.run([("rgb", 100), ("rgb", 100), ("depth", 100), ("depth", 100), ("rgb", 100)])
    feed.run([("rgb", 140), ("rgb", 133), ("rgb", 133)])
    assert feed.dropped("rgb") == {"duplicate": 3} and feed.dropped("depth") == {"duplicate": 1}
    feed.finish()


def test_a_stamp_of_a_pair_is_a_duplicate_though_newer_ones_wait():
    feed = Feed()
    feed.run([("rgb", 100), ("depth", 100), ("depth", 150), ("depth", 100)])
    assert feed.dropped("depth") == {"duplicate": 1} and feed.matcher.buffered["depth"] == 1


def test_rate_mismatch_drops_the_images_between_and_stays_normal():
    feed = Feed()
    feed.run(merged(("rgb", every(100 / 3, 2000)), ("depth", every(1000 / 9, 2000))))
    assert {match.kind for match in feed.matches} == {"pair"}
    assert len(feed.matches) == 18  # every thermal image has an RGB image within 11.1 ms
    assert [mode for _, mode in feed.matcher.mode_changes] == ["normal"]
    assert set(feed.dropped("rgb")) == {"no_partner"}
    feed.finish()


def test_late_transport_of_one_stream_changes_no_pair():
    at_once, delayed = Feed(), Feed()
    rgb, depth = every(100 / 3, 3000), every(1000 / 9, 3000, first=4)
    at_once.run(merged(("rgb", rgb), ("depth", depth)))
    events = [("rgb", t, t) for t in rgb] + [("depth", t, t + 90) for t in depth]
    delayed.run(sorted(events, key=lambda event: event[2]))
    assert [shown(m) for m in delayed.matches] == [shown(m) for m in at_once.matches][: len(delayed.matches)]
    assert len(delayed.matches) >= len(at_once.matches) - 1


# -- what message_filters.ApproximateTimeSynchronizer was seen to fail at


@pytest.mark.parametrize("clock", ["stamps jump, receiver goes on", "all jump (/clock)"])
@pytest.mark.parametrize("rate", [30, 9])
def test_every_loop_of_a_bag_yields_the_same_pairs(clock, rate):
    feed, loops = Feed(), []
    for loop in range(3):
        start = 5000 * loop if clock.startswith("stamps") else 0
        before = len(feed.matches)
        feed.run(merged(("rgb", every(100 / 3, 5000)), ("depth", every(1000 / rate, 5000)), start=start))
        feed.poll(start + 5000)
        loops.append([shown(match) for match in feed.matches[before:]])
    assert loops[0] == loops[1] == loops[2]
    assert len(loops[0]) == {30: 150, 9: 45}[rate]
    assert feed.matcher.time_jumps == 2 and [mode for _, mode in feed.matcher.mode_changes] == ["normal"]
    feed.finish()


@pytest.mark.parametrize("leftovers", [1, 5])
def test_a_loop_costs_nothing_when_one_stream_ends_late(leftovers):
    """Between topics there is no order: the last depth of one loop may come after the first RGB of the next."""
    feed = Feed()
    feed.run(merged(("rgb", every(33, 3000)), ("depth", every(33, 3000))))
    before = len(feed.matches)
    for i in range(leftovers):
        feed("rgb", 33 * i, 3000 + 33 * i)
        feed("depth", 3003 + 33 * i, 3001 + 33 * i)
    found = [match for i in range(leftovers) for match in feed("depth", 33 * i, 3200 + i)]
    assert found == [pair(33 * i, 33 * i) for i in range(leftovers)]
    assert feed.dropped("depth") == {"time_jump": leftovers} and feed.dropped("rgb") == {}
    assert len(feed.matches) == before + leftovers
    feed.finish()


def test_a_backward_jump_drops_what_waits_and_nothing_else():
    feed = Feed()
    feed.run([("rgb", 5000), ("depth", 5000), ("rgb", 5033), ("rgb", 5066)])
    assert feed.run([("rgb", 10, 5070), ("depth", 12, 5072)]) == [pair(10, 12)]
    assert feed.dropped("rgb") == {"time_jump": 2} and feed.dropped("depth") == {} and feed.mode == "normal"
    feed.finish()


def test_after_one_bad_stamp_and_recovery_a_real_loop_is_one_for_all():
    """The bad stamp let RGB begin anew alone; its pairs since show that depth is of the same epoch."""
    feed = Feed()
    feed.run([("rgb", 5000), ("depth", 5000), ("rgb", 0, 5001), ("rgb", 5033), ("depth", 5033), ("rgb", 5066)])
    assert feed("depth", 7, 5070) == [] and feed.matcher.buffered == {"rgb": 0, "depth": 1}
    assert feed("rgb", 7, 5071) == [pair(7, 7)]
    feed.finish()


def test_content_of_before_a_jump_is_not_frozen():
    feed = Feed()
    feed("rgb", 5000, fingerprint=1), feed("rgb", 0, 5001, fingerprint=1)
    assert feed.dropped("rgb") == {"time_jump": 1}


def test_a_step_back_within_the_jump_is_disorder():
    feed = Feed()
    feed.run([("rgb", 5000), ("depth", 5000)])
    feed("rgb", 4000, 5001)
    assert feed.dropped("rgb") == {"late": 1} and feed.matcher.time_jumps == 0
    feed("rgb", 3999.999999, 5002)
    assert feed.matcher.time_jumps == 1 and feed.matcher.buffered["rgb"] == 1


def test_a_forward_jump_does_not_block():
    feed = Feed()
    feed.run([("rgb", 0), ("depth", 0), ("rgb", 33), ("rgb", 66)])
    hour = 3_600_000
    assert feed.run([("rgb", hour, 70), ("depth", hour, 71)]) == [pair(hour, hour)]
    feed.finish()


@pytest.mark.parametrize("absurd", [10**12, 0])
@pytest.mark.parametrize("stream", ["rgb", "depth"])
def test_one_absurd_stamp_costs_no_more_than_what_waits(absurd, stream):
    feed = Feed()
    stamps = every(33, 11_000, first=10_000)
    events = merged(("rgb", stamps), ("depth", stamps))
    events.insert(29, (stream, absurd, events[28][2]))  # between depth and RGB of one instant
    feed.run(events)
    found = [match.stamp_ns / MS for match in feed.matches]
    assert found == [t for t in stamps if t in found] and set(stamps) - set(found) <= {stamps[14]}
    assert all(match.kind == "pair" for match in feed.matches)
    assert [mode for _, mode in feed.matcher.mode_changes] == ["normal"]
    feed.finish()


def test_a_dead_stream_degrades_within_the_timeout():
    feed = Feed()
    feed.run(merged(("rgb", every(33, 1000)), ("depth", every(33, 1000))))
    before = len(feed.matches)
    feed.run(("rgb", t, t) for t in every(33, 3000, first=1023))
    assert feed.mode == "degrade:depth"
    # all but those that did not fit into the queue before the timeout
    assert len(feed.matches) - before == len(every(33, 3000, first=1023)) - feed.dropped("rgb")["overflow"]
    assert {match.kind for match in feed.matches[before:]} == {"single"}
    assert feed.matches[-1].missing == ("depth",)
    (changed,) = [now for now, mode in feed.matcher.mode_changes if mode == "degrade:depth"]
    assert 990 + 500 <= changed / MS <= 990 + 533
    feed.finish()


def test_memory_is_bounded_and_adding_stays_fast_with_a_dead_stream():
    extras = ("thermal", "a", "b")
    feed = Feed(("rgb", "depth"), extras, queue_size=20, missing_timeout_ns=10**18)
    feed("depth", 0)
    slowest = 0.0  # of the time spent computing: others on the machine do not count
    for i in range(1, 1500):
        for stream in ("rgb", *extras):
            start = time.thread_time()
            feed(stream, 33 * i)
            slowest = max(slowest, time.thread_time() - start)
            assert max(feed.matcher.buffered.values()) <= 20
    assert slowest < 0.1  # 4.3 s was seen elsewhere, with five streams and queues of 20
    assert feed.dropped("rgb") == {"overflow": 1499 - 20}
    feed.finish()


def test_matches_come_in_stamp_order_though_partners_arrive_in_reverse():
    feed = Feed()
    for stamp in (0, 33, 66, 99):
        feed("rgb", stamp, 100)
    for stamp in (99, 66, 33, 0):
        feed("depth", stamp, 101)
    stamps = [match.stamp_ns for match in feed.matches]
    assert stamps == sorted(stamps)
    feed.finish()


# -- missing streams


def test_waiting_until_both_streams_came():
    feed = Feed()
    assert feed.mode == "waiting"
    feed("rgb", 0)
    assert feed.mode == "waiting" and feed.poll(499) == []
    feed("depth", 499.5)
    assert feed.mode == "normal"


@pytest.mark.parametrize(("here", "missing"), [("rgb", "depth"), ("depth", "rgb")])
def test_a_stream_never_seen_is_missing_after_the_timeout(here, missing):
    feed = Feed()
    feed(here, 0), feed(here, 300)
    assert feed.poll(499.999999) == [] and feed.mode == "waiting"
    assert feed.poll(500) == [single(here, 0), single(here, 300)]
    assert feed.mode == f"degrade:{missing}"
    assert feed(here, 501) == [single(here, 501)]
    assert feed.matches[-1].missing == (missing,) and feed.matches[-1].stamp_ns == 501 * MS
    feed.finish()


def test_nothing_at_all_is_waiting_and_silence_of_both_names_both():
    feed = Feed()
    assert feed.poll(10_000) == [] and feed.mode == "waiting"
    feed.run([("rgb", 10_000), ("depth", 10_000)])
    feed.poll(10_500)
    assert feed.mode == "degrade:rgb+depth"
    feed.finish()


def test_a_lone_reference_far_ahead_does_not_hold_back_singles():
    feed = Feed()
    feed.run([("rgb", 0), ("depth", 0), ("rgb", 10**9, 1)])
    depth = every(33, 700, first=33)
    assert feed.run(("depth", t) for t in depth) == [single("depth", t) for t in depth if t > 501]
    feed.finish()


def test_a_single_older_than_the_last_pair_is_late():
    feed = Feed()
    feed.run([("depth", 100), ("rgb", 105), ("depth", 104, 150)])
    assert feed.poll(640) == [] and feed.mode == "degrade:rgb"
    assert [m.stamp_ns for m in feed.matches] == [105 * MS] and feed.poll(660) == []
    assert feed.dropped("depth") == {"late": 1}
    feed.finish()


def test_pairs_held_for_an_extra_are_no_return():
    """Four complete pairs wait for an extra when everything stops: they go out, and nothing seems normal by them."""
    feed = Feed(extras=("thermal",))
    feed("thermal", 0)
    for t in range(110, 150, 10):
        feed("rgb", t), feed("depth", t)
    assert feed.poll(2000) == [pair(t, t) for t in range(110, 150, 10)]
    feed.poll(2001)
    assert [mode for _, mode in feed.matcher.mode_changes] == ["normal", "degrade:rgb+depth"]


def test_messages_that_do_not_decode_are_no_life():
    feed = Feed()
    for i in range(40):
        feed("rgb", 33 * i)
        feed.matcher.drop("depth", "invalid", 33 * i * MS)
    assert feed.mode == "degrade:depth" and feed.dropped("depth") == {"invalid": 40}
    feed.finish()


def test_what_nobody_could_have_used_yet_is_neither_life_nor_expected():
    """While the model loads, images are dropped not_ready: nothing is missing by them, and nothing kept alive."""
    feed = Feed()
    for t in every(33, 2000):
        feed.matcher.drop("rgb", "not_ready", round(t * MS))
        feed.poll(t)
    assert feed.mode == "waiting"
    feed("rgb", 2000)
    feed.poll(2499)
    assert feed.mode == "waiting"
    for t in every(33, 3000, first=2500):
        feed.matcher.drop("rgb", "not_ready", round(t * MS))
        feed.poll(t)
    assert feed.mode == "degrade:rgb+depth"


def test_both_streams_useless_from_the_start_is_missing_not_waiting():
    feed = Feed()
    feed.matcher.drop("rgb", "invalid", 0)
    feed.poll(500)
    assert feed.mode == "degrade:rgb+depth"


@pytest.mark.parametrize("frozen", ["rgb", "depth"])
def test_frozen_content_under_fresh_stamps_is_missing(frozen):
    feed = Feed()
    for i in range(40):
        for stream in ("rgb", "depth"):
            feed(stream, 33 * i, fingerprint=7 if stream == frozen and i > 3 else i + 100)
    assert feed.mode == f"degrade:{frozen}"
    assert feed.dropped(frozen) == {"duplicate": 35}
    assert feed.matches[-1].missing == (frozen,)
    feed.finish()


def test_content_that_comes_again_later_is_not_frozen():
    feed = Feed()
    for i in range(6):
        feed("rgb", 33 * i, fingerprint=i % 2), feed("depth", 33 * i, fingerprint=i % 2)
    assert len(feed.matches) == 6


def lost_and_back(policy: str, lost: str) -> Feed:
    """Pairs to 1 s, one stream gone to 3 s, both to 4 s; 30 Hz."""
    feed = Feed(policy=policy)
    times = {"rgb": every(33, 4000), "depth": every(33, 4000)}
    times[lost] = [t for t in times[lost] if not 1000 < t < 3000]
    feed.run(merged(*times.items()))
    return feed


def first_pair_back(lost: str) -> float:
    """The first depth image after the gap went its way before RGB came, received after it, and was known to live."""
    return min(t for t in every(33, 4000) if t > 3000) + 33 * (lost == "rgb")


@pytest.mark.parametrize(("lost", "other"), [("rgb", "depth"), ("depth", "rgb")])
def test_degrade_gives_singles_and_returns_with_the_third_pair(lost, other):
    feed = lost_and_back("degrade", lost)
    assert [mode for _, mode in feed.matcher.mode_changes] == ["normal", f"degrade:{lost}", "normal"]
    back_ns = feed.matcher.mode_changes[-1][0]
    first = first_pair_back(lost)
    assert back_ns == (first + 2 * 33) * MS
    after = [match for match in feed.matches if match.items[other][1] >= first]
    assert all(match.kind == "pair" for match in after) and len(after) == (31 if lost == "depth" else 30)
    stamps = [match.stamp_ns for match in feed.matches]
    assert stamps == sorted(stamps) and set(feed.dropped(other)) <= {"overflow"}
    feed.finish()


@pytest.mark.parametrize("policy", ["hold", "stop"])
@pytest.mark.parametrize("lost", ["rgb", "depth"])
def test_hold_and_stop_are_silent_until_the_third_pair(policy, lost):
    feed = lost_and_back(policy, lost)
    assert [mode for _, mode in feed.matcher.mode_changes] == ["normal", f"{policy}:{lost}", "normal"]
    assert {match.kind for match in feed.matches} == {"pair"}
    first = first_pair_back(lost)
    assert min(m.stamp_ns for m in feed.matches if m.stamp_ns > 1000 * MS) == (first + 2 * 33) * MS
    assert feed.dropped("rgb")["not_ready"] == feed.dropped("depth")["not_ready"] == 2
    feed.finish()


def test_three_pairs_in_a_row_means_none_later_than_the_timeout():
    """Both streams live all the time, but out of step for 600 ms after the second pair."""
    feed = Feed()
    feed("rgb", 0), feed.poll(500)
    for t in range(600, 1600, 100):
        feed("depth", t + 50 * (800 < t < 1300)), feed("rgb", t)
        assert feed.mode == ("normal" if t == 1500 else "degrade:rgb")
    assert [m.stamp_ns // MS for m in feed.matches if m.kind == "pair"] == [700, 800, 1300, 1400, 1500]


def test_pairs_of_before_a_time_jump_do_not_count_towards_the_return():
    feed = Feed()
    feed("rgb", 0), feed.poll(500)
    for loop in (0, 1000):
        for t in (5000 - 3 * loop, 5033 - 3 * loop):
            feed("rgb", t, 600 + loop), feed("depth", t, 600 + loop)
            assert feed.mode == "degrade:depth"
        feed.poll(700 + loop)
    assert feed.matcher.time_jumps == 1


def test_a_stream_that_returns_slowly_counts_its_pairs_all_the_same():
    """Thermal 9 Hz beside RGB 30 Hz: between its pairs lie unpaired images, which stay singles until all is normal."""
    feed = Feed(("rgb", "thermal"))
    feed.run(merged(("rgb", every(100 / 3, 3000)), ("thermal", every(1000 / 9, 3000, first=1500))))
    assert [mode for _, mode in feed.matcher.mode_changes] == ["degrade:thermal", "normal"]
    pairs = [m for m in feed.matches if m.kind == "pair"]
    assert feed.matcher.mode_changes[-1][0] == pytest.approx(pairs[2].items["thermal"][1] * MS, abs=12 * MS)
    between = [m for m in feed.matches if pairs[0].stamp_ns < m.stamp_ns < pairs[2].stamp_ns and m.kind == "single"]
    assert len(between) == 5
    feed.finish()


def test_rgb_that_returns_behind_the_depth_singles_still_returns():
    """RGB takes 80 ms longer than depth: by then the depth images went out alone, yet RGB is alive again."""
    feed = Feed()
    depth = [("depth", t, t) for t in every(33, 5000)]
    rgb = [("rgb", t, t + 80) for t in every(33, 5000, first=33 * 60)]
    feed.run(sorted(depth + rgb, key=lambda event: event[2]))
    assert feed.mode == "normal" and feed.dropped("rgb")["late"] >= 1
    assert all(m.kind == "pair" for m in feed.matches[-50:])
    feed.finish()


def test_a_missing_stream_stays_missing_over_a_loop_and_singles_go_on():
    feed = Feed()
    feed.run(("rgb", t, t) for t in every(33, 3000))
    for t in every(33, 3000):
        assert feed("rgb", t, t + 3000) == [single("rgb", t)]
    assert [mode for _, mode in feed.matcher.mode_changes] == ["degrade:depth"]
    feed.finish()


def test_jitter_of_arrival_does_not_flap():
    feed = Feed(("rgb", "thermal"))
    rgb = [("rgb", t, t + 30 * (i % 4)) for i, t in enumerate(every(100 / 3, 8000))]
    thermal = [("thermal", t, t + 90 * (i % 3)) for i, t in enumerate(every(1000 / 9, 8000))]
    feed.run(sorted(rgb + thermal, key=lambda event: event[2]))
    assert [mode for _, mode in feed.matcher.mode_changes] == ["normal"]
    feed.finish()


# -- extras and one required stream


def test_one_required_stream_makes_every_message_a_pair():
    feed = Feed(("rgb",))
    assert feed("rgb", 0) == [("pair", "rgb 0")] and feed("rgb", 33) == [("pair", "rgb 33")]
    assert feed.mode == "normal" and feed.matcher.counts["rgb"].in_pairs == 2
    feed.poll(600)
    assert feed.mode == "degrade:rgb"
    feed.finish()


def test_an_extra_is_attached_and_waited_for_only_while_it_lives():
    feed = Feed(("rgb",), ("depth",))
    assert feed("rgb", 0) == [("pair", "rgb 0")]  # depth never came: nobody waits for it
    feed("depth", 1)
    assert feed("rgb", 33) == []
    assert feed("depth", 34) == [pair(33, 34)]
    assert feed("rgb", 66, 66) == []
    assert feed.poll(533) == [] and feed.poll(534) == [("pair", "rgb 66")]
    assert feed("rgb", 560) == [("pair", "rgb 560")]
    assert [mode for _, mode in feed.matcher.mode_changes] == ["normal"]
    assert feed.dropped("depth") == {"no_partner": 1}
    feed.finish()


def test_a_slow_extra_costs_no_latency_once_its_rhythm_is_known():
    feed = Feed(("rgb",), ("thermal",))
    waited = 0
    for event in merged(("rgb", every(33, 3000)), ("thermal", every(200, 3000, first=2))):
        found = feed(*event)
        if event[0] == "rgb" and event[1] > 1700:
            waited += not found
    assert waited <= 7  # one at most for each thermal image
    assert feed.matcher.counts["thermal"].in_pairs >= 14
    feed.finish()


def test_an_extra_of_another_clock_costs_no_latency():
    feed = Feed(("rgb",), ("depth",))
    for i in range(30):
        feed("depth", 33 * i - 3600_000, 33 * i)
        found = feed("rgb", 33 * i + 5)
        assert found == [("pair", f"rgb {33 * i + 5}")]
    feed.finish()


def test_an_extra_beside_pairs_and_singles():
    feed = Feed(("rgb", "thermal"), ("depth",))
    feed.run(merged(("rgb", every(33, 2000)), ("thermal", every(33, 1000)), ("depth", every(33, 2000, first=3))))
    kinds = {match.kind for match in feed.matches if "depth" in match.items}
    counts = feed.matcher.counts["depth"]
    assert kinds == {"pair", "single"} and counts.in_pairs == 30 and counts.singles >= 25
    assert all(match.missing in ((), ("thermal",)) for match in feed.matches)
    feed.finish()


def test_an_extra_alone_makes_nothing():
    feed = Feed(("rgb", "thermal"), ("depth",), queue_size=3)
    assert feed.run(("depth", t, t) for t in every(33, 2000)) == [] and feed.mode == "waiting"
    assert feed.dropped("depth") == {"overflow": 61 - 3}
    feed.finish()


def test_a_flood_of_extras_costs_no_pair():
    feed = Feed(("rgb", "thermal"), ("depth",), queue_size=3)
    feed("rgb", 100)
    feed.run(("depth", t) for t in every(2, 120, first=90))
    assert feed("thermal", 120) == [("pair", "depth 114", "rgb 100", "thermal 120")]
    assert feed.dropped("depth") == {"overflow": 12}
    feed.finish()


def test_a_full_queue_gives_out_the_pair_that_waits_for_an_extra():
    feed = Feed(("rgb", "thermal"), ("depth",), queue_size=3)
    feed("depth", 0)
    for i in range(1, 5):
        feed("rgb", 10 * i, 1), feed("thermal", 10 * i, 1)
    assert [m.stamp_ns for m in feed.matches] == [10 * MS]
    assert feed.matcher.buffered["rgb"] == 3 and feed.dropped("rgb") == {}


# -- settings and counts


def test_the_reference_is_rgb_wherever_it_is_named():
    feed = Feed(("depth", "rgb"))
    feed.run([("depth", 101), ("rgb", 100), ("depth", 130)])
    assert feed.matches[0].stamp_ns == 100 * MS


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"required": ()}, "1 to 4 required"),
        ({"required": ("rgb", "depth", "thermal", "event", "radar")}, "1 to 4 required"),
        ({"required": ("rgb",), "extras": ("rgb",)}, "named once"),
        ({"required": ("rgb",), "offsets_ns": {"depht": 1}}, "offset of depht"),
        ({"required": ("rgb",), "policy": "ignore"}, "degrade, hold, stop"),
        ({"required": ("rgb",), "slop_ns": -1}, "slop -1 ns"),
        ({"required": ("rgb",), "queue_size": 0}, "queue size 0"),
        ({"required": ("rgb",), "jump_ns": 0}, "jump 0 ns"),
        ({"required": ("rgb",), "missing_timeout_ns": 0}, "timeout 0 ns"),
    ],
)
def test_settings_without_sense_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        PairMatcher(**settings)


def test_settings_change_between_two_messages():
    feed = Feed()
    feed.run([("rgb", 0), ("depth", 0), ("rgb", 100)])
    feed.matcher.reconfigure(slop_ns=50 * MS, missing_timeout_ns=100 * MS, policy="hold")
    assert feed("depth", 140, 101) == [pair(100, 140)]
    feed.poll(205)
    assert feed.mode == "hold:depth"  # 101 + 100; the deadline of rgb is still that of before
    with pytest.raises(ValueError, match="slop -1 ns"):
        feed.matcher.reconfigure(slop_ns=-1, missing_timeout_ns=1, policy="hold")
    feed.finish()


def test_unknown_streams_and_causes_are_refused_and_not_counted():
    feed = Feed()
    with pytest.raises(ValueError, match="'thermal', expected one of rgb, depth"):
        feed("thermal", 0)
    with pytest.raises(ValueError, match="'lost', expected one of no_partner"):
        feed.matcher.drop("rgb", "lost", 0)
    with pytest.raises(ValueError, match="'lost'"):
        feed.matcher.flush("lost")
    assert feed.matcher.counts["rgb"].received == 0 and feed.mode == "waiting"


def test_the_end_of_a_recording_gives_out_what_is_complete():
    feed = Feed(("rgb", "thermal"), ("depth",))
    feed.run([("depth", 0), ("thermal", 98), ("rgb", 100)])  # a nearer thermal, and depth, might come
    feed.run([("rgb", 140), ("thermal", 190)])
    assert feed.dropped("rgb") == {} and feed.matches == []
    matches = feed.matcher.finish()
    assert [(match.stamp_ns, *match.items) for match in matches] == [(100 * MS, "rgb", "thermal")]
    assert feed.dropped("rgb") == {"shutdown": 1} and feed.dropped("thermal") == {"shutdown": 1}
    assert feed.mode == "normal" and feed.matcher.check_identities() == []


def test_counts_are_a_snapshot():
    feed = Feed()
    feed("rgb", 0)
    before = feed.matcher.counts["rgb"]
    feed("rgb", 0)
    assert before.received == 1 and dict(before.dropped) == {}
    feed.finish()
    assert feed.dropped("rgb") == {"duplicate": 1, "shutdown": 1}
