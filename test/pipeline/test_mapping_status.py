"""What a map says of itself: images that measure nothing, changes while it compiles."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap import CostmapConfig, points
from gemini_ros.core.costmap.clearing import Clearing
from gemini_ros.core.costmap.drops import DropFinder
from gemini_ros.core.costmap.ground import GroundFiller
from gemini_ros.core.costmap.surface import GroundFollower
from gemini_ros.core.frames import Frame, Intrinsics, Segmentation
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.pose import OdometryPoses

SMALL = CostmapConfig(size_m=4.0, resolution_m=0.1)


def mapper(config: CostmapConfig = SMALL, mounting=None) -> Mapper:
    return Mapper(config, load_label_set("warehouse"), OdometryPoses("odom", mounting))


def test_a_change_during_the_first_compilation_does_not_wait_for_it(monkeypatch):
    """The compiler is slow; which costmap it compiled for does not matter, and the new one is fast afterwards."""
    compiling, done = threading.Event(), threading.Event()

    def compiled():
        if not done.is_set():
            compiling.set()
            done.wait(10)
        return points._scatter_in_loops

    for other in (Clearing, DropFinder, GroundFiller, GroundFollower):
        monkeypatch.setattr(other, "warm_up", lambda self: None)
    monkeypatch.setattr(points, "_compiled_scatter", compiled)
    made = mapper()
    loader = threading.Thread(target=made.warm_up)
    loader.start()
    compiling.wait(10)
    start = time.monotonic()
    made.reconfigure(replace(SMALL, size_m=6.0))
    assert time.monotonic() - start < 0.2
    done.set()
    loader.join()
    assert made.render(Instant.of(0))[0].data.shape == (60, 60)
    assert made._costmap._projector._scatter is points._scatter_in_loops
    made.reconfigure(SMALL)
    assert made._costmap._projector._scatter is points._scatter_in_loops


MOUNTING = camera_in_base((0.0, 0.0, 0.5, 0.0, 0.3, 0.0))
CAMERA = Intrinsics(16, 12, 12.0, 12.0, 7.5, 5.5)
FLOOR, DOWN = 0, np.pi / 2


def seen(depth, height_m: float = 0.5, pitch: float = 0.3, label: int = FLOOR, sure: int = 255) -> Mapper:
    """A mapper that has seen one frame of ``depth`` metres from a camera at this height and pitch."""
    mounting = camera_in_base((0.0, 0.0, height_m, 0.0, pitch, 0.0))
    made = mapper(SMALL, mounting)
    image = np.full((12, 16), depth, np.float32) if np.isscalar(depth) else depth
    segmentation = Segmentation(np.full((12, 16), label, np.uint8), np.full((12, 16), sure, np.uint8))
    made.integrate(Frame(0, "camera", depth=image, intrinsics=CAMERA), segmentation)
    return made


def one_pixel() -> np.ndarray:
    depth = np.full((12, 16), np.nan, np.float32)
    depth[6, 8] = 2.0
    return depth


@pytest.mark.parametrize(
    ("made", "texts"),
    [
        (
            lambda: seen(20.0),
            [
                "0 of 192 pixels lie within 0.05 to 8 m",
                "192 are farther than the map's range; read 20 to 20 m",
                "the unit",
            ],
        ),
        (lambda: seen(np.nan), ["0 of 192 pixels", "192 are without a measurement"]),
        (lambda: seen(0.01), ["192 are nearer than the map's range", "depth.scale"]),
        (lambda: seen(one_pixel()), ["1 of 192 pixels lie within 0.05 to 8 m", "191 are without a measurement"]),
        (lambda: seen(1.0, height_m=100.0), ["192 are above costmap.max_height_m 2", "to 100", "z of the odometry"]),
        (
            lambda: seen(1.0, height_m=-100.0),
            ["192 are further below the ground than its error budget", "z of the odometry"],
        ),
        (lambda: seen(3.0, pitch=0.0), ["outside costmap.size_m 4", "raise costmap.size_m"]),
        (lambda: seen(0.5, pitch=DOWN, label=255), ["on the ground without a label", "check that the model fits"]),
        (lambda: seen(0.5, pitch=DOWN, sure=0), ["on the ground without a label", "confidence 0.5"]),
    ],
    ids=["far", "NaN", "near", "one pixel", "high", "deep", "outside", "unlabelled", "unsure"],
)
def test_images_that_measure_nothing_are_told_with_the_limit_they_missed(made, texts):
    found = made()
    known, said = found.status(Instant.of(0))
    for text in texts:
        assert text in said
    assert list(found.faults) == [found.fault]
    assert known == (found.render(Instant.of(0))[0].data >= 0).any()


def test_a_map_that_knows_something_says_nothing_but_where_it_lies():
    found = seen(0.5, pitch=DOWN)
    assert found.status(Instant.of(0)) == (True, found.warning)
    assert not found.faults
    known, said = found.status(Instant.of(2_000_000_000))
    assert not known
    assert "no evidence within costmap.timeout_s" in said


def test_figures_that_differ_count_as_one_fault():
    found = mapper(SMALL, MOUNTING)
    labels = Segmentation(np.zeros((12, 16), np.uint8), np.full((12, 16), 255, np.uint8))
    for far in (20.0, 21.0, 22.0):
        frame = Frame(int(far), "camera", depth=np.full((12, 16), far, np.float32), intrinsics=CAMERA)
        found.integrate(frame, labels)
    assert list(found.faults.values()) == [3]


def test_two_faults_of_a_frame_are_both_told():
    found = mapper(SMALL, None)
    labels = Segmentation(np.zeros((12, 16), np.uint8), np.full((12, 16), 255, np.uint8))
    found.integrate(Frame(0, "camera", depth=np.ones((12, 16), np.float32)), labels)
    assert "intrinsics are not known" in found.fault
    assert "mounting of camera is not known" in found.fault
