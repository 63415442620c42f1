"""Answers of made frames: a floor and a box, seen by a robot whose pose is known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.pipeline.answers import PhraseOutputs
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.phrases import PhraseBook
from gemini_ros.pipeline.pose import CameraPose
from test.evaluation.drive import BOX, CAMERA, MOUNTING, START_NS, pose_at, view

WAREHOUSE = load_label_set("warehouse")
DEPTH, LABELS = view(pose_at(2.0))
FACE = LABELS == BOX


class Poses:
    """A robot one metre ahead of where odometry began."""

    base_frame, jumps, jump = "base_link", 0, ""

    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        return CameraPose("odom", pose_at(2.0) @ camera_in_base(MOUNTING), (1.0, 0.0, 0.0))

    def moved(self, since_ns: int, until_ns: int) -> bool | None:
        return None

    def wait(self, stamp: int) -> None: ...

    def close(self) -> None: ...


class Run:
    """Frames one after another, a tenth of a second apart."""

    def __init__(self, phrases: str, streams: tuple[str, ...] = ("rgb", "depth")) -> None:
        self.book = PhraseBook(WAREHOUSE, streams)
        self.book.start(phrases)
        self.mapper = Mapper(CostmapConfig(resolution_m=0.1), WAREHOUSE, Poses(), self.book.roles)
        self.outputs = PhraseOutputs(self.book, self.mapper)
        self.count = 0

    def frame(self, labels: np.ndarray = LABELS, *, wanted: bool = True, **images: Any) -> Any:
        stamp = START_NS + self.count * 100_000_000
        self.count += 1
        self.seen, self.now = Seen.of(stamp), Instant.of(stamp)
        frame = Frame(stamp, "camera", **{"depth": DEPTH, "intrinsics": CAMERA, **images})
        segmentation = Segmentation(labels, np.full(labels.shape, 240, np.uint8))
        self.mapper.integrate(frame, segmentation, self.seen, self.now)
        return self.outputs.take(frame, segmentation, self.seen, self.now, wanted)

    def map(self) -> np.ndarray:
        return self.mapper.render_frame(self.seen, self.now)[0].data


def test_an_answer_says_where_how_far_how_many_and_how_warm():
    run = Run("how many boxes are there?; the person; the floor")
    thermal = np.where(FACE, 30, 18).astype(np.float32)
    found = run.frame(thermal=thermal)
    said = json.loads(found.text)
    assert (said["stamp_ns"], said["map_frame"], said["base_frame"], said["by"]) == (
        START_NS,
        "odom",
        "base_link",
        "rules",
    )
    box, person, floor = said["answers"]
    assert (box["present"], box["count"], box["answer"], box["ask"], box["in_force"]) == (
        True,
        1,
        "yes",
        "how_many",
        True,
    )
    assert box["probability"] == pytest.approx(240 / 255, abs=1e-3)
    # The face is 4 m ahead of where odometry began, from y -0.4 to 0.5.
    np.testing.assert_allclose(box["position_odom"][:2], [4.0, 0.05], atol=0.1)
    np.testing.assert_allclose(box["position_base"][:2], [3.0, 0.05], atol=0.1)
    assert box["distance_m"] == pytest.approx(2.85, abs=0.1)
    assert (box["degrees_c"], box["pixels"]) == (30.0, pytest.approx(FACE.sum(), rel=0.05))
    assert (person["present"], person["count"], person["answer"], person["probability"]) == (False, 0, "no", None)
    assert (floor["present"], floor["count"], floor["answer"]) == (True, None, "yes")
    assert ((found.mask == 1) == FACE).mean() > 0.99
    assert not (found.mask == 2).any()
    assert ((found.mask == 3) == (LABELS == 0)).mean() > 0.99


def test_the_target_pose_is_free_and_faces_the_thing():
    run = Run('[{"text": "the box", "role": "target"}]')
    answers = run.frame()
    place = run.outputs.target_pose(answers, run.seen, run.now)
    assert place is not None
    x, y, yaw = place
    thing = answers.answers[0].things[0].odom
    assert 0.3 < np.hypot(thing[0] - x, thing[1] - y) <= 1.9
    assert yaw == pytest.approx(np.arctan2(thing[1] - y, thing[0] - x))
    occupancy, _ = run.mapper.render_frame(run.seen, run.now)
    cell = [int(np.floor((at - first) / 0.1)) for at, first in zip((x, y), occupancy.origin_xy, strict=True)]
    assert occupancy.data[cell[1], cell[0]] == 0
    ask = Run("the box")
    assert ask.outputs.target_pose(ask.frame(), ask.seen, ask.now) is None


def test_what_is_avoided_costs_and_what_is_preferred_does_not():
    plain = Run("")
    assert plain.frame() is None
    before = plain.map()
    avoid = Run('[{"text": "the floor", "role": "avoid", "cost": 55}]')
    avoid.frame(wanted=False)
    after = avoid.map()
    assert ((after == before) | ((before >= 0) & (before < 55) & (after == 55))).all()
    assert (after == 55).sum() > 0.9 * (before == 0).sum()
    assert (avoid.outputs.keepout(avoid.seen, avoid.now)[0].data == 55).any()
    prefer = Run('[{"text": "the floor", "role": "prefer", "cost": 55}]')
    prefer.frame(wanted=False)
    assert (prefer.map() == 0).sum() > 0.9 * (before == 0).sum()


def test_what_is_measured_is_avoided_even_where_the_way_ahead_is_not():
    run = Run('[{"text": "the box", "role": "avoid"}]')
    depth = DEPTH.copy()
    depth[LABELS == 0] = np.nan  # a polished floor
    run.frame(depth=depth)
    assert run.mapper.look is None and "no clouds and no scan" in run.mapper.warning
    marked = run.outputs.keepout(run.seen, run.now)[0].data
    other = Run('[{"text": "the box", "role": "avoid"}]')
    other.frame()
    assert other.mapper.look is not None
    np.testing.assert_array_equal(marked > 0, other.outputs.keepout(other.seen, other.now)[0].data > 0)
    assert marked.any()


def test_a_phrase_that_expires_leaves_the_map_at_once():
    run = Run('[{"text": "the floor", "role": "avoid", "ttl_s": 0.25}]')
    for _ in range(3):
        run.frame()
        assert (run.map() == 60).any()
    assert run.frame() is None
    assert not (run.map() == 60).any()


def test_the_loss_of_a_grounding_is_told():
    run = Run('[{"text": "the box", "role": "target"}, {"text": "the person"}]')
    nothing = np.where(FACE, 0, LABELS).astype(np.uint8)
    run.frame()
    run.count = 9
    run.frame(nothing)
    assert run.outputs.lost == ()
    run.frame(nothing)
    assert run.outputs.lost == ("target 'the box' is lost: it was last seen 1 s ago",)
    run.frame()
    assert run.outputs.lost == ()


def test_without_depth_there_are_no_answers_and_it_is_told_why():
    run = Run('[{"text": "the box", "role": "avoid"}]')
    assert run.frame(depth=None, rgb=np.zeros((64, 96, 3), np.uint8)) is None
    assert run.outputs.silence.startswith("no answers: the frame has no depth")
    assert "not judged" in run.outputs.lost[0]
    assert run.frame(intrinsics=None) is None
    assert "intrinsics" in run.outputs.silence
    assert run.frame() is not None
    assert (run.outputs.silence, run.outputs.lost) == ("", ())


def test_a_thermal_image_that_is_away_is_told_in_the_answer():
    run = Run('[{"text": "the hot vehicle", "role": "avoid"}, {"text": "the box"}]', ("rgb", "depth", "thermal"))
    vehicle, box = json.loads(run.frame().text)["answers"]
    assert (vehicle["present"], box["present"]) == (None, True)
    assert "thermal image" in vehicle["why"]
    assert "avoid 'the hot vehicle' is not judged" in run.outputs.lost[0]


def test_what_fails_costs_no_map_and_is_told(monkeypatch):
    run = Run('[{"text": "the box", "role": "avoid"}]')
    monkeypatch.setattr("gemini_ros.pipeline.grounding.Things", lambda *_: 1 / 0)
    box = json.loads(run.frame().text)["answers"][0]
    assert (box["present"], box["why"]) == (None, "ZeroDivisionError: division by zero")
    assert "not judged" in run.outputs.lost[0]
    assert (run.map() >= 0).any()


def test_a_refusal_is_answered_beside_what_is_in_force():
    run = Run("the box")
    run.book.set(json.dumps([{"text": "the acid", "role": "avoid"}]), run_now := Instant.of(START_NS))
    assert [entry.text for entry in run.book.in_force(run_now)] == ["the box"]
    box, acid = json.loads(run.frame().text)["answers"]
    assert (box["in_force"], acid["in_force"], acid["text"]) == (True, False, "the acid")
    assert json.loads(run.outputs.refusal_text())["answers"] == [acid]


def test_the_most_probable_phrase_has_the_pixel():
    run = Run("the floor; the floor within 3 m")
    mask = run.frame().mask
    assert (mask == 1).sum() > 0
    assert not (mask == 2).any()  # as probable: the first one
