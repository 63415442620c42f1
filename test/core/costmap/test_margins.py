"""The margin of what moves: exact discs, and the age that makes it."""

import numpy as np
import pytest

from gemini_ros.core.costmap import SemanticCostmap
from gemini_ros.core.costmap.margins import margin_m, widen
from test.core.costmap.scene import CAMERA, CONFIG, LABELS, PERSON, WALL, Box, Scene, at, cell


def test_the_margin_is_what_a_walker_covers_in_the_age_of_the_map_and_never_less_than_20_cm():
    assert [margin_m(age) for age in (0.0, 0.1, 0.5)] == pytest.approx([0.2, 0.2, 0.8])


def test_a_disc_around_each_cell_clipped_at_the_edges():
    cells = np.zeros((5, 8), bool)
    cells[1, 2] = cells[4, 7] = True
    expected = [".###....", ".###....", ".###....", "......##", "......##"]
    assert ["".join(".#"[int(c)] for c in row) for row in widen(cells, 0.15, 0.1)] == expected
    assert not widen(np.zeros((3, 4), bool), 1.0, 0.1).any()
    assert widen(cells, 1e9, 0.1).all()


@pytest.mark.parametrize(("label", "beside"), [(PERSON, 100), (WALL, 0)])
def test_only_what_moves_has_a_margin(label, beside):
    scene = Scene(boxes=(Box((1.51, -0.2, 0.0), (1.6, 0.2, 0.6), label),))
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(*scene.see(at()), CAMERA, at(), 0)
    occupancy = costmap.render(0, (0, 0), margin_m=0.2)
    assert cell(occupancy, 1.52, 0.0) == 100
    assert cell(occupancy, 1.37, 0.0) == beside
    assert cell(costmap.render(0, (0, 0)), 1.37, 0.0) == 0
