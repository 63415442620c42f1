"""Holes of a depth camera as training cuts them."""

import numpy as np

from gemini_ros.core.depth_holes import cut, holes_like_a_sensors


def test_holes_lie_at_edges_and_in_the_dark_and_vary():
    rng = np.random.default_rng(2)
    depth = np.full((60, 90), 3.0, np.float32)
    depth[:, 40:] = 1.5
    rgb = np.full((60, 90, 3), 200, np.uint8)
    rgb[40:, :20] = 10
    masks = np.stack([holes_like_a_sensors(depth, rgb, rng) for _ in range(60)])
    share = masks.mean((1, 2))
    assert share.min() < 0.1 < share.max() < 0.9
    often = masks.mean(0)
    plain = often[:35, 5:30].mean()
    assert often[:, 40].mean() > 0.9  # beside the edge
    assert often[42:, 2:18].mean() > plain + 0.15  # what is black


def test_without_light_a_bare_wall_has_as_few_holes_as_by_day():
    depth = np.full((60, 90), 3.0, np.float32)

    def share(grey: int) -> float:
        rgb = np.full((60, 90, 3), grey, np.uint8)
        return float(np.mean([holes_like_a_sensors(depth, rgb, np.random.default_rng(k)).mean() for k in range(60)]))

    assert share(8) == share(120)


def test_what_is_far_is_lost_and_what_is_cut_is_nan():
    rng = np.random.default_rng(0)
    depth = np.full((30, 40), 15.0, np.float32)
    holes = holes_like_a_sensors(depth, None, rng)
    assert holes.all()
    holes[0] = False
    left = cut(depth, holes)
    assert np.array_equal(np.isnan(left), holes)
    assert left.dtype == np.float32
