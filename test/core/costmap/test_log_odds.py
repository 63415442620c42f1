"""Log-odds: how many hits and misses it takes."""

import numpy as np
import pytest

from gemini_ros.core.costmap.log_odds import Odds

ONE = np.array([1], np.uint16)
ROW, COLUMN = np.array([1]), np.array([2])


def odds(hits: int, misses: int = 0, *, dynamic: bool = False, bits: int = 1) -> Odds:
    made = Odds(3)
    for _ in range(hits):
        made.hit(ROW, COLUMN, ONE * bits)
    for _ in range(misses):
        made.miss(ROW, COLUMN, ONE * bits, np.array([dynamic]))
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
    made.hit(ROW, COLUMN, ONE)
    assert made.lethal[1, 2] == 0
    made.hit(ROW, COLUMN, ONE)
    assert made.lethal[1, 2] == 1


def test_the_parts_of_a_cell_are_apart():
    made = odds(9, bits=0b1000000101)
    for _ in range(7):
        made.miss(ROW, COLUMN, ONE * 0b100, np.array([False]))
    assert made.lethal[1, 2] == 0b1000000001


def test_what_is_forgotten_takes_one_hit_again():
    made = odds(9)
    made.forget(ROW, COLUMN)
    assert made.lethal[1, 2] == 0
    made.hit(ROW, COLUMN, ONE)
    assert made.odds[1, 2, 0] == 17
