from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from gemini_ros.simulation.cameras.viewpoint import CAMERA_CLEARANCE_M
from gemini_ros.simulation.drive import (
    BRAKING_M_S2,
    SPEED_M_S,
    Crossing,
    Round,
    Track,
    light_at,
    light_name,
    plan_drive,
    render_drive,
)


@pytest.fixture(scope="module")
def drives():
    return [plan_drive(seed, duration_s=8.0, light="fading", person_at_s=4.0) for seed in range(6)]


def test_same_seed_same_drive(drives):
    again = plan_drive(3, duration_s=8.0, light="fading", person_at_s=4.0)
    assert (again.track, again.people) == (drives[3].track, drives[3].people)


def test_the_way_is_smooth_and_clear(drives):
    for drive in drives:
        bases = [drive.base(t) for t in np.arange(0, 8, 0.02)]
        steps = np.array([math.hypot(b.x - a.x, b.y - a.y) for a, b in pairwise(bases)]) / 0.02
        turns = [math.remainder(b.yaw - a.yaw, 2 * math.pi) for a, b in pairwise(bases)]
        assert steps.max() < SPEED_M_S * 1.05
        assert np.abs(np.diff(steps)).max() / 0.02 < BRAKING_M_S2 * 1.2
        assert np.abs(turns).max() / 0.02 < 0.3
        assert min(drive.scene.clearance(b.x, b.y) for b in bases) >= CAMERA_CLEARANCE_M
        moving = next(b for b in bases[1:])
        heading = math.atan2(moving.y - bases[0].y, moving.x - bases[0].x)
        assert abs(math.remainder(heading - bases[0].yaw, 2 * math.pi)) < 0.02


def test_persons_meet_nothing(drives):
    for drive in drives:
        for t in np.arange(0, 8, 0.25):
            base, stands = drive.base(t), [s for s in drive.stands(t) if s]
            for number, stand in enumerate(stands):
                assert drive.scene.clearance(stand.x, stand.y) > 0.35
                assert math.hypot(stand.x - base.x, stand.y - base.y) > 0.9
                others = stands[number + 1 :]
                assert all(math.hypot(stand.x - o.x, stand.y - o.y) > 0.7 for o in others)


def test_a_person_steps_into_the_way_and_the_robot_stops_before(drives):
    for drive in drives:
        before, after, end = drive.stands(3.9)[0], drive.stands(7.0)[0], drive.base(8.0)
        way = [drive.track.at(s) for s in np.arange(0, 10, 0.02)]
        assert min(math.hypot(b.x - before.x, b.y - before.y) for b in way) > 0.7
        assert min(math.hypot(b.x - after.x, b.y - after.y) for b in way) < 0.02
        assert 1.0 < math.hypot(after.x - end.x, after.y - end.y) < 2.6
        assert drive.base(7.9) == end


def test_braking_distance():
    track = Track(0, 0, 1, 0.0, brake_s=2.0)
    assert track.travelled(2.0) == pytest.approx(1.4)
    assert track.travelled(60.0) == pytest.approx(1.4 + SPEED_M_S**2 / (2 * BRAKING_M_S2))


def test_a_round_is_walked_at_its_speed_and_closes():
    person = Round(1.0, 2.0, straight=2.0, radius=0.3, speed=1.0, start=0.4)
    lap = 2 * (2.0 + math.pi * 0.3)
    stands = [person.stand(t) for t in np.linspace(0, lap, 800)]
    for a, b in pairwise(stands):
        step = math.hypot(b.x - a.x, b.y - a.y)
        assert step == pytest.approx(lap / 799, rel=0.02)
        assert abs(math.remainder(math.atan2(b.y - a.y, b.x - a.x) - b.yaw, 2 * math.pi)) < 0.03
    assert (stands[0].x, stands[0].y) == pytest.approx((stands[-1].x, stands[-1].y))


def test_a_crossing_waits_walks_and_stops():
    person = Crossing(3.0, start_y=1.0, end_y=-0.1, time_s=2.0, speed=1.1)
    assert [person.stand(t).y for t in (0, 2.0, 2.5, 3.0, 9.0)] == pytest.approx([1.0, 1.0, 0.45, -0.1, -0.1])
    assert person.stand(2.5).yaw == pytest.approx(-math.pi / 2)


def test_light_fades_from_day_to_black_without_a_jump_back():
    levels = [light_at("fading", f).lamps for f in np.linspace(0, 1, 101)]
    assert levels[0] == pytest.approx(0.9)
    assert levels[-1] == 0
    assert all(a >= b for a, b in pairwise(levels))
    names = [light_name(light_at("fading", f)) for f in np.linspace(0, 1, 101)]
    assert list(dict.fromkeys(names)) == ["day", "dim", "dark", "black"]


@pytest.mark.parametrize("light", ["day", "dim", "dark", "black"])
def test_constant_light_has_its_name(light):
    assert {light_name(light_at(light, f)) for f in (0, 0.5, 1)} == {light}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"duration_s": 100},
            r"duration 100 s, expected at least 0\.1 s, .* at most 30 s of a warehouse",
        ),
        ({"duration_s": 0}, "duration 0 s, expected"),
        ({"duration_s": 0.04}, r"duration 0\.04 s, expected"),
        ({"duration_s": math.nan}, "duration nan s, expected"),
        ({"light": "noon"}, "light 'noon', expected one of day"),
        ({"person_at_s": -5.0}, r"person at -5\.0 s, expected 0 or more and less than the duration of 5 s"),
        ({"person_at_s": 5.0}, r"person at 5\.0 s, expected"),
        ({"person_at_s": math.inf}, "person at inf s, expected"),
        ({"person_at_s": math.nan}, "person at nan s, expected"),
    ],
)
def test_what_cannot_be_driven_is_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        plan_drive(0, **{"duration_s": 5} | wrong)


def test_the_shortest_drive_is_planned_with_a_person_from_the_start():
    assert plan_drive(4, duration_s=0.1, person_at_s=0.0).track.brake_s == pytest.approx(0.9)


def test_frames_of_a_drive_carry_its_poses_and_times():
    drive = plan_drive(1, duration_s=1.0, light="day")
    frames = list(render_drive(drive, rate_hz=3, size=(64, 48)))
    assert [f.frame.stamp_ns for f in frames] == [0, 333333333, 666666667]
    for f in frames:
        np.testing.assert_allclose(f.odom_from_base, drive.odom_from_base(f.frame.stamp_ns / 1e9), atol=1e-8)
    assert frames[0].labels.shape == (48, 64)


def test_a_drive_of_a_seed_stays():
    drive = plan_drive(4, duration_s=6.0, person_at_s=3.0)
    assert (drive.track.x, drive.track.y, drive.track.sway) == pytest.approx(
        (21.449400302919504, -0.6271184874917825, 0.150262530739611)
    )
    (person,) = drive.people
    assert (person.x, person.start_y) == pytest.approx((16.466147309978844, 0.33623237607488565))
    assert drive.hazards is None and drive.mounting is None
