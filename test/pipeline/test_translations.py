"""Translation models beside the segmenter: what is refused, what is left as it was, and where they wait."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.core.frames import UNLABELLED, Frame, Segmentation
from gemini_ros.pipeline.image_topics import is_own_output
from gemini_ros.pipeline.settings import make_settings
from gemini_ros.pipeline.translations import Translations, require_streams, sure_depth

MODELS = Path(__file__).parents[1] / "fixtures"
TO_DEPTH, TO_RGB = (str(MODELS / f"tiny_to_{name}.onnx") for name in ("depth", "rgb"))


def named(**models):
    return Translations(make_settings({f"{output}.model": path for output, path in models.items()}))


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(1)
    depth = random.uniform(0.5, 8, (48, 80)).astype(np.float32)
    depth[10:20, 30:50] = np.nan
    depth[0, 0] = 25.0  # beyond what the model takes, and measured all the same
    return Frame(7, "camera", random.integers(0, 256, (48, 80, 3), dtype=np.uint8), depth)


@pytest.fixture(scope="module")
def segmentation():
    labels = np.zeros((48, 80), np.uint8)
    labels[:, :5] = UNLABELLED
    return Segmentation(labels, np.full((48, 80), 255, np.uint8))


def test_completed_depth_keeps_what_was_measured_and_leaves_the_robot_out(frame, segmentation):
    models = named(depth_completed=TO_DEPTH)
    assert models.completed(frame, segmentation) is None  # not loaded yet
    models.load(threads=1)
    made = models.completed(frame, segmentation)
    measured, own = np.isfinite(frame.depth), segmentation.labels == UNLABELLED
    kept = measured & ~own
    assert np.array_equal(made.depth[kept], frame.depth[kept])
    assert (made.confidence[kept] == 255).all()
    assert np.isnan(made.depth[own]).all()
    assert not made.confidence[own].any()
    assert (made.confidence[~measured] < 255).all()
    assert np.array_equal(np.isnan(sure_depth(made, 256)), np.ones(own.shape, bool))
    assert np.array_equal(np.isfinite(sure_depth(made, 255)), kept)
    assert models.made == {"depth_completed": 1}


def test_a_frame_that_lacks_an_image_gives_nothing_and_says_so(frame, segmentation):
    models = named(depth_completed=TO_DEPTH, night_view=TO_RGB)
    assert models.silence == {"depth_completed": "", "night_view": ""}  # no key comes later, while others look
    models.load(threads=1)
    assert models.completed(dataclasses.replace(frame, rgb=None), segmentation) is None
    assert models.silence["depth_completed"] == ("no depth_completed: the frame has no rgb, which its model takes")
    assert models.night_view(frame).shape == (48, 80, 3)
    assert models.silence["night_view"] == ""
    models.unload()
    assert models.night_view(frame) is None


def test_a_file_that_changed_since_is_refused(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(Path(TO_DEPTH).read_bytes())
    models = named(depth_completed=str(path))
    path.write_bytes(path.read_bytes() + b"\x32\x01a")  # ModelProto.doc_string
    with pytest.raises(ValueError, match=r"depth_completed\.model: model .*: the file has changed since it was named"):
        models.load(threads=1)
    path.unlink()
    with pytest.raises(ValueError, match=r"depth_completed\.model: .*No such file"):
        models.load(threads=1)


def test_each_wrong_file_has_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match=r"depth_completed\.model: model .*tiny_to_rgb.*: it makes rgb, expected one"):
        named(depth_completed=TO_RGB)
    with pytest.raises(ValueError, match=r"night_view\.model: model .*: task segment, expected translate: it labels"):
        named(night_view=str(MODELS / "tiny_rgb.onnx"))
    with pytest.raises(ValueError, match=r"night_view\.model: model none\.onnx: No such file or directory; expected"):
        named(night_view="none.onnx")
    with pytest.raises(ValueError, match=r"takes rgb, depth; modalities are rgb: add depth to modalities"):
        require_streams(named(night_view=TO_RGB), ("rgb",))
    with pytest.raises(ValueError, match=r"completed_depth: true, and depth_completed\.model is empty: name a model"):
        make_settings({"costmap.completed_depth": True})


def test_what_a_node_made_up_is_no_camera_of_a_bag():
    types = dict.fromkeys(("/camera/color/image_raw", "/front/labels", "/front/night_view"), "sensor_msgs/msg/Image")
    assert is_own_output("/front/night_view", types)
    assert is_own_output("/segmenter/depth_completed", types)
    assert not is_own_output("/camera/night_view", types)
