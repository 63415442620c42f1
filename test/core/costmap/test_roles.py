"""What phrases do to a map: costs go up, and nothing else changes."""

from __future__ import annotations

import numpy as np

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.costmap.forgetting import Ages
from gemini_ros.core.costmap.roles import AVOID, PREFER, Role, RoleCells, raise_costs
from gemini_ros.core.frames import Intrinsics

S = 1_000_000_000


def test_roles_only_raise_cost_whatever_the_map_and_the_masks() -> None:
    """Lethal and unknown are never less, and nothing that was passable becomes lethal or unknown."""
    for seed in range(40):
        _check_one(np.random.default_rng(seed))


def _check_one(random: np.random.Generator) -> None:
    data = random.choice([-1, 0, 5, 60, 97, 98, 99, 100, *range(1, 98, 7)], (40, 40)).astype(np.int8)
    made = [
        [(random.random((40, 40)) < random.random(), int(random.integers(1, 99))) for _ in range(random.integers(0, 3))]
        for _ in range(2)
    ]
    found = raise_costs(data, *made)
    passable = (data >= 0) & (data <= 98)
    assert (found[~passable] == data[~passable]).all()
    assert (found[passable] >= data[passable]).all()
    assert found[passable].max(initial=0) <= 98
    for cells, cost in made[0]:
        assert (found[passable & cells] >= cost).all()
    wanted = np.logical_or.reduce([np.zeros((40, 40), bool), *(cells for cells, _ in made[1])])
    for _, cost in made[1]:
        assert (found[passable & ~wanted] >= cost).all()
    untouched = passable & ~np.logical_or.reduce([np.zeros((40, 40), bool), *(cells for cells, _ in made[0])])
    untouched &= wanted if made[1] else True
    assert (found[untouched] == data[untouched]).all()


CONFIG = CostmapConfig(size_m=4.0, resolution_m=0.1, decay_s=1.0, memory_s=5.0)
CAMERA = Intrinsics(32, 24, 40.0, 40.0, 15.5, 11.5)
DEPTH = np.full((24, 32), 1.0, np.float32)
LEFT = np.zeros((24, 32), bool)
LEFT[:, :16] = True
# One metre over the ground, looking straight down: the image's right is x, its top is y.
DOWN = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 1], [0, 0, 0, 1]])
HERE, CORNER = (0.0, 0.0), (-20, -20)
AVOIDED, PREFERRED = Role("the box", AVOID, 70), Role("the floor", PREFER, 30)


def at(seconds: float) -> Ages:
    return Ages(int(seconds * S), int(seconds * S))


def look(cells: RoleCells, mask: np.ndarray | None, seconds: float, role: Role = AVOIDED) -> None:
    cells.take({role.key: mask}, DEPTH, CAMERA, DOWN, HERE, at(seconds))


def keepout(cells: RoleCells, seconds: float, corner: tuple[int, int] = CORNER, role: Role = AVOIDED) -> np.ndarray:
    return cells.keepout(corner, [role], at(seconds))


def test_cells_are_where_the_mask_is_on_the_ground():
    cells = RoleCells(CONFIG)
    look(cells, LEFT, 0)
    found = keepout(cells, 0)
    assert set(np.unique(found)) == {0, 70}
    rows, columns = np.nonzero(found)
    # The image is 0.8 m wide and 0.6 m high there; each cell has its neighbours.
    assert (columns.min(), columns.max()) == (15, 20)
    assert (rows.min(), rows.max()) == (16, 23)
    assert not keepout(cells, 0, role=Role("another", AVOID, 70)).any()
    moved = keepout(cells, 0, (CORNER[0] + 5, CORNER[1] - 3))
    assert (moved[3:, :-5] == found[:-3, 5:]).all()


def test_cells_out_of_view_are_remembered_longer_than_those_that_show_something_else():
    cells = RoleCells(CONFIG)
    look(cells, LEFT, 0)
    assert keepout(cells, 4.9).any()
    assert not keepout(cells, 5.1).any()
    look(cells, np.zeros_like(LEFT), 0.5)
    assert keepout(cells, 0.9).any()  # one frame of doubt is none
    assert not keepout(cells, 1.1).any()


def test_a_frame_that_does_not_tell_changes_nothing_and_another_phrase_has_other_cells():
    cells = RoleCells(CONFIG)
    look(cells, LEFT, 0)
    look(cells, None, 0.5)
    assert keepout(cells, 4.0).any()
    look(cells, LEFT, 1.0, PREFERRED)
    assert not keepout(cells, 1.0).any()


def test_the_map_is_raised_in_its_cells_or_elsewhere():
    cells = RoleCells(CONFIG)
    both = {AVOIDED.key: LEFT, PREFERRED.key: ~LEFT}
    cells.take(both, DEPTH, CAMERA, DOWN, HERE, at(0))
    data = np.zeros((40, 40), np.int8)
    assert cells.raised(data, CORNER, [], at(0)) is data
    assert (cells.raised(data, CORNER, [AVOIDED], at(0)) == keepout(cells, 0)).all()
    found = cells.raised(data, CORNER, [AVOIDED, PREFERRED], at(0))
    assert (found[20, 18], found[20, 22], found[0, 0]) == (70, 0, 30)
