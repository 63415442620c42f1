"""Weights to start from: what was written comes back, and nothing else is taken for it."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="weights are of a torch network")

import safetensors.torch
import torch

from gemini_ros.core.model_info import parse_model_info
from gemini_ros.inference import read_model_info
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.weights_file import TRAINING_KEY, read_weights, write_weights

pytestmark = pytest.mark.torch
MODELS = sorted(path.with_suffix(".onnx") for path in Path("models").glob("*.safetensors"))


@pytest.fixture
def small():
    torch.manual_seed(0)
    return FusionSegmenter(MiTConfig((8, 8, 10, 8), (1, 1, 1, 1)), ("rgb",), 10, decoder_width=8)


@pytest.fixture
def written(small, tmp_path):
    write_weights(
        small, read_model_info("models/warehouse_rgb_nano.onnx"), tmp_path / "x.safetensors", ["a", "b"], "mit_b0.pth"
    )
    return tmp_path / "x.safetensors"


def test_weights_come_back_as_they_were_written(small, written):
    found = read_weights(written)
    assert found.info == read_model_info("models/warehouse_rgb_nano.onnx")
    assert (found.sources, found.imagenet) == (["a", "b"], "mit_b0.pth")
    for name, value in small.state_dict().items():
        stored = value.half().float() if value.ndim > 1 else value
        assert torch.equal(found.state[name], stored) and found.state[name].dtype == value.dtype, name


def test_weights_beyond_fp16_are_not_written(small, tmp_path):
    with torch.no_grad():
        small.decoder.predict.weight[0] = 1e5
    path = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match=r"x\.safetensors: as fp16: decoder\.predict\.weight holds NaN or infinity"):
        write_weights(small, read_model_info("models/warehouse_rgb_nano.onnx"), path, [])
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused_in_one_sentence(written, tmp_path):
    data = written.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    state = safetensors.torch.load(data)
    flipped = bytearray(data)
    flipped[-1] ^= 1

    def changed(**training):
        return header | {TRAINING_KEY: json.dumps(json.loads(header[TRAINING_KEY]) | training)}

    for content, complaint in (
        (b"", "truncated, damaged or no safetensors file"),
        (data[:-1], "truncated, damaged or no safetensors file"),
        (Path("models/warehouse_rgb_nano.golden.npz").read_bytes(), "truncated, damaged or no safetensors file"),
        (bytes(flipped), "weights of SHA-256"),
        (
            safetensors.torch.save(state),
            "no metadata gemini_ros, expected weights that `gemini-ros model export` wrote",
        ),
        (safetensors.torch.save(state, changed(sources=[1])), "sources [1]"),
        (safetensors.torch.save(state, changed(more=1)), "expected exactly"),
    ):
        (tmp_path / "y.safetensors").write_bytes(content)
        with pytest.raises(ValueError) as error:
            read_weights(tmp_path / "y.safetensors")
        text = str(error.value)
        assert text.startswith(f"{tmp_path / 'y.safetensors'}: ") and complaint in text and "\n" not in text


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(path, marks=[] if path.stem == "nav5_rgbd_nano" else pytest.mark.slow, id=path.stem)
        for path in MODELS
    ],
)
def test_shipped_weights_are_those_of_the_model_beside_them(model):
    """The network answers a golden frame as the file does."""
    stored = read_weights(model.with_suffix(".safetensors"))
    info = stored.info
    assert info == parse_model_info(read_model_info(model).to_json(), "x") and stored.sources
    network = FusionSegmenter(
        info.architecture["encoder"], info.modality_names, len(info.label_set), info.architecture["fusion"]
    )
    network.load_state_dict(stored.state)
    with np.load(model.with_suffix(".golden.npz")) as golden, torch.inference_mode():
        images = [torch.from_numpy(golden[f"input0/{name}"])[None] for name in info.modality_names]
        graph = ModelFile(network.eval(), info.modalities, info.network_size, temperature=info.temperature).eval()
        labels, confidence, _ = graph(*images, torch.ones(len(images)))
        assert (labels[0].numpy() == golden["output0/labels"]).mean() > 0.9999
        assert np.abs(confidence[0].numpy().astype(int) - golden["output0/confidence"]).max() <= 1
