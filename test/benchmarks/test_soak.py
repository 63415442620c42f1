"""The soak for half a minute, and its judgement on written figures."""

import json

import pytest

from benchmarks import soak


@pytest.mark.slow
@pytest.mark.ros
@pytest.mark.once
@pytest.mark.flaky(reruns=1)
def test_half_a_minute_of_random_faults_breaks_no_promise(tmp_path):
    file = tmp_path / "soak.json"
    assert soak.main(["--minutes", "0.5", "--rate", "20", "--seed", "1", "--json", str(file)]) == 0
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["failed"] == []
    assert result["at_exit"]["identities"] == []
    assert len(result["faults"]) >= 3
    assert result["labels_heard"] > 0.5 * result["pairs_sent"] > 50
    assert all(row["rss"] >= row["pss"] > 100 for row in result["memory"])


def made(growth_mb: float = 0.0, drift: float = 1.0, **changes) -> dict:
    """The result of ten minutes, of which the first two are the warm-up."""
    memory = [{"s": s, "rss": 300 + growth_mb * max(s - 120, 0) / 480, "pss": 250.0} for s in range(0, 601, 5)]
    overhead = [{"s": 60.0 * i, "p50": 1.0, "p99": 3.0 * (drift if i > 7 else 1)} for i in range(1, 11)]
    rows = {"memory": memory, "overhead": overhead, "faults": [{"s": 1, "name": "frozen", "recovery_s": 0.1}]}
    return {**rows, "warm_up_s": 120.0, "at_exit": {"identities": []}, "ended": "", **changes}


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        (made(), []),
        (made(growth_mb=4.5), []),
        (made(growth_mb=6.0), ["rss_growth_mb 6.00, limit 5"]),
        (made(drift=1.4), []),
        (made(drift=2.0), ["overhead_p99_ratio 2.00, limit 1.5"]),
        (made(at_exit={}), ["no statistics at exit"]),
        (made(ended="the node ended with -9"), ["the node ended with -9"]),
        (made(faults=[{"s": 5, "name": "frozen", "failure": "silent"}]), ["frozen at 5 s: silent"]),
    ],
)
def test_what_fails(result, failed):
    assert soak.judge(result) == failed


def test_a_run_without_figures_is_no_success():
    assert soak.judge(made(memory=[], overhead=[], faults=[])) == ["no fault was inflicted", "no memory was measured"]
