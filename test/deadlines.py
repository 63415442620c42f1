"""A test that would wait for ever fails instead."""

from __future__ import annotations

import signal
from collections.abc import Iterator
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
