"""Drives of minutes through furnished places: clear, smooth, all over the floor, and the same for a seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gemini_ros.bags.true_maps import DROP, OCCUPIED
from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.cameras.mujoco_model import build_model
from gemini_ros.simulation.drive import BRAKING_M_S2, SPEED_M_S, Standing
from gemini_ros.simulation.ground_truth import GroundTruth
from gemini_ros.simulation.scenes.floor_plan import CELL_M, CLEARANCE_M, FloorPlan
from gemini_ros.simulation.scenes.scene import Footprint, Scene
from gemini_ros.simulation.tour import LONGEST_S, TourOptions, follow, plan_tour
from gemini_ros.simulation.wheel_way import TURN_RAD_S, WheelWay, wheel_way

HZ = 50


@pytest.fixture(scope="module", params=["home", "office", "warehouse"])
def drive(request):
    return plan_tour(1, duration_s=60, options=TourOptions(request.param))


def poses(drive, seconds=60.0):
    bases = [drive.base(t) for t in np.arange(0, seconds, 1 / HZ)]
    return np.array([(base.x, base.y, base.yaw) for base in bases])


def test_the_way_is_smooth_and_clear(drive):
    x, y, yaw = poses(drive).T
    speed, turning = np.hypot(np.diff(x), np.diff(y)) * HZ, np.diff(yaw) * HZ
    assert speed.max() <= SPEED_M_S * 1.01
    assert np.abs(np.diff(speed)).max() * HZ < BRAKING_M_S2 * 1.2
    assert np.abs(turning).max() < TURN_RAD_S * 1.3
    ahead = np.arctan2(np.diff(y), np.diff(x))[speed > 0.05]
    assert np.abs((ahead - yaw[:-1][speed > 0.05] + np.pi) % (2 * np.pi) - np.pi).max() < 0.15
    assert min(drive.scene.clearance(*place) for place in zip(x, y, strict=True)) >= CLEARANCE_M - 0.01
    for person in drive.people:
        if isinstance(person, Standing):
            assert np.hypot(x - person.x, y - person.y).min() > 0.6


def test_the_way_goes_all_over_the_floor_and_comes_back(drive):
    x, y, _ = poses(drive).T
    assert np.hypot(np.diff(x), np.diff(y)).sum() > 8
    end = drive.base(drive.track.duration_s)
    assert math.hypot(end.x - x[0], end.y - y[0]) < 0.01
    plan = FloorPlan(drive.scene)
    cells = [plan.place((int(row), int(column))) for row, column in plan.cells()]
    seen = [np.hypot(x - cx, y - cy).min() < 1.5 for cx, cy in cells]
    assert np.mean(seen) > 0.4


def test_nothing_true_stands_in_the_way():
    drive = plan_tour(1, duration_s=30, options=TourOptions("home"))
    model = build_model(drive.scene, load_label_set("nav5"), (16, 16), 56.0)
    grid = GroundTruth(model).at([None] * len(drive.people), 0)
    rows, columns = np.nonzero((grid.data == OCCUPIED) | (grid.data == DROP))
    things = np.stack([columns, rows], 1) * grid.resolution_m + np.array(grid.origin_xy) + grid.resolution_m / 2
    for x, y, _ in poses(drive, 30)[::10]:
        assert np.hypot(*(things - (x, y)).T).min() > CLEARANCE_M - 0.06


def test_another_way_is_of_the_same_place_and_a_seed_stays(drive):
    place = "warehouse" if drive.scene.length > 10 else "home" if drive.scene.seed == (1, 0) else "office"
    options = TourOptions(place)
    first, again = (plan_tour(1, duration_s=5, options=options) for _ in range(2))
    other = plan_tour(1, duration_s=5, options=TourOptions(place, way=1))
    assert first.people == again.people
    assert isinstance(first.track, WheelWay) and isinstance(again.track, WheelWay) and isinstance(other.track, WheelWay)
    assert other.scene.footprints == first.scene.footprints
    np.testing.assert_array_equal(first.track.x, again.track.x)
    assert (other.track.x[0], other.track.y[0]) != (first.track.x[0], first.track.y[0])


def test_a_mirror_is_the_floor_alone():
    plain, mirror = (plan_tour(1, duration_s=2, options=TourOptions("home", floor=f)) for f in ("plain", "mirror"))
    changed = [a for a, b in zip(plain.scene.primitives, mirror.scene.primitives, strict=True) if a != b]
    assert {part.label for part in changed} == {"floor"}
    assert any(part.surface.optics == "mirror" for part in mirror.scene.primitives)


def test_a_follower_stays_behind_and_steps_aside():
    drive = plan_tour(1, duration_s=40, options=TourOptions("home", follower=True))
    times = np.arange(0, 40, 0.1)
    stands = [drive.stands(t)[0] for t in times]
    away = [math.hypot(s.x - b.x, s.y - b.y) for s, b in zip(stands, map(drive.base, times), strict=True) if s]
    assert len(away) > 0.7 * len(times)
    assert min(away) > 0.7 and np.median(away) < 1.8
    with pytest.raises(ValueError, match="nobody in this office could follow the robot: take another seed"):
        plan_tour(1, duration_s=5, options=TourOptions("office", follower=True))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"duration_s": LONGEST_S + 1},
            r"duration 201\.0 s, expected at least 0\.1 s, .* at most 200 s of a place",
        ),
        ({"duration_s": 0}, "duration 0 s, expected"),
        ({"duration_s": 0.04}, r"duration 0\.04 s, expected"),
        ({"duration_s": math.nan}, "duration nan s, expected"),
        ({"light": "noon"}, "light 'noon', expected one of day"),
    ],
)
def test_what_cannot_be_driven_is_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        plan_tour(1, **{"duration_s": 5, "options": TourOptions("home")} | wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("course",), "place 'course', expected one of home, office, warehouse for a drive"),
        (("home", -1), "way -1, expected 0 or more"),
        (("home", 0, "wet"), "floor 'wet', expected one of plain, black, mirror"),
    ],
)
def test_unknown_options_are_said(wrong, message):
    with pytest.raises(ValueError, match=message):
        TourOptions(*wrong)


def test_no_scene_with_room_is_said(monkeypatch):
    monkeypatch.setattr("gemini_ros.simulation.tour.LEAST_AREA_M2", 1e4)
    monkeypatch.setattr("gemini_ros.simulation.tour.SCENES_TRIED", 2)
    with pytest.raises(ValueError, match="seed 1: none of 2 scenes of home has 10000 m2 of floor, 4 m long"):
        plan_tour(1, duration_s=5, options=TourOptions("home"))


def hall(*footprints: Footprint) -> Scene:
    return Scene((0, 0), 4.0, 3.0, 2.5, 20.0, {}, (), footprints, (), (1, 1, 1), ())


def test_the_region_is_what_is_clear_and_connected():
    plan = FloorPlan(hall(Footprint(2.0, 0.0, 0.1, 1.5)))
    assert plan.region.shape == (30, 40)
    x = (plan.cells()[:, 1] + 0.5) * CELL_M
    assert (x.max() < 1.6) or (x.min() > 2.4)
    assert plan.area_m2 == pytest.approx(1.3 * 2.4, abs=0.15)
    assert FloorPlan(hall(), [(2.0, 0.0, 0.5)]).clearance(2.0, 0.75) == pytest.approx(0.25)
    assert not FloorPlan(hall(Footprint(2.0, 0.0, 2.0, 1.5))).region.any()


def test_a_way_goes_round_what_stands():
    plan = FloorPlan(hall(Footprint(2.0, -0.5, 0.1, 1.0)))
    start, target = (15, 5), (15, 35)
    field = plan.field(target, tight=1)
    way = plan.way(start, field)
    np.testing.assert_allclose(way[[0, -1]], [plan.place(start), plan.place(target)])
    assert (plan.clearance(*way.T) >= CLEARANCE_M).all()
    assert way[:, 1].max() > 0.8
    steps = np.hypot(*np.diff(way, axis=0).T)
    assert steps.sum() == pytest.approx(field[start])
    assert plan.reach_m > 3


def test_wheels_stop_turn_and_go_on():
    way = wheel_way([np.array([[0.0, 0], [1, 0]]), np.array([[1.0, 0], [1, 1]])], speed_m_s=0.7, gain_m_s2=0.5)
    times = np.arange(0, way.duration_s, 0.01)
    bases = [way.at(way.travelled(t)) for t in times]
    x, y, yaw = np.array([(b.x, b.y, b.yaw) for b in bases]).T
    assert way.travelled_m[-1] == pytest.approx(2 + 0.2 * math.pi / 2)
    on_the_spot = (x > 1 - 1e-9) & (y < 1e-9)
    assert yaw[on_the_spot].min() < 0.01 and yaw[on_the_spot].max() > math.pi / 2 - 0.01
    assert np.abs(np.diff(np.hypot(np.diff(x), np.diff(y)) / 0.01)).max() / 0.01 < 0.6
    assert way.travelled(way.duration_s + 5) == pytest.approx(way.travelled_m[-1])
    assert way.travelled(0) == 0


def test_a_follower_walks_no_faster_than_people():
    plan = FloorPlan(hall())
    track = wheel_way([np.array([[0.6, 0.0], [3.4, 0]])], speed_m_s=0.7, gain_m_s2=0.5)
    person = follow(plan, track, 6.0)
    assert np.hypot(*np.diff(person.places, axis=0).T).max() <= 0.1301
    stand = person.stand(5.0)
    assert stand and stand.x < track.at(track.travelled(5.0)).x - 0.7
