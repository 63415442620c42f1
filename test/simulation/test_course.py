"""Drives through courses, without rendering."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gemini_ros.core.transforms import BODY_FROM_OPTICAL, camera_in_base
from gemini_ros.simulation.cameras.viewpoint import base_matrix
from gemini_ros.simulation.course import HALF_WHEELBASE_M, STOP_M, describe_hazards, plan_course
from gemini_ros.simulation.drive import SPEED_M_S, Crossing, MountingError
from gemini_ros.simulation.scenes.courses import CourseOptions


@pytest.fixture(scope="module")
def drives():
    return [plan_course(seed, duration_s=20.0, options=CourseOptions(ramp_deg=5.0)) for seed in range(4)]


def test_same_seed_same_drive(drives):
    again = plan_course(2, duration_s=20.0, options=CourseOptions(ramp_deg=5.0))
    assert (again.people, again.hazards, again.mounting) == (drives[2].people, drives[2].hazards, drives[2].mounting)
    assert again.base(13.0) == drives[2].base(13.0)


def test_wheels_stand_on_the_floor_and_the_speed_is_kept(drives):
    pitched = 0
    for drive in drives:
        for time_s in np.arange(0, 20, 0.4):
            pose, base = base_matrix(drive.base(time_s)), drive.base(time_s)
            ahead = base_matrix(drive.base(time_s + 0.01))
            assert np.linalg.norm((ahead - pose)[:2, 3]) / 0.01 == pytest.approx(SPEED_M_S, rel=0.02)
            for x in (-HALF_WHEELBASE_M, HALF_WHEELBASE_M):
                wheel = pose @ (x, 0, 0, 1)
                # Both wheels touch a ramp; where it begins, level and slope differ under the axle by less than this.
                assert wheel[2] == pytest.approx(float(drive.scene.level(wheel[0])), abs=0.012)
            pitched += abs(base.pitch) > math.radians(3)
    assert pitched > 10


def test_persons_cross_before_the_robot_and_are_gone_when_it_comes(drives):
    crossings = [(d, p) for d in drives for p in d.people if isinstance(p, Crossing)]
    assert crossings
    for drive, person in crossings:
        for time_s in np.arange(0, 20, 0.1):
            base, stand = drive.base(time_s), person.stand(time_s)
            assert math.hypot(base.x - stand.x, base.y - stand.y) > 0.9
        if person.time_s < 15:
            middle = person.time_s + abs(person.end_y - person.start_y) / 2 / person.speed
            assert 1.5 < person.x - drive.base(middle).x < 3.5


def test_the_list_says_what_is_where_and_when_it_is_passed(drives):
    for drive in drives:
        described = describe_hazards(drive, 1_000)
        assert [d["kind"] for d in described] == [h.kind for h in drive.hazards]
        for entry, hazard in zip(described, drive.hazards, strict=True):
            np.testing.assert_allclose(entry["center"], (hazard.x, hazard.y), atol=1e-4)
            np.testing.assert_allclose(entry["size"], (2 * hazard.half_x, 2 * hazard.half_y), atol=1e-4)
            nearest = entry["nearest"]
            assert nearest["distance_m"] >= 0.45
            assert nearest["stamp_ns"] == 1_000 + round(nearest["time_s"] * 1e9)
            base = drive.base(nearest["time_s"])
            if hazard.kind != "person_crossing":
                assert hazard.footprint.distance(base.x, base.y) == pytest.approx(nearest["distance_m"], abs=1e-3)
                if hazard.x < drive.base(20.0).x - 1:
                    assert nearest["distance_m"] < 0.75


def test_an_approach_ends_before_the_hazard():
    drive = plan_course(3, duration_s=7.0, options=CourseOptions(("dock",), drop_depth_m=0.2, approach=True))
    (entry,) = describe_hazards(drive, 0)
    assert entry["nearest"]["distance_m"] == pytest.approx(STOP_M, abs=1e-3)
    assert drive.base(6.5) == drive.base(7.0)
    assert drive.base(0.0).y == drive.base(7.0).y


def test_a_course_without_hazards_has_an_empty_list():
    drive = plan_course(3, duration_s=3.0, options=CourseOptions(()))
    assert drive.hazards == () and describe_hazards(drive, 0) == []


def test_a_mounting_error_turns_and_lifts_the_camera():
    known = camera_in_base((0.1, 0.0, 0.5, 0.0, 0.1, 0.0))
    np.testing.assert_array_equal(MountingError().applied(known), known)
    really = MountingError(0.05, 2.0, 0.0).applied(known)
    np.testing.assert_allclose(really, camera_in_base((0.1, 0.0, 0.55, 0.0, 0.1 + math.radians(2), 0.0)), atol=1e-12)
    rolled = MountingError(roll_deg=3.0).applied(camera_in_base((0, 0, 0.5, 0, 0, 0)))
    np.testing.assert_allclose(rolled, camera_in_base((0, 0, 0.5, math.radians(3), 0, 0)), atol=1e-12)
    assert (rolled[:3, :3] @ BODY_FROM_OPTICAL[:3, :3].T)[2, 1] > 0  # its left side is up
    with pytest.raises(ValueError, match=r"pitch_deg=20.*expected at most 0.3 m and 15 degrees"):
        MountingError(pitch_deg=20)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"duration_s": 0},
            r"duration 0 s, expected at least 0\.1 s, .* at most 60 s of a course",
        ),
        ({"duration_s": 0.04}, r"duration 0\.04 s"),
        ({"duration_s": math.nan}, "duration nan s"),
        ({"duration_s": 61}, "duration 61 s"),
        ({"duration_s": 5, "light": "noon"}, "light 'noon', expected one of day"),
    ],
)
def test_what_cannot_be_driven_is_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        plan_course(0, **wrong)
