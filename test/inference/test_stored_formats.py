"""Model files as earlier releases wrote them: they load, run and answer as they did."""

import json
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.core.frames import Frame
from gemini_ros.core.resources import find_resource
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.gate import golden_path, read_golden
from gemini_ros.inference.model_file import read_metadata, read_model_info

FORMAT_1 = Path(__file__).parents[1] / "fixtures" / "format_1_rgb_depth.onnx"


def test_format_1_loads_and_gives_the_stored_answer():
    assert json.loads(read_metadata(FORMAT_1))["format"] == 1
    segmenter = load_segmenter(FORMAT_1, backend="onnxruntime", threads=1)
    info = segmenter.info
    assert info.modality_names == ("rgb", "depth")
    assert [m.unit for m in info.modalities] == ["", "m"]
    assert (info.task, info.language, info.temperature) == ("segment", None, 1.0)
    frames, stored = read_golden(golden_path(FORMAT_1), info)
    for frame, expected in zip(frames, stored, strict=True):
        assert frame.size == (120, 88)
        found = segmenter.segment(frame)
        # Processors round differently: a pixel on a border may go to the other side.
        assert (found.labels == expected.labels).mean() > 0.999
        assert np.abs(found.confidence.astype(int) - expected.confidence).max() <= 1
    with pytest.raises(ValueError, match="frame with event; the model takes rgb, depth"):
        segmenter.segment(Frame(0, "camera", others={"event": np.ones((88, 120), np.float32)}))


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("nav5_rgbd_nano", ["", "m"]),
        ("warehouse_rgb_nano", [""]),
        ("warehouse_rgbd_nano", ["", "m"]),
        ("warehouse_rgbt_nano", ["", "degC"]),
        ("warehouse_rgbdt_nano", ["", "m", "degC"]),
        ("warehouse_rgbdt_phrases_nano", ["", "m", "degC"]),
        ("warehouse_rgbt_linear_nano", ["", "counts"]),
    ],
)
def test_shipped_models_are_of_a_format_that_loads(name, units):
    info = read_model_info(find_resource(f"models/{name}.onnx"))
    assert [m.unit for m in info.modalities] == units
    assert info.task == "segment"
    assert 0.5 < info.temperature < 2
