"""Several threads work on what comes one after the other; one takes their results in the order they were begun in."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class InOrder(Generic[T, R]):
    """``workers`` threads call ``work`` on what ``take`` gives, and one more calls ``finish`` on the results, in order.

    ``take`` waits for an item and is called by one thread at a time; ``None`` ends the work. One item more than there
    are workers is on its way at most, so that a result is finished while the next is worked on and no line forms.
    Neither ``work`` nor ``finish`` may raise.
    """

    def __init__(
        self, workers: int, take: Callable[[], T | None], work: Callable[[T], R], finish: Callable[[R], None]
    ) -> None:
        self._take, self._work, self._finish = take, work, finish
        self._taking = threading.Lock()
        self._room = threading.BoundedSemaphore(workers + 1)
        self._changed = threading.Condition()
        self._jobs: deque[_Job[R]] = deque()
        self._working = workers
        self.threads = [
            *(threading.Thread(target=self._run, name=f"worker {i}", daemon=True) for i in range(workers)),
            threading.Thread(target=self._run_finish, name="finisher", daemon=True),
        ]
        for thread in self.threads:
            thread.start()

    @property
    def whole(self) -> bool:
        """Whether all threads are alive."""
        return all(thread.is_alive() for thread in self.threads)

    def busy_ns(self) -> int:
        """For how long the oldest item under way has been; 0 without one."""
        with self._changed:
            return time.monotonic_ns() - self._jobs[0].since_ns if self._jobs else 0

    def join(self, timeout_s: float) -> None:
        """Wait for the end of all threads, which begins when ``take`` gives ``None``."""
        deadline = time.monotonic() + timeout_s
        for thread in self.threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _run(self) -> None:
        while (begun := self._begin()) is not None:
            item, job = begun
            job.result = self._work(item)
            with self._changed:
                job.done = True
                self._changed.notify()
        with self._changed:
            self._working -= 1
            self._changed.notify()

    def _begin(self) -> tuple[T, _Job[R]] | None:
        """Room first, the item after it: what waits for room is still the newest when it is taken."""
        with self._taking:
            self._room.acquire()
            item = self._take()
            if item is None:
                self._room.release()
                return None
            job: _Job[R] = _Job(time.monotonic_ns())
            with self._changed:
                self._jobs.append(job)
            return item, job

    def _run_finish(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs[0].done if self._jobs else not self._working)
                if not self._jobs:
                    return
                job = self._jobs[0]
            self._finish(job.result)
            with self._changed:
                self._jobs.popleft()
            self._room.release()


class _Job(Generic[R]):
    """The place of an item in the line, and what came of it."""

    result: R

    def __init__(self, since_ns: int) -> None:
        self.since_ns = since_ns
        self.done = False
