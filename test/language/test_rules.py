"""Phrases executed on labels, depth and degrees of a made image."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.core.frames import Frame, FrameError, Intrinsics
from gemini_ros.language.grammar import Grammar
from gemini_ros.language.rules import answer
from gemini_ros.language.words import load_words

WORDS = load_words()
BOX, PERSON, VEHICLE = (WORDS.classes.index(name) for name in ("box", "person", "vehicle"))
NEAR, FAR = np.s_[60:120, 40:80], np.s_[60:120, 80:130]  # two boxes, side by side in the image
LABELS = np.zeros((240, 320), np.uint8)
DEPTH, DEGREES = np.full((240, 320), 6, np.float32), np.full((240, 320), 20, np.float32)
LABELS[NEAR] = LABELS[FAR] = BOX
DEPTH[NEAR], DEPTH[FAR] = 2, 4
LABELS[80:160, 220:280], DEGREES[80:160, 220:280] = VEHICLE, 45
CAMERA = Intrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
FRAME = Frame(0, "camera", depth=DEPTH, thermal=DEGREES, intrinsics=CAMERA)


@pytest.mark.parametrize(
    ("text", "areas", "count"),
    [
        ("the box", [NEAR, FAR], 2),
        ("the nearest box", [NEAR], 1),
        ("the farthest box", [FAR], 1),
        ("the box on the right", [], 0),
        ("the box within 3 m", [NEAR], 1),
        ("the nearest box farther than 3 m", [FAR], 1),
        ("the hot vehicle", [np.s_[80:160, 220:280]], 1),
        ("the vehicle colder than 40 degrees", [], 0),
        ("the boxes left of the vehicle", [NEAR, FAR], 2),
        ("the person", [], 0),
    ],
)
def test_answers(text: str, areas: list, count: int) -> None:
    expected = np.zeros(LABELS.shape, np.bool_)
    for area in areas:
        expected[area] = True
    found = answer(Grammar(WORDS).parse(text), FRAME, LABELS, WORDS)
    assert (len(found.things), found.present, found.ignored) == (count, count > 0, ())
    assert (found.mask & expected).sum() >= 0.95 * (found.mask | expected).sum()


def test_what_is_not_judged_is_said() -> None:
    found = answer(Grammar(WORDS).parse("the red forklift"), FRAME, LABELS, WORDS)
    assert (found.ignored, len(found.things)) == (("color", "kind"), 1)


@pytest.mark.parametrize("text", ["the person left of the forklift", "the box nearest to the carrier"])
def test_a_landmarks_kind_is_not_judged_either(text: str) -> None:
    assert answer(Grammar(WORDS).parse(text), FRAME, LABELS, WORDS).ignored == ("kind",)


def test_what_was_not_measured_is_no_no() -> None:
    depth, degrees = np.where(LABELS == BOX, np.nan, DEPTH), np.where(LABELS == VEHICLE, np.nan, DEGREES)
    blind = Frame(0, "camera", depth=depth, thermal=degrees, intrinsics=CAMERA)
    for text in ("the nearest box", "the box within 2 m", "the box farther than 2 m", "the box nearest to the vehicle"):
        with pytest.raises(FrameError, match="not measured"):
            answer(Grammar(WORDS).parse(text), blind, LABELS, WORDS)
    for text in ("the hot vehicle", "the vehicle hotter than 40 degrees"):
        with pytest.raises(FrameError, match="not measured"):
            answer(Grammar(WORDS).parse(text), blind, LABELS, WORDS)
    assert answer(Grammar(WORDS).parse("the box"), blind, LABELS, WORDS).present
    assert not answer(Grammar(WORDS).parse("the nearest person within 2 m"), blind, LABELS, WORDS).present
    # One that was measured decides.
    depth = np.where(LABELS == BOX, np.nan, DEPTH)
    depth[NEAR] = DEPTH[NEAR]
    half = Frame(0, "camera", depth=depth, intrinsics=CAMERA)
    assert answer(Grammar(WORDS).parse("the nearest box"), half, LABELS, WORDS).mask[NEAR].any()


def test_a_frame_without_depth_or_degrees_is_refused() -> None:
    query = Grammar(WORDS).parse("the hot vehicle")
    with pytest.raises(FrameError, match="depth and intrinsics"):
        answer(query, FRAME.without("depth"), LABELS, WORDS)
    with pytest.raises(FrameError, match="thermal image"):
        answer(query, FRAME.without("thermal"), LABELS, WORDS)
