"""Where a robot may stand before a thing, in drawn maps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.costmap.standing import place_before

N, CELL = 60, 0.1  # six metres, from (-1, -3)
THING = (3.0, 0.0)


def drawn(unknown: int = 0) -> Occupancy:
    """A free floor with a thing of 0.4 m at ``THING``."""
    data = np.full((N, N), unknown, np.int8)
    data[28:33, 38:43] = 100
    return Occupancy(data, CELL, (-1.0, -3.0), 0)


def test_the_place_is_free_near_faces_the_thing_and_is_the_robots_side_of_it():
    found = place_before(drawn(), (0.0, 0.0), THING, 0.3)
    assert found is not None
    x, y, yaw = found
    assert 0.5 < math.dist((x, y), THING) <= 1.8
    assert (x, abs(y)) < (2.6, 0.4)
    assert yaw == pytest.approx(math.atan2(-y, THING[0] - x))


def test_a_wall_in_between_sends_it_round_and_cost_away():
    occupancy = drawn()
    occupancy.data[:50, 33:35] = 100  # x from 2.3 m on, y up to 2 m
    x, _, _ = place_before(occupancy, (0.0, 0.0), THING, 0.3) or (0, 0, 0)
    assert x > 2.5
    dear = drawn()
    dear.data[:, :33] = np.maximum(dear.data[:, :33], 90)
    x, _, _ = place_before(dear, (0.0, 0.0), THING, 0.3) or (0, 0, 0)
    assert x > 2.3


def test_unknown_ground_is_no_place():
    assert place_before(drawn(-1), (0.0, 0.0), THING, 0.3) is None
    assert place_before(drawn(), (0.0, 0.0), (30.0, 0.0), 0.3) is None


@pytest.mark.parametrize("seed", range(20))
def test_no_place_is_nearer_to_what_is_not_passable_than_it_may(seed):
    random = np.random.default_rng(seed)
    data = np.where(random.random((N, N)) < 0.02, random.choice([-1, 99, 100], (N, N)), random.integers(0, 99, (N, N)))
    occupancy = Occupancy(data.astype(np.int8), CELL, (-1.0, -3.0), 0)
    if (found := place_before(occupancy, (0.0, 0.0), THING, 0.3)) is None:
        return
    rows, columns = np.nonzero((data < 0) | (data > 98))
    away = np.hypot(-1 + (columns + 0.5) * CELL - found[0], -3 + (rows + 0.5) * CELL - found[1])
    assert away.min() >= 0.3 - 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_no_place_is_better(seed):
    """Every place tried by itself."""
    random = np.random.default_rng(seed)
    data = np.where(random.random((N, N)) < 0.01, 100, random.integers(0, 99, (N, N))).astype(np.int8)
    passable = data <= 98

    def clear(x: float, y: float) -> bool:
        rows, columns = np.nonzero(~passable)
        away = np.hypot(-1 + (columns + 0.5) * CELL - x, -3 + (rows + 0.5) * CELL - y)
        inside = min(x + 1, y + 3, 5 - x, 3 - y) >= 0.3 + CELL / 2
        steps = max(math.dist((x, y), THING) - 0.5, 0) / 0.05
        way = [
            (np.array((x, y)) + (np.array(THING) - (x, y)) * i * 0.05 / math.dist((x, y), THING))
            for i in range(math.ceil(steps))
        ]
        return away.min() >= 0.3 and inside and all(passable[int((v + 3) / CELL), int((u + 1) / CELL)] for u, v in way)

    places = [(-1 + (c + 0.5) * CELL, -3 + (r + 0.5) * CELL, data[r, c]) for r in range(N) for c in range(N)]
    near = [p for p in places if math.dist(p[:2], THING) <= 1.8]
    dear = sorted((math.hypot(x, y) + 0.02 * cost, x, y) for x, y, cost in near)
    best = next(((x, y) for _, x, y in dear if clear(x, y)), None)
    found = place_before(Occupancy(data, CELL, (-1.0, -3.0), 0), (0.0, 0.0), THING, 0.3)
    assert (found and (round(found[0], 6), round(found[1], 6))) == (best and (round(best[0], 6), round(best[1], 6)))
