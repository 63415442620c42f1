"""What the diagnostics remember from one report to the next."""

from __future__ import annotations

import pytest

from gemini_ros.nodes.segmenter import statuses
from gemini_ros.pipeline.statistics import LatencyStatistics


def test_the_overhead_of_the_last_minute_forgets_the_minutes_before(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(statuses.time, "monotonic", lambda: now[0])
    minute, latencies = statuses.LastMinute(), LatencyStatistics()

    def run(seconds: float, overhead_ms: int) -> dict[str, float]:
        for _ in range(round(seconds)):
            now[0] += 1.0
            latencies.record_frame({"total": overhead_ms * 1_000_000})
            found = minute.overhead(latencies)
        return found

    assert minute.overhead(latencies) == {}
    assert run(59, 2) == {}
    assert run(1, 2) == {"p50": pytest.approx(2, rel=0.004), "p99": pytest.approx(2, rel=0.004)}
    assert run(60, 8)["p50"] == pytest.approx(8, rel=0.004)
    now[0] += 60
    assert minute.overhead(latencies) == {}, "a minute without a frame has no overhead"
    latencies = LatencyStatistics()
    assert run(60, 4) == {}, "activated anew"
    assert run(1, 4)["p50"] == pytest.approx(4, rel=0.004)
