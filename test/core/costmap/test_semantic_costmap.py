"""The costmap: each rule on exact arrays, and hypothesis against a reference that knows what may be free.

The camera looks straight down from 2 m: with these intrinsics a pixel is 0.25 m of floor, which is a cell, and every
number is a multiple of a power of two, so that arrays can be compared exactly.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gemini_ros.core.costmap import AHEAD_NS, CostmapConfig, SemanticCostmap
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelClass, LabelSet
from gemini_ros.core.transforms import camera_in_base, from_xyz_rpy

FLOOR, WALL, GRASS, RUG, CEILING, PERSON, NONE = 0, 1, 2, 3, 4, 5, 255
GRASS_COST, RUG_COST = 98, 7
LABELS = LabelSet(
    "test",
    "these tests",
    255,
    (
        LabelClass(0, "floor", (1, 1, 1), "free", 0, False),
        LabelClass(1, "wall", (2, 2, 2), "lethal", 0, False),
        LabelClass(2, "grass", (3, 3, 3), "caution", GRASS_COST, False),
        LabelClass(3, "rug", (4, 4, 4), "caution", RUG_COST, False),
        LabelClass(4, "ceiling", (5, 5, 5), "unknown", 0, False),
        LabelClass(5, "person", (6, 6, 6), "lethal", 0, True),
    ),
)
CONFIG = CostmapConfig(
    size_m=2.0, resolution_m=0.25, min_height_m=0.125, max_height_m=1.5, decay_s=3.0, timeout_s=1.0, max_range_m=4.0,
    tilt_error_deg=0.0, depth_noise_per_m=0.0, max_slope_deg=0.0, floor_fit=False,
)  # fmt: skip
N = CONFIG.cells
WIDTH, HEIGHT = 5, 3
INTRINSICS = Intrinsics(WIDTH, HEIGHT, 8.0, 8.0, 2.0, 1.0)
CAMERA_HEIGHT = 2.0
S = 1_000_000_000
SUREST, SURE, UNSURE = 230, 128, 127
NAN = math.nan


def looking_down(column: int = 0, row: int = 0) -> np.ndarray:
    """Camera above the centre of a cell; image right is x, image down is -y."""
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[:3, 3] = (column + 0.5) * 0.25, (row + 0.5) * 0.25, CAMERA_HEIGHT
    return pose


def full(value, dtype=np.uint8):
    return np.full((HEIGHT, WIDTH), value, dtype)


def one_pixel(label: int, height: float, confidence: int = 255) -> int:
    """What the map says of the cell below the camera after one point at ``height`` above the ground."""
    costmap = SemanticCostmap(CONFIG, LABELS)
    see(costmap, {(0, 0): (label, height, confidence)})
    return costmap.render(0, (0.1, 0.1)).data[N // 2, N // 2]


def see(costmap, points, stamp_ns=0, column=0, row=0, received_ns=None):
    """One frame: ``points`` by (row, column) of the image, relative to its centre, as (label, height, confidence)."""
    labels, confidence, depth = full(FLOOR), full(255), full(NAN, np.float32)
    for (v, u), (label, height, conf) in points.items():
        labels[v + 1, u + 2], depth[v + 1, u + 2], confidence[v + 1, u + 2] = label, CAMERA_HEIGHT - height, conf
    pose = looking_down(column, row)
    costmap.update(Segmentation(labels, confidence), depth, INTRINSICS, pose, stamp_ns, received_ns)


def floor_everywhere(costmap, stamp_ns=0, label=FLOOR, received_ns=None, **where):
    depth = full(CAMERA_HEIGHT, np.float32)
    said = Segmentation(full(label), full(255))
    costmap.update(said, depth, INTRINSICS, looking_down(**where), stamp_ns, received_ns)


def test_exact_map_of_one_frame():
    labels = np.array(
        [[FLOOR, FLOOR, WALL, GRASS, NONE], [FLOOR, RUG, FLOOR, FLOOR, FLOOR], [FLOOR, CEILING, FLOOR, FLOOR, FLOOR]],
        np.uint8,
    )
    depth = full(2.0, np.float32)
    depth[1, 3], depth[2, 4] = NAN, 0
    confidence = full(SURE)
    confidence[1, 0] = UNSURE
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(Segmentation(labels, confidence), depth, INTRINSICS, looking_down(), 5)
    occupancy = costmap.render(5, (0.1, 0.1))
    expected = np.full((8, 8), -1)
    expected[5, 2:7] = [0, 0, 100, GRASS_COST, -1]
    expected[4, 2:7] = [-1, RUG_COST, 0, -1, 0]
    expected[3, 2:7] = [0, -1, 0, 0, -1]
    np.testing.assert_array_equal(occupancy.data, expected)
    assert occupancy.data.dtype == np.int8
    assert (occupancy.resolution_m, occupancy.origin_xy, occupancy.stamp_ns) == (0.25, (-1.0, -1.0), 5)


@pytest.mark.parametrize(
    ("label", "ground", "ground_unsure", "standing", "standing_unsure"),
    [
        (FLOOR, 0, -1, 100, 100),
        (WALL, 100, 100, 100, 100),
        (GRASS, GRASS_COST, -1, 100, 100),
        (RUG, RUG_COST, -1, 100, 100),
        (CEILING, -1, -1, 100, 100),
        (NONE, -1, -1, 100, 100),
        (17, -1, -1, 100, 100),
    ],
)
def test_what_a_label_says_at_each_height(label, ground, ground_unsure, standing, standing_unsure):
    for height in (-0.125, 0.0, 0.125):
        assert one_pixel(label, height) == ground
        assert one_pixel(label, height, UNSURE) == ground_unsure
    for height in (0.3125, 1.0, 1.5):
        assert one_pixel(label, height) == standing
        assert one_pixel(label, height, UNSURE) == standing_unsure
    for height in (1.5625, 1.9375, -0.1875, -1.5):
        assert one_pixel(label, height) == -1
        assert one_pixel(label, height, UNSURE) == -1


@pytest.mark.parametrize("height", [0.1875, 0.25])
def test_a_label_that_is_sure_of_floor_makes_what_barely_stands_unknown(height):
    assert one_pixel(FLOOR, height, SUREST) == -1
    assert one_pixel(FLOOR, height, SUREST - 1) == 100
    assert one_pixel(GRASS, height) == one_pixel(NONE, height) == 100


@pytest.mark.parametrize(("height", "bits"), [(0.0, 1), (0.3125, 0b100), (0.75, 0b100000), (1.5, 0b100000000)])
def test_what_was_hit_is_remembered_by_its_height(height, bits):
    """Eight parts of 0.1875 m, and one for what lies on the ground."""
    costmap = SemanticCostmap(CONFIG, LABELS)
    see(costmap, {(0, 0): (WALL, height, 255)})
    assert costmap._memory._odds.lethal[4, 4] == bits


def test_caution_that_stands_is_passable_where_that_is_wanted_after_five_sure_frames():
    config = replace(CONFIG, caution_stands=True)
    costmap, values = SemanticCostmap(config, LABELS), []
    for number, confidence in enumerate([255] * 5 + [SUREST - 1] + [255] * 5):
        see(costmap, {(0, 0): (GRASS, 1.0, confidence)}, stamp_ns=number)
        values.append(int(costmap.render(number, (0.1, 0.1)).data[4, 4]))
    assert values == [100] * 4 + [GRASS_COST] + [100] * 5 + [GRASS_COST]
    see(costmap, {(0, 0): (GRASS, 1.0, 255), (0, 1): (PERSON, 0.0, 255)}, stamp_ns=20)
    assert costmap.render(20, (0.1, 0.1)).data[4, 4] == 100


def test_a_drop_replaces_what_was_free_but_overhead_does_not():
    for height, expected in ((-0.5, -1), (1.75, 0)):
        costmap = SemanticCostmap(CONFIG, LABELS)
        see(costmap, {(0, 0): (FLOOR, 0.0, 255)})
        see(costmap, {(0, 0): (FLOOR, height, 255)}, stamp_ns=1)
        assert costmap.render(1, (0.1, 0.1)).data[4, 4] == expected


def test_unsure_floor_leaves_what_was_seen_before_and_does_not_renew_it():
    costmap = SemanticCostmap(CONFIG, LABELS)
    see(costmap, {(0, 0): (FLOOR, 0.0, 255), (0, 1): (WALL, 0.0, 255)})
    for second in (1, 2, 3, 4):
        see(costmap, {(0, 0): (FLOOR, 0.0, UNSURE), (0, 1): (FLOOR, 0.0, UNSURE), (0, 2): (WALL, 0, 1)}, second * S)
        data = costmap.render(second * S, (0.1, 0.1)).data
        assert data[4, 4:7].tolist() == ([0, 100, 100] if second <= 3 else [-1, 100, 100])


# From the best to the worst: the worst of the points in a cell decides.
RISING = [(FLOOR, 0.0, 0), (RUG, 0.0, RUG_COST), (GRASS, 0.0, GRASS_COST), (NONE, 0.0, -1), (WALL, 0.0, 100)]


@pytest.mark.parametrize("low", range(5))
@pytest.mark.parametrize("high", range(5))
@pytest.mark.parametrize("first_pixel", [True, False])
def test_the_worst_of_a_cell_wins_whichever_pixel_comes_first(low, high, first_pixel):
    if low > high:
        low, high = high, low
    pixels = [(0, 0), (0, 1)] if first_pixel else [(0, 1), (0, 0)]
    # Seen from 2 m of depth, half a pixel off the axis: both columns fall into one cell.
    intrinsics = Intrinsics(WIDTH, HEIGHT, 64.0, 64.0, 2.0, 1.0)
    labels, depth = full(FLOOR), full(NAN, np.float32)
    for (v, u), (label, height, _) in zip(pixels, (RISING[low], RISING[high]), strict=True):
        labels[v + 1, u + 2], depth[v + 1, u + 2] = label, CAMERA_HEIGHT - height
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(Segmentation(labels, full(255)), depth, intrinsics, looking_down(), 0)
    assert costmap.render(0, (0.1, 0.1)).data[4, 4] == RISING[high][2]


def test_newer_ground_replaces_what_was_said_of_it_and_only_that():
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap, label=GRASS)
    see(costmap, {(0, 0): (FLOOR, 0.0, 255), (0, 1): (NONE, 0.0, 255)}, stamp_ns=1)
    expected = np.full((8, 8), -1)
    expected[3:6, 2:7] = GRASS_COST
    expected[4, 4:6] = 0, -1
    np.testing.assert_array_equal(costmap.render(1, (0.1, 0.1)).data, expected)


@pytest.mark.parametrize(("beside", "expected"), [(None, [100, 100, 100, 0]), (2, [100, 100, 100, 0]), (1, [100] * 4)])
def test_what_lies_on_the_ground_goes_when_ground_is_seen_and_nothing_is_hit_beside_it(beside, expected):
    """One hit has log-odds 0.85, a miss takes 0.4, and it is lethal until -0.62."""
    costmap, values = SemanticCostmap(CONFIG, LABELS), []
    see(costmap, {(0, 0): (WALL, 0.0, 255)})
    for number in range(1, 5):
        points = {(0, 0): (FLOOR, 0.0, 255)} | ({(0, beside): (WALL, 0.0, 255)} if beside else {})
        see(costmap, points, stamp_ns=number)
        values.append(int(costmap.render(number, (0.1, 0.1)).data[4, 4]))
    assert values == expected


def test_a_hit_on_free_ground_makes_it_unknown_and_a_second_one_lethal():
    costmap = SemanticCostmap(CONFIG, LABELS)
    see(costmap, {(0, 0): (WALL, 0.0, 255)})
    for number in range(1, 9):
        see(costmap, {(0, 0): (FLOOR, 0.0, 255)}, stamp_ns=number)
    assert costmap.render(8, (0.1, 0.1)).data[4, 4] == 0
    values = []
    for number in (9, 10):
        see(costmap, {(0, 0): (WALL, 0.0, 255)}, stamp_ns=number)
        values.append(int(costmap.render(number, (0.1, 0.1)).data[4, 4]))
    assert values == [-1, 100]


@pytest.mark.parametrize("label", [FLOOR, GRASS])
def test_a_cell_not_seen_any_more_is_unknown_after_its_decay(label):
    costmap = SemanticCostmap(CONFIG, LABELS)
    see(costmap, {(0, 0): (label, 0.0, 255)})
    known = costmap.render(0, (0.1, 0.1)).data[4, 4]
    assert known >= 0
    see(costmap, {(0, 1): (FLOOR, 0.0, 255)}, stamp_ns=3 * S)
    assert costmap.render(3 * S, (0.1, 0.1)).data[4, 4] == known
    assert costmap.render(3 * S + 1, (0.1, 0.1)).data[4, 4] == -1


@pytest.mark.parametrize(("last", "first"), [(S, S + 1), (-AHEAD_NS, -AHEAD_NS - 1)])
def test_all_is_unknown_once_the_last_evidence_is_older_than_the_timeout_or_ahead(last, first):
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap, stamp_ns=10 * S)
    assert (costmap.render(10 * S + last, (0, 0)).data == 0).sum() == 15
    assert (costmap.render(10 * S + first, (0, 0)).data == -1).all()


def test_both_ages_have_to_hold():
    """By stamp the map is fresh; by receipt on the steady clock it turns unknown after timeout and decay."""
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap, stamp_ns=10 * S, received_ns=500 * S)
    assert (costmap.render(10 * S, (0, 0), 501 * S).data == 0).any()
    assert (costmap.render(10 * S, (0, 0), 501 * S + 1).data == -1).all()
    for later in (1, 2, 3):
        see(costmap, {(0, 1): (FLOOR, 0.0, 255)}, stamp_ns=10 * S, received_ns=(500 + later) * S)
    assert (costmap.render(10 * S, (0, 0), 503 * S).data == 0).sum() == 15
    assert (costmap.render(10 * S, (0, 0), 503 * S + 1).data == 0).sum() == 1


def test_ages_move_with_the_window():
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap, stamp_ns=10 * S, received_ns=500 * S)
    floor_everywhere(costmap, stamp_ns=10 * S, received_ns=503 * S, column=1)
    known = [(costmap.render(10 * S, (0.3, 0.1), 503 * S + late).data == 0).sum() for late in (0, 1)]
    assert known == [18, 15]


def no_measurement(costmap, stamp_ns):
    costmap.update(Segmentation(full(FLOOR), full(255)), full(NAN, np.float32), INTRINSICS, looking_down(), stamp_ns)


def no_depth(costmap, stamp_ns):
    costmap.update(Segmentation(full(FLOOR), full(255)), None, INTRINSICS, looking_down(), stamp_ns)


@pytest.mark.parametrize("blind", [no_measurement, no_depth])
def test_frames_without_depth_do_not_keep_the_map_alive(blind):
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap)
    blind(costmap, S)
    assert (costmap.render(S, (0, 0)).data == 0).any()
    blind(costmap, S + 1)
    assert (costmap.render(S + 1, (0, 0)).data == -1).all()


def test_clear_and_a_map_without_evidence_are_unknown():
    costmap = SemanticCostmap(CONFIG, LABELS)
    assert (costmap.render(0, (0, 0)).data == -1).all()
    floor_everywhere(costmap)
    costmap.clear()
    assert (costmap.render(0, (0, 0)).data == -1).all()
    see(costmap, {(0, 0): (FLOOR, 0.0, 255)})
    assert (costmap.render(0, (0, 0)).data != -1).sum() == 1


BACK = 10 * S - AHEAD_NS - 1


@pytest.mark.parametrize("blind", [None, no_measurement, no_depth])
def test_a_backward_jump_clears_the_map(blind):
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap, stamp_ns=10 * S)
    if blind:
        blind(costmap, BACK)
        assert (costmap.render(10 * S, (0, 0)).data == -1).all()
    else:
        see(costmap, {(0, 0): (FLOOR, 0.0, 255)}, stamp_ns=BACK)
        assert (costmap.render(BACK, (0.1, 0.1)).data != -1).sum() == 1


@pytest.mark.parametrize("blind", [None, no_measurement, no_depth])
def test_a_clock_that_is_set_back_a_little_forgets_nothing_and_keeps_nothing_longer(blind):
    """NTP sets clocks: what was seen before goes on, and expires by its own stamp and by the steady clock."""
    costmap, stamp = SemanticCostmap(CONFIG, LABELS), BACK + 1
    floor_everywhere(costmap, 10 * S, received_ns=5 * S)
    if blind:
        blind(costmap, stamp)
    else:
        see(costmap, {(0, 0): (WALL, 0.0, 255)}, stamp_ns=stamp, received_ns=5 * S)
    assert (costmap.render(10 * S, (0.1, 0.1), 5 * S).data == 0).sum() > 10
    for steps in range(1, 4):  # no sum of small steps is a small step
        stamp -= AHEAD_NS // 2
        see(costmap, {(0, 0): (WALL, 0.0, 255)}, stamp_ns=stamp, received_ns=5 * S + steps)
    assert (costmap.render(10 * S, (0.1, 0.1), 5 * S + steps).data == 0).sum() == 0


def test_how_old_a_map_is_is_told_by_the_clock_on_which_it_is_older():
    costmap = SemanticCostmap(CONFIG, LABELS)
    assert costmap.age_s(5 * S, 7 * S) == 0
    floor_everywhere(costmap, 5 * S, received_ns=7 * S)
    assert [costmap.age_s(*now) for now in ((6 * S, 7 * S), (5 * S, 10 * S), (4 * S, 7 * S))] == [1.0, 3.0, 0.0]


@pytest.mark.parametrize("depth", [NAN, math.inf, -math.inf, 0.0, -2.0, 4.0625, 1e30, 3.4e38, 1e-45, 0.03125])
@pytest.mark.parametrize("kernel", ["numpy", "numba"])
def test_absurd_depth_never_marks_a_cell(depth, kernel):
    costmap = SemanticCostmap(CONFIG, LABELS)
    if kernel == "numba":
        pytest.importorskip("numba")
        assert costmap.warm_up() == "numba"
    pose = looking_down() @ from_xyz_rpy(0, 0, 0, 0.3, 0.2, 0.1)
    pose[2, 3] = 1.0
    with np.errstate(all="raise", under="ignore"):
        costmap.update(Segmentation(full(WALL), full(255)), full(depth, np.float32), INTRINSICS, pose, 0)
    assert (costmap.render(0, (0, 0)).data == -1).all()
    floor_everywhere(costmap, stamp_ns=1)
    with np.errstate(all="raise", under="ignore"):
        costmap.update(Segmentation(full(WALL), full(255)), full(depth, np.float32), INTRINSICS, pose, 2)
    assert (costmap.render(2, (0, 0)).data == 0).sum() == 15


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
@pytest.mark.parametrize(("height", "expected"), [(4.0, 0), (4.0625, -1)])
def test_the_range_is_inclusive(kernel, height, expected):
    costmap = SemanticCostmap(CONFIG, LABELS)
    if kernel == "numba":
        pytest.importorskip("numba")
        costmap.warm_up()
    pose, depth = looking_down(), full(height, np.float32)
    pose[2, 3] = height
    costmap.update(Segmentation(full(FLOOR), full(255)), depth, INTRINSICS, pose, 0)
    assert costmap.render(0, (0.1, 0.1)).data[4, 4] == expected


def test_the_window_follows_the_camera_and_forgets_what_leaves_it():
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap, label=WALL)  # columns -2..2, rows -1..1
    see(costmap, {(0, 0): (FLOOR, 0.0, 255)}, stamp_ns=1, column=5, row=-3)  # window columns 1..8, rows -7..0
    occupancy = costmap.render(1, (5.5 * 0.25, -2.5 * 0.25))
    assert occupancy.origin_xy == (0.25, -1.75)
    expected = np.full((8, 8), -1)
    expected[6:8, 0:2] = 100
    expected[4, 4] = 0
    np.testing.assert_array_equal(occupancy.data, expected)
    see(costmap, {(0, 0): (FLOOR, 0.0, 255)}, stamp_ns=2)
    back = costmap.render(2, (0.1, 0.1)).data
    expected = np.full((8, 8), -1)
    expected[3:5, 5:7] = 100
    expected[4, 4] = 0
    np.testing.assert_array_equal(back, expected)


@pytest.mark.parametrize(
    ("center", "origin"), [((0.0, 0.0), (-1.0, -1.0)), ((0.249, -0.001), (-1.0, -1.25)), ((7.3, -4.1), (6.25, -5.25))]
)
def test_the_origin_is_snapped_to_the_resolution(center, origin):
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap)
    occupancy = costmap.render(0, center)
    assert occupancy.origin_xy == origin
    assert occupancy.data.shape == (8, 8)
    if center == (7.3, -4.1):
        assert (occupancy.data == -1).all()


def test_a_rendered_map_is_a_copy():
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap)
    before = costmap.render(0, (0, 0))
    kept = before.data.copy()
    floor_everywhere(costmap, label=WALL)
    np.testing.assert_array_equal(before.data, kept)


@pytest.mark.parametrize(
    ("labels", "confidence", "depth", "intrinsics", "message"),
    [
        (full(0), full(0), np.zeros((3, 4), np.float32), INTRINSICS, "labels 5x3, depth 4x3"),
        (full(0), np.zeros((5, 3), np.uint8), full(1, np.float32), INTRINSICS, "labels 5x3, confidence 3x5"),
        (full(0), full(0), full(1, np.float32), Intrinsics(10, 6, 1, 1, 0, 0), "labels 5x3, intrinsics 10x6"),
        (full(0), full(0), None, Intrinsics(10, 6, 1, 1, 0, 0), "labels 5x3, intrinsics 10x6"),
        (full(0), full(0), full(1, np.float64), INTRINSICS, "float64"),
        (full(0), full(0), full(1, ">f4"), INTRINSICS, "types"),
        (full(0), full(0), full(1, np.float32), Intrinsics(5, 3, 1e-30, 1e-30, 0, 0), "cells far"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(labels, confidence, depth, intrinsics, message):
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap, stamp_ns=1)
    with pytest.raises(ValueError, match=message):
        costmap.update(Segmentation(labels, confidence), depth, intrinsics, looking_down(), 0)
    assert (costmap.render(1, (0, 0)).data == 0).sum() == 15


@pytest.mark.parametrize("pose", [np.eye(3), np.zeros((4, 4)), np.full((4, 4), NAN), 2 * np.eye(4)])
def test_a_pose_that_is_none_is_refused(pose):
    costmap = SemanticCostmap(CONFIG, LABELS)
    with pytest.raises(ValueError, match="grid_from_camera"):
        costmap.update(Segmentation(full(0), full(255)), full(2, np.float32), INTRINSICS, pose, 0)
    with pytest.raises(ValueError, match="center_xy"):
        costmap.render(0, (0.0, NAN))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size_m": 0.0},
        {"resolution_m": -0.05},
        {"decay_s": NAN},
        {"timeout_s": math.inf},
        {"max_range_m": 0},
        {"min_height_m": 2.0, "max_height_m": 2.0},
        {"min_confidence": 1.01},
        {"min_confidence": -0.1},
        {"memory_s": 0.0},
        {"without_depth": "guess"},
        {"tilt_error_deg": -1.0},
        {"max_slope_deg": NAN},
        {"size_m": 1e6},
        {"size_m": 0.01},
    ],
)
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="costmap"):
        CostmapConfig(**wrong)


def test_min_confidence_zero_trusts_every_pixel_and_one_only_the_surest():
    for threshold, confidence, expected in ((0.0, 0, 0), (1.0, 255, 0), (1.0, 254, -1), (0.5, 128, 0), (0.5, 127, -1)):
        costmap = SemanticCostmap(replace(CONFIG, min_confidence=threshold), LABELS)
        see(costmap, {(0, 0): (FLOOR, 0.0, confidence)})
        assert costmap.render(0, (0.1, 0.1)).data[4, 4] == expected


# --- against a reference ---------------------------------------------------------------------------------------------

labels_st = hnp.arrays(
    np.uint8, (HEIGHT, WIDTH), elements=st.sampled_from([FLOOR, WALL, GRASS, RUG, CEILING, PERSON, 9, NONE])
)
confidence_st = hnp.arrays(np.uint8, (HEIGHT, WIDTH), elements=st.sampled_from([0, UNSURE, SURE, 255]))
depth_st = hnp.arrays(
    np.float32,
    (HEIGHT, WIDTH),
    elements=st.sampled_from(
        [NAN, math.inf, -1.0, 0.0, 0.03125, 0.25, 0.5, 1.0, 1.75, 1.875, 2.0, 2.125, 2.5, 4.0, 4.5]
    ),
)
frames_st = st.tuples(
    st.sampled_from([-AHEAD_NS - 1, -AHEAD_NS, -1, 0, S // 2, S, 2 * S]),  # time since the last frame
    st.integers(-3, 3),
    st.integers(-3, 3),
    labels_st,
    confidence_st,
    st.one_of(st.none(), depth_st, depth_st, depth_st),
)


class Reference:
    """What may be free, a point at a time: ground of a confident free label, seen lately enough by both clocks."""

    def __init__(self):
        self.ground, self.newest, self.evidence = {}, None, None

    def update(self, labels, confidence, depth, column, row, stamp, received):
        if self.newest is not None and stamp < self.newest - AHEAD_NS:
            self.ground, self.evidence, self.newest = {}, None, None
        self.newest = max(stamp, self.newest or stamp)
        points = [] if depth is None else self._points(labels, confidence, depth, column, row)
        if points:
            self.evidence = stamp, received
        for cell, free in points:
            if not free:
                self.ground.pop(cell, None)
        worse = {cell for cell, free in points if not free}
        self.ground.update({cell: (stamp, received) for cell, free in points if free and cell not in worse})

    def _points(self, labels, confidence, depth, column, row):
        """Each cell that is said something of, and whether a point says that it is free."""
        points = []
        for v, u in itertools.product(range(HEIGHT), range(WIDTH)):
            d, sure = float(depth[v, u]), confidence[v, u] >= SURE
            height = CAMERA_HEIGHT - d
            is_floor = labels[v, u] == FLOOR and abs(height) <= CONFIG.min_height_m
            if not 0.05 <= d <= CONFIG.max_range_m or height > CONFIG.max_height_m or (is_floor and not sure):
                continue
            cell = math.floor(column + 0.5 + (u - 2) * d / 2), math.floor(row + 0.5 - (v - 1) * d / 2)
            if all(-N // 2 <= a - b < N // 2 for a, b in zip(cell, (column, row), strict=True)):
                points.append((cell, is_floor))
        return points

    def may_be_free(self, cell, now, steady):
        if self.evidence is None or cell not in self.ground:
            return False
        ages, whole = (
            [(at - seen) / S for seen, at in zip(times, (now, steady), strict=True)]
            for times in (self.ground[cell], self.evidence)
        )
        return max(ages) <= CONFIG.decay_s and max(whole) <= CONFIG.timeout_s


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
@settings(max_examples=80)
@given(
    frames=st.lists(frames_st, min_size=1, max_size=6),
    wait=st.sampled_from([0, 1, S // 2, S, S + 1]),
    lag=st.sampled_from([0, S // 2, -S // 20]),
    center=st.tuples(st.integers(-4, 4), st.integers(-4, 4)),
)
def test_no_cell_is_free_on_evidence_older_than_its_timeout(kernel, frames, wait, lag, center):
    """The invariant, whatever came before: a free cell was last measured as free ground, lately by both clocks."""
    costmap, reference = SemanticCostmap(CONFIG, LABELS), Reference()
    if kernel == "numba":
        pytest.importorskip("numba")
        costmap.warm_up()
    stamp = 100 * S
    for elapsed, column, row, labels, confidence, depth in frames:
        stamp += elapsed
        received = 7 * stamp // 8
        pose = looking_down(column, row)
        costmap.update(Segmentation(labels, confidence), depth, INTRINSICS, pose, stamp, received)
        reference.update(labels, confidence, depth, column, row, stamp, received)
    now, steady = stamp + wait, 7 * stamp // 8 + wait + lag
    center_xy = ((center[0] + 0.5) * 0.25, (center[1] + 0.5) * 0.25)
    data = costmap.render(now, center_xy, steady).data
    for row, column in np.argwhere(data == 0):
        assert reference.may_be_free((column + center[0] - N // 2, row + center[1] - N // 2), now, steady)
    assert np.isin(data, [-1, *range(99), 100]).all()


# --- any pose --------------------------------------------------------------------------------------------------------

angles = st.floats(-math.pi, math.pi)
sixty_fourths = st.integers(-1000, 1000).map(lambda v: v / 64)
poses_st = st.builds(
    lambda x, y, z, roll, pitch, yaw: from_xyz_rpy(x, y, 0, 0, 0, yaw) @ camera_in_base([0, 0, z, roll, pitch, 0]),
    sixty_fourths, sixty_fourths, st.floats(0, 2), angles, angles, angles,
)  # fmt: skip
any_depth_st = hnp.arrays(
    np.float32, (HEIGHT, WIDTH), elements=st.one_of(st.floats(0.0625, 5, width=32), st.floats(width=32))
)


def rendered(pose, labels, confidence, depth, *, kernel="numpy", now=0):
    costmap = SemanticCostmap(CONFIG, LABELS)
    if kernel == "numba":
        costmap.warm_up()
    costmap.update(Segmentation(labels, confidence), depth, INTRINSICS, pose, 0)
    return costmap.render(now, (pose[0, 3], pose[1, 3]))


@settings(max_examples=80)
@given(poses_st, labels_st, confidence_st, any_depth_st)
def test_numba_and_numpy_give_equal_maps(pose, labels, confidence, depth):
    pytest.importorskip("numba")
    a, b = (rendered(pose, labels, confidence, depth, kernel=kernel) for kernel in ("numpy", "numba"))
    np.testing.assert_array_equal(a.data, b.data)


@settings(max_examples=40)
@given(poses_st, labels_st, confidence_st, any_depth_st, st.integers(-4000, 4000), st.integers(-4000, 4000))
def test_a_pose_moved_by_whole_cells_moves_the_map(pose, labels, confidence, depth, columns, rows):
    moved = pose.copy()
    moved[:2, 3] += columns * 0.25, rows * 0.25
    here, there = (rendered(p, labels, confidence, depth) for p in (pose, moved))
    np.testing.assert_array_equal(here.data, there.data)
    assert there.origin_xy == (here.origin_xy[0] + columns * 0.25, here.origin_xy[1] + rows * 0.25)


@settings(max_examples=40)
@given(poses_st, labels_st, confidence_st, any_depth_st, st.lists(st.integers(0, 2 * S), min_size=2, max_size=5))
def test_without_new_frames_knowledge_only_shrinks(pose, labels, confidence, depth, times):
    maps = [rendered(pose, labels, confidence, depth, now=now).data for now in sorted(times)]
    for earlier, later in itertools.pairwise(maps):
        assert ((later == earlier) | (later == -1)).all()


@settings(max_examples=40)
@given(poses_st, labels_st, confidence_st, any_depth_st)
def test_more_walls_never_make_a_cell_less_lethal_or_free(pose, labels, confidence, depth):
    before = rendered(pose, labels, confidence, depth).data
    worse = labels.copy()
    worse[::2] = WALL
    after = rendered(pose, worse, confidence, depth).data
    assert (after[before == 100] == 100).all()
    assert (before[after == 0] == 0).all()


def test_every_row_of_a_tall_image_counts():
    """Taller than what the numpy path works on at a time, and no multiple of it."""
    rows = 150
    intrinsics = Intrinsics(1, rows, 200.0, 200.0, 0.0, rows - 1.0)
    labels, sure, depth = (np.full((rows, 1), v, t) for v, t in ((FLOOR, np.uint8), (255, np.uint8), (2, np.float32)))
    labels[[0, 70, -1]] = WALL
    maps = []
    for warm in (False, True):
        costmap = SemanticCostmap(CONFIG, LABELS)
        if warm:
            costmap.warm_up()
        costmap.update(Segmentation(labels, sure), depth, intrinsics, looking_down(), 0)
        maps.append(costmap.render(0, (0.1, 0.1)).data)
        assert maps[-1][4:, 4].tolist() == [100, 0, 0, 100]
    np.testing.assert_array_equal(*maps)


def test_images_in_foreign_memory_need_no_other_kernel():
    pytest.importorskip("numba")
    raw = b"\0" + np.full((HEIGHT, WIDTH), 2.0, np.float32).tobytes()
    unaligned = np.frombuffer(raw, np.float32, offset=1).reshape(HEIGHT, WIDTH)
    read_only = np.frombuffer(bytes(HEIGHT * WIDTH), np.uint8).reshape(HEIGHT, WIDTH)
    strided = np.repeat(full(255), 2, axis=1)[:, ::2]
    data = rendered(looking_down(), read_only, strided, unaligned, kernel="numba").data
    np.testing.assert_array_equal(data, rendered(looking_down(), full(0), full(255), full(2, np.float32)).data)
    assert (data == 0).sum() == 15
