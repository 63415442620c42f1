"""The costmap: each rule on exact arrays, and hypothesis against a reference that keeps a dict of cells.

The camera looks straight down from 2 m: with these intrinsics a pixel is 0.25 m of floor, which is a cell, and every
number is a multiple of a power of two, so that arrays can be compared exactly.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gemini_ros.core.costmap import AHEAD_NS, CostmapConfig, SemanticCostmap
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelClass, LabelSet
from gemini_ros.core.transforms import camera_in_base, from_xyz_rpy

FLOOR, WALL, GRASS, RUG, CEILING, NONE = 0, 1, 2, 3, 4, 255
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
    ),
)
CONFIG = CostmapConfig(
    size_m=2.0, resolution_m=0.25, min_height_m=0.125, max_height_m=1.5, decay_s=3.0, timeout_s=1.0, max_range_m=4.0
)
N = CONFIG.cells
WIDTH, HEIGHT = 5, 3
INTRINSICS = Intrinsics(WIDTH, HEIGHT, 8.0, 8.0, 2.0, 1.0)
CAMERA_HEIGHT = 2.0
S = 1_000_000_000
SURE, UNSURE = 128, 127
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
        (GRASS, GRASS_COST, -1, GRASS_COST, 100),
        (RUG, RUG_COST, -1, RUG_COST, 100),
        (CEILING, -1, -1, 100, 100),
        (NONE, -1, -1, 100, 100),
        (17, -1, -1, 100, 100),
    ],
)
def test_what_a_label_says_at_each_height(label, ground, ground_unsure, standing, standing_unsure):
    for height in (-0.125, 0.0, 0.125):
        assert one_pixel(label, height) == ground
        assert one_pixel(label, height, UNSURE) == ground_unsure
    for height in (0.1875, 1.0, 1.5):
        assert one_pixel(label, height) == standing
        assert one_pixel(label, height, UNSURE) == standing_unsure
    for height in (1.5625, 1.9375, -0.1875, -1.5):
        assert one_pixel(label, height) == -1
        assert one_pixel(label, height, UNSURE) == -1


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
        assert data[4, 4:7].tolist() == ([0, 100, 100] if second <= 3 else [-1, -1, 100])


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


def test_a_newer_frame_replaces_what_it_sees_and_only_that():
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap, label=WALL)
    see(costmap, {(0, 0): (FLOOR, 0.0, 255)}, stamp_ns=1)
    expected = np.full((8, 8), -1)
    expected[3:6, 2:7] = 100
    expected[4, 4] = 0
    np.testing.assert_array_equal(costmap.render(1, (0.1, 0.1)).data, expected)


@pytest.mark.parametrize("label", [FLOOR, WALL, GRASS])
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


@pytest.mark.parametrize("blind", [None, no_measurement, no_depth])
def test_a_backward_jump_clears_the_map(blind):
    costmap = SemanticCostmap(CONFIG, LABELS)
    floor_everywhere(costmap, stamp_ns=10 * S)
    if blind:
        blind(costmap, 10 * S - 1)
        assert (costmap.render(10 * S, (0, 0)).data == -1).all()
    else:
        see(costmap, {(0, 0): (FLOOR, 0.0, 255)}, stamp_ns=10 * S - 1)
        assert (costmap.render(10 * S, (0.1, 0.1)).data != -1).sum() == 1


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
        {"size_m": 1e6},
        {"size_m": 0.01},
    ],
)
def test_settings_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="costmap"):
        CostmapConfig(**wrong)


def test_min_confidence_zero_trusts_every_pixel_and_one_only_the_surest():
    for threshold, confidence, expected in ((0.0, 0, 0), (1.0, 255, 0), (1.0, 254, -1), (0.5, 128, 0), (0.5, 127, -1)):
        config = CostmapConfig(
            2.0, 0.25, min_height_m=0.125, max_height_m=1.5, max_range_m=4.0, min_confidence=threshold
        )
        costmap = SemanticCostmap(config, LABELS)
        see(costmap, {(0, 0): (FLOOR, 0.0, confidence)})
        assert costmap.render(0, (0.1, 0.1)).data[4, 4] == expected


# --- against a reference ---------------------------------------------------------------------------------------------

labels_st = hnp.arrays(np.uint8, (HEIGHT, WIDTH), elements=st.sampled_from([FLOOR, WALL, GRASS, RUG, CEILING, 9, NONE]))
confidence_st = hnp.arrays(np.uint8, (HEIGHT, WIDTH), elements=st.sampled_from([0, UNSURE, SURE, 255]))
depth_st = hnp.arrays(
    np.float32,
    (HEIGHT, WIDTH),
    elements=st.sampled_from(
        [NAN, math.inf, -1.0, 0.0, 0.03125, 0.25, 0.5, 1.0, 1.75, 1.875, 2.0, 2.125, 2.5, 4.0, 4.5]
    ),
)
frames_st = st.tuples(
    st.sampled_from([-1, 0, S // 2, S, 2 * S]),  # time since the last frame
    st.integers(-3, 3),
    st.integers(-3, 3),
    labels_st,
    confidence_st,
    st.one_of(st.none(), depth_st, depth_st, depth_st),
)


class Reference:
    """The rule as one would tell it, a point at a time."""

    def __init__(self):
        self.cells, self.newest, self.evidence = {}, None, None

    def update(self, labels, confidence, depth, column, row, stamp):
        if self.newest is not None and stamp < self.newest:
            self.cells, self.evidence = {}, None
        self.newest = stamp
        frame = {} if depth is None else self._frame(labels, confidence, depth, column, row)
        if frame:
            self.cells = {cell: seen for cell, seen in self.cells.items() if self._inside(cell, column, row)}
            self.cells.update({cell: (value, stamp) for cell, value in frame.items()})
            self.evidence = stamp

    @staticmethod
    def _inside(cell, column, row):
        return -N // 2 <= cell[0] - column < N // 2 and -N // 2 <= cell[1] - row < N // 2

    def _frame(self, labels, confidence, depth, column, row):
        severity = [0, RUG_COST, GRASS_COST, -1, 100]
        frame = {}
        for v in range(HEIGHT):
            for u in range(WIDTH):
                d = float(depth[v, u])
                value = self._point(int(labels[v, u]), confidence[v, u] >= SURE, CAMERA_HEIGHT - d)
                if not 0.05 <= d <= CONFIG.max_range_m or value is None:
                    continue
                cell = math.floor(column + 0.5 + (u - 2) * d / 2), math.floor(row + 0.5 - (v - 1) * d / 2)
                if self._inside(cell, column, row):
                    frame[cell] = max(value, frame.get(cell, 0), key=severity.index)
        return frame

    @staticmethod
    def _point(label, sure, height):
        if height > CONFIG.max_height_m:
            return None
        if height < -CONFIG.min_height_m:
            return -1
        caution = {GRASS: GRASS_COST, RUG: RUG_COST}.get(label)
        if height > CONFIG.min_height_m:
            return caution if caution and sure else 100
        if label == FLOOR:
            return 0 if sure else None
        if label == WALL:
            return 100
        return caution if caution and sure else -1

    def render(self, now, column, row):
        data = np.full((N, N), -1)
        if self.evidence is None or abs(now - self.evidence) > CONFIG.timeout_s * S:
            return data
        for (x, y), (value, stamp) in self.cells.items():
            if self._inside((x, y), column, row) and now - stamp <= CONFIG.decay_s * S:
                data[y - row + N // 2, x - column + N // 2] = value
        return data


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
@settings(max_examples=150)
@given(
    frames=st.lists(frames_st, min_size=1, max_size=5),
    wait=st.sampled_from([0, 1, S // 2, S, S + 1]),
    center=st.tuples(st.integers(-4, 4), st.integers(-4, 4)),
)
def test_any_drive_equals_the_reference(kernel, frames, wait, center):
    costmap, reference = SemanticCostmap(CONFIG, LABELS), Reference()
    if kernel == "numba":
        pytest.importorskip("numba")
        costmap.warm_up()
    stamp = 100 * S
    for elapsed, column, row, labels, confidence, depth in frames:
        stamp += elapsed
        pose = looking_down(column, row)
        costmap.update(Segmentation(labels, confidence), depth, INTRINSICS, pose, stamp)
        reference.update(labels, confidence, depth, column, row, stamp)
    now = stamp + wait
    center_xy = ((center[0] + 0.5) * 0.25, (center[1] + 0.5) * 0.25)
    data = costmap.render(now, center_xy).data
    np.testing.assert_array_equal(data, reference.render(now, *center))
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


@settings(max_examples=200)
@given(poses_st, labels_st, confidence_st, any_depth_st)
def test_numba_and_numpy_give_equal_maps(pose, labels, confidence, depth):
    pytest.importorskip("numba")
    a, b = (rendered(pose, labels, confidence, depth, kernel=kernel) for kernel in ("numpy", "numba"))
    np.testing.assert_array_equal(a.data, b.data)


@settings(max_examples=100)
@given(poses_st, labels_st, confidence_st, any_depth_st, st.integers(-4000, 4000), st.integers(-4000, 4000))
def test_a_pose_moved_by_whole_cells_moves_the_map(pose, labels, confidence, depth, columns, rows):
    moved = pose.copy()
    moved[:2, 3] += columns * 0.25, rows * 0.25
    here, there = (rendered(p, labels, confidence, depth) for p in (pose, moved))
    np.testing.assert_array_equal(here.data, there.data)
    assert there.origin_xy == (here.origin_xy[0] + columns * 0.25, here.origin_xy[1] + rows * 0.25)


@settings(max_examples=100)
@given(poses_st, labels_st, confidence_st, any_depth_st, st.lists(st.integers(0, 2 * S), min_size=2, max_size=5))
def test_without_new_frames_knowledge_only_shrinks(pose, labels, confidence, depth, times):
    maps = [rendered(pose, labels, confidence, depth, now=now).data for now in sorted(times)]
    for earlier, later in itertools.pairwise(maps):
        assert ((later == earlier) | (later == -1)).all()


@settings(max_examples=100)
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
