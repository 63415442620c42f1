"""Which frames give boxes, why others give none, and what boxes do to the map."""

import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap.margins import LEAST_MARGIN_M, Faster, margin_m
from gemini_ros.core.costmap.meaning import STANDING
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.tracks import LOST_AFTER_NS
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.pipeline.detections import Detector

LABELS = load_label_set("warehouse")
PERSON = LABELS.names.index("person")
CAMERA = Intrinsics(64, 48, 50.0, 50.0, 31.5, 23.5)
POSE = camera_in_base([0.0, 0.0, 0.9, 0.0, 0.0, 0.0])


def take(detector: Detector, number: int, away: float, frame: str = "odom") -> None:
    labels, depth = np.zeros((48, 64), np.uint8), np.full((48, 64), 9.0, np.float32)
    labels[8:40, 26:38], depth[8:40, 26:38] = PERSON, away
    images = Segmentation(labels, np.full_like(labels, 255)), depth, np.full_like(labels, STANDING)
    detector.take(number * 100_000_000, images, CAMERA, POSE, frame)


def ids(detector: Detector) -> list[int]:
    return [box.id for box in detector.found.boxes] if detector.found else []


def test_boxes_have_ids_and_a_frame_that_is_no_evidence_says_why_there_are_none():
    detector = Detector(LABELS, "base_link")
    take(detector, 0, 3.0)
    assert (detector.found and detector.found.frame_id, detector.silence, ids(detector)) == ("odom", "", [1])
    detector.none("the camera's intrinsics are not known: publish a calibrated camera_info")
    assert detector.found is None
    assert detector.silence.startswith("no boxes: the camera's intrinsics are not known")
    take(detector, 1, 3.0)
    assert ids(detector) == [1]


def test_without_odometry_or_a_marked_class_one_sentence_says_so():
    detector = Detector(LABELS, "base_link")
    take(detector, 0, 3.0, "base_link")
    assert detector.found is None
    assert "no boxes: they are in the odometry's frame" in detector.silence
    plain = replace(LABELS, classes=tuple(replace(c, instances=None) for c in LABELS.classes))
    detector = Detector(plain, "base_link")
    take(detector, 0, 3.0)
    assert detector.found is None
    assert "marks no class with instances: true" in detector.silence
    assert not detector.faults


def test_what_is_faster_than_a_walker_has_a_wider_margin_and_what_is_slower_no_narrower_one():
    assert margin_m(0.0) == margin_m(0.0, 1.0) == LEAST_MARGIN_M
    assert margin_m(0.5, 3.0) == pytest.approx(1.5)
    runner, walker = Detector(LABELS, "base_link"), Detector(LABELS, "base_link")
    for n in range(15):
        take(runner, n, 8.0 - 0.4 * n)
        take(walker, n, 8.0 - 0.1 * n)
    now = 1_400_000_000
    assert walker.faster(0.5, now) == ()
    (fast,) = runner.faster(0.5, now)
    assert fast.margin_m > margin_m(0.5)
    assert fast.x == pytest.approx(2.6, abs=0.3)


def test_a_fast_thing_keeps_a_margin_that_grows_while_frames_are_no_evidence_and_a_jump_takes_it_away():
    detector, last = Detector(LABELS, "base_link"), 1_400_000_000
    for n in range(15):
        take(detector, n, 8.0 - 0.4 * n)
    assert detector.found is not None
    (box,) = detector.found.boxes
    detector.none("the frame has no depth")
    margins = [detector.faster(0.1, last + ms * 1_000_000)[0].margin_m for ms in (0, 500, 1900)]
    assert margins == pytest.approx([margin_m(0.1, box.speed), 0.5 * box.speed, 1.9 * box.speed])
    assert detector.faster(0.1, last + LOST_AFTER_NS + 1) == ()
    images = Segmentation(np.zeros((48, 64), np.uint8), np.full((48, 64), 255, np.uint8)), np.full((48, 64), 9.0)
    nothing = images[0], images[1].astype(np.float32), np.full((48, 64), STANDING, np.uint8)
    detector.take(last + 100_000_000, nothing, CAMERA, POSE, "odom")
    assert detector.found is not None and detector.found.boxes == ()
    assert len(detector.faster(0.1, last + 100_000_000)) == 1
    detector.clear()
    assert detector.faster(0.1, last + 100_000_000) == ()


def test_a_jump_while_a_frame_is_looked_at_leaves_nothing_of_before(monkeypatch):
    detector = Detector(LABELS, "base_link")
    take(detector, 0, 3.0)
    find = detector._finder.find

    def jumps(*args):
        found = find(*args)
        thread = threading.Thread(target=detector.clear)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()  # nobody waits for the finder
        return found

    monkeypatch.setattr(detector._finder, "find", jumps)
    take(detector, 1, 3.0)
    assert detector.found is None
    monkeypatch.undo()
    take(detector, 2, 3.0)
    assert ids(detector) == [2]


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_threads_may_clear_and_ask_while_frames_come():
    detector, done, before = Detector(LABELS, "base_link"), threading.Event(), sys.getswitchinterval()

    def other():
        while not done.is_set():
            detector.faster(0.1, 0)
            detector.clear()

    thread = threading.Thread(target=other)
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for n in range(200):
            take(detector, n, 3.0)
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(before)
    take(detector, 200, 3.0)
    assert len(ids(detector)) == 1


def test_cells_of_a_fast_thing_are_those_around_it():
    covers = Faster(1.0, 2.0, 0.2, 0.5).covers((10, 30), (20, 20), 0.05)
    rows, columns = np.nonzero(covers)
    x, y = (columns + 10.5) * 0.05, (rows + 30.5) * 0.05
    assert covers.any()
    assert np.hypot(x - 1.0, y - 2.0).max() <= 0.2
