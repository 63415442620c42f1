"""Courses as geometry, over many seeds, without rendering."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.scenes.courses import (
    CLEARANCE_M,
    CROSSING_M,
    START_M,
    CourseOptions,
    generate_course,
    parse_hazards,
)
from gemini_ros.simulation.scenes.hazards import GROUPS
from gemini_ros.simulation.scenes.scene import Footprint

CORRIDOR_HALF_M = 0.3


@pytest.fixture(scope="module")
def courses():
    return [generate_course(seed, 30.0) for seed in range(8)]


def test_same_seed_same_course(courses):
    again = generate_course(3, 30.0)
    assert again.scene.primitives == courses[3].scene.primitives
    assert again.scene.figures == courses[3].scene.figures
    assert (again.hazards, again.slalom) == (courses[3].hazards, courses[3].slalom)
    assert courses[3].hazards != courses[4].hazards


def test_something_is_in_the_way_every_five_metres(courses):
    for course in courses:
        edges = [START_M, *(h.x - h.half_x for h in course.hazards)]
        assert max(b - a for a, b in pairwise(edges)) <= 5.0
        assert edges[-1] >= course.scene.length - 7.5
        for hazard in course.hazards:
            x, y, yaw = course.slalom.at(course.slalom.distance_at(hazard.x - hazard.half_x - 2.9))
            ahead = Footprint(x + 2 * math.cos(yaw), y + 2 * math.sin(yaw), 2.0, CORRIDOR_HALF_M, yaw)
            assert ahead.overlaps(hazard.footprint), hazard


def test_the_way_leads_past_everything(courses):
    for course in courses:
        solid = {(h.x, h.y, h.half_x, h.half_y) for h in course.hazards if h.kind != "person_crossing"}
        assert solid <= {(f.x, f.y, f.half_x, f.half_y) for f in course.scene.footprints}
        for x, y in course.slalom.points():
            if x < course.scene.length - CLEARANCE_M:
                assert course.scene.clearance(x, y) >= CLEARANCE_M - 0.02


def test_nothing_stands_where_a_person_crosses_or_in_another(courses):
    for course in courses:
        prints = course.scene.footprints
        assert not any(a.overlaps(b) for n, a in enumerate(prints) for b in prints[n + 1 :])
        for hazard in course.hazards:
            if hazard.kind == "person_crossing":
                line = Footprint(hazard.x, hazard.y, 0.4, CROSSING_M)
                assert not any(line.overlaps(other) for other in prints)


def test_each_group_comes_before_any_comes_again(courses):
    for course in courses:
        groups = [hazard.group for hazard in course.hazards]
        assert len(set(groups[: len(GROUPS)])) == len(groups[: len(GROUPS)])
    assert {h.group for c in courses for h in c.hazards} == set(GROUPS)


def test_labels_are_those_of_nav5(courses):
    known = set(load_label_set("nav5").names)
    for course in courses:
        assert course.scene.label_set == "nav5"
        assert {p.label for p in course.scene.primitives} <= known
        assert len(course.scene.figures) == sum(h.group == "person" for h in course.hazards)


@pytest.mark.parametrize("ramp_deg", [0.0, 5.0])
def test_the_floor_is_whole_but_for_the_holes(ramp_deg):
    course = generate_course(2, 30.0, CourseOptions(parse_hazards("drop"), ramp_deg=ramp_deg))
    scene, rng = course.scene, np.random.default_rng(0)
    points = rng.uniform((0, -scene.width / 2), (scene.length, scene.width / 2), (4000, 2))
    slabs = [p for p in scene.primitives if p.label == "floor"]
    covers = np.zeros(len(points), int)
    for slab in slabs:
        w, _, turn, _ = slab.quaternion
        half_x = slab.size[0] * math.cos(2 * math.atan2(turn, w))
        covers += (np.abs(points - slab.position[:2]) <= (half_x, slab.size[1])).all(1)
    in_hole = np.array([any(h.footprint.distance(x, y) == 0 for h in course.hazards) for x, y in points])
    assert in_hole.any()
    assert (covers[in_hole] == 0).all()
    assert (covers[~in_hole] == 1).all()


def test_ramps_have_their_slope_and_hazards_stand_on_the_level_between():
    course = generate_course(4, 40.0, CourseOptions(ramp_deg=5.0))
    x = np.arange(0, course.scene.length, 0.01)
    slopes = np.degrees(np.arctan(np.diff(course.scene.level(x)) / 0.01))
    assert slopes.max() == pytest.approx(5, abs=0.01) and slopes.min() == pytest.approx(-5, abs=0.01)
    for hazard in course.hazards:
        assert np.ptp(course.scene.level([hazard.x - hazard.half_x, hazard.x + hazard.half_x])) == 0
    free = generate_course(4, 40.0, CourseOptions((), ramp_deg=5.0))
    assert free.hazards == () and free.slalom.swerves == () and np.ptp(free.scene.level(x)) > 0.1


def test_an_approach_goes_straight_at_one_hazard():
    course = generate_course(1, 10.0, CourseOptions(("hole",), drop_depth_m=0.4, approach=True))
    assert len(course.hazards) == 1 and course.slalom.swerves == ()
    assert abs(course.slalom.start[1] - course.hazards[0].y) < course.hazards[0].half_y
    assert course.hazards[0].bottom == -0.4


def test_names_of_kinds_and_groups():
    assert parse_hazards("drop, glass") == ("hole", "dock", "stairs_down", "glass")
    assert parse_hazards("none") == ()
    with pytest.raises(ValueError, match=r"hazard 'cliff', expected low, drop, .*hole.*or none"):
        parse_hazards("low,cliff")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hazards": ("cliff",)}, "hazard 'cliff', expected one of carton"),
        ({"floor": "wet"}, "floor 'wet', expected one of plain, black, mirror"),
        ({"ramp_deg": 30.0}, "ramps of 30.0 degrees, expected 0 to 10"),
        ({"ramp_deg": math.nan}, "ramps of nan degrees"),
        ({"drop_depth_m": 0.0}, "drops 0.0 m deep, expected more than 0"),
        ({"hazards": (), "approach": True}, "approach to no hazard"),
    ],
)
def test_impossible_courses_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        CourseOptions(**wrong)
