"""Forgetting: both ages, ground soon, obstacles late; and where the robot drove."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros.core.costmap import AHEAD_NS, SemanticCostmap
from gemini_ros.core.costmap.forgetting import NEVER, Ages, FrameTimes, is_fresh
from test.core.costmap.scene import CAMERA, CONFIG, LABELS, Box, S, Scene, at, cell

pytestmark = pytest.mark.once

AHEAD_OF_IT = Scene(boxes=(Box((1.51, -0.3, 0.0), (1.6, 0.3, 0.5)),))
BEHIND = at(0.0, 0.0, np.pi)


def seen(*frames, config=CONFIG):
    """A map that has seen scenes from poses at times in seconds."""
    costmap = SemanticCostmap(config, LABELS)
    for scene, pose, time_s in frames:
        costmap.update(*scene.see(pose), CAMERA, pose, round(time_s * S))
    return costmap


def test_ground_expires_and_an_obstacle_out_of_sight_stays_for_its_memory():
    frames = [(AHEAD_OF_IT, at(), 0.0), *((Scene(), BEHIND, second) for second in range(1, 32))]
    costmap = seen(*frames[:4])
    assert [cell(costmap.render(3 * S, (0, 0)), x, 0.0) for x in (1.2, 1.52)] == [0, 100]
    costmap = seen(*frames[:5])
    assert [cell(costmap.render(4 * S, (0, 0)), x, 0.0) for x in (1.2, 1.52)] == [-1, 100]
    costmap = seen(*frames[:31])
    assert cell(costmap.render(30 * S, (0, 0)), 1.52, 0.0) == 100
    assert cell(costmap.render(30 * S + 1, (0, 0)), 1.52, 0.0) == -1


def test_an_obstacle_out_of_sight_outlives_a_clock_that_is_set_back_a_little():
    costmap = seen((AHEAD_OF_IT, at(), 10.0), (Scene(), BEHIND, 10.03), (Scene(), BEHIND, 9.97))
    assert cell(costmap.render(round(9.97 * S), (0, 0)), 1.52, 0.0) == 100
    costmap = seen((AHEAD_OF_IT, at(), 10.0), (Scene(), BEHIND, 10.03), (Scene(), BEHIND, 9.92))
    assert cell(costmap.render(round(9.92 * S), (0, 0)), 1.52, 0.0) == -1


def test_a_silent_map_is_unknown_and_what_was_in_the_way_stands_again():
    costmap = seen((AHEAD_OF_IT, at(), 0.0))
    assert (costmap.render(S + 1, (0, 0)).data == -1).all()
    pose = BEHIND
    costmap.update(*Scene().see(pose), CAMERA, pose, 10 * S)
    assert cell(costmap.render(10 * S, (0, 0)), 1.52, 0.0) == 100


def test_what_was_forgotten_does_not_come_back_with_one_hit_more_than_new():
    costmap = seen(*((AHEAD_OF_IT, at(), tenth / 10) for tenth in range(9)))
    costmap.update(*AHEAD_OF_IT.see(at()), CAMERA, at(), 60 * S)
    assert costmap._memory._odds.odds[100, 100 + 30].max() == 17


def test_where_the_robot_stood_is_free_until_something_is_measured_there():
    config = replace(CONFIG, robot_radius_m=0.2)
    costmap = SemanticCostmap(config, LABELS)
    for x, second in ((0.0, 0), (1.0, 20)):
        pose = at(x)
        costmap.update(*Scene().see(pose), CAMERA, pose, second * S, robot_xy=(x, 0.0))
    occupancy = costmap.render(20 * S, (0, 0))
    assert [cell(occupancy, x, 0.02) for x in (-0.3, 0.0, 0.17, 0.3, 0.9, 1.1)] == [-1, 0, 0, -1, 0, 0]
    box = Scene(boxes=(Box((-0.1, -0.3, 0.0), (0.11, 0.3, 0.3)),))
    pose = at(1.5, 0.0, np.pi)
    costmap.update(*box.see(pose), CAMERA, pose, 21 * S, robot_xy=(1.5, 0.0))
    assert cell(costmap.render(21 * S, (0, 0)), 0.12, 0.02) == 100
    for second, expected in ((50, 0), (51, -1)):
        costmap.update(*Scene().see(at(3.0)), CAMERA, at(3.0), second * S, robot_xy=(3.0, 0.0))
        assert cell(costmap.render(second * S, (2, 0)), 1.0, 0.02) == expected


def test_without_a_radius_nothing_is_free_for_having_been_driven_over():
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(*Scene().see(at()), CAMERA, at(), 0, robot_xy=(0.0, 0.0))
    assert cell(costmap.render(0, (0, 0)), 0.0, 0.0) == -1


@pytest.mark.parametrize("clock", [0, 1])
def test_evidence_counts_while_both_ages_hold(clock):
    for age_ns, fresh in ((0, True), (S, True), (S + 1, False), (-AHEAD_NS, True), (-AHEAD_NS - 1, False)):
        now = [5 * S, 7 * S]
        now[clock] += age_ns
        assert is_fresh(Ages(5 * S, 7 * S), Ages(*now), 1.0) == fresh


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3000), st.integers(0, 10), st.integers(1, 10))
def test_frames_are_remembered_as_long_as_they_may_count(steps, wait, keep_s):
    times, stamps = FrameTimes(), np.cumsum(steps) * (S // 4)
    numbers = np.array([times.add(Ages(int(stamp), int(stamp) + 7), keep_s) for stamp in stamps], np.int32)
    now = int(stamps[-1]) + wait * S // 4
    expected = now - stamps <= keep_s * S
    assert times.fresh(numbers, Ages(now, now + 7), keep_s).tolist() == expected.tolist()
    assert not times.fresh(np.array([NEVER]), Ages(now, now), keep_s).any()
