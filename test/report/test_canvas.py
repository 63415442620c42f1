"""The page: where pictures land, what is cut, what is kept sharp."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros.report.canvas import BACKGROUND, Canvas, fit


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_fit_fills_one_side_and_never_overflows(height, width, cell_width, cell_height):
    fitted = fit(np.zeros((height, width, 3), np.uint8), (cell_width, cell_height))
    assert fitted.shape[1] <= cell_width
    assert fitted.shape[0] <= cell_height
    assert fitted.shape[1] == cell_width or fitted.shape[0] == cell_height


def test_sharp_keeps_the_values():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 1] = (255, 0, 10)
    assert {tuple(v) for v in fit(image, (31, 17), sharp=True).reshape(-1, 3)} == {(0, 0, 0), (255, 0, 10)}


def test_picture_lands_in_the_middle_of_its_cell():
    page = Canvas((40, 30))
    page.picture(np.full((10, 20, 3), 200, np.uint8), (4, 5), (20, 20))
    drawn = page.array()
    assert drawn.shape == (30, 40, 3)
    expected = np.full((30, 40, 3), BACKGROUND, np.uint8)
    expected[10:20, 4:24] = 200
    np.testing.assert_array_equal(drawn, expected)


def test_copy_is_independent():
    page = Canvas((8, 6))
    twin = page.copy()
    twin.box((0, 0), (8, 6), (1, 2, 3))
    assert (page.array() == BACKGROUND).all()
    assert (twin.array() == (1, 2, 3)).all()


def test_long_text_ends_in_an_ellipsis():
    page = Canvas((200, 30))
    assert page.text((0, 0), "a much too long caption", 14, max_width=80) <= 80
    assert (page.array()[:, 82:] == BACKGROUND).all()
    assert page.text((0, 0), "short", 14, max_width=80) == Canvas((9, 9)).text((0, 0), "short", 14)


@pytest.mark.parametrize("width", [60, 120, 500])
def test_legend_stays_inside_and_tells_its_height(width):
    page = Canvas((width + 40, 400))
    height = page.legend((10, 10), [(f"class {i}", (255, i, 0)) for i in range(9)], 10, width)
    touched = np.argwhere((page.array() != BACKGROUND).any(axis=2))
    assert touched[:, 0].max() < 10 + height
    if width > 60:
        assert touched[:, 1].max() < 10 + width
    colors = {tuple(c) for c in page.array().reshape(-1, 3)}
    assert {(255, i, 0) for i in range(9)} <= colors
