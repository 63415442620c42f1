"""Two hundred of the cases of ``scripts/fuzz.py``: the first ones of every target."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

pytest.importorskip("rosbags", reason="the bags of the corpus need rosbags")
pytest.importorskip("onnx", reason="the models of the corpus are made with onnx")

from test.fuzzing import decoders, readers
from test.fuzzing.target import case, judge

SEED = 1
CASES_OF_EACH = 8
MOST_SECONDS = 2.0
MOST_BYTES = 300e6


def targets() -> list:
    every = (*decoders.TARGETS, *readers.TARGETS)
    # A damaged training log is read by all of Lightning, which takes its time.
    marks = {name: [pytest.mark.torch, *([pytest.mark.slow] if name == "trained" else [])] for name in readers.OF_TORCH}
    return [pytest.param(target, id=target.name, marks=marks.get(target.name, ())) for target in every]


@pytest.mark.parametrize("target", targets())
def test_corpus(target, tmp_path: Path):
    """What is sent or handed over is read, or refused in one line; in little time and memory."""
    (tmp_path / "seeds").mkdir()
    (tmp_path / "work").mkdir()
    seeds = list(target.seeds(tmp_path / "seeds"))
    for good in seeds:
        assert judge(target, good, tmp_path / "work")[0] == ""
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(CASES_OF_EACH):
        start = time.process_time()
        fault, _ = judge(target, case(target, seeds, number, SEED), tmp_path / "work")
        assert not fault, f"case {number}: {fault}"
        assert time.process_time() - start < MOST_SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024 < MOST_BYTES


def test_a_case_is_the_same_bytes_each_time(tmp_path: Path):
    target = decoders.TARGETS[0]
    seeds = list(target.seeds(tmp_path))
    assert [case(target, seeds, i) for i in range(20)] == [case(target, seeds, i) for i in range(20)]
    assert len({case(target, seeds, i) for i in range(20)}) > 15
