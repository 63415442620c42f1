"""The planner on drawn maps, the tests on counted ends, the report on written encounters, and one encounter driven."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import closed_loop
from benchmarks.closed_loop import clustered_interval, sign_flip_p
from benchmarks.plain_planner import KEEP_M, NO_WAY, RADIUS_M, SPEED_M_S, Pose, follow, plan
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.labels import load_label_set

RESOLUTION_M = 0.05
SEES_ALL, BLIND_M = np.zeros(360), np.full(360, 0.8)


def drawn(**rectangles: list[tuple[float, float, float, float]]) -> Occupancy:
    """A free map from -5 to 5 m with rectangles (x0, x1, y0, y1) that are ``lethal``, ``unknown`` or ``caution``."""
    data = np.zeros((200, 200), np.int8)
    for name, value in (("caution", 50), ("lethal", 100), ("unknown", -1)):
        for rectangle in rectangles.get(name, []):
            x0, x1, y0, y1 = (round((metres + 5) / RESOLUTION_M) for metres in rectangle)
            data[y0:y1, x0:x1] = value
    return Occupancy(data, RESOLUTION_M, (-5.0, -5.0), 0)


def driven(occupancy: Occupancy, seconds: float = 15.0, blind_m: np.ndarray = SEES_ALL) -> list[Pose]:
    """Where a robot that starts at the origin is every 0.05 s, with a plan every 0.2 s, until it is at x = 3 m."""
    poses, way = [Pose(0.0, 0.0, 0.0)], NO_WAY
    for step in range(round(seconds / 0.05)):
        if step % 4 == 0:
            way = plan(occupancy, poses[-1], 3.0, blind_m)
        poses.append(follow(way, poses[-1], 0.05))
        if poses[-1].x >= 3:
            break
    return poses


def least_distance(poses: list[Pose], occupancy: Occupancy, value: int) -> float:
    """The least distance between the robot's middle and the middle of a cell of this value."""
    rows, columns = np.nonzero(occupancy.data == value)
    x, y = (columns + 0.5) * RESOLUTION_M - 5, (rows + 0.5) * RESOLUTION_M - 5
    return min(float(np.hypot(x - pose.x, y - pose.y).min()) for pose in poses)


def test_a_free_way_is_driven_straight_and_within_the_limits():
    poses = driven(drawn())
    assert poses[-1].x >= 3
    assert max(abs(pose.y) for pose in poses) < 0.03
    assert max(pose.speed for pose in poses) == pytest.approx(SPEED_M_S)
    changes = np.diff([pose.speed for pose in poses]) / 0.05
    assert np.abs(changes).max() <= 1.0 + 1e-9


@pytest.mark.parametrize("side", [-1, 1])
def test_what_is_lethal_is_passed_with_room(side: int):
    y0, y1 = sorted((-0.2 * side, 1.4 * side))
    occupancy = drawn(lethal=[(1.5, 2.3, y0, y1)])
    poses = driven(occupancy)
    assert poses[-1].x >= 3
    assert least_distance(poses, occupancy, 100) > RADIUS_M
    assert min(side * pose.y for pose in poses) < -0.4  # past the near side


def test_it_stops_before_a_wall_and_looks_around():
    occupancy = drawn(lethal=[(1.0, 1.1, -5, 5)])
    poses = driven(occupancy, 3)
    assert least_distance(poses, occupancy, 100) >= KEEP_M
    assert poses[-1].speed == 0
    assert poses[-1].turn > 0
    assert plan(occupancy, poses[-1], 3.0, SEES_ALL) is NO_WAY


def test_the_body_does_not_drive_on_what_is_unknown():
    occupancy = drawn(unknown=[(1.5, 5, -5, 5)])
    poses = driven(occupancy, 4)
    assert 0.9 < poses[-1].x < 1.5 - RADIUS_M
    assert poses[-1].speed < 0.01
    assert least_distance(poses, occupancy, -1) > RADIUS_M


def test_it_turns_towards_a_way_through_what_it_has_not_seen():
    occupancy = drawn(lethal=[(0.7, 1.0, -5, 0.6)], unknown=[(-5, 5, 0.6, 5), (1.0, 5, -5, 0.6)])
    poses = driven(occupancy, 3)
    assert poses[-1].yaw > 0.6
    assert least_distance(poses, occupancy, -1) > RADIUS_M


def test_a_hole_in_what_is_known_is_gone_round():
    poses = driven(drawn(unknown=[(1.5, 1.7, -0.1, 0.1)]))
    assert poses[-1].x >= 3
    assert max(abs(pose.y) for pose in poses) > 0.3


def test_only_the_blind_zone_is_passed_over():
    before = drawn(unknown=[(-5, 0.6, -5, 5)])
    assert driven(before, 2)[-1].x < 0.05
    assert driven(before, blind_m=BLIND_M)[-1].x >= 3
    one_side = np.where(np.arange(360) < 180, 0.8, 0.0)  # to the right alone, from behind to ahead
    assert driven(before, 2, blind_m=one_side)[-1].x < 0.05


def test_of_two_ways_the_one_without_caution_is_taken():
    occupancy = drawn(lethal=[(1.5, 1.8, -0.6, 0.5), (1.5, 1.8, 2, 5), (1.5, 1.8, -5, -2)], caution=[(1, 2.5, 0.5, 2)])
    assert min(pose.y for pose in driven(occupancy)) < -0.8


def test_a_robot_that_touches_something_on_the_map_may_leave_it():
    occupancy = drawn(lethal=[(-0.1, 0.1, 0.2, 0.4)])
    poses = driven(occupancy)
    assert poses[-1].x >= 3
    assert least_distance(poses, occupancy, 100) >= math.hypot(0.025, 0.225) - 0.05


def test_the_sign_flip_is_mcnemars_exact_test():
    only_one, only_other = 3, 11
    differences = np.array([1] * only_one + [-1] * only_other + [0] * 30)
    tail = sum(math.comb(14, k) for k in range(only_one + 1)) / 2**14
    assert sign_flip_p(differences) == pytest.approx(2 * tail)
    assert sign_flip_p(np.zeros(5, int)) == 1
    assert sign_flip_p(np.array([2, -2])) == 1


def test_what_happens_at_one_place_counts_as_one():
    """Six encounters that all differ are evidence; at two places they are not, and at six with another each."""
    assert sign_flip_p(np.ones(6, int)) == pytest.approx(2 / 2**6)
    assert sign_flip_p(np.array([3, 3])) == pytest.approx(0.5)
    every = [abs(sum(s * d for s, d in zip(signs, (3, 2, 1), strict=True))) >= 4 for signs in np.ndindex(2, 2, 2)
             for signs in [[1 if sign else -1 for sign in signs]]]  # fmt: skip
    assert sign_flip_p(np.array([3, 2, -1])) == pytest.approx(np.mean(every))


def test_an_interval_is_wider_where_places_agree_with_themselves():
    happens, places = np.repeat([1, 0, 0, 0, 1, 0, 0, 0, 0, 0], 3), np.repeat(np.arange(10), 3)
    wilson = 0.2, 0.0951, 0.3731  # of 6 in 30
    assert clustered_interval(happens, np.arange(30)) == pytest.approx(wilson, abs=5e-3)
    share, low, high = clustered_interval(happens, places)
    assert share == 0.2
    assert low < wilson[1] - 0.02
    assert high > wilson[2] + 0.05
    assert clustered_interval(np.zeros(30, int), places) == pytest.approx([0, 0, 0.1135], abs=1e-3)


def encounter(seed: int, number: int, **ends: str) -> dict:
    maps = {
        name: {"collides": end == "collides", "arrives": end == "arrives", "over_low": False, "seconds": 7.0}
        for name, end in ends.items()
    }
    return {"seed": seed, "number": number, "hazard": "hole", "light": ("day", "dark")[seed % 2], "maps": maps}


def test_the_report_counts_and_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    lines = [
        encounter(seed, number, truth="arrives", fusion="arrives", rgb="collides" if seed < 3 else "stays")
        for seed in range(4)
        for number in range(2)
    ]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = tmp_path / "r.json"
    monkeypatch.setattr(sys, "argv", ["closed_loop", "report", str(tmp_path / "d.jsonl"), "--json", str(result)])
    closed_loop.main()
    found = json.loads(result.read_text())
    assert (found["encounters"], found["places"]) == (8, 4)
    assert found["maps"]["rgb"]["collides"]["count"] == 6
    assert found["maps"]["rgb"]["median_s"] is None
    collides = found["against"]["rgb"]["collides"]
    assert (collides["only_fusion"], collides["only_other"]) == (0, 6)
    assert (collides["mcnemar_p"], collides["places_p"]) == (pytest.approx(2 / 2**6), pytest.approx(2 / 2**3))
    assert found["light"]["dark"] == {"encounters": 4, "truth": [0, 4], "fusion": [0, 4], "rgb": [2, 0]}
    assert "8 paired encounters at 4 places" in capsys.readouterr().out


@pytest.mark.slow
def test_depth_drives_past_a_carton_and_an_empty_file_has_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Place 19003, encounter 1."""
    labels = SimpleNamespace(info=SimpleNamespace(label_set=load_label_set("nav5")))
    place = closed_loop.Place(19003, "day", (160, 120), labels)
    carton = place.encounter(1)
    assert carton.kind == "carton"
    for name in ("truth", "geometry"):
        found = place.drive_with(name, carton)
        assert found["arrives"], name
        assert not found["collides"]
    place.close()
    (tmp_path / "d.jsonl").touch()
    monkeypatch.setattr(sys, "argv", ["closed_loop", "report", str(tmp_path / "d.jsonl")])
    with pytest.raises(SystemExit, match="no encounters"):
        closed_loop.main()
