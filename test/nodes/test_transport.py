"""Loss estimated from stamps."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros.nodes.transport import StampGaps, loss_message

PERIOD_NS = 33_333_333


def fed(stamps: list[int]) -> StampGaps:
    gaps = StampGaps()
    for stamp in stamps:
        gaps.add(stamp)
    return gaps


@given(st.integers(1, 200), st.integers(2_000_000, 500_000_000), st.integers(0, 10**18))
def test_a_regular_stream_loses_nothing(count: int, period_ns: int, start_ns: int):
    gaps = fed([start_ns + i * period_ns for i in range(count)])
    assert gaps.lost == 0
    assert gaps.period_ns == (period_ns if count > 10 else None)


def test_every_missing_period_counts_once_enough_is_known():
    kept = [i for i in range(60) if i not in {20, 21, 40}]
    assert fed([i * PERIOD_NS for i in kept]).lost == 3
    early = [i for i in range(60) if i not in {3, 5, 6}]
    assert fed([i * PERIOD_NS for i in early]).lost == 3


@pytest.mark.parametrize("share", [0.1, 0.5, 0.75])
def test_heavy_loss_is_still_seen(share: float):
    rng = random.Random(3)
    kept = [i for i in range(600) if rng.random() >= share]
    gaps = fed([i * PERIOD_NS + rng.randrange(-1_000_000, 1_000_000) for i in kept])
    true = kept[-1] - kept[0] + 1 - len(kept)
    assert gaps.lost == pytest.approx(true, rel=0.1)


def test_stamps_without_rhythm_say_nothing():
    rng = random.Random(5)
    stamps = [0]
    for _ in range(300):
        stamps.append(stamps[-1] + rng.randrange(15_000_000, 120_000_000))
    assert fed(stamps).lost == 0


def test_jitter_bursts_pauses_and_loops_are_no_loss():
    rng = random.Random(4)
    steady = [i * PERIOD_NS + rng.randrange(-4_000_000, 4_000_000) for i in range(200)]
    assert fed(steady).lost == 0
    assert fed([*steady, steady[-1], steady[-1] + 100]).lost == 0
    paused = [*steady, *(s + steady[-1] + 2_000_000_000 for s in steady)]
    assert fed(paused).lost == 0
    assert fed([*steady, *steady]).lost == 0


def test_the_message_names_share_and_cure():
    text = loss_message("rgb", 30, 10, "raw")
    assert "rgb: 30 of 40 images (75%) lost in transport" in text
    assert "config/fastdds.xml" in text
    assert "compressed" in text
    assert "or set" not in loss_message("rgb", 30, 10, "compressed")
