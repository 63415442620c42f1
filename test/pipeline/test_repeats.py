"""Repeated content: a frozen camera where the robot moves or the sensor was noisy, a still scene elsewhere."""

from __future__ import annotations

import pytest

from gemini_ros.pipeline.repeats import Repeats


def judged(contents, moved=None, rule="auto"):
    repeats = Repeats(rule, lambda since, until: moved)
    return [repeats.frozen(content, time_ns) for time_ns, content in enumerate(contents)]


@pytest.mark.parametrize("moved", [None, False])
def test_a_noise_free_scene_may_stand_still(moved):
    assert not any(judged([7] * 30, moved))


def test_where_nobody_knows_whether_the_robot_moves_a_few_changes_are_no_noise():
    assert not any(judged([7, 7, 8, 8, 9, 9] * 5))
    assert not any(judged([0, 1] * 5))


def test_a_change_while_the_robot_stands_is_noise():
    assert judged([1, 2, 2], moved=False) == [False, False, True]


def test_content_that_stays_while_the_robot_moves_is_a_frozen_camera():
    assert judged([7, 7, 7], moved=True) == [False, True, True]


def test_two_buffers_in_turn_are_a_frozen_camera():
    assert judged([1, 2, 3, 4, 5, 4, 5, 4], moved=False)[5:] == [True] * 3
    assert judged([1, 2] * 4, moved=True)[2:] == [True] * 6


@pytest.mark.parametrize("moved", [None, False])
def test_a_noisy_stream_that_repeats_itself_is_frozen(moved):
    assert judged([1, 2, 3, 4, 4, 4, 5, 5], moved) == [False] * 4 + [True, True, False, True]


def test_views_that_change_as_the_robot_moves_show_no_noise():
    """A simulated robot drives and then stands: its last view stays, and is fresh."""
    moved = True
    repeats = Repeats("auto", lambda since, until: moved)
    assert not any(repeats.frozen(view, view) for view in range(20))
    moved = False
    assert not any(repeats.frozen(19, time_ns) for time_ns in range(20, 40))


def test_motion_is_asked_for_since_the_content_was_first_seen():
    """Slow motion adds up: between two frames the robot moves too little to tell."""
    repeats = Repeats("auto", lambda since, until: until - since > 5)
    assert [repeats.frozen(7, time_ns) for time_ns in range(9)] == [False] * 6 + [True] * 3


def test_content_is_forgotten_after_eight_others_and_at_a_time_jump():
    assert judged([*range(9), 1], moved=True)[-1]
    assert not judged([*range(9), 0], moved=True)[-1]
    repeats = Repeats("missing", lambda since, until: None)
    assert not repeats.frozen(7, 1)
    repeats.forget()
    assert not repeats.frozen(7, 2)
    assert repeats.frozen(7, 3)


def test_a_stream_that_was_noisy_is_so_after_a_time_jump():
    repeats = Repeats("auto", lambda since, until: None)
    assert not any(repeats.frozen(content, content) for content in range(4))
    repeats.forget()
    assert [repeats.frozen(9, time_ns) for time_ns in (1, 2)] == [False, True]


def test_the_rule_decides():
    assert judged([7, 7], rule="missing") == [False, True]
    assert not any(judged([1, 2, 3, 4, 4], moved=True, rule="accept"))
