"""Nested phases as one fraction."""

from __future__ import annotations

import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gemini_ros.inference.tensorrt.progress import BuildProgress


def test_a_phase_fills_its_parents_step():
    told = []
    progress = BuildProgress(lambda fraction, phase: told.append((round(fraction, 3), phase)))
    progress.start("build", None, 2)
    progress.start("optimise", "build", 4)
    progress.step("optimise", 0)
    progress.step("optimise", 2)
    progress.finish("optimise")
    progress.step("build", 0)
    progress.finish("build")
    assert told == [
        (0.0, "build"),
        (0.0, "optimise"),
        (0.125, "optimise"),
        (0.375, "optimise"),
        (0.5, "optimise"),
        (0.5, "build"),
        (1.0, "build"),
    ]


events = st.one_of(
    st.tuples(st.just("start"), st.sampled_from("abc"), st.sampled_from([None, "a", "b", "x"]), st.integers(-1, 3)),
    st.tuples(st.just("step"), st.sampled_from("abcx"), st.integers(0, 9)),
    st.tuples(st.just("finish"), st.sampled_from("abcx")),
)


@given(st.lists(events, max_size=30))
@example([("start", "b", None, 2), ("start", "a", "b", 2), ("finish", "b"), ("start", "b", "a", 2)])
@example([("start", "a", None, 2), ("start", "a", "a", 2), ("step", "a", 0)])
def test_whatever_is_reported_the_fraction_never_falls_and_stays_within_bounds(reported):
    told = []
    progress = BuildProgress(lambda fraction, _: told.append(fraction))
    for event, *arguments in reported:
        getattr(progress, event)(*arguments)
    assert told == sorted(told)
    assert all(0 <= fraction <= 1 for fraction in told)


def test_many_small_steps_are_told_once_a_hundredth_and_from_any_thread():
    told = []
    progress = BuildProgress(lambda fraction, phase: told.append(fraction))
    progress.start("build", None, 10_000)
    threads = [
        threading.Thread(target=lambda i=i: [progress.step("build", step) for step in range(i, 10_000, 4)])
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told[-1] >= 0.99
    assert len(told) <= 101


def test_what_the_listener_raises_is_kept_and_ends_the_build():
    def refuse(fraction: float, phase: str) -> None:
        raise KeyboardInterrupt

    progress = BuildProgress(refuse)
    progress.start("build", None, 3)
    assert progress.step("build", 0) is False
    assert isinstance(progress.error, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        progress.report(1.0, "done")
