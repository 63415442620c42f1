"""Pages of the film."""

import numpy as np
import pytest

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.overlay import FREE_COLOR, LETHAL_COLOR
from gemini_ros.report.canvas import BAD, GOOD, WARNING
from gemini_ros.report.film_page import PAGE, PHRASE_COLOR, Difference, FilmPage, MapView, View, draw_map, scoreboard

ORIGIN = (2.0, -13.0)
LABELS = load_label_set("warehouse")
CAMERA = np.array([10.0, -5.0]), np.array([[1.0, 0.8], [1.0, -0.8]])


def world(value=0, *places):
    """16 m of floor around (10, -5), with squares of 0.4 m of ``value`` at these places."""
    data = np.zeros((320, 320), np.int8)
    for x, y in places:
        row, column = round((y - ORIGIN[1]) / 0.05), round((x - ORIGIN[0]) / 0.05)
        data[row - 4 : row + 4, column - 4 : column + 4] = value
    return Occupancy(data, 0.05, ORIGIN, 0)


def view(**changed):
    maps = (
        MapView(world(100, (13.0, -5.0)), 0.1, 0.8, 0.1),
        MapView(world(), 0.9, 0.1, 0.0),
    )
    given = {
        "rgb": np.full((60, 80, 3), 90, np.uint8),
        "depth": np.full((60, 80), 2.0, np.float32),
        "labels": np.full((60, 80), LABELS.names.index("person"), np.uint8),
        "maps": maps,
        "robot": (10.0, -5.0, 0.0),
        "camera": CAMERA,
        "speed_m_s": 0.35,
        "light": 1.0,
        "knocked_deg": 0.0,
        "mode": "normal",
    }
    return View(**(given | changed))


def count(image, color):
    return int((image == np.array(color, np.uint8)).all(-1).sum())


@pytest.fixture(scope="module")
def page():
    return FilmPage((("left", "told"), ("right", "fitted")), LABELS, 0.7)


def test_maps_lie_side_by_side_over_their_verdicts(page):
    drawn = page.frame(view(), 1.5, "caption", "what is to be seen")
    assert drawn.shape == (PAGE[1], PAGE[0], 3)
    left, right = drawn[160:580, 516:880], drawn[160:580, 900:1264]
    assert count(left, LETHAL_COLOR) > 200
    assert count(right, LETHAL_COLOR) == 0
    assert count(right, FREE_COLOR) > 100_000
    assert (drawn[610, 525] == BAD).all()
    assert (drawn[610, 910] == GOOD).all()


def test_labels_are_at_full_brightness_in_the_dark(page):
    person = np.array(LABELS.colors[LABELS.names.index("person")])
    day, dark = (page.frame(view(light=light), 0.0, "", "")[300, 260].astype(int) for light in (1.0, 0.0))
    assert np.abs(dark - person).max() <= 1
    assert np.abs(day - person).max() > 20


def test_a_stream_without_images_says_so_and_a_mode_that_is_not_normal_warns(page):
    with_depth = page.frame(view(), 0.0, "", "")[530:704, 268:500]
    without = page.frame(view(depth=None, mode="degrade:depth"), 0.0, "", "")
    assert count(without[530:704, 268:500], BAD) > 100 > count(with_depth, BAD)
    assert count(without[650:700, 516:880], WARNING) > 500


def test_wheels_that_stand_read_zero_in_red(page):
    rolling, standing = (page.frame(view(speed_m_s=v), 0.0, "", "")[650:700, 900:1264] for v in (0.7, 0.0))
    assert count(rolling, BAD) == 0 < count(standing, BAD)
    assert count(rolling, GOOD) > 500 > count(standing, GOOD)


def test_what_a_phrase_means_is_marked_in_the_image_and_around_its_known_cells(page):
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = True
    costly = world(60, (12.0, -5.0))
    shown = view(mask=mask, keepout=costly)
    drawn = page.frame(shown, 0.0, "", "")
    assert count(drawn[136:496, 20:500], PHRASE_COLOR) > 10_000
    ours, rival = (draw_map(world(), shown, ours=ours) for ours in (True, False))
    assert count(ours, PHRASE_COLOR) > 100
    assert count(rival, PHRASE_COLOR) == 0
    unknown = Occupancy(np.full((320, 320), -1, np.int8), 0.05, ORIGIN, 0)
    assert count(draw_map(unknown, shown, ours=True), PHRASE_COLOR) == 0


def test_scoreboard_tells_fewer_from_a_tie():
    rows = [Difference("a", -50.0, -60.0, -40.0, "fewer"), Difference("b", 1.0, -1.0, 3.0, "a tie")]
    drawn = scoreboard("title", "subtitle", rows, ["closing"])
    assert drawn.shape == (PAGE[1], PAGE[0], 3)
    assert count(drawn[240:360], GOOD) > 500
    assert count(drawn[360:480], WARNING) > 200
    assert count(drawn, BAD) == 0
