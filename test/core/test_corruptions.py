"""Spoilt images: how much is done to them, equal images of equal generators, and nothing changed in place."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.core import corruptions
from gemini_ros.core.corruptions import spots

SHAPE = (96, 128)
GREY = np.full((*SHAPE, 3), 128, np.uint8)
DEPTH = np.full(SHAPE, 4.0, np.float32)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("sigma", "flipped"), [(10, 0.01), (25, 0.05), (50, 0.1)])
def test_rgb_noise(sigma: float, flipped: float):
    noisy = corruptions.with_rgb_noise(GREY, sigma, flipped, rng())
    extreme = (noisy == 0).all(2) | (noisy == 255).all(2)
    assert extreme.mean() == pytest.approx(flipped, rel=0.25)
    assert noisy[~extreme].std() == pytest.approx(sigma, rel=0.05)
    assert (noisy == 0).all(2).sum() == pytest.approx((noisy == 255).all(2).sum(), rel=0.6)


@pytest.mark.parametrize(("sigma", "holes"), [(0.01, 0.05), (0.06, 0.3)])
def test_depth_noise_grows_with_depth_and_has_holes_in_blobs(sigma: float, holes: float):
    depth = np.tile(np.float32([2, 8]), (SHAPE[0], SHAPE[1] // 2))
    noisy = corruptions.with_depth_noise(depth, sigma, holes, rng())
    lost = np.isnan(noisy)
    assert lost.mean() == pytest.approx(holes, abs=0.03)
    assert (lost[:, 1:] != lost[:, :-1]).mean() < holes / 2  # blobs, not pixels
    for distance in (2, 8):
        assert np.nanstd(noisy[depth == distance]) == pytest.approx(sigma * distance, rel=0.1)


def test_thermal_noise_has_half_of_it_in_columns():
    noise = corruptions.with_thermal_noise(np.full((200, 300), 20, np.float32), 2.0, rng()) - 20
    columns = noise.mean(axis=0)
    assert columns.std() == pytest.approx(1.0, rel=0.15)
    assert (noise - columns).std() == pytest.approx(2.0, rel=0.05)


def test_shifted_images_have_a_hole_where_nothing_comes_in():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(
        corruptions.shifted(image, 1, -2), [[np.nan] * 4, [2, 3, np.nan, np.nan], [6, 7, np.nan, np.nan]]
    )


def test_darkness_is_of_light_not_of_pixel_values():
    quarter = corruptions.darkened(GREY, 1 / 4, rng())
    assert (quarter.mean() / 128) ** 2.2 == pytest.approx(1 / 4, rel=0.02)
    assert corruptions.darkened(GREY, 0, rng()).mean() < 1.5
    assert (corruptions.exposed(GREY, 1.0).mean() / 128) ** 2.2 == pytest.approx(2, rel=0.02)
    assert corruptions.exposed(GREY, 5.0).min() == 255


def test_blur_and_jpeg_keep_what_is_even():
    line = np.zeros_like(GREY)
    line[:, 64] = 210
    np.testing.assert_array_equal(corruptions.motion_blurred(line, 21)[5, :, 0].nonzero()[0], np.arange(54, 75))
    np.testing.assert_array_equal(corruptions.motion_blurred(GREY, 11), GREY)
    colours = np.zeros_like(GREY) + np.uint8([200, 30, 30])
    assert np.abs(corruptions.as_jpeg(colours, 50).astype(int) - colours).max() < 12
    noisy = corruptions.with_rgb_noise(GREY, 50, 0, rng())
    losses = [np.abs(corruptions.as_jpeg(noisy, q).astype(int) - noisy).mean() for q in (50, 20, 5)]
    assert losses == sorted(losses) and losses[0] > 0


def test_fog_takes_contrast_by_distance():
    depth = np.tile(np.float32([1, 5, 10, np.nan]), (SHAPE[0], SHAPE[1] // 4))
    fog = corruptions.fogged(np.zeros_like(GREY), depth, 10.0)
    assert [int(v) for v in fog[0, :4, 0]] == [65, 172, 196, 196]  # 200 (1 - 0.02^(d / 10)), nothing measured: 10 m
    np.testing.assert_array_equal(corruptions.beyond(depth, 5.0)[0, :4], [1, 5, np.nan, np.nan])


def test_an_image_from_behind_is_smaller_the_nearer_it_is():
    image = np.zeros(SHAPE, np.float32)
    image[28:69, 44:85] = 1  # 41 pixels around the centre at 2 m
    centre = (64.0, 48.0)
    near = corruptions.from_behind(image, np.full(SHAPE, 2.0, np.float32), 0.1, centre)
    assert (near == 1).sum(axis=1).max() == 39  # 41 x 2 / 2.1
    far = corruptions.from_behind(image, np.full(SHAPE, np.nan, np.float32), 0.1, centre)
    assert (far == 1).sum(axis=1).max() == 41  # taken to be at 10 m
    assert np.isnan(near[0, 0]) and near[48, 64] == 1


@pytest.mark.parametrize(
    ("spoil", "share"),
    [(corruptions.rainy, (0.1, 0.3)), (corruptions.banded, (0.9, 1.0)), (corruptions.dirty, (0.1, 0.45))],
)
def test_what_is_held_out_changes_its_share_of_the_image(spoil, share):
    first, second, other = spoil(GREY, rng()), spoil(GREY, rng()), spoil(GREY, rng(2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any() and first.dtype == np.uint8
    assert share[0] <= (np.abs(first.astype(int) - 128).max(2) > 1).mean() <= share[1]


def test_masks_of_a_sensor_are_stretched_over_the_image():
    mask = np.zeros((3, 4), bool)
    mask[0, 3] = True
    lost = np.isnan(corruptions.with_holes(DEPTH, mask))
    assert lost[:32, 96:].all() and lost.sum() == 32 * 32


def test_spots_are_spread_evenly():
    smooth = spots(SHAPE, 8, rng())
    for share in (0.1, 0.5):
        assert (smooth < share).mean() == pytest.approx(share, abs=0.03)


def test_nothing_is_changed_in_place():
    rgb, depth = GREY.copy(), DEPTH.copy()
    corruptions.with_rgb_noise(rgb, 50, 0.1, rng())
    corruptions.with_depth_noise(depth, 0.1, 0.3, rng())
    for spoil in (corruptions.rainy, corruptions.banded, corruptions.dirty):
        spoil(rgb, rng())
    corruptions.fogged(rgb, depth, 5.0)
    assert (rgb == 128).all() and (depth == 4).all()
