"""Tasks of minutes, spread over this process, several processes or a Ray cluster, and how far they are.

A task whose process dies is tried once more, by itself. Workers end with the process that began them, whatever ends it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from gemini_ros.core.documents import one_line

Task = TypeVar("Task", bound=Hashable)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Lost:
    """The outcome of a task whose process died twice; ``text`` says so."""

    text: str


def spread(
    tasks: Sequence[Task], work: Callable[[Task], Result], *, workers: int = 1, ray: str | None = None
) -> Iterator[tuple[Task, Result | Lost]]:
    """Each task with its result as it is done, in no order.

    ``work`` must be picklable for several ``workers`` and for ``ray``, the address of a cluster. Its errors are raised
    here, and what is not done then is not done at all. Raises ``ValueError`` as ``on_ray.spread_on_ray`` does.
    """
    if ray is not None:
        from gemini_ros.core.on_ray import spread_on_ray

        yield from spread_on_ray(tasks, work, ray)
    elif workers > 1:
        yield from _in_processes(tasks, work, workers)
    else:
        for task in tasks:
            yield task, work(task)


@contextmanager
def telling_what_is_kept(told: Callable[[], str]) -> Iterator[None]:
    """Add to an ``OSError``, such as that of a full disk, what of a run is done: ``told`` says it."""
    try:
        yield
    except OSError as error:
        text = one_line(error)
        raise OSError(f"{text}: {told()}; the same command goes on from there") from error


def hands_text(workers: int, ray: str | None) -> str:
    """Who does the tasks."""
    return f"Ray at {ray}" if ray else f"{workers} worker{'s' if workers > 1 else ''}"


class Progress:
    """How far a run is, and how much longer it will take by the ``sizes`` of the tasks that are left."""

    def __init__(self, sizes: Mapping[Hashable, float]) -> None:
        self._sizes = sizes
        self._left, self._worked, self._done = sum(sizes.values()), 0.0, 0
        self._start_s = time.monotonic()

    def line(self, task: Hashable, what: str, *, worked: bool = True) -> str:
        """What to say of a task that is done; one that was not ``worked`` on tells nothing of the pace."""
        self._done += 1
        self._left -= self._sizes[task]
        self._worked += self._sizes[task] if worked else 0
        left_s = (time.monotonic() - self._start_s) * self._left / self._worked if self._worked else None
        return f"{self._done}/{len(self._sizes)}  {what}" + (f", about {_duration(left_s)} left" if left_s else "")


def _in_processes(
    tasks: Sequence[Task], work: Callable[[Task], Result], workers: int
) -> Iterator[tuple[Task, Result | Lost]]:
    left = list(tasks)
    while left:
        hands = min(workers, len(left))
        in_hand: dict[Future[Result], Task] = {}
        with _pool(hands) as pool:
            try:
                while left or in_hand:
                    while left and len(in_hand) < hands:
                        in_hand[pool.submit(work, left[0])] = left[0]
                        del left[0]
                    for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield in_hand.pop(future), result
            except BrokenProcessPool:
                suspects = list(in_hand.values())
            else:
                return
        for task in suspects:
            yield task, _alone(task, work)


def _alone(task: Task, work: Callable[[Task], Result]) -> Result | Lost:
    with _pool(1) as pool:
        try:
            return pool.submit(work, task).result()
        except BrokenProcessPool:
            return Lost("the process that worked on it was killed twice: is there enough memory?")


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not forked: the parent has threads of the network's runtime and a graphics context, which a fork would break.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
