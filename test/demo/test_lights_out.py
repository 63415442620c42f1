"""The film of a small drive: its length, its columns, and what is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from gemini_ros.demo.lights_out import lights_out
from gemini_ros.inference import ModelError
from gemini_ros.pipeline.settings import make_settings
from gemini_ros.report.canvas import BAD
from test.evaluation.drive import MOUNTING, write_drive

pytestmark = pytest.mark.once
MODELS = Path(__file__).parents[1] / "fixtures"
RGB, RGB_DEPTH = MODELS / "tiny_rgb.onnx", MODELS / "tiny_rgb_depth.onnx"


def pages(path):
    capture = cv2.VideoCapture(str(path))
    read = []
    while (got := capture.read())[0]:
        read.append(got[1][:, :, ::-1])
    return read, capture.get(cv2.CAP_PROP_FPS)


def test_film_runs_as_long_as_the_drive(tmp_path):
    # Frames 3 and 4 lack their depth: the page before them stays, the film keeps time.
    bag = write_drive(
        tmp_path / "d.mcap",
        frames=8,
        tamper=lambda stream, i, message: None if stream == "depth" and i in (3, 4) else message,
    )
    lights_out(bag, RGB, RGB_DEPTH, tmp_path / "film.mp4", tmp_path / "film.gif", threads=1)
    shown, rate = pages(tmp_path / "film.mp4")
    assert rate == pytest.approx(10)
    assert len(shown) == 8
    assert shown[0].shape == (800, 1280, 3)
    # The plane fit finds the box 4 m ahead and says so in its chip.
    assert np.abs(shown[0][715, 500:560].astype(int) - BAD).max() < 25
    with Image.open(tmp_path / "film.gif") as gif:
        assert gif.size == (800, 500)


@pytest.mark.parametrize("streams", [("rgb", "depth", "info", "tf"), ("rgb", "depth", "info", "odom")])
def test_bag_without_labels_odometry_or_transforms(tmp_path, streams):
    bag = write_drive(tmp_path / "d.mcap", frames=2, streams=streams)
    settings = make_settings({} if "tf" in streams else {"camera.in_base": list(MOUNTING)})
    lights_out(bag, RGB, RGB_DEPTH, tmp_path / "film.mp4", settings=settings, threads=1)
    assert len(pages(tmp_path / "film.mp4")[0]) == 2


def test_wrong_model_is_named(tmp_path):
    bag = write_drive(tmp_path / "d.mcap", frames=2)
    with pytest.raises(ModelError, match=r"tiny_rgb\.onnx: takes rgb, expected one that takes rgb, depth"):
        lights_out(bag, RGB, RGB, tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        (("rgb", "depth", "info", "odom"), "camera's mounting: give camera_in_base"),
        (("rgb", "depth", "tf", "odom"), "0 pairs of RGB and depth with a camera_info"),
        (("rgb", "info", "tf", "odom"), "no topic of depth"),
    ],
)
def test_bag_that_lacks_something_is_refused(tmp_path, streams, said):
    bag = write_drive(tmp_path / "d.mcap", frames=2, streams=streams)
    with pytest.raises(ValueError, match=said):
        lights_out(bag, RGB, RGB_DEPTH, tmp_path / "film.mp4", threads=1)
