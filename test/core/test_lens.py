"""Lenses against OpenCV: its projection, which is exact, and its inverse, which is within its few rounds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.lens import Lens
from gemini_ros.core.rays import pixel_rays, rays_at

SIZE = (96, 64)
TURN = tuple(cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0].ravel())

LENSES = {
    "webcam": (70.0, Lens("plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.0))),
    "four": (70.0, Lens("plumb_bob", (-0.2, 0.04, 0.001, -0.0005))),
    "pincushion": (80.0, Lens("plumb_bob", (0.1, -0.2, 0.001, -0.0005, 0.05))),
    "rational": (75.0, Lens("rational_polynomial", (8.5, -2.6, 0.0003, -0.0002, -0.9, 8.7, -0.5, -2.1))),
    "prism": (75.0, Lens("rational_polynomial", (0.1, 0.02, 1e-3, 0, 0.01, 0.2, 0.03, 1e-3, 1e-3, 2e-4, -1e-3, 3e-4))),
    "stereo": (70.0, Lens("plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.0), TURN)),
    "turned alone": (70.0, Lens("plumb_bob", (), TURN)),
    "fisheye": (43.0, Lens("equidistant", (-0.02, 0.01, -0.005, 0.001))),
    "fisheye of a pair": (43.0, Lens("equidistant", (-0.02, 0.01, -0.005, 0.001), TURN)),
}


def camera(name: str) -> tuple[Intrinsics, np.ndarray, np.ndarray, np.ndarray]:
    """Also K, D and R as OpenCV takes them."""
    focal, lens = LENSES[name]
    intrinsics = Intrinsics(*SIZE, focal, 1.01 * focal, 45.0, 33.5, lens)
    k = np.array([[focal, 0, 45.0], [0, 1.01 * focal, 33.5], [0, 0, 1]])
    coefficients = np.array(lens.coefficients or [0.0] * 4)
    return intrinsics, k, coefficients, np.array(lens.rotation).reshape(3, 3)


@pytest.mark.parametrize("name", LENSES)
def test_a_ray_is_seen_by_its_pixel(name: str):
    intrinsics, k, d, r = camera(name)
    rays = pixel_rays(intrinsics).astype(np.float64)
    assert rays.shape == (3, 64, 96) and np.isfinite(rays).all()
    points = np.ascontiguousarray(np.tensordot(r.T, rays, axes=1).reshape(3, -1).T[:, None])
    project = cv2.fisheye.projectPoints if intrinsics.lens.model == "equidistant" else cv2.projectPoints
    pixels = project(points, np.zeros(3), np.zeros(3), k, d)[0].reshape(64, 96, 2)
    v, u = np.mgrid[:64, :96]
    np.testing.assert_allclose(pixels, np.stack([u, v], -1), atol=2e-4)
    np.testing.assert_allclose(points[:, 0, 2], 1, atol=1e-6)  # a unit long along the axis of the raw camera


@pytest.mark.parametrize("name", LENSES)
def test_a_point_is_projected_to_the_pixel_whose_ray_it_is_on(name: str):
    intrinsics, *_ = camera(name)
    rays = pixel_rays(intrinsics).astype(np.float64)
    x, y, depth = intrinsics.lens.project(2.5 * rays)
    v, u = np.mgrid[:64, :96]
    np.testing.assert_allclose(intrinsics.fx * x + intrinsics.cx, u, atol=2e-4)
    np.testing.assert_allclose(intrinsics.fy * y + intrinsics.cy, v, atol=2e-4)
    np.testing.assert_allclose(depth, 2.5, atol=1e-5)


@pytest.mark.parametrize("name", LENSES)
def test_a_point_behind_the_camera_or_beyond_its_lens_is_at_no_pixel(name: str):
    lens = LENSES[name][1]
    x, y, _ = lens.project(np.array([[0.1, 0.0, 100.0], [0.2, 0.0, 3.0], [-1.0, 0.0, 0.1]]))
    assert np.isnan(x).all() and np.isnan(y).all()


@pytest.mark.parametrize("name", LENSES)
def test_opencv_undistorts_alike(name: str):
    intrinsics, k, d, r = camera(name)
    v, u = np.mgrid[:64, :96].astype(np.float64)
    undistort = cv2.fisheye.undistortPoints if intrinsics.lens.model == "equidistant" else cv2.undistortPoints
    expected = undistort(np.stack([u, v], -1).reshape(-1, 1, 2), k, d, R=r).reshape(64, 96, 2)
    rays = pixel_rays(intrinsics)
    np.testing.assert_allclose(np.stack([rays[0] / rays[2], rays[1] / rays[2]], -1), expected, atol=3e-3)


@pytest.mark.parametrize("lens", [None, LENSES["webcam"][1], LENSES["fisheye of a pair"][1]])
def test_single_pixels_have_the_rays_of_the_table(lens: Lens | None):
    intrinsics = Intrinsics(*SIZE, 60.0, 61.0, 45.0, 33.5, lens)
    rows, columns = np.array([0, 5, 63]), np.array([95, 7, 0])
    np.testing.assert_allclose(rays_at(intrinsics, rows, columns), pixel_rays(intrinsics)[:, rows, columns], rtol=1e-5)
    assert pixel_rays(intrinsics) is pixel_rays(Intrinsics(*SIZE, 60.0, 61.0, 45.0, 33.5, lens))  # made once


def test_beyond_where_a_polynomial_turns_round_nothing_is_seen():
    """Its largest distorted radius is at r² = 1 / (3 x 0.4), and pixels beyond that have no ray."""
    lens, largest = Lens("plumb_bob", (-0.4, 0.0, 0.0, 0.0, 0.0)), (1 / 1.2) ** 0.5
    reach = largest * (1 - 0.4 * largest**2)
    rays = lens.rays(np.linspace(-1, 1, 201), np.zeros(1))
    np.testing.assert_array_equal(np.isfinite(rays[0, 0]), np.abs(np.linspace(-1, 1, 201)) <= reach)
    assert np.nanmax(rays[0]) <= largest


def test_a_fisheye_sees_85_degrees_from_its_axis():
    rays = Lens("equidistant").rays(np.radians([0.0, 45.0, 84.9, 85.1, 120.0]), np.zeros(1))
    np.testing.assert_allclose(rays[0, 0], [0, 1, np.tan(np.radians(84.9)), np.nan, np.nan], atol=1e-9)
    assert np.isnan(rays[:, 0, 3:]).all()


@pytest.mark.parametrize("coefficients", [(1e9, -1e9, 1e3, 1e3, 1e9), (0, 0, 0, 0, 0, 0, 0, -1e6)])
def test_numbers_of_no_lens_give_no_rays_and_no_error(coefficients: tuple[float, ...]):
    with np.errstate(all="ignore"):
        rays = Lens("rational_polynomial", coefficients).rays(np.linspace(-1, 1, 32), np.linspace(-1, 1, 16))
    assert rays.shape == (3, 16, 32)
