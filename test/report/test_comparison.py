"""The pages of a comparing film."""

import math

import numpy as np
import pytest

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.overlay import FREE_COLOR, LETHAL_COLOR, UNKNOWN_COLOR
from gemini_ros.report.canvas import BAD, GOOD, WARNING
from gemini_ros.report.comparison import PAGE, ComparisonPage, Heading, Panel, robot_view

SIZE = (384, 256)  # 9.6 m x 6.4 m, 0.8 m of it behind the robot


def world(*lethal):
    """16 m of free floor in metres around (10, -5), with lethal squares of 0.2 m at these places."""
    data = np.zeros((320, 320), np.int8)
    origin = (2.0, -13.0)
    for x, y in lethal:
        row, column = round((y - origin[1]) / 0.05), round((x - origin[0]) / 0.05)
        data[row - 2 : row + 2, column - 2 : column + 2] = 100
    return Occupancy(data, 0.05, origin, 0)


def places(image, color):
    """Mean (right, ahead) in metres of the robot of all pixels of a colour."""
    rows, columns = np.nonzero((image == color).all(axis=2))
    return (columns.mean() + 0.5) * 0.025 - 4.8, 5.6 - (rows.mean() + 0.5) * 0.025


@pytest.mark.parametrize("yaw", [0.0, 0.7, math.pi / 2, -2.5])
def test_what_is_ahead_is_up_and_what_is_left_is_left(yaw):
    ahead, left = 3.0, 1.5
    x = 10.0 + ahead * math.cos(yaw) - left * math.sin(yaw)
    y = -5.0 + ahead * math.sin(yaw) + left * math.cos(yaw)
    shown = robot_view(world((x, y)), (10.0, -5.0, yaw), SIZE)
    assert shown.shape == (256, 384, 3)
    assert places(shown, LETHAL_COLOR) == pytest.approx((-left, ahead), abs=0.05)


def test_beyond_the_map_is_unknown():
    shown = robot_view(world(), (10.0, 1.0, math.pi / 2), SIZE)
    assert (shown[10, 10] == UNKNOWN_COLOR).all()
    assert (shown[-10, 10] == FREE_COLOR).all()


@pytest.fixture
def page():
    headings = [Heading(f"column {i}", "fed by a camera") for i in range(3)]
    return ComparisonPage("Title", "subtitle", headings, [("floor", (128, 64, 128))])


def panel(color, blocked):
    return Panel(np.full((24, 32, 3), color, np.uint8), world(), (10.0, -5.0, 0.0), "verdict", blocked)


def test_columns_stand_side_by_side_with_their_verdicts(page):
    drawn = page.frame([panel(60, True), panel(120, False), panel(180, None)], 1.5, 0.5, "truth: path clear")
    assert drawn.shape == (PAGE[1], PAGE[0], 3)
    for x, color, chip in ((224, 60, BAD), (640, 120, GOOD), (1056, 180, WARNING)):
        assert (drawn[200:400, x - 150 : x + 150] == color).all()
        assert (drawn[715, x - 150 : x - 100] == chip).all()


def test_pages_are_independent_and_light_is_a_bar(page):
    panels = [panel(60, True)] * 3
    yellow = [
        (page.frame(panels, 1.5, light, "")[37] == (255, 214, 102)).all(axis=1).sum() for light in (1.0, 0.25, 0.0)
    ]
    assert yellow == [168, 42, 0]


def test_three_columns_are_needed():
    with pytest.raises(ValueError, match="2 columns, expected 3"):
        ComparisonPage("", "", [Heading("", "")] * 2, [])
