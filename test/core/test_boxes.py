"""Boxes and tracks of things whose place is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.box_scores import DISTANCES_M, BoxJudge, TrueBox, average_precision, iou, median_error_m
from gemini_ros.core.boxes import LEAST_SIZE_M, MOST_BOXES, Box, BoxFinder, Thing
from gemini_ros.core.costmap.meaning import GROUND, STANDING
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.grouping import nearest, true_maps
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.tracks import Tracker
from gemini_ros.core.transforms import camera_in_base

LABELS = load_label_set("warehouse")
PERSON, VEHICLE, WALL = (LABELS.names.index(name) for name in ("person", "vehicle", "wall"))
CAMERA = Intrinsics(320, 240, 260.0, 260.0, 159.5, 119.5)
POSE = camera_in_base([0.0, 0.0, 0.9, 0.0, 0.0, 0.0])


class Picture:
    """A wall 8 m away, and upright boards before it."""

    def __init__(self) -> None:
        self.labels = np.full((240, 320), WALL, np.uint8)
        self.depth = np.full((240, 320), 8.0, np.float32)

    def board(self, label: int, away: float, y: float, width: float, z: tuple[float, float] = (0.0, 1.7)) -> None:
        """At ``away`` metres, ``y`` to the left; what is nearer hides it."""
        left, right = (round(159.5 - 260 * (y + side * width / 2) / away) for side in (1, -1))
        top, bottom = (round(119.5 + 260 * (0.9 - height) / away) for height in (z[1], z[0]))
        area = np.s_[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        nearer = self.depth[area] > away
        self.labels[area][nearer], self.depth[area][nearer] = label, away

    def things(self, finder: BoxFinder | None = None) -> list[Thing]:
        levels = np.where(self.labels == WALL, GROUND, STANDING).astype(np.uint8)
        finder = finder or BoxFinder(LABELS)
        return finder.find(Segmentation(self.labels, np.full_like(self.labels, 204)), self.depth, levels, CAMERA, POSE)


def test_a_person_is_a_box_where_they_stand():
    picture = Picture()
    picture.board(PERSON, 4.0, 0.5, 0.5)
    (thing,) = picture.things()
    box = thing.box()
    assert (box.label, box.score, box.truncated, box.occluded) == (PERSON, 0.8, False, False)
    # The far side is hidden: the box reaches behind what is seen.
    assert box.center == pytest.approx((4.21, 0.5, 0.85), abs=0.06)
    assert min(box.size) > 0.25
    assert max(box.size) == box.size[2] == pytest.approx(1.7, abs=0.05)


def test_a_flat_thing_is_never_thinner_than_5_cm():
    points = np.array([[2.0, 0.01 * i, 0.5] for i in range(50)])
    box = Thing(PERSON, 1.0, points, (0.0, 0.0), (0, 0, 1, 1), False, False).box(yaw=0.0)
    assert min(box.size) >= LEAST_SIZE_M
    same = Thing(PERSON, 1.0, np.full((20, 3), 2.0), (2.0, 2.0), (0, 0, 1, 1), False, False).box()
    assert same.size == (LEAST_SIZE_M,) * 3
    assert np.isfinite([*same.center, same.yaw]).all()


def test_two_persons_one_before_the_other_are_two_and_the_farther_is_occluded():
    picture = Picture()
    picture.board(PERSON, 3.0, 0.0, 0.5)
    picture.board(PERSON, 4.5, 0.3, 0.6)
    near, far = sorted(picture.things(), key=lambda thing: thing.points[:, 0].mean())
    assert near.points[:, 0].max() < 3.2 < 4.3 < far.points[:, 0].min()
    assert (near.occluded, far.occluded) == (False, True)


def test_persons_side_by_side_at_one_depth_are_two_and_of_two_classes_never_one():
    picture = Picture()
    picture.board(PERSON, 3.0, 0.5, 0.5)
    picture.board(PERSON, 3.0, -0.5, 0.5)
    picture.board(VEHICLE, 3.0, 0.0, 0.5)
    assert sorted(thing.label for thing in picture.things()) == [PERSON, PERSON, VEHICLE]


def test_an_arm_before_a_body_is_part_of_it():
    picture = Picture()
    picture.board(PERSON, 3.0, 0.0, 0.5)
    picture.board(PERSON, 2.72, 0.0, 0.15, (0.9, 1.3))
    assert len(picture.things()) == 1


def test_legs_whose_hips_have_another_label_are_of_the_body_above_them():
    picture = Picture()
    picture.board(PERSON, 3.0, 0.5, 0.5, (0.0, 0.7))
    picture.board(PERSON, 3.1, 0.5, 0.5, (0.95, 1.7))
    picture.board(PERSON, 3.0, -0.5, 0.5, (0.0, 0.7))
    bodies = sorted(thing.box().size[2] for thing in picture.things())
    assert bodies == pytest.approx([0.7, 1.7], abs=0.05)


def test_what_the_image_cuts_off_is_truncated_and_stands_on_the_ground():
    picture = Picture()
    picture.board(PERSON, 1.2, 0.0, 0.5)
    (thing,) = picture.things()
    assert thing.truncated
    box = thing.box()
    assert box.center[2] - box.size[2] / 2 == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("hides", ["side", "below"])
def test_a_thing_above_the_ground_reaches_it_only_where_its_lower_end_is_hidden(hides: str):
    picture = Picture()
    picture.board(PERSON, 4.0, 0.0, 0.5, (0.7, 1.7))
    picture.board(WALL, 2.0, *((0.2, 0.3, (0.0, 1.9)) if hides == "side" else (0.0, 0.6, (0.0, 0.85))))
    (thing,) = picture.things()
    assert thing.occluded
    bottom = thing.box().center[2] - thing.box().size[2] / 2
    assert bottom == pytest.approx(0.7 if hides == "side" else 0.0, abs=0.05)


@pytest.mark.parametrize(("y", "height", "bottom"), [(2.4, (0.6, 1.2), 0.6), (0.0, (0.0, 1.2), 0.0)])
def test_the_edge_of_the_image_hides_the_ground_only_where_it_cuts_the_lower_end_off(y, height, bottom):
    picture = Picture()
    if y:
        picture.board(PERSON, 4.0, y, 0.8, height)
    else:
        picture.board(PERSON, 1.2, y, 0.5, height)
    (thing,) = picture.things()
    assert thing.truncated
    box = thing.box()
    assert box.center[2] - box.size[2] / 2 == pytest.approx(bottom, abs=0.05)


def test_labels_without_depth_or_without_a_mark_give_no_box():
    picture = Picture()
    picture.board(PERSON, 3.0, 0.0, 0.5)
    picture.depth[picture.labels == PERSON] = np.nan
    assert picture.things() == []
    unmarked = replace(LABELS, classes=tuple(replace(c, instances=None) for c in LABELS.classes))
    assert not BoxFinder(unmarked).marks


def told_apart(picture: Picture, ids: np.ndarray, labels: tuple[int, ...] = (PERSON,)) -> list[Thing]:
    """The things of a picture whose pixels a model tells apart by ``ids``, at a quarter of its size."""
    maps = replace(true_maps(nearest(ids, (60, 80))), labels=labels)
    levels = np.where(picture.labels == WALL, GROUND, STANDING).astype(np.uint8)
    segmentation = Segmentation(picture.labels, np.full_like(picture.labels, 204), instances=maps)
    return BoxFinder(LABELS).find(segmentation, picture.depth, levels, CAMERA, POSE)


def test_two_persons_who_touch_at_one_depth_are_two_where_a_model_tells_them_apart():
    picture = Picture()
    for y in (0.26, -0.26):
        picture.board(PERSON, 3.0, y, 0.52)
    assert len(picture.things()) == 1
    ids = np.where(picture.labels == PERSON, 1, 0).astype(np.uint8)
    ids[:, 160:] *= 2
    things = told_apart(picture, ids)
    assert sorted(round(thing.box().center[1], 1) for thing in things) == [-0.3, 0.3]
    assert {thing.label for thing in things} == {PERSON}


def test_halves_of_one_thing_behind_a_post_are_one_where_a_model_says_so_and_gaps_in_depth_still_part():
    picture = Picture()
    picture.board(PERSON, 3.0, 0.0, 0.6)
    picture.board(WALL, 2.0, 0.0, 0.05)
    ids = np.where(picture.labels == PERSON, 1, 0).astype(np.uint8)
    assert [len(things) for things in (picture.things(), told_apart(picture, ids))] == [2, 1]
    picture.board(PERSON, 4.5, -0.5, 0.6)
    ids = np.where(picture.labels == PERSON, 1, 0).astype(np.uint8)
    assert len(told_apart(picture, ids)) == 2


def test_a_class_that_a_model_does_not_tell_apart_is_cut_at_gaps_and_its_label_is_that_of_most_pixels():
    picture = Picture()
    picture.board(PERSON, 3.0, 0.6, 0.5)
    picture.board(VEHICLE, 3.0, -0.6, 0.5)
    picture.board(VEHICLE, 2.9, 0.6, 0.5, (0.3, 0.6))
    ids = np.where(picture.labels == PERSON, 1, 0).astype(np.uint8)
    assert sorted(thing.label for thing in told_apart(picture, ids))[0] == PERSON
    ids[(picture.labels == VEHICLE) & (np.arange(320) < 160)] = 1
    (person, vehicle) = sorted(told_apart(picture, ids, (PERSON, VEHICLE)), key=lambda thing: thing.label)
    assert (person.label, vehicle.label) == (PERSON, VEHICLE)
    assert person.box().size[2] == pytest.approx(1.7, abs=0.05)


@pytest.mark.slow
def test_more_than_255_things_are_said_in_one_sentence():
    picture = Picture()
    for row in range(4, 236, 10):
        for column in range(4, 314, 10):
            picture.labels[row : row + 6, column : column + 6] = PERSON
            picture.depth[row : row + 6, column : column + 6] = 10.0 + 0.15 * row
    finder = BoxFinder(LABELS)
    assert len(picture.things(finder)) == MOST_BOXES
    assert finder.note == "744 things in one frame, expected at most 255: the largest are kept"


def seen(x: float, y: float, label: int = PERSON) -> Thing:
    grid = np.mgrid[-0.2:0.2:8j, -0.1:0.1:5j, 0:1.7:8j].reshape(3, -1).T
    return Thing(label, 0.9, grid + [x, y, 0.0], (0.0, 0.0), (0, 0, 9, 9), False, False)


def walked(tracker: Tracker, ways, frames: int, hidden: range = range(0)) -> list[list[Box]]:
    """The boxes by thing of each frame, 10 Hz."""
    made = []
    for n in range(frames):
        places = [way(n / 10) for way in ways]
        boxes = tracker.follow([] if n in hidden else [seen(*place) for place in places], n * 100_000_000)
        made.append(list(boxes))
    return made


def test_ids_stay_where_two_persons_pass_each_other_and_velocities_are_found():
    frames = walked(Tracker(), [lambda t: (2 + t, 0.5), lambda t: (4 - t, -0.5)], 20)
    assert {tuple(box.id for box in boxes) for boxes in frames} == {(1, 2)}
    one, other = frames[-1]
    assert one.velocity == pytest.approx((1.0, 0.0), abs=0.1)
    assert other.velocity == pytest.approx((-1.0, 0.0), abs=0.1)
    assert abs(math.remainder(other.yaw - math.pi, 2 * math.pi)) < 0.15
    assert 0.3 < one.speed < 1.0


def test_an_id_survives_a_second_behind_a_rack_but_not_three():
    frames = walked(Tracker(), [lambda t: (2 + 0.8 * t, 0.0)], 30, range(15, 25))
    assert frames[-1][0].id == 1
    frames = walked(Tracker(), [lambda t: (2 + 0.8 * t, 0.0)], 50, range(15, 45))
    assert frames[-1][0].id == 2


def test_a_splinter_beside_a_body_never_takes_its_id():
    tracker, ids = Tracker(), set()
    for n in range(30):
        x = 2 + 0.08 * n
        # The splinter comes and goes, is sometimes nearer to where the body is expected, and is alone once.
        body, splinter = seen(x, 0.0), seen(x + 0.1, 0.25)
        things = [body, splinter] if n % 3 == 2 else [splinter] if n == 15 else [body]
        boxes = tracker.follow(things, n * 100_000_000)
        ids.add(boxes[0].id)
    assert ids == {1}


def test_of_two_tracks_of_one_body_the_older_lives_on():
    tracker = Tracker()
    for n in range(10):
        tracker.follow([seen(3.0, -0.15), seen(3.0, 0.15)], n * 100_000_000)
    for n in range(10, 20):
        (box,) = tracker.follow([seen(3.0, 0.12)], n * 100_000_000)
        assert box.id == 1


@pytest.mark.parametrize("hz", [2, 3, 5, 10])
def test_a_vehicle_of_4_mps_keeps_its_id_at_few_frames_a_second_and_its_speed_is_known(hz: int):
    tracker = Tracker()
    for n in range(8):
        (box,) = tracker.follow([seen(3 + 4 * n / hz, 0.0, VEHICLE)], n * 10**9 // hz)
    assert box.id == 1
    assert 2.0 < box.speed < 4.0


def test_a_person_who_is_known_gives_the_id_to_nobody_two_metres_off():
    tracker = Tracker()
    for n in range(6):
        tracker.follow([seen(3.0, 0.0)], n * 333_333_333)
    (other,) = tracker.follow([seen(3.0, 1.5)], 6 * 333_333_333)
    assert other.id == 2


def test_what_flickers_costs_no_track_of_what_stays():
    tracker, random = Tracker(), np.random.default_rng(0)
    for n in range(12):
        flicker = [seen(*random.uniform(-60, 60, 2)) for _ in range(80)]
        body = tracker.follow([*flicker, seen(100.0, 0.0)], n * 100_000_000)[-1]
    assert body.id == 81
    assert len(tracker._tracks) <= MOST_BOXES
    for n in range(12, 19):
        tracker.follow([seen(100.0, 0.0)], n * 100_000_000)
    assert next(track.id for track in tracker._tracks if track.sightings > 1) == 81
    assert all(track.sightings > 1 for track in tracker._tracks)


def test_another_class_and_an_earlier_stamp_are_other_things():
    tracker = Tracker()
    (first,) = tracker.follow([seen(3, 0)], 10**9)
    (other,) = tracker.follow([seen(3, 0, VEHICLE)], 2 * 10**9)
    (again,) = tracker.follow([seen(3, 0)], 5 * 10**8)
    assert [first.id, other.id, again.id] == [1, 2, 3]


def test_common_volume_of_boxes():
    box = TrueBox(1, PERSON, (100.0, 50.0, 0.9), (0.6, 0.4, 1.8), 0.3, 100)
    assert iou(box, box) == pytest.approx(1.0, abs=1e-4)
    lifted = replace(box, center=(100.0, 50.0, 1.8))
    assert iou(box, lifted) == pytest.approx(1 / 3, abs=1e-4)
    assert iou(box, replace(box, center=(101.0, 50.0, 0.9))) == 0


@pytest.mark.parametrize("yaw", np.linspace(-math.pi, math.pi, 9))
def test_common_volume_where_sides_lie_on_each_other(yaw: float):
    size = (0.6, 0.4, 1.8)
    box = TrueBox(1, PERSON, (100.0, 50.0, 0.9), size, yaw, 100)

    def moved(along: float, across: float = 0.0) -> tuple[float, float, float]:
        x, y = along * math.cos(yaw) - across * math.sin(yaw), along * math.sin(yaw) + across * math.cos(yaw)
        return 100.0 + x, 50.0 + y, 0.9

    others = [
        (replace(box, yaw=yaw + math.pi), 1.0),
        (replace(box, yaw=yaw - math.pi), 1.0),
        (replace(box, yaw=yaw + math.pi / 2, size=(0.4, 0.6, 1.8)), 1.0),
        (replace(box, center=moved(0.03)), 0.57 / 0.63),
        (replace(box, center=moved(0.0, -0.1)), 0.3 / 0.5),
        (replace(box, center=moved(0.2), size=(0.2, 0.4, 1.8)), 1 / 3),  # inside, at one end
        (replace(box, size=(0.6, 0.6, 1.8)), 0.24 / 0.36),
        (replace(box, center=moved(0.6)), 0.0),  # they touch
    ]
    for other, share in others:
        assert iou(box, other) == pytest.approx(share, abs=1e-9)
        assert iou(other, box) == pytest.approx(share, abs=1e-9)


def test_common_volume_of_a_square_and_one_turned_by_an_eighth():
    box = TrueBox(1, PERSON, (-3.0, 4.0, 0.5), (1.0, 1.0, 1.0), 0.0, 100)
    octagon = 2 * (math.sqrt(2) - 1)
    assert iou(box, replace(box, yaw=math.pi / 4)) == pytest.approx(octagon / (2 - octagon), abs=1e-9)


def test_a_thing_keeps_its_id_where_another_box_comes_nearer_and_a_switch_counts_once():
    size = (0.5, 0.5, 1.8)
    true = TrueBox(7, PERSON, (3.0, 0.0, 0.9), size, 0.0, 500)
    first = Box(PERSON, 0.9, (3.2, 0.0, 0.9), size, 0.0, (0, 0, 9, 9), False, False, id=4)
    nearer, judge = replace(first, center=(3.0, 0.0, 0.9), id=5), BoxJudge()
    for found in ([first], [nearer, first], [nearer], [nearer]):
        judge.add(found, [true], (0.0, 0.0), "day")
    assert judge.scores.switches == 1


def test_what_shows_too_little_of_itself_is_not_asked_for():
    near = TrueBox(7, PERSON, (2.0, 0.0, 0.9), (0.5, 0.5, 1.8), 0.0, 700)
    judge = BoxJudge()
    judge.add([], [near, replace(near, id=8, center=(6.0, 0.0, 0.9))], (0.0, 0.0), "day", focal_px=200.0)
    assert sum(judge.scores.asked.values()) == 1
    assert [DISTANCES_M[key[2]] for key in judge.scores.asked] == [8.0]


SIZE = (0.5, 0.5, 1.7)


def placed(x: float, score: float = 0.9, id: int = 4) -> Box:
    return Box(PERSON, score, (x, 0.0, 0.85), SIZE, 0.0, (0, 0, 9, 9), False, False, id=id)


def true(x: float, id: int = 7, pixels: int = 5000) -> TrueBox:
    return TrueBox(id, PERSON, (x, 0.0, 0.85), SIZE, 0.0, pixels)


def judged(*frames: tuple[list[Box], list[TrueBox]]) -> dict:
    """The scores of persons."""
    judge = BoxJudge()
    for found, truth in frames:
        judge.add(found, truth, (0.0, 0.0), "day")
    return judge.scores.to_dict(LABELS.names)["classes"]["person"]


def test_precision_depends_on_the_order_of_scores_alone_however_near_they_are():
    found = [placed(3.0, 0.99), placed(8.0, 0.96), placed(5.0, 0.955)]
    squeezed = [replace(box, score=0.999 + 1e-4 * box.score) for box in found]
    for boxes in (found, squeezed):
        assert judged((boxes, [true(3.0), true(5.0, 8)]))["ap_25"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-4)
    equal = [replace(box, score=0.9) for box in found]  # none of them comes first
    assert judged((equal, [true(3.0), true(5.0, 8)]))["ap_25"] == pytest.approx(2 / 3, abs=1e-4)


@pytest.mark.parametrize(("x", "ap_25", "ap_50"), [(5.0, 1.0, 1.0), (5.2, 1.0, 0.5), (5.49, 0.5, 0.5)])
def test_a_box_is_forgiven_where_it_has_enough_in_common_with_what_is_not_asked_for(x, ap_25, ap_50):
    ghost = placed(x, 0.95, id=9)
    found = judged(([placed(3.0), ghost], [true(3.0), true(5.0, 8, pixels=10)]))
    assert (found["ap_25"], found["ap_50"]) == (ap_25, ap_50)


def test_what_is_not_asked_for_takes_no_box_from_what_is():
    asked, ignored = true(3.0), true(3.12, 8, pixels=10)
    found = judged(([placed(3.07)], [ignored, asked]))
    assert (found["recall"], found["ap_25"], found["ap_50"]) == (1.0, 1.0, 1.0)
    assert found["center_error_m"] == pytest.approx(0.07, abs=0.02)


def test_scores_of_counts_by_step_and_none_where_there_is_nothing():
    judged, right = np.zeros((2, 20)), np.zeros((2, 20))
    judged[0, [19, 18, 10]], right[0, [19, 10]] = 1, 1
    found = average_precision(judged, right, np.array([2.0, 0.0]))
    assert found[0] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(found[1])
    errors = np.zeros((2, 25))
    errors[0, 2:4] = 1, 3
    assert median_error_m(errors)[0] == pytest.approx(0.06 + 0.02 / 3)
    assert np.isnan(median_error_m(errors)[1])


def test_scores_of_a_drive_that_is_known():
    judge, size = BoxJudge(), (0.5, 0.5, 1.8)
    true = TrueBox(7, PERSON, (3.0, 0.0, 0.9), size, 0.0, 500)
    tiny = TrueBox(8, PERSON, (9.0, 3.0, 0.9), size, 0.0, 10)
    right = Box(PERSON, 0.9, (3.1, 0.0, 0.9), size, 0.0, (0, 0, 9, 9), False, False, id=4)
    of_tiny, wrong = replace(right, center=tiny.center, score=0.5), replace(right, center=(5.0, 5.0, 0.9), score=0.4)
    judge.add([right, of_tiny], [true, tiny], (0.0, 0.0), "day")
    judge.add([replace(right, id=5), wrong], [true], (1.0, 0.0), "day")
    judge.add([], [true], (2.0, 0.0), "black")
    said = judge.scores.to_dict(LABELS.names)
    person = said["classes"]["person"]
    assert (said["id_switches"], said["metres"], said["id_switches_per_100_m"]) == (1, 2.0, 50.0)
    assert (person["asked"], person["recall"]) == (3, 0.6667)
    assert person["center_error_m"] == pytest.approx(0.1, abs=0.02)
    assert (person["ap_25"], person["ap_50"]) == (0.6667, 0.6667)
    assert [(row["light"], row["up_to_m"], row["recall"]) for row in person["by"]] == [
        ("black", 2.0, 0.0),
        ("day", 2.0, 1.0),
        ("day", 5.0, 1.0),
    ]
