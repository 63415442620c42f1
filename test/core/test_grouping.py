"""Maps of centres and offsets become the things that they were made of."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gemini_ros.core.grouping import grouped, ids_of_pixels, true_maps
from gemini_ros.core.instance_maps import MOST_INSTANCES, STRIDE, InstanceMaps


@st.composite
def scenes(draw) -> np.ndarray:
    """uint16 (h, w): boxes that hide each other, of numbers as a simulator gives them."""
    height, width = draw(st.integers(8, 40)), draw(st.integers(8, 56))
    ids = np.zeros((height, width), np.uint16)
    for number in draw(st.lists(st.integers(1, 65535), max_size=12, unique=True)):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        ids[top : top + draw(st.integers(1, 16)), left : left + draw(st.integers(1, 16))] = number
    return ids


def centres_of(ids: np.ndarray) -> list[tuple[int, int]]:
    found = [np.nonzero(ids == number) for number in np.unique(ids[ids > 0])]
    return [(round(float(rows.mean())), round(float(columns.mean()))) for rows, columns in found]


def is_same(found: np.ndarray, ids: np.ndarray) -> bool:
    """Whether two images of numbers show the same things, whatever their numbers."""
    pairs = {(int(a), int(b)) for a, b in zip(found.ravel(), ids.ravel(), strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and bool(
        ((found == 0) == (ids == 0)).all()
    )


@given(scenes())
def test_true_maps_are_grouped_back_exactly(ids):
    centres = centres_of(ids)
    assume(len(set(centres)) == len(centres))  # two things with one centre are one
    maps = true_maps(ids)
    assert is_same(grouped(ids > 0, maps), ids)


@given(scenes(), st.sampled_from([1, 2, 4, 5]))
def test_pixels_of_an_image_of_another_size_are_grouped_back_too(ids, scale):
    centres = centres_of(ids)
    assume(len(set(centres)) == len(centres))
    image = ids.repeat(scale, 0).repeat(scale, 1)
    assert is_same(ids_of_pixels(image > 0, true_maps(ids)), image)


@given(scenes())
def test_a_true_offset_leads_to_the_centre_of_its_thing(ids):
    maps = true_maps(ids)
    assert set(np.unique(maps.centres[maps.centres == 1])) <= {1.0}
    rows, columns = np.nonzero(ids)
    ends = rows + maps.offsets[1, rows, columns] / STRIDE, columns + maps.offsets[0, rows, columns] / STRIDE
    assert set(zip(*ends, strict=True)) == set(centres_of(ids))
    assert not maps.offsets[:, ids == 0].any()


def test_a_pixel_on_an_edge_goes_with_the_nearest_thing():
    ids = np.zeros((6, 8), np.uint8)
    ids[:, 0], ids[:, 7] = 1, 2
    found = ids_of_pixels(np.ones((24, 32), bool), maps := true_maps(ids))
    assert np.unique(found).size == 2
    maps.offsets[:, :, 1:7] = np.nan  # nobody taught a model what to say there
    things = np.zeros((24, 32), bool)
    things[:, :5] = things[:, 27:] = True
    found = ids_of_pixels(things, maps)
    assert (found[:, :5] == found[0, 0]).all() and (found[:, 27:] == found[0, 31]).all()
    assert found[0, 0] != found[0, 31] and (found[things] > 0).all() and not found[~things].any()


def test_at_most_255_things():
    ids = np.zeros((64, 64), np.uint16)
    ids[::4, ::4] = np.arange(1, 257).reshape(16, 16)
    with pytest.raises(ValueError, match="256 things in one image, expected at most 255"):
        true_maps(ids)
    ids[0, 0] = 0
    maps = true_maps(ids)
    maps.centres[0, 0] = 0.5  # a peak more than there are numbers: the lowest one goes
    found = grouped(ids > 0, maps)
    assert found.max() == MOST_INSTANCES == np.unique(found[found > 0]).size


def test_maps_without_a_centre_or_of_no_numbers_give_nothing_and_break_nothing():
    things = np.ones((6, 8), bool)
    nothing = InstanceMaps(np.zeros((6, 8), np.float32), np.zeros((2, 6, 8), np.float32))
    assert not grouped(things, nothing).any() and not ids_of_pixels(np.ones((24, 32), bool), nothing).any()
    wild = InstanceMaps(np.full((6, 8), np.nan, np.float32), np.full((2, 6, 8), np.inf, np.float32))
    assert not grouped(things, wild).any()
    wild.centres[2, 2] = 1
    assert grouped(things, wild).max() <= 1
