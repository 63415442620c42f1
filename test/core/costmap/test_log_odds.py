"""Log-odds: how many hits and misses it takes."""

import numpy as np
import pytest

from gemini_ros.core.costmap.log_odds import Odds, _change_in_loops, _change_in_numpy

ONE = np.array([1], np.uint16)
CELL = np.array([5])


def odds(hits: int, misses: int = 0, *, dynamic: bool = False, bits: int = 1) -> Odds:
    made = Odds(3)
    for _ in range(hits):
        made.hit(CELL, ONE * bits)
    for _ in range(misses):
        made.miss(CELL, ONE * bits, np.array([dynamic]))
    return made


def test_one_hit_marks_what_nothing_is_known_of_and_that_cell_alone():
    made = odds(1)
    assert made.lethal.tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert made.odds[1, 2].tolist() == [17] + [0] * 9


@pytest.mark.parametrize(("dynamic", "needed"), [(False, 7), (True, 2)])
def test_misses_it_takes_to_contradict_what_was_certain(dynamic, needed):
    assert odds(9, needed - 1, dynamic=dynamic).lethal[1, 2] == 1
    assert odds(9, needed, dynamic=dynamic).lethal[1, 2] == 0


def test_two_hits_mark_a_cell_that_was_clear():
    made = odds(1, 20)
    assert (made.lethal[1, 2], made.odds[1, 2, 0]) == (0, -17)
    made.hit(CELL, ONE)
    assert made.lethal[1, 2] == 0
    made.hit(CELL, ONE)
    assert made.lethal[1, 2] == 1


def test_the_parts_of_a_cell_are_apart():
    made = odds(9, bits=0b1000000101)
    for _ in range(7):
        made.miss(CELL, ONE * 0b100, np.array([False]))
    assert made.lethal[1, 2] == 0b1000000001


def test_what_is_forgotten_takes_one_hit_again():
    made = odds(9)
    made.forget(CELL)
    assert made.lethal[1, 2] == 0
    made.hit(CELL, ONE)
    assert made.odds[1, 2, 0] == 17


def test_both_ways_to_change_are_equal():
    rng = np.random.default_rng(0)
    made = [(np.zeros((30, 10), np.int8), np.zeros(30, np.uint16)) for _ in range(2)]
    for _ in range(60):
        cells, by = rng.permutation(30)[:20], rng.choice([17, -8, -28], 20).astype(np.int8)
        bits = rng.integers(0, 1 << 10, 20).astype(np.uint16)
        for (odds, lethal), change in zip(made, (_change_in_numpy, _change_in_loops), strict=True):
            change(odds, lethal, cells, bits, by)
        for a, b in zip(*made, strict=True):
            np.testing.assert_array_equal(a, b)
