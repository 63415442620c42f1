"""What becomes of a match: counted once, whatever happens, also when somebody gives up on it meanwhile."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gemini_ros.core.frames import Segmentation
from gemini_ros.pipeline.frame import FramePipeline
from gemini_ros.pipeline.intake import Intake, Received
from gemini_ros.pipeline.settings import DEFAULTS
from gemini_ros.pipeline.statistics import StageTimer
from gemini_ros.pipeline.sync import Match

RGB = np.zeros((4, 6, 3), np.uint8)
LABELS = Segmentation(np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8))


def match(image: np.ndarray) -> Match:
    return Match(7, {"rgb": Received(image, "camera", None, 0, 0)}, "pair")


def pipeline(segment) -> FramePipeline:
    return FramePipeline(Intake(["rgb"], [], DEFAULTS), lambda: SimpleNamespace(segment=segment), None)


def fail(_frame):
    raise MemoryError("no room")


@pytest.mark.parametrize(
    ("image", "segment", "dropped", "fault"),
    [
        (RGB, lambda frame: LABELS, {}, ""),
        (RGB, fail, {"failed": 1}, "MemoryError: no room"),
        (RGB.astype(np.float32), fail, {"invalid": 1}, "rgb: float32 (4, 6, 3), expected uint8 (H, W, 3)"),
    ],
)
def test_a_match_ends_in_one_count(image, segment, dropped, fault):
    frames = pipeline(segment)
    frames.emitted(match(image))
    frames.begin()
    segmented = frames.settle(frames.infer(match(image), StageTimer()))
    assert (segmented is None) == bool(dropped)
    if segmented is not None:
        frames.published()
    assert frames.counters.dropped_pairs == dropped
    assert (frames.fault, sum(frames.faults.values())) == (fault, len(dropped))
    assert not frames.abandon()
    assert frames.counters.identities() == []


@pytest.mark.parametrize("image", [RGB, RGB.astype(np.float32)], ids=["good", "no frame"])
def test_an_abandoned_match_is_counted_as_that_alone(image):
    frames = pipeline(lambda frame: LABELS)
    frames.emitted(match(image))
    frames.begin()
    assert frames.abandon()
    assert frames.settle(frames.infer(match(image), StageTimer())) is None
    assert frames.counters.dropped_pairs == {"shutdown": 1}
    assert frames.counters.identities() == []


@pytest.mark.parametrize("image", [RGB, RGB.astype(np.float32)], ids=["in the network", "in assembly"])
def test_where_every_match_fails_the_mode_says_so(image):
    intake = Intake(["rgb"], [], DEFAULTS)
    good = [False]
    segmenter = SimpleNamespace(segment=lambda frame: LABELS if good[0] else fail(frame))
    frames = FramePipeline(intake, lambda: segmenter, None)

    def run(image: np.ndarray, start: int) -> str:
        for i in range(start, start + 10):
            for made in intake.matcher.add("rgb", i * 100_000_000, None, i * 100_000_000, i):
                frames.emitted(made)
                frames.begin()
                if frames.settle(frames.infer(match(image), StageTimer())) is not None:
                    frames.published()
        return intake.matcher.mode

    assert run(image, 0) == "degrade:rgb"
    good[0] = True
    assert run(RGB, 10) == "normal"
    assert [mode for _, mode in intake.matcher.mode_changes] == ["normal", "degrade:rgb", "normal"]
