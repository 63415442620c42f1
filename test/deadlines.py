"""Tests of what must end soon and take little memory."""

from __future__ import annotations

import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def at_most_5_s() -> Iterator[None]:
    """Fails the test out of a call that blocks; in the main thread."""

    def end(*_: object) -> None:
        pytest.fail("still not done after 5 s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(5)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Gives a function that says how many bytes Python and numpy have held at most since the block began."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
