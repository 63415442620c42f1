"""Image to image: units, confidence, and the model file against the network."""

import dataclasses

import numpy as np
import pytest
import torch

from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import METRES, Modality, ModelInfo, Target
from gemini_ros.core.resources import find_model
from gemini_ros.inference import ModelError, load_segmenter
from gemini_ros.inference.translator import Translator, golden_difference, write_golden
from gemini_ros.network.export import write_model_file
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.translation import (
    TranslationFile,
    channels_of,
    confidence_of,
    image_of,
    predicted,
    unit_of,
)

DEPTH, RGB = Target("depth", (0.1, 20.0)), Target("rgb", (0.0, 255.0))
INPUTS = (
    Modality("rgb", "srgb", (-1.0, 256.0), (123.0, 116.0, 103.0), (58.0, 57.0, 57.0)),
    Modality("depth", "metric", (0.1, 20.0), (3.0,), (2.5,), ("inverse", "value", "valid"), METRES),
)


@pytest.mark.parametrize(("target", "shape"), [(DEPTH, (1, 8, 12)), (RGB, (1, 3, 8, 12))])
def test_units_and_back(target, shape):
    image = torch.rand(shape) * (target.range[1] - target.range[0]) + target.range[0]
    unit = unit_of(image, target)
    assert unit.shape == (1, target.channels, 8, 12)
    assert unit.min() >= 0
    assert unit.max() <= 1
    torch.testing.assert_close(image_of(unit, target), image, rtol=1e-4, atol=1e-4)


def test_confidence_is_the_share_of_right_pixels_where_errors_are_laplacian():
    torch.manual_seed(0)
    scale = torch.full((1, 1, 200, 200), 0.05)
    unit = torch.full((1, 1, 200, 200), 0.5)
    errors = torch.distributions.Laplace(0.0, 0.05).sample(unit.shape)
    found, true = image_of(unit + errors, DEPTH), image_of(unit, DEPTH)
    share = ((found / true).log().abs() < np.log(1.05)).float().mean()
    assert float(confidence_of(scale, DEPTH).mean()) == pytest.approx(float(share), abs=0.01)


def info_of(target):
    return ModelInfo(
        load_label_set("warehouse"), INPUTS, (64, 32), {"encoder": "nano"}, "none", {}, "Apache-2.0", "yes",
        task="translate", target=target,
    )  # fmt: skip


def frame_with_holes():
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 8, (48, 80)).astype(np.float32)
    depth[10:20, 30:50] = np.nan
    return Frame(7, "camera", rng.integers(0, 255, (48, 80, 3), dtype=np.uint8), depth)


@pytest.fixture(
    scope="module", params=[pytest.param(t, marks=pytest.mark.slow) for t in (DEPTH, RGB)], ids=["depth", "rgb"]
)
def made(request, tmp_path_factory):
    """A target, its network, and the model file of it."""
    torch.manual_seed(3)
    network = FusionSegmenter("nano", ("rgb", "depth"), channels_of(request.param)).eval()
    path = tmp_path_factory.mktemp("translation") / "x.onnx"
    write_model_file(network, info_of(request.param), path)
    return request.param, network, path


def test_the_file_answers_as_the_network_and_keeps_what_was_measured(made):
    target, network, path = made
    frame = frame_with_holes()
    translator = Translator(path, target.name)
    result = translator.translate(frame)
    graph = TranslationFile(network, INPUTS, (64, 32), target).eval()
    with torch.inference_mode():
        images = [torch.from_numpy(frame.image(name))[None] for name in ("rgb", "depth")]
        expected, sure = graph(*images, torch.ones(2))
    assert result.image.dtype == (np.float32 if target.name == "depth" else np.uint8)
    assert np.abs(result.image.astype(float) - expected[0].numpy()).max() <= (0.05 if target.name == "depth" else 2)
    assert np.abs(result.confidence.astype(int) - sure[0].numpy()).max() <= 2
    if target.name == "depth":
        there = np.isfinite(frame.depth)
        assert np.array_equal(result.image[there], frame.depth[there])
        assert (result.confidence[there] == 255).all()
        assert np.isfinite(result.image).all()
        assert (result.confidence[~there] < 255).all()


def test_the_deploy_form_is_the_network(made):
    target, network, _ = made
    images = [torch.randn(1, 3, 32, 64), torch.randn(1, 3, 32, 64)]
    with torch.inference_mode():
        unit, scale = predicted(network(images, torch.ones(1, 2)).ensemble, target)
        deployed = TranslationFile(network, INPUTS, (64, 32), target).eval().network
        again, other = predicted(deployed(images, torch.ones(2)), target)
    assert unit.shape == (1, target.channels, 32, 64)
    torch.testing.assert_close(again, unit, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other, scale, rtol=1e-4, atol=1e-5)


def test_the_golden_file_tells_another_model_apart(made, tmp_path):
    path = made[2]
    translator, frame = Translator(path), frame_with_holes()
    result = translator.translate(frame)
    sure = dataclasses.replace(result, confidence=np.full((48, 80), 200, np.uint8))
    write_golden(tmp_path / "same.npz", [frame], [sure])
    assert golden_difference(translator, tmp_path / "same.npz") == 0
    off = dataclasses.replace(sure, image=(result.image.astype(np.float32) * 0.5).astype(result.image.dtype))
    write_golden(tmp_path / "other.npz", [frame], [off])
    assert golden_difference(translator, tmp_path / "other.npz") > 0.01


def test_what_is_refused_in_one_sentence(made):
    target, _, path = made
    with pytest.raises(ModelError, match="task translate, expected segment: it makes images and gives no labels"):
        load_segmenter(path, backend="onnxruntime")
    other = "rgb" if target.name == "depth" else "depth"
    with pytest.raises(ModelError, match=f"it makes {target.name}, expected one that makes {other}"):
        Translator(path, other)


def test_a_segmenter_is_no_translator():
    with pytest.raises(ModelError, match="task segment, expected translate: it labels and makes no image"):
        Translator(find_model("warehouse_rgb_nano"))
