"""The speed mask: the slowest class of the ground in a cell, remembered where the robot no longer sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gemini_ros.core.clouds import POINT
from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.costmap.forgetting import Ages
from gemini_ros.core.costmap.speed import SpeedMask
from test.core.costmap.scene import FLOOR, GRASS, LABELS, S, at, cell

SLOW = replace(LABELS, classes=tuple(replace(c, speed_percent=30 if c.id == GRASS else None) for c in LABELS.classes))
CONFIG = CostmapConfig(size_m=6.0)


def ground(*places: tuple[float, float, int]) -> np.ndarray:
    """Points on the ground at x, y of the grid with their labels, as the camera at the origin sees them."""
    points = np.zeros(len(places), POINT)
    pose = np.linalg.inv(at())
    for point, (x, y, label) in zip(points, places, strict=True):
        point["x"], point["y"], point["z"] = (pose @ (x, y, 0.0, 1.0))[:3]
        point["label"] = label
    return points


def mask(*frames: np.ndarray, at_s: float = 0.0, robot=(0.0, 0.0)):
    speed = SpeedMask(CONFIG, SLOW)
    for number, points in enumerate(frames):
        speed.take(points, at(), robot, Ages(number * S // 10, number * S // 10))
    now = round(at_s * S)
    return speed.draw(Ages(now, now), now)


def test_the_slowest_class_of_a_cell_counts_and_the_rest_is_no_limit():
    drawn = mask(ground((1.01, 0.01, GRASS), (1.02, 0.02, FLOOR), (2.01, 1.01, FLOOR)))
    assert cell(drawn, 1.01, 0.01) == 30
    assert cell(drawn, 1.06, 0.06) == 30  # the cells around
    assert cell(drawn, 1.16, 0.01) == 0
    assert cell(drawn, 2.01, 1.01) == 0
    assert set(np.unique(drawn.data)) == {0, 30}


def test_a_later_frame_replaces_an_earlier_one_and_time_forgets():
    grass, floor = ground((1.01, 0.01, GRASS)), ground((1.01, 0.01, FLOOR))
    assert cell(mask(grass, floor), 1.01, 0.01) == 0
    assert cell(mask(grass, at_s=29.0), 1.01, 0.01) == 30
    assert cell(mask(grass, at_s=31.0), 1.01, 0.01) == 0


def test_the_window_moves_with_the_robot():
    speed = SpeedMask(CONFIG, SLOW)
    speed.take(ground((1.01, 0.01, GRASS)), at(), (0.0, 0.0), Ages(0, 0))
    speed.take(ground(), at(), (1.0, 0.0), Ages(1, 1))
    assert cell(speed.draw(Ages(2, 2), 2), 1.01, 0.01) == 30
    speed.take(ground(), at(), (9.0, 0.0), Ages(3, 3))
    assert not speed.draw(Ages(4, 4), 4).data.any()
