"""Completed depth marks what stands in holes of the measured depth, and never frees a cell."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_ros.core.costmap import CostmapConfig, SemanticCostmap
from gemini_ros.core.costmap.completed import CompletedDepth
from gemini_ros.core.costmap.margins import Faster
from gemini_ros.core.frames import UNLABELLED, Intrinsics, Segmentation
from test.core.costmap.scene import BARREL, CAMERA, FLOOR, LABELS, Box, S, Scene, at, cell

BOX = Box((2.0, -0.4, 0.0), (2.5, 0.4, 1.0))
MARKS = CostmapConfig(completed_depth=True)


def hidden(scene, threshold=255):
    """A frame whose boxes were not measured, and all of its depth as a guess of this confidence."""
    said, true = scene.see(at())
    seen = np.where(said.labels == FLOOR, true, np.float32(np.nan))
    return said, seen, CompletedDepth(true, np.full(true.shape, threshold, np.uint8))


def drawn(config, said, seen, completed, now_ns=0):
    costmap = SemanticCostmap(config, LABELS)
    costmap.update(said, seen, CAMERA, at(), 0, completed=completed)
    return costmap.render(now_ns, (0.0, 0.0))


def test_a_thing_that_was_not_measured_is_marked():
    said, seen, completed = hidden(Scene(boxes=(BOX,)))
    without, with_marks = (drawn(config, said, seen, completed) for config in (CostmapConfig(), MARKS))
    assert cell(without, 2.02, 0.0) == -1
    assert cell(with_marks, 2.02, 0.0) == 100
    differ = without.data != with_marks.data
    assert (with_marks.data[differ] == 100).all()
    assert differ.sum() >= 12


@pytest.mark.parametrize(("confidence", "marks"), [(191, False), (192, True)])  # 0.75 of 255 is 191.25
def test_below_the_threshold_a_guess_marks_nothing(confidence, marks):
    assert (cell(drawn(MARKS, *hidden(Scene(boxes=(BOX,)), confidence)), 2.02, 0.0) == 100) is marks


def test_what_was_measured_is_believed_and_no_guess():
    said, true = Scene().see(at())
    wall = CompletedDepth(np.where(np.isnan(true), true, np.float32(1.5)), np.full(true.shape, 255, np.uint8))
    assert not (drawn(MARKS, said, true, wall).data == 100).any()


def test_a_floor_that_is_guessed_gives_no_ground():
    said, true = Scene().see(at())
    seen = true.copy()
    seen[:, 40:120] = np.nan
    for off in (0.95, 1.0, 1.05):
        guess = CompletedDepth(true * np.float32(off), np.full(true.shape, 255, np.uint8))
        without, with_marks = (drawn(config, said, seen, guess) for config in (CostmapConfig(), MARKS))
        assert np.array_equal(without.data, with_marks.data)


def test_the_robot_itself_is_no_obstacle():
    said, seen, completed = hidden(Scene(boxes=(BOX,)))
    own = dataclasses.replace(said, labels=np.where(said.labels == FLOOR, FLOOR, UNLABELLED).astype(np.uint8))
    assert not (drawn(MARKS, own, seen, completed).data == 100).any()


def test_a_mark_goes_after_decay_s_and_where_ground_is_measured():
    said, seen, completed = hidden(Scene(boxes=(BOX,)))
    costmap = SemanticCostmap(dataclasses.replace(MARKS, decay_s=1.0), LABELS)
    costmap.update(said, seen, CAMERA, at(), 0, completed=completed)
    costmap.update(said, seen, CAMERA, at(), S)
    assert cell(costmap.render(S, (0.0, 0.0)), 2.02, 0.0) == 100
    costmap.update(said, seen, CAMERA, at(), S + S // 2)
    assert cell(costmap.render(S + S // 2, (0.0, 0.0)), 2.02, 0.0) == -1
    costmap.update(said, seen, CAMERA, at(), 2 * S, completed=completed)
    costmap.update(*Scene().see(at()), CAMERA, at(), 2 * S + 1)
    assert cell(costmap.render(2 * S + 1, (0.0, 0.0)), 2.02, 0.0) == 0


def test_a_guess_is_no_evidence():
    """Frames that measure nothing keep no map alive, however sure the guess is; the mark is there afterwards."""
    said, seen, completed = hidden(Scene(boxes=(BOX,)))
    costmap, nothing = SemanticCostmap(MARKS, LABELS), np.full_like(seen, np.nan)
    costmap.update(said, seen, CAMERA, at(), 0)
    for i in range(1, 14):
        assert not costmap.update(said, nothing, CAMERA, at(), i * S // 10, completed=completed)
    assert (costmap.render(13 * S // 10, (0.0, 0.0)).data == -1).all()
    costmap.update(said, seen, CAMERA, at(), 14 * S // 10)
    assert cell(costmap.render(14 * S // 10, (0.0, 0.0)), 2.02, 0.0) == 100


def test_numba_and_numpy_mark_alike():
    said, seen, completed = hidden(Scene(boxes=(BOX, Box((3.0, 0.6, 0.0), (3.2, 1.0, 0.2)))))
    compiled = SemanticCostmap(MARKS, LABELS)
    compiled.warm_up()
    compiled.update(said, seen, CAMERA, at(), 0, completed=completed)
    assert np.array_equal(compiled.render(0, (0.0, 0.0)).data, drawn(MARKS, said, seen, completed).data)


def test_sizes_must_agree():
    said, seen, completed = hidden(Scene())
    small = CompletedDepth(completed.depth[1:], completed.confidence[1:])
    with pytest.raises(ValueError, match="labels 160x120, completed depth 160x119: expected one size"):
        SemanticCostmap(MARKS, LABELS).update(said, seen, CAMERA, at(), 0, completed=small)


def run_of(seed):
    """A configuration, and frames with poses, stamps and guesses of any kind."""
    rng = np.random.default_rng(seed)
    config = CostmapConfig(
        size_m=4.0,
        resolution_m=0.1,
        decay_s=float(rng.choice((0.3, 1.0, 3.0))),
        memory_s=float(rng.choice((0.5, 3.0))),
        timeout_s=float(rng.choice((0.4, 2.0))),
        caution_stands=bool(rng.integers(2)),
        robot_radius_m=float(rng.choice((0.0, 0.4))),
        without_depth=str(rng.choice(("unknown", "project"))),
        completed_confidence=float(rng.choice((0.25, 0.75, 1.0))),
    )
    camera = Intrinsics(32, 24, 26.0, 26.0, 15.5, 11.5, BARREL if rng.integers(2) else None)
    frames, now_ns = [], 10 * S
    for _ in range(rng.integers(1, 13)):
        now_ns += int(rng.integers(-S // 10, S // 2))
        boxes = tuple(
            Box((x, y, 0.0), (x + 0.3, y + rng.uniform(0.1, 1), rng.uniform(0.05, 1.5)), int(rng.integers(1, 5)))
            for x, y in rng.uniform((0.5, -1), (3, 1), (rng.integers(3), 2))
        )
        pose = at(*rng.uniform(-1.5, 1.5, 2), rng.uniform(-0.5, 0.5))
        said, true = Scene(boxes=boxes).see(pose, camera)
        labels = np.where(rng.random(true.shape) < 0.1, rng.integers(0, 6, true.shape), said.labels).astype(np.uint8)
        labels[labels == 5] = UNLABELLED
        said = Segmentation(labels, rng.integers(0, 256, true.shape, dtype=np.uint8))
        lost = rng.random(true.shape) < rng.choice((0.0, 0.3, 1.0), p=(0.2, 0.6, 0.2))
        seen = None if rng.random() < 0.1 else np.where(lost, np.float32(np.nan), true)
        guess = np.where(rng.random(true.shape) < 0.5, true, rng.uniform(0, 5, true.shape)).astype(np.float32)
        completed = CompletedDepth(guess, rng.integers(0, 256, true.shape, dtype=np.uint8))
        frames.append((said, seen, camera, pose, now_ns, None if rng.random() < 0.2 else completed))
    return config, frames, rng


def changed_cells(seed):
    """Maps with and without the guesses after each frame: the cells that differ, and what they say with them."""
    config, frames, rng = run_of(seed)
    plain = SemanticCostmap(config, LABELS)
    marked = SemanticCostmap(dataclasses.replace(config, completed_depth=True), LABELS)
    for said, seen, camera, pose, stamp_ns, completed in frames:
        robot = tuple(pose[:2, 3] - 0.1)
        told = plain.update(said, seen, camera, pose, stamp_ns, robot_xy=robot)
        assert told == marked.update(said, seen, camera, pose, stamp_ns, robot_xy=robot, completed=completed)
        for later_ns in (0, int(rng.integers(0, 2 * S))):
            margins = float(rng.choice((0.0, 0.3))), [Faster(*rng.uniform(-1, 1, 2), 0.5, 0.4)]
            asked = stamp_ns + later_ns, tuple(rng.uniform(-1, 1, 2)), None, *margins
            without, with_guess = plain.render(*asked).data, marked.render(*asked).data
            yield with_guess[without != with_guess]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_no_cell_is_free_that_is_not_free_without_the_guess(seed):
    """Whatever the frames, the guesses and the clock: a cell is as without completed depth, or lethal."""
    assert all((cells == 100).all() for cells in changed_cells(seed))


def test_the_runs_of_that_property_mark_cells():
    assert sum(cells.size for seed in range(4) for cells in changed_cells(seed)) > 20
