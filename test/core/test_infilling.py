"""What a network has to beat, on images whose holes have one right answer."""

import numpy as np
import pytest

from gemini_ros.core.infilling import bilinear, brightened, clahe, joint_bilateral, nearest

RAMP = np.tile(np.linspace(1, 3, 41, dtype=np.float32), (30, 1))
RGB = np.full((30, 41, 3), 100, np.uint8)
FILL = {"nearest": nearest, "bilinear": bilinear, "joint": lambda depth: joint_bilateral(depth, RGB)}


@pytest.mark.parametrize("fill", FILL.values(), ids=FILL)
def test_what_was_measured_stays_and_every_hole_is_filled(fill):
    depth = RAMP.copy()
    depth[8:20, 15:24] = np.nan
    there = np.isfinite(depth)
    filled = fill(depth)
    assert np.array_equal(filled[there], depth[there])
    assert np.abs(filled - RAMP).max() < 0.5
    empty = fill(np.full_like(RAMP, np.nan))
    assert np.isnan(empty).all() or np.isfinite(empty).all()


def test_joint_bilateral_follows_colour_where_nearest_cannot():
    true = np.where(np.arange(41) < 20, np.float32(1), np.float32(3)) * np.ones((30, 1), np.float32)
    rgb = np.repeat(np.where(true < 2, 40, 220).astype(np.uint8)[..., None], 3, 2)
    depth = true.copy()
    depth[:, 16:22] = np.nan
    off = [np.abs(filled - true).mean() for filled in (joint_bilateral(depth, rgb), nearest(depth))]
    assert off[0] < off[1]


def test_dark_pictures_get_brighter():
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 30, (40, 60, 3), dtype=np.uint8)
    assert brightened(dark).mean() > 100
    assert clahe(dark).mean() > dark.mean()
