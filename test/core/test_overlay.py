"""Pictures: exact colours on small non-square images."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.overlay import FREE_COLOR, LETHAL_COLOR, UNKNOWN_COLOR, blend, colorize, draw_occupancy, synthetic

WAREHOUSE = load_label_set("warehouse")
FLOOR, PERSON, BLACK = (128, 64, 128), (220, 20, 60), (0, 0, 0)


def test_labels_in_rgb_colours():
    labels = np.array([[0, 6, 255], [6, 10, 0]], np.uint8)
    image = colorize(labels, WAREHOUSE)
    assert image.dtype == np.uint8
    assert image.tolist() == [[[*FLOOR], [*PERSON], [*BLACK]], [[*PERSON], [*BLACK], [*FLOOR]]]


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2)))
def test_colours_are_those_of_the_table(labels):
    np.testing.assert_array_equal(colorize(labels, WAREHOUSE), WAREHOUSE.colors[labels])


@given(hnp.arrays(np.uint8, (2, 3)), hnp.arrays(np.uint8, (2, 3, 3)), st.floats(0, 1))
def test_a_blend_is_the_weighted_mean_and_spares_unlabelled_pixels(labels, rgb, alpha):
    exact = (1 - alpha) * rgb + alpha * WAREHOUSE.colors[labels]
    exact = np.where((labels < len(WAREHOUSE))[..., None], exact, rgb)
    before = rgb.copy()
    blended = blend(rgb, labels, WAREHOUSE, alpha)
    assert np.abs(blended - exact).max() <= 0.51
    np.testing.assert_array_equal(rgb, before)


def test_a_blend_needs_one_size():
    with pytest.raises(ValueError, match=r"rgb \(3, 2\), labels \(2, 3\)"):
        blend(np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2), np.uint8), WAREHOUSE)


def occupancy(data, origin_xy=(0.0, 0.0)):
    return Occupancy(np.array(data, np.int8), 0.5, origin_xy, 0)


def test_a_map_is_drawn_with_y_up():
    image = draw_occupancy(occupancy([[-1, 0, 100], [100, -1, -1]]), (6, 4))
    assert image.shape == (4, 6, 3)
    top, bottom = [LETHAL_COLOR, UNKNOWN_COLOR, UNKNOWN_COLOR], [UNKNOWN_COLOR, FREE_COLOR, LETHAL_COLOR]
    expected = np.repeat(np.repeat([top, bottom], 2, axis=0), 2, axis=1)
    np.testing.assert_array_equal(image, expected)


def test_graded_cost_goes_from_free_to_a_colour_of_its_own():
    image = draw_occupancy(occupancy([range(99)]), (99, 1))[0].astype(int)
    assert tuple(image[0]) == FREE_COLOR
    assert (np.diff(image[:, 2]) < 0).all()
    assert np.abs(image[98] - LETHAL_COLOR).max() > 60
    assert np.abs(image[98] - UNKNOWN_COLOR).max() > 60


@pytest.mark.parametrize(
    ("yaw", "ahead", "behind"),
    [(0, (0.2, 0), (-0.25, 0)), (math.pi / 2, (0, 0.2), (0, -0.25)), (math.pi, (-0.2, 0), (0.25, 0))],
)
def test_the_robot_points_along_its_heading(yaw, ahead, behind):
    free = occupancy(np.zeros((4, 6)), origin_xy=(10.0, -5.0))
    x, y = 11.0, -4.25
    image = draw_occupancy(free, (300, 200), robot=(x, y, yaw))

    def at(offset):
        column, row = (x + offset[0] - 10.0) * 100, 200 - (y + offset[1] + 5.0) * 100
        return tuple(image[round(row), round(column)])

    assert at(ahead) != FREE_COLOR
    assert at((0, 0)) == at(ahead)
    assert at(behind) == FREE_COLOR


@pytest.mark.parametrize("size", [(640, 480), (80, 60), (16, 12), (200, 9)])
def test_a_made_up_image_is_marked_in_itself(size):
    """The same mark over any image, over a fifth of it; the rest is the image."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, *size[::-1], 3), dtype=np.uint8)
    marked = [synthetic(image) for image in images]
    mark = (marked[0] == marked[1]).all(2)
    assert mark[-1].all()
    assert mark[0].all()
    assert mark[:, 0].all()
    assert 0.1 < mark.mean() < 1
    assert np.array_equal(marked[0][~mark], images[0][~mark])
    assert len(np.unique(marked[0][mark], axis=0)) >= 2
