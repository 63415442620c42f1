from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros.pipeline.statistics import (
    CAUSES,
    STAGES,
    Counters,
    FaultCounts,
    LatencyStatistics,
    Rates,
    Speed,
    StageTimer,
    message_identity,
)
from gemini_ros.pipeline.waiting import StreamCounts


def test_counters_that_add_up_break_nothing():
    counters = Counters(pairs=9, singles=4, inferences=7, replaced=2, failed=1, not_ready=1, wrong_size=1, shutdown=1)
    counters.labels_published = 7
    streams = {"rgb": StreamCounts(20, 9, 3, {"late": 8}), "depth": StreamCounts(10, 9, 1, {})}
    assert counters.identities(streams) == []
    assert counters.dropped_pairs == {"replaced": 2, "failed": 1, "not_ready": 1, "wrong_size": 1, "shutdown": 1}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pairs": 3}, "pairs 3 + singles 0 = 3, but inferences 2 + dropped {} = 2"),
        ({"replaced": 1}, "dropped {'replaced': 1} = 3"),
        ({"labels_published": 1}, "labels_published 1, but inferences 2"),
    ],
)
def test_a_broken_identity_is_named_with_its_numbers(change, sentence):
    counters = Counters(**{"pairs": 2, "inferences": 2, "labels_published": 2, **change})
    (broken,) = counters.identities()
    assert sentence in broken


def test_streams_must_add_up_and_agree_with_the_matches():
    counters = Counters(pairs=2, inferences=2, labels_published=2)
    broken = counters.identities({"rgb": StreamCounts(5, 2, 0, {"late": 2}), "depth": StreamCounts(3, 3, 0, {})})
    assert broken == [
        "rgb: received 5, but in_pairs 2 + singles 0 + dropped {'late': 2} + waiting 0 = 4",
        "depth: in 3 pairs, but only 2 pairs were counted",
    ]


def test_what_still_waits_is_part_of_the_identity():
    counts = StreamCounts(5, 2, 0, {"late": 2})
    assert message_identity("rgb", counts, waiting=1) == []
    assert message_identity("rgb", counts) != []


def test_every_cause_a_match_can_end_in_is_a_cause():
    counters = Counters(replaced=1, failed=1, not_ready=1, invalid=1, wrong_size=1, shutdown=1)
    assert set(counters.dropped_pairs) < set(CAUSES)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200), st.sampled_from([0.0, 0.01, 0.5, 0.99, 1.0]))
def test_quantiles_are_the_nearest_rank_within_the_stated_error(durations, q):
    statistics = LatencyStatistics()
    for duration in durations:
        statistics.record("network", duration)
    exact = sorted(durations)[max(int(np.ceil(q * len(durations))), 1) - 1]
    found = statistics.quantile_ms("network", q)
    assert found is not None and found == pytest.approx(exact * 1e-6, rel=0.004, abs=1e-9)
    assert statistics.count("network") == len(durations)


def test_small_and_absurd_durations_fit():
    statistics = LatencyStatistics()
    for duration, expected in ((-5, 0), (0, 0), (1, 1e-6), (255, 255e-6), (256, 256e-6), (1 << 80, 2**62 * 1e-6)):
        fresh = LatencyStatistics()
        fresh.record("queue", duration)
        statistics.record("queue", duration)
        assert fresh.p50_ms("queue") == pytest.approx(expected, rel=0.008)
    assert statistics.count("queue") == 6


def test_overhead_is_taken_frame_by_frame():
    statistics = LatencyStatistics()
    for queue, network, total in ((10, 30, 45), (0, 30, 38), (20, 50, 71)):
        statistics.record_frame({"queue": queue * 10**6, "network": network * 10**6, "total": total * 10**6})
    assert statistics.overhead()["p50"] == pytest.approx(5, rel=0.004)  # of 5, 8 and 1
    assert statistics.overhead()["p99"] == pytest.approx(8, rel=0.004)


def test_a_frame_without_total_has_no_overhead_and_one_without_waiting_has_it_all():
    statistics = LatencyStatistics()
    statistics.record_frame({"network": 5})
    assert statistics.overhead() == {"p50": None, "p99": None}
    statistics.record_frame({"total": 100})
    assert statistics.overhead()["p50"] == pytest.approx(100e-6)


def test_to_dict_has_every_stage_in_order():
    statistics = LatencyStatistics()
    statistics.record("sync", 2_000_000)
    table = statistics.to_dict()
    assert tuple(table) == STAGES
    assert table["sync"]["p50"] == pytest.approx(2.0, rel=0.004) and table["total"] == {"p50": None, "p99": None}


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="'decode', expected one of sync"):
        LatencyStatistics().record("decode", 1)


def test_memory_does_not_grow():
    statistics = LatencyStatistics()
    before = statistics._histograms["total"].buckets.nbytes
    for duration in range(0, 10**9, 10**5):
        statistics.record("total", duration)
    assert statistics._histograms["total"].buckets.nbytes == before < 60_000


def test_a_timer_adds_up_and_measures_through_errors():
    timer = StageTimer()
    with pytest.raises(RuntimeError), timer.stage("costmap"):
        time.sleep(0.01)
        raise RuntimeError
    with timer.stage("costmap"):
        time.sleep(0.01)
    timer.add("network", 3)
    timer.add("network", 4)
    assert 20_000_000 <= timer.timings_ns["costmap"] < 2_000_000_000 and timer.timings_ns["network"] == 7


def test_the_sentences_of_a_long_run_are_bounded():
    faults = FaultCounts()
    for i in range(1000):
        faults.note(f"late by {i} ms")
        faults.note("late by 3 ms")
    assert len(faults) == 100
    assert faults["late by 3 ms"] == 1001


def too_slow(rates: Rates | None, least_hz: float = 2.0) -> bool:
    return rates is not None and rates.segmented < least_hz <= max(rates.brought, rates.offered)


def run_of(
    network_hz: float, camera_hz: float, start_s: float, end_s: float, offered: bool = True
) -> list[Rates | None]:
    """Reports once a second for 20 s; two cameras bring images from ``start_s`` to ``end_s``."""
    speed, found = Speed(), []
    for report in range(20):
        since_s = max(min(report + 0.5, end_s) - start_s, 0.0)
        brought, done = int(since_s * camera_hz), int(since_s * min(network_hz, camera_hz))
        counters = Counters(pairs=brought * offered, inferences=done * offered)
        found.append(speed.note(report + 0.5, counters, (brought, brought), 2.0))
    return found


@pytest.mark.parametrize("network_hz", [2.1, 3.0, 10.0, 60.0])
@pytest.mark.parametrize("start_s", [1.05, 1.5, 2.3, 4.49])
@pytest.mark.parametrize("end_s", [12.1, 12.5, 12.9, 14.45])
def test_the_start_and_the_end_of_a_run_are_no_slow_network(network_hz, start_s, end_s):
    found = run_of(network_hz, 30.0, start_s, end_s)
    assert not any(map(too_slow, found))
    assert max(rates.segmented for rates in found if rates) == pytest.approx(min(network_hz, 30), abs=0.5)


@pytest.mark.parametrize("offered", [True, False])
def test_a_network_that_is_too_slow_is_told_within_six_seconds_for_as_long_as_it_lasts(offered):
    found = run_of(1.5, 30.0, 2.2, 14.0, offered)
    slow = [report + 0.5 for report, rates in enumerate(found) if too_slow(rates)]
    assert slow[0] <= 2.2 + 6
    assert slow == [slow[0] + i for i in range(len(slow))]
    assert 13 <= slow[-1] <= 15


def test_slow_cameras_are_no_slow_network_and_a_low_limit_has_long_steps():
    assert not any(map(too_slow, run_of(60.0, 1.5, 1.0, 18.0)))
    speed = Speed()
    found = [speed.note(s, Counters(pairs=s // 2), (s // 2, s // 2), 0.3) for s in range(40)]
    assert too_slow(found[-1], 0.3)
