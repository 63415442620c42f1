"""What a translator hands on of a frame, and which frames it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.core.frames import Frame
from gemini_ros.inference.translator import Translator, golden_difference, write_golden

TO_DEPTH = Path(__file__).parents[1] / "fixtures" / "tiny_to_depth.onnx"


@pytest.fixture(scope="module")
def translator():
    return Translator(TO_DEPTH, "depth", threads=1)


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(1)
    depth = random.uniform(0.5, 8, (48, 80)).astype(np.float32)
    depth[10:20, 30:50] = np.nan
    depth[0, :2] = 25.0, 0.05  # beyond the model's range on both sides
    return Frame(7, "camera", random.integers(0, 256, (48, 80, 3), dtype=np.uint8), depth)


def test_what_was_measured_comes_out_as_it_went_in_also_beyond_the_range(translator, frame):
    made, answer = translator.translate(frame), translator.answer(frame)
    measured = np.isfinite(frame.depth)
    assert (made.image.dtype, made.confidence.dtype) == (np.float32, np.uint8)
    assert np.array_equal(made.image[measured], frame.depth[measured])
    assert (made.confidence[measured] == 255).all()
    assert np.array_equal(made.image[~measured], answer.image[~measured])
    assert np.array_equal(made.confidence[~measured], answer.confidence[~measured])
    assert not np.isclose(answer.image[0, :2], frame.depth[0, :2]).any()


@pytest.mark.parametrize("name", ["rgb", "depth"])
def test_a_frame_that_lacks_an_image_of_the_model_is_refused(translator, frame, name):
    with pytest.raises(ValueError, match=f"the frame has no {name}, which the model takes"):
        translator.translate(frame.without(name))


def test_golden_outputs_are_what_the_file_makes(translator, frame, tmp_path):
    answer = replace(translator.answer(frame), confidence=np.full((48, 80), 255, np.uint8))
    write_golden(tmp_path / "x.npz", [frame], [answer])
    assert golden_difference(translator, tmp_path / "x.npz") == 0
