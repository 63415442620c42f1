"""Several at work, results in order, and no line between them."""

from __future__ import annotations

import queue
import random
import threading
import time

import pytest

from gemini_ros.pipeline.in_order import InOrder


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_in_which_the_items_were_taken(workers):
    items: queue.Queue[int | None] = queue.Queue()
    for i in [*range(60), *([None] * workers)]:
        items.put(i)
    at_once, together, done = threading.Lock(), [0, 0], []
    rng = random.Random(workers)

    def work(item: int) -> int:
        with at_once:
            together[0] += 1
            together[1] = max(together)
        time.sleep(rng.random() * 2e-3)
        with at_once:
            together[0] -= 1
        return -item

    line = InOrder(workers, items.get, work, done.append)
    line.join(10.0)
    assert done == [-i for i in range(60)]
    assert together[1] == workers
    assert not any(thread.is_alive() for thread in line.threads)


def test_no_item_is_taken_that_could_not_be_finished_soon():
    taken, begun, finish = [], threading.Semaphore(0), threading.Semaphore(0)
    end = threading.Event()

    def take() -> int | None:
        if end.is_set():
            return None
        taken.append(len(taken))
        return taken[-1]

    line = InOrder(2, take, lambda item: begun.release(), lambda _: finish.acquire())
    for _ in range(3):
        begun.acquire(timeout=5.0)
    time.sleep(0.05)
    assert len(taken) == 3, "two workers and one result to finish"
    assert line.busy_ns() > 40_000_000
    finish.release()
    begun.acquire(timeout=5.0)
    time.sleep(0.02)
    assert len(taken) == 4
    end.set()
    finish.release(10)
    line.join(5.0)
    assert not line.whole
    assert line.busy_ns() == 0


def test_the_next_is_worked_on_while_a_result_is_finished():
    items: queue.Queue[str | None] = queue.Queue()
    finishing, worked = threading.Event(), threading.Event()

    def work(item: str) -> str:
        if item == "second":
            assert finishing.wait(5.0)
            worked.set()
        return item

    def finish(item: str) -> None:
        if item == "first":
            finishing.set()
            assert worked.wait(5.0)

    line = InOrder(1, items.get, work, finish)
    for item in ("first", "second", None):
        items.put(item)
    line.join(5.0)
    assert worked.is_set()
    assert not any(thread.is_alive() for thread in line.threads)
