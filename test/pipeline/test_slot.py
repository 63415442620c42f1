from __future__ import annotations

import threading
import time

import pytest

from gemini_ros.pipeline.slot import NewestSlot


def test_the_newest_wins_and_the_replaced_comes_back():
    slot: NewestSlot[str] = NewestSlot()
    assert slot.put("a") is None
    assert slot.put("b") == "a"
    assert slot.take(0) == "b"
    assert slot.take(0) is None and not slot.closed


def test_take_waits_for_an_item_and_no_longer_than_told():
    slot: NewestSlot[str] = NewestSlot()
    threading.Timer(0.05, slot.put, ["a"]).start()
    assert slot.take(10) == "a"
    start = time.monotonic()
    assert slot.take(0.05) is None
    assert time.monotonic() - start > 0.04


def test_close_hands_back_what_is_left_and_refuses_more():
    slot: NewestSlot[str] = NewestSlot()
    slot.put("a")
    assert slot.close() == "a" and slot.closed
    assert slot.put("b") == "b"
    assert slot.take() is None and slot.close() is None


def test_close_wakes_a_waiting_worker():
    slot: NewestSlot[str] = NewestSlot()
    taken: list = []
    worker = threading.Thread(target=lambda: taken.append(slot.take()))
    worker.start()
    slot.close()
    worker.join(10)
    assert not worker.is_alive() and taken == [None]


def test_none_is_no_item():
    with pytest.raises(ValueError, match="expected an item"):
        NewestSlot().put(None)


def test_between_threads_every_item_comes_out_once():
    slot: NewestSlot[int] = NewestSlot()
    taken: list[int] = []
    replaced: list[int] = []

    def work() -> None:
        while (item := slot.take(10)) is not None:
            taken.append(item)

    worker = threading.Thread(target=work)
    worker.start()
    for item in range(20_000):
        if (old := slot.put(item)) is not None:
            replaced.append(old)
    left = slot.close()
    worker.join(10)
    assert sorted(taken + replaced + ([] if left is None else [left])) == list(range(20_000))
    assert taken == sorted(taken)
