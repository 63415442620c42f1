"""Clearing: what is seen through and what is not, and never more than a rule that follows each ray would clear."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_ros.core.costmap import SemanticCostmap
from gemini_ros.core.costmap.clearing import (
    Clearing,
    _boxes_in_loops,
    _nearest,
    _pooled,
    _through_in_loops,
    _through_in_numpy,
    block_of,
)
from gemini_ros.core.costmap.grid import corner_around
from gemini_ros.core.costmap.meaning import FIRST_STANDING_BIN, STANDING_BINS
from gemini_ros.core.costmap.points import Surface, View
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.transforms import camera_in_base, from_xyz_rpy
from test.core.costmap.scene import (
    BARREL,
    CAMERA,
    CONFIG,
    FISHEYE,
    FLOOR,
    LABELS,
    PERSON,
    WALL,
    Box,
    S,
    Scene,
    at,
    cell,
    looks,
)

pytestmark = pytest.mark.once

NAN = np.nan


def test_blocks_hold_their_nearest_pixel_and_nothing_where_one_is_missing():
    depth = np.full((9, 14), 3.0, np.float32)
    depth[1, 2], depth[5, 9], depth[6, 1] = 2.0, NAN, np.inf
    hidden = np.zeros(depth.shape, bool)
    hidden[0, 11] = True
    for hidden_in, last in ((np.zeros((0, 0), bool), 3.0), (hidden, 0.0)):
        nearest = _pooled(depth, hidden_in, 4)
        assert nearest.tolist() == [[2.0, 3.0, last], [0.0, 3.0, 0.0]]
        rows, columns = (grid.ravel() for grid in np.mgrid[0:2, 0:3])
        blocks = np.array([4 * rows, 4 * rows + 3, 4 * columns, 4 * columns + 3], np.int32).T.copy()
        for limit in (-1.0, 0.0, 2.0, 2.5, 3.0):
            for through in (_through_in_numpy, _through_in_loops):
                seen = through(depth, hidden_in, 4, blocks, np.full(6, limit))
                assert seen.tolist() == (nearest > limit).ravel().tolist()


@pytest.mark.parametrize(("width", "block"), [(3, 1), (160, 1), (320, 2), (640, 4), (1000, 6)])
def test_blocks_are_finer_the_fewer_pixels_there_are(width, block):
    assert block_of(width) == block
    pooled = _pooled(np.ones((13, width), np.float32), np.zeros((0, 0), bool), block)
    assert pooled.shape == (13 // block, width // block)


@given(st.integers(0, 2**32 - 1))
def test_the_nearest_of_a_rectangle_is_that_of_its_blocks(seed):
    rng = np.random.default_rng(seed)
    image = rng.random((rng.integers(1, 20), rng.integers(1, 30)), np.float32)
    rows, columns = (np.sort(rng.integers(0, size, (2, 25)), axis=0).astype(np.int32) for size in image.shape)
    expected = [image[a : b + 1, c : d + 1].min() for a, b, c, d in zip(*rows, *columns, strict=True)]
    np.testing.assert_array_equal(_nearest(image, *rows, *columns), np.array(expected, np.float32))


def drive(*scenes, label=None, config=CONFIG, pose=None, period_s=0.2):
    """The map after these scenes one after another, from one place."""
    costmap = SemanticCostmap(config, LABELS)
    pose = at() if pose is None else pose
    for number, scene in enumerate(scenes):
        costmap.update(*scene.see(pose), CAMERA, pose, round(number * period_s * S))
    return costmap.render(round((len(scenes) - 1) * period_s * S), (0, 0))


BACK = Box((4.5, -9.0, 0.0), (4.6, 9.0, 4.0))
EMPTY = Scene(boxes=(BACK,))


def box(label=WALL, high=0.5):
    return Scene(boxes=(BACK, Box((2.01, -0.3, 0.0), (2.1, 0.3, high), label)))


@pytest.mark.parametrize("high", [0.12, 0.5])
@pytest.mark.parametrize(("label", "frames"), [(WALL, 7), (PERSON, 2)])
def test_what_is_gone_is_cleared_by_as_many_frames_as_its_class_takes(label, frames, high):
    there, gone = [box(label, high)] * 5, [EMPTY] * frames
    assert cell(drive(*there), 2.02, 0.0) == 100
    assert cell(drive(*there, *gone[:-1]), 2.02, 0.0) == 100
    assert cell(drive(*there, *gone), 2.02, 0.0) == 0


@pytest.mark.parametrize("behind", [(BACK,), ()], ids=["a wall", "nothing within range"])
@pytest.mark.parametrize("label", [PERSON, WALL])
def test_what_moves_has_gone_where_the_ground_is_seen_also_above_the_image(label, behind):
    """A person of 1.8 m, cut off by the image at 1.1 m: what the image no longer holds would stand for 30 s."""
    person = Scene(boxes=(*behind, Box((2.01, -0.3, 0.0), (2.1, 0.3, 1.8), label)))
    there, gone = [person] * 5, [Scene(boxes=behind)] * 20
    assert cell(drive(*there), 2.02, 0.0) == 100
    assert cell(drive(*there, *gone), 2.02, 0.0) == (0 if label == PERSON else 100)
    assert cell(drive(*there, *gone[:1]), 2.02, 0.0) == 100


def test_what_is_hidden_or_not_measured_is_not_cleared():
    curtain = Scene(boxes=(BACK, Box((1.2, -2, 0.0), (1.3, 2, 1.5))))
    assert cell(drive(*[box()] * 5, *[curtain] * 20), 2.02, 0.0) == 100
    costmap = SemanticCostmap(CONFIG, LABELS)
    for number in range(25):
        said, depth = (box() if number < 5 else EMPTY).see(at())
        if number >= 5:
            depth[:, 70:90] = NAN
        costmap.update(said, depth, CAMERA, at(), number * S // 5)
    occupancy = costmap.render(24 * S // 5, (0, 0))
    assert cell(occupancy, 2.02, 0.0) == 100
    assert cell(occupancy, 2.02, -0.27) == 0


def test_a_ray_that_passes_above_clears_no_ground_and_no_low_box():
    """A wall behind a low box: rays pass over the box, and nothing says that it is gone."""
    low = box(high=0.12)
    costmap = SemanticCostmap(CONFIG, LABELS)
    for number in range(25):
        said, depth = (low if number < 5 else EMPTY).see(at())
        if number >= 5:
            depth[(said.labels == FLOOR)] = NAN
        costmap.update(said, depth, CAMERA, at(), number * S // 5)
    assert cell(costmap.render(24 * S // 5, (0, 0)), 2.02, 0.0) == 100


def test_what_hangs_is_cleared_where_it_is_looked_through():
    bar = Scene(boxes=(BACK, Box((2.01, -0.3, 0.4), (2.1, 0.3, 0.5))))
    assert cell(drive(*[bar] * 5), 2.02, 0.0) == 100
    assert cell(drive(*[bar] * 5, *[EMPTY] * 7), 2.02, 0.0) == 0


def test_while_turning_fast_nothing_far_is_cleared():
    """At 1.2 rad/s; what stands beyond 3 m is marked, and stays."""
    far, near = (Scene(boxes=(BACK, Box((x, -2.0, 0.0), (x + 0.1, 2.0, 0.7)))) for x in (3.51, 2.01))
    for scene, x, expected in ((far, 3.52, 100), (near, 2.02, 0)):
        costmap = SemanticCostmap(CONFIG, LABELS)
        for number in range(14):
            pose = at(yaw=0.06 * (number % 2))
            costmap.update(*(scene if number < 5 else EMPTY).see(pose), CAMERA, pose, number * S // 20)
        assert cell(costmap.render(13 * S // 20, (0, 0)), x, 0.1) == expected


# --- against rays ----------------------------------------------------------------------------------------------------

SMALL = Intrinsics(48, 36, 40.0, 40.0, 23.5, 17.5)
LENSES = (None, BARREL, FISHEYE)
ROUGH = replace(CONFIG, size_m=4.0, resolution_m=0.1, min_height_m=0.03)
RNG_DEPTHS = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 4.0, 6.0], np.float32)


def kept_by_rays(depth, camera, pose, corner, row, column, low, high) -> bool:
    """The plain rule: some ray through the box (metres over the ground) measured nothing, or ended in or before it."""
    rays = looks(camera) @ pose[:3, :3].T
    first = np.array([(corner[0] + column) * 0.1, (corner[1] + row) * 0.1, low])
    last = np.array([(corner[0] + column + 1) * 0.1, (corner[1] + row + 1) * 0.1, high])
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (first - pose[:3, 3]) / rays, (last - pose[:3, 3]) / rays
        enter, leave = np.fmin(a, b).max(-1), np.fmax(a, b).min(-1)
    through = (enter < leave) & (leave > 0)
    return bool((through & ~(depth > leave)).any())


@settings(max_examples=25)
@given(
    st.floats(0.3, 1.2),
    st.floats(-0.3, 0.9),
    st.floats(-0.2, 0.2),
    st.floats(-3.1, 3.1),
    st.sampled_from(LENSES),
    st.integers(0, 2**32 - 1),
)
def test_nothing_is_cleared_that_the_rule_of_rays_would_keep(height, pitch, roll, yaw, lens, seed):
    camera = replace(SMALL, lens=lens)
    rng = np.random.default_rng(seed)
    pose = from_xyz_rpy(0.33, -0.21, 0, 0, 0, yaw) @ camera_in_base([0, 0, height, roll, pitch, 0])
    depth = np.full((camera.height, camera.width), rng.choice(RNG_DEPTHS[4:]), np.float32)
    for _ in range(rng.integers(0, 4)):
        top, left = rng.integers(0, 30), rng.integers(0, 40)
        depth[top : top + rng.integers(1, 9), left : left + rng.integers(1, 9)] = rng.choice(RNG_DEPTHS)
    corner = corner_around((pose[0, 3], pose[1, 3]), ROUGH)
    view = View.of(camera, (pose, pose), corner, ROUGH, 1.5)
    surface = Surface(np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32), 1000)
    rows, columns = (grid.ravel() for grid in np.mgrid[0:40, 0:40])
    bits = np.full(len(rows), ((1 << STANDING_BINS) - 1) << FIRST_STANDING_BIN, np.uint16)
    clearing = Clearing(ROUGH)
    on_ground = np.ones(len(rows), bool)
    cleared = clearing.seen_through(rows, columns, bits, on_ground, depth, None, view, surface, 10.0)
    part = np.arange(STANDING_BINS)
    for index in rng.permutation(np.flatnonzero(cleared))[:40]:
        row, column = np.full(STANDING_BINS, rows[index]), np.full(STANDING_BINS, columns[index])
        low, high = clearing._edges(part, row, column, view)
        for bin_ in part[(cleared[index] >> (FIRST_STANDING_BIN + part)) & 1 == 1]:
            assert not kept_by_rays(depth, camera, pose, corner, rows[index], columns[index], low[bin_], high[bin_])


@settings(max_examples=10)
@given(st.floats(0.3, 1.2), st.floats(-0.3, 0.9), st.floats(-3.1, 3.1), st.integers(0, 2**32 - 1))
def test_both_ways_to_project_boxes_are_equal(height, pitch, yaw, seed):
    rng = np.random.default_rng(seed)
    pose = from_xyz_rpy(0.33, -0.21, 0, 0, 0, yaw) @ camera_in_base([0, 0, height, 0.1, pitch, 0])
    view = View.of(SMALL, (pose, pose), corner_around((pose[0, 3], pose[1, 3]), ROUGH), ROUGH, 1.5)
    surface = Surface(rng.normal(0, 0.1, (9, 12)).astype(np.float32), np.zeros((9, 12), np.float32), 4)
    rows, columns = rng.integers(0, 40, (2, 60))
    bits, on_ground = rng.integers(0, 1 << 10, 60).astype(np.uint16), rng.random(60) < 0.5
    clearing = Clearing(ROUGH)
    boxes = clearing._boxes_in_numpy(rows, columns, bits, on_ground, view, surface, 3.0)
    axes = np.ascontiguousarray(pose[:3, :3])
    same = _boxes_in_loops(rows, columns, bits, on_ground, surface.heights_m, 4, axes, clearing._numbers(view, 3.0))
    for a, b in zip(boxes, same, strict=True):
        np.testing.assert_array_equal(a, b)
