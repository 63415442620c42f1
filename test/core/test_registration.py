"""Registration against a world whose every ray is known, through OpenCV's own projection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core import reprojection
from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.core.lens import Lens
from gemini_ros.core.registration import (
    DepthRegistration,
    ImageRegistration,
    one_grid,
    resized,
    rgb_from_stream,
    shifted,
    warm_up,
)
from gemini_ros.core.reprojection import NUMPY
from gemini_ros.core.transforms import from_xyz_rpy
from test.core.scene import depth_of, mounted, pixels_of, points_of, seen_by

TURN = (0.9998, -0.0199, 0.0, 0.0199, 0.9998, 0.0, 0.0, 0.0, 1.0)
RGB = Intrinsics(640, 360, 455.0, 457.0, 322.0, 178.0)
WEBCAM = RGB.through(Lens("plumb_bob", (-0.05, 0.06, 0.001, -0.0005, -0.02)))
STEREO = Intrinsics(848, 480, 425.0, 424.0, 421.0, 239.0)
COARSE = Intrinsics(320, 240, 170.0, 171.0, 158.0, 121.0)
KINECT = Intrinsics(640, 576, 504.0, 504.0, 319.0, 330.0).through(
    Lens("rational_polynomial", (0.6, 0.05, 1e-4, 2e-5, 0.002, 0.94, 0.1, 0.01))
)
FISHEYE = Intrinsics(400, 300, 190.0, 190.0, 199.0, 150.0).through(
    Lens("equidistant", (-0.02, 0.01, -0.005, 0.001), TURN)
)
BOSON = Intrinsics(640, 512, 760.0, 762.0, 318.0, 258.0).through(Lens("plumb_bob", (-0.35, 0.15, 0.001, 0.0005, 0.0)))
LEPTON = Intrinsics(160, 120, 150.0, 151.0, 79.0, 60.0).through(Lens("equidistant", (0.02, -0.01, 0.005, 0.0)))

DEPTHS = {
    "stereo": (STEREO, RGB),
    "stereo onto all pixels": (STEREO, RGB.scaled(1280, 720)),
    "stereo onto a raw image": (STEREO, WEBCAM),
    "coarse": (COARSE, RGB),
    "rational": (KINECT, RGB),
    "fisheye": (FISHEYE, WEBCAM),
}
THERMALS = {"boson": (BOSON, RGB), "boson onto a raw image": (BOSON, WEBCAM), "lepton": (LEPTON, RGB)}


@pytest.fixture(autouse=True, scope="module")
def fast():
    return warm_up()


def position_errors(grid, registered, truth):
    """How far off, in pixels, the depth of a pixel lies on surfaces that slope: the error over the slope, else NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse, off = 1 / truth, np.abs(1 / registered - 1 / truth)
        slope = np.hypot(*np.gradient(inverse))
        bend = sum(np.abs(np.gradient(np.gradient(inverse, axis=axis), axis=axis)) for axis in (0, 1))
        return np.where((slope > 1e-3) & (bend < 1e-4), off / slope, np.nan)


def shares(valid, inside, free):
    """Of the hidden pixels those that are invalid, and of the visible ones those that are lost."""
    hidden, visible = inside & ~free, inside & free
    assert hidden.sum() > 200 and visible.sum() > 10_000
    return (~valid)[hidden].mean(), (~valid)[visible].mean()


@pytest.mark.parametrize("name", DEPTHS)
def test_depth_comes_to_the_pixel_that_sees_its_point(name):
    source, grid = DEPTHS[name]
    mounting = mounted()
    depth = depth_of(source, mounting).astype(np.float32)
    registered = DepthRegistration(source, grid, mounting).register(depth)
    assert registered.shape == (grid.height, grid.width) and registered.dtype == np.float32
    truth = depth_of(grid, np.eye(4))
    inside, free = seen_by(source, mounting, points_of(grid, truth))
    valid = np.isfinite(registered)
    invalid_of_hidden, lost = shares(valid, inside, free)
    assert invalid_of_hidden >= 0.95 and lost <= 0.01, (invalid_of_hidden, lost)
    seen = valid & inside & free
    errors = position_errors(grid, registered, truth)[seen]
    errors = errors[np.isfinite(errors)]
    assert len(errors) > 10_000
    assert np.median(errors) < 0.5 and np.quantile(errors, 0.95) < 1.0, np.quantile(errors, [0.5, 0.95])
    moved = np.abs(1 / registered - 1 / truth)[seen] * grid.fx * 0.1  # pixels in a camera 10 cm beside it
    assert np.median(moved) < 0.1 and np.quantile(moved, 0.95) < 0.5, np.quantile(moved, [0.5, 0.95])


@pytest.mark.parametrize("name", THERMALS)
def test_thermal_is_read_where_the_point_of_a_pixel_lies(name):
    """Images of the camera's own coordinates say where they were read."""
    source, grid = THERMALS[name]
    mounting = mounted(-0.1, 0.03, 0.0)
    truth = depth_of(grid, np.eye(4))
    points = points_of(grid, truth)
    own = np.tensordot(mounting[:3, :3].T, points - mounting[:3, 3][:, None, None], axes=1)
    expected = pixels_of(source, own)
    registration = ImageRegistration(source, grid, mounting)
    assert registration.needs_depth
    depth = truth.astype(np.float32)
    read = [
        registration.through(image.astype(np.float32), depth) for image in np.mgrid[: source.height, : source.width]
    ]
    inside, free = seen_by(source, mounting, points)
    valid = np.isfinite(read[0])
    invalid_of_hidden, lost = shares(valid, inside, free)
    errors = np.hypot(read[1] - expected[0], read[0] - expected[1])[valid & inside & free] * grid.fx / source.fx
    assert np.quantile(errors, 0.5) < 0.5 and np.quantile(errors, 0.95) < 1.0
    assert invalid_of_hidden >= 0.95 and lost <= 0.01


def test_thermal_through_the_registered_depth_of_another_camera():
    """The whole chain: stereo depth onto the grid, thermal through it."""
    mounting, thermal = mounted(), mounted(-0.06, 0.03, 0.0)
    depth = DepthRegistration(STEREO, RGB, mounting).register(depth_of(STEREO, mounting).astype(np.float32))
    registration = ImageRegistration(BOSON, RGB, thermal)
    read = [registration.through(image.astype(np.float32), depth) for image in np.mgrid[:512, :640]]
    points = points_of(RGB, depth_of(RGB, np.eye(4)))
    own = np.tensordot(thermal[:3, :3].T, points - thermal[:3, 3][:, None, None], axes=1)
    expected = pixels_of(BOSON, own)
    (in_depth, depth_free), (inside, free) = seen_by(STEREO, mounting, points), seen_by(BOSON, thermal, points)
    valid, both = np.isfinite(read[0]), in_depth & depth_free & inside & free
    errors = np.hypot(read[1] - expected[0], read[0] - expected[1])[valid & both] * RGB.fx / BOSON.fx
    assert np.quantile(errors, 0.5) < 0.5 and np.quantile(errors, 0.95) < 1.0
    assert 1 - valid[both].mean() <= 0.01 and (~valid)[inside & ~free & in_depth & depth_free].mean() >= 0.95
    # What depth does not see is guessed: most of it is read, and nearly all of that near where it lies.
    whole = inside & free
    off = np.hypot(read[1] - expected[0], read[0] - expected[1])[valid & whole] * RGB.fx / BOSON.fx
    assert valid[whole].mean() > 0.99 and np.quantile(off, 0.95) < 1.0
    assert (~valid)[inside & ~free].mean() >= 0.92


@pytest.mark.parametrize("name", THERMALS)
def test_a_plane_stands_for_depth_and_one_place_needs_neither(name):
    source, grid = THERMALS[name]
    mounting = mounted(-0.1, 0.03, 0.0)
    flat = np.full((grid.height, grid.width), 2.5)
    own = np.tensordot(mounting[:3, :3].T, points_of(grid, flat) - mounting[:3, 3][:, None, None], axes=1)
    expected = pixels_of(source, own)
    registration = ImageRegistration(source, grid, mounting)
    columns = np.tile(np.arange(source.width, dtype=np.float32), (source.height, 1))
    for _ in range(2):  # the second one from what was kept
        read = registration.by_plane(columns, 2.5)
        np.testing.assert_allclose(
            read[np.isfinite(read)], np.clip(expected[0], 0, source.width - 1)[np.isfinite(read)], atol=2e-3
        )
    assert np.isfinite(read).mean() > 0.4
    assert np.nanmax(np.abs(registration.by_plane(columns, 1.0) - read)) > 3 * source.fx / 455
    turned = ImageRegistration(source, grid, mounted(0, 0, 0))
    assert not turned.needs_depth
    np.testing.assert_allclose(turned.by_plane(columns, 1.0), turned.by_plane(columns, 50.0), atol=1e-3)


def test_both_ways_are_equal():
    pytest.importorskip("numba")
    random = np.random.default_rng(0)
    mounting = mounted()
    for source, grid in (*DEPTHS.values(), (WEBCAM, FISHEYE)):
        depth = depth_of(source, mounting).astype(np.float32)
        depth *= random.uniform(0.98, 1.02, depth.shape).astype(np.float32)
        depth[random.random(depth.shape) < 0.05] = np.nan
        depth[random.random(depth.shape) < 0.01] = 0.0
        both = [
            DepthRegistration(source, grid, mounting, kernels).register(depth)
            for kernels in (NUMPY, reprojection.compiled())
        ]
        np.testing.assert_array_equal(*both)
    depth = depth_of(WEBCAM, np.eye(4)).astype(np.float32)
    depth[random.random(depth.shape) < 0.05] = np.nan
    for source, grid in THERMALS.values():
        image = random.normal(20, 5, (source.height, source.width)).astype(np.float32)
        image[random.random(image.shape) < 0.01] = np.nan
        made = [ImageRegistration(source, grid, mounting, kernels) for kernels in (NUMPY, reprojection.compiled())]
        np.testing.assert_array_equal(*[one.through(image, depth) for one in made])
        np.testing.assert_array_equal(*[one.by_plane(image, 2.0) for one in made])


def test_nothing_is_smeared_into_what_was_not_measured():
    depth = np.full((480, 848), 2.0, np.float32)
    depth[200:260, 300:400] = np.nan
    registered = DepthRegistration(STEREO, RGB, mounted()).register(depth)
    assert 0.9 < np.isnan(registered[:, 100:500]).sum() / (60 * 100 * (455 / 425) * (457 / 424)) < 1.1


def test_thermal_bridges_what_depth_does_not_measure():
    """A gap in a surface is read on it, one at an edge behind it, and a row without depth not at all."""
    grid = Intrinsics(8, 3, 10.0, 10.0, 3.5, 1.0)
    registration = ImageRegistration(grid, grid, from_xyz_rpy(0.2, 0, 0, 0, 0, 0))
    depth = np.full((3, 8), 2.0, np.float32)
    depth[0, 2:5] = depth[0, 7] = depth[2] = np.nan  # moved by one pixel
    depth[1] = 0.8, 0.8, np.nan, np.nan, 2.0, 2.0, 2.0, 2.0  # the nearer ones moved by two and a half
    columns = np.tile(np.arange(8, dtype=np.float32), (3, 1))
    read = registration.through(columns, depth)
    np.testing.assert_allclose(read[0], [np.nan, 0, 1, 2, 3, 4, 5, 6], atol=1e-5)
    np.testing.assert_allclose(read[1], [np.nan, np.nan, 1, 2, 3, 4, 5, 6], atol=1e-5)
    assert np.isnan(read[2]).all()


def test_a_gap_lies_behind_what_is_around_it():
    """Row 2 has gaps of 12, 2 and 3 pixels; 4 m lies above them, below them 1 m, 1 m and 4 m."""
    depth = np.full((4, 24), 1.0, np.float32)
    depth[1], depth[2, 21:], depth[3, 17:] = 4.0, 2.0, 4.0
    depth[2, 1:13] = depth[2, 14:16] = depth[2, 18:21] = np.nan
    for kernels in (NUMPY, reprojection.compiled()):
        bridged = np.empty_like(depth)
        kernels.bridge(depth, np.float32(0.1), bridged)
        np.testing.assert_allclose(bridged[2, 1:13], 4.0)  # between two near things: as what is above
        np.testing.assert_allclose(bridged[2, 14:16], 1.0)  # a small gap in a surface: on it
        np.testing.assert_allclose(bridged[2, 18:21], 4.0)  # at an edge: behind both
        np.testing.assert_array_equal(bridged[depth > 0], depth[depth > 0])


@pytest.mark.parametrize(
    "matrix",
    [
        from_xyz_rpy(0, 0, 0, 0, np.pi, 0),  # looks back
        from_xyz_rpy(0, 0, 20, 0, 0, 0),  # beyond all that RGB sees
        from_xyz_rpy(50, 0, 0, 0, 0, 0),  # millimetres
        from_xyz_rpy(0.05, 0, 0, 0, 2.0, 0),  # looks aside
    ],
)
def test_a_camera_that_sees_nothing_of_the_grid_is_refused(matrix):
    for kind in (DepthRegistration, ImageRegistration):
        with pytest.raises(FrameError, match=r"^its camera sees nothing of what RGB sees .* metres and radians"):
            kind(STEREO, RGB, matrix)


@pytest.mark.parametrize("spoil", [lambda m: m * 2, lambda m: m @ np.diag([1.0, 1, -1, 1]), lambda m: m * np.nan])
def test_extrinsics_that_are_not_rigid_are_refused(spoil):
    with pytest.raises(ValueError, match=r"extrinsics: .* expected a rotation and a finite translation"):
        DepthRegistration(STEREO, RGB, spoil(mounted()))


def test_images_of_another_size_are_refused():
    with pytest.raises(FrameError, match="depth 640x480, expected 848x480"):
        DepthRegistration(STEREO, RGB, mounted()).register(np.ones((480, 640), np.float32))
    with pytest.raises(FrameError, match="image 640x480, expected 640x512"):
        ImageRegistration(BOSON, RGB, mounted()).by_plane(np.ones((480, 640), np.float32), 1.0)


PLAIN, BENT = Intrinsics(80, 60, 70, 70, 39.5, 29.5), Lens("plumb_bob", (-0.2, 0.03, 0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("source", "grid", "one"),
    [
        (PLAIN, PLAIN, True),
        (replace(PLAIN, fx=70.5, cy=29.9), PLAIN, True),
        (replace(PLAIN, fx=60.0), PLAIN, False),
        (replace(PLAIN, cx=41.0), PLAIN, False),
        (PLAIN.scaled(40, 30), PLAIN, False),
        (PLAIN.through(BENT), PLAIN, False),
        (PLAIN, PLAIN.through(BENT), False),
        (PLAIN.through(BENT), replace(PLAIN, cx=39.9).through(BENT), True),
        (PLAIN.through(Lens("plumb_bob", (-0.002,))), PLAIN, True),
    ],
)
def test_cameras_share_their_pixels_where_none_looks_a_pixel_aside(source, grid, one):
    assert one_grid(source, grid) is one


def test_six_numbers_are_metres_and_radians_about_the_optical_axes():
    matrix = rgb_from_stream((0.1, 0.2, 0.3, 0.0, 0.5, 0.0))
    np.testing.assert_allclose(matrix @ [0, 0, 1, 1], [0.1 + np.sin(0.5), 0.2, 0.3 + np.cos(0.5), 1])
    for wrong in ((0.1,), (0, 0, 0, 0, 0, np.nan)):
        with pytest.raises(ValueError, match="expected six finite numbers"):
            rgb_from_stream(wrong)


def test_an_image_is_moved_by_parts_of_a_pixel_and_depth_by_whole_ones():
    image = np.arange(20, dtype=np.float32).reshape(4, 5)
    assert shifted(image, (0.0, 0.0), between=True) is image
    moved = shifted(image, (1.0, -1.0), between=True)
    np.testing.assert_array_equal(moved[:3, 1:], image[1:, :4])
    assert np.isnan(moved[3]).all() and np.isnan(moved[:, 0]).all()
    half = shifted(image, (-0.25, 0.5), between=True)
    np.testing.assert_allclose(half[1:, :4], image[1:, :4] + 0.25 - 2.5)
    np.testing.assert_array_equal(shifted(image, (1.4, -0.6), between=False), moved)
    assert np.isnan(shifted(image, (9.0, 0.0), between=True)).all()


def test_an_image_of_the_grid_at_another_size():
    depth = np.repeat(np.repeat(np.arange(6, dtype=np.float32).reshape(2, 3), 2, 0), 2, 1)
    depth[0, 0] = np.nan
    small = resized(depth, (3, 2))
    np.testing.assert_array_equal(small, [[0, 1, 2], [3, 4, 5]])
    assert resized(depth, (6, 4)) is depth
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[:, ::2] = 100
    assert (resized(rgb, (3, 2)) == 50).all() and resized(rgb, (12, 8)).shape == (8, 12, 3)
