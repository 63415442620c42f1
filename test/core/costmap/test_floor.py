"""The floor corrects the mounting: what a fit finds, when it does not count, and how slowly it is followed."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap import SemanticCostmap
from gemini_ros.core.costmap.floor import Floor, FloorTracker, fit_floor, heading_of, pitch_roll_deg, sampled
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.transforms import camera_in_base
from test.core.costmap.scene import BARREL, CONFIG, FISHEYE, FLOOR, LABELS, Box, S, Scene, Slope, at, share

CAMERA = Intrinsics(320, 240, 262.0, 262.0, 159.5, 119.5)


def mounted(pitch_off_deg=0.0, roll_off_deg=0.0, height_off_m=0.0):
    """What the mounting is taken for, of a camera 0.5 m high that looks down by 0.3."""
    off = np.radians((roll_off_deg, pitch_off_deg))
    return camera_in_base([0.0, 0.0, 0.5 + height_off_m, off[0], 0.3 + off[1], 0.0])


TRUE = mounted()


FLAT = Scene()


def fit(scene=FLAT, believed=TRUE, noise_per_m=0.002, camera=CAMERA, mounting=TRUE):
    said, depth = scene.see(at(mounting=mounting), camera, noise_per_m)
    return fit_floor(depth, sampled(said.labels == FLOOR), camera, believed)


@pytest.mark.parametrize("pitch", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("roll", [-1.0, 0.0])
def test_a_fit_finds_the_error_of_the_mounting(pitch, roll):
    found = fit(believed=mounted(pitch, roll, 0.03))
    assert found.fault == ""
    tracker = FloorTracker(time_constant_s=0)
    tracker.take(found, 0)
    corrected = tracker.correct(mounted(pitch, roll, 0.03))
    np.testing.assert_allclose(corrected[2, :3], TRUE[2, :3], atol=2e-3)
    assert corrected[2, 3] == pytest.approx(0.5, abs=0.005)
    np.testing.assert_allclose(corrected[:3, :3] @ corrected[:3, :3].T, np.eye(3), atol=1e-12)
    assert tracker.tilt_deg(0, 1.5) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("mounted_roll", [0.0, np.pi / 2, np.pi, -np.pi / 2])
@pytest.mark.parametrize(("pitch", "roll"), [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (1.0, -1.5)])
def test_what_is_told_of_the_mounting_is_what_it_lacks(mounted_roll, pitch, roll):
    """To be added to ``camera.in_base``, whichever way up the camera is."""
    told = [0.0, 0.0, 0.5, mounted_roll, 0.2, 0.0]
    lacks = np.radians([0.0, 0.0, 0.0, roll, pitch, 0.0])
    found = fit(believed=camera_in_base(told), mounting=camera_in_base(told + lacks))
    assert found.fault == ""
    assert pitch_roll_deg(found.tilt) == pytest.approx((pitch, roll), abs=0.1)
    costmap = SemanticCostmap(CONFIG, LABELS, FloorTracker(time_constant_s=0))
    said, depth = FLAT.see(at(mounting=camera_in_base(told + lacks)), CAMERA)
    costmap.update(said, depth, CAMERA, camera_in_base(told), 0)
    text = re.search(r"mounting corrected by (\S+) and (\S+) degrees \(pitch, roll\)", costmap.geometry())
    assert text is not None
    assert [float(part) for part in text.groups()] == pytest.approx((pitch, roll), abs=0.1)


@pytest.mark.parametrize("lens", [BARREL, FISHEYE])
def test_a_fit_looks_where_the_lens_looks(lens):
    found = fit(believed=mounted(1.0), camera=replace(CAMERA, lens=lens))
    assert found.fault == ""
    assert np.degrees(found.tilt[0]) == pytest.approx(-1.0, abs=0.1)


def test_a_fit_does_not_mind_a_fifth_of_wrong_labels():
    scene = Scene(boxes=(Box((1.0, -2.0, 0.0), (2.0, 0.0, 0.12)),))
    said, depth = scene.see(at(mounting=TRUE), CAMERA, 0.002)
    assert (said.labels == 1).sum() > 0.1 * (said.labels == FLOOR).sum()
    found = fit_floor(depth, sampled(said.labels < 2), CAMERA, mounted(1.0))
    assert found.fault == ""
    assert np.degrees(found.tilt[0]) == pytest.approx(-1.0, abs=0.1)


WALLS = (Box((-9, 0.15, 0), (9, 0.5, 2)), Box((-9, -0.5, 0), (9, -0.15, 2)))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (lambda: fit(Scene(ground=())), "0 pixels of floor, expected 2000"),
        (lambda: fit(Scene(boxes=WALLS)), "m, expected 1 x 0.6 m"),
        (lambda: fit(Scene(boxes=(Box((1.3, -9, 0), (1.4, 9, 2)),))), "m, expected 1 x 0.6 m"),
        (lambda: fit(noise_per_m=0.1), "deviates"),
        (lambda: fit(Scene((Slope(end=1.7), Slope(1.7, rise=0.03)))), "bends"),
        (lambda: fit(believed=mounted(7.0)), "check the mounting"),
    ],
    ids=["nothing", "narrow", "short", "noisy", "bent", "far off"],
)
def test_a_fit_that_does_not_count_says_why(found, said):
    floor = found()
    assert said in floor.fault
    tracker = FloorTracker()
    tracker.take(floor, S)
    assert not tracker.tilt.any()
    assert tracker.fault == floor.fault
    assert tracker.tilt_deg(S, 1.5) == 1.5


def test_the_correction_follows_slowly_and_the_rest_stays_in_the_budget():
    tracker, floor = FloorTracker(), Floor(np.array([np.tan(np.radians(2.0)), 0.0, 0.05]))
    tracker.take(floor, 0)
    assert not tracker.tilt.any()
    degrees = []
    for tenth in range(1, 601):
        tracker.take(floor, tenth * S // 10)
        degrees.append(np.degrees(np.arctan(tracker.tilt[0])))
    steps = np.diff([0.0, *degrees])
    assert steps.max() <= 0.02 + 1e-6
    assert degrees[9] < 0.201
    assert degrees[-1] == pytest.approx(2.0, abs=0.02)
    assert tracker.tilt_deg(60 * S, 1.5) < 0.53
    assert FloorTracker().tilt_deg(0, 1.5) == 1.5
    early = FloorTracker()
    early.take(floor, 0)
    assert early.tilt_deg(0, 1.5) == 1.5
    assert tracker.tilt_deg(60 * S + 10 * S, 1.5) < 0.53
    assert tracker.tilt_deg(60 * S + 10 * S + 1, 1.5) == 1.5


def test_a_clock_that_jumps_does_not_move_the_correction():
    tracker, floor = FloorTracker(), Floor(np.array([0.03, 0.0, 0.0]))
    for stamp in (10 * S, 9 * S, 10**18):
        before = tracker.tilt.copy()
        tracker.take(floor, stamp)
        assert np.abs(tracker.tilt - before).max() <= 0.0035


@pytest.mark.parametrize("pitch", [-2.0, 2.0])
def test_a_wrong_mounting_loses_free_cells_and_the_fit_brings_them_back(pitch):
    said, depth = Scene().see(at(mounting=TRUE), CAMERA, 0.002)
    free = {}
    for name, config in (
        ("as mounted", replace(CONFIG, floor_fit=False, max_slope_deg=0.0)),
        ("fitted", replace(CONFIG, max_slope_deg=0.0)),
    ):
        costmap = SemanticCostmap(config, LABELS, FloorTracker(time_constant_s=0))
        costmap.update(said, depth, CAMERA, mounted(pitch), 0)
        free[name] = share(costmap.render(0, (0, 0)), 0, (1.0, 5.0), (-0.5, 0.5))
    assert free["fitted"] > 0.95
    assert free["as mounted"] < 0.85


def test_near_the_robot_a_wrong_correction_does_not_hide_what_stands():
    """8 cm at 1.2 m stand over the mounting's plane; a correction of 4 degrees would take them for floor."""
    tracker = FloorTracker(time_constant_s=0)
    tracker.tilt = np.array([0.07, 0.0, 0.0])
    config = replace(CONFIG, floor_fit=False, max_slope_deg=0.0)
    costmap = SemanticCostmap(config, LABELS, tracker)
    scene = Scene(boxes=(Box((1.2, -0.5, 0.0), (1.5, 0.5, 0.15), FLOOR),))
    costmap.update(*scene.see(at(mounting=TRUE), CAMERA), CAMERA, TRUE, 0)
    assert share(costmap.render(0, (0, 0)), 100, (1.15, 1.3), (-0.2, 0.2)) > 0.3


def test_a_camera_that_looks_straight_down_has_a_heading():
    down = np.diag([1.0, -1.0, -1.0, 1.0])
    np.testing.assert_allclose(heading_of(down), [[0, 1], [-1, 0]], atol=1e-12)
    np.testing.assert_allclose(heading_of(TRUE), [[1, 0], [0, 1]], atol=1e-12)
