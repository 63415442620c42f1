"""Each kind of hazard as geometry."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.simulation.scenes.hazards import GROUP_OF, KINDS, shape
from gemini_ros.simulation.scenes.sampler import Sampler
from test.simulation.scenes.test_warehouses import corners

BUILT = [kind for kind in KINDS if GROUP_OF[kind] != "person"]


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("kind", BUILT)
def test_matter_fills_the_stated_space_on_its_side_of_the_way(kind, side):
    for seed in range(3):
        drawn = shape(kind, Sampler(np.random.default_rng(seed), 20.0), side, room_m=3.0)
        if not drawn.parts:
            assert drawn.pit > 0
            continue
        points = np.concatenate([corners(part) for part in drawn.parts])
        y = side * points[:, 1]
        assert np.abs(points[:, 0]).max() <= drawn.half_x + 0.03
        assert -0.03 <= y.min() <= 0.05
        assert 2 * drawn.half_y - 0.05 <= y.max() <= 2 * drawn.half_y + 0.03
        # A cable lies in a box that is turned by its waves; the table's legs stand below its top.
        highest = points[:, 2].max()
        assert highest <= -0.1 if drawn.pit else drawn.top - 0.03 <= highest <= drawn.top + 0.01
        assert points[:, 2].min() == pytest.approx(0 if GROUP_OF[kind] == "overhang" else drawn.bottom, abs=0.01)
        assert (drawn.pit > 0) == (drawn.bottom < 0)


@pytest.mark.parametrize("kind", ["hole", "dock", "stairs_down"])
def test_drops_are_deep_and_wide_enough_to_harm(kind):
    drawn = [shape(kind, Sampler(np.random.default_rng(s), 20.0), 1, room_m=3.0) for s in range(20)]
    assert min(-d.bottom for d in drawn) >= 0.1
    assert min(2 * min(d.half_x, d.half_y) for d in drawn) >= 0.4
    assert all(d.pit == -d.bottom and d.top == 0 for d in drawn)


def test_a_stated_depth_holds_for_holes_and_docks():
    for kind in ("hole", "dock"):
        drawn = shape(kind, Sampler(np.random.default_rng(1), 20.0), 1, room_m=3.0, drop_depth_m=0.2)
        assert (drawn.pit, drawn.bottom) == (0.2, -0.2)


def test_low_things_are_low_and_overhangs_leave_the_floor_free():
    for seed in range(5):
        low = {k: shape(k, Sampler(np.random.default_rng(seed), 20.0), 1, room_m=3.0) for k in BUILT}
        assert low["cable"].top <= 0.03
        assert low["threshold"].top <= 0.05
        assert low["carton"].top <= 0.3
        assert min(low[kind].bottom for kind in ("table", "beam")) > 0.4
        reach = [corners(p)[:, 2].max() for p in low["forks"].parts if p.position[1] < 1.0]
        assert max(reach) <= 0.1
