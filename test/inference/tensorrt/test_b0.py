"""The B0 network compiled for three generations of GPUs, in both deploy forms; random weights, 40 classes."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorrt_rtx")
pytest.importorskip("torch")

import torch

from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.inference.tensorrt.build import build_engine
from gemini_ros.inference.tensorrt.library import load_library
from gemini_ros.network.export import write_model_file
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.training.modalities import MODALITY_DEFAULTS

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.torch]

SIZE = (640, 480)


@pytest.fixture(scope="module")
def info():
    modalities = tuple(MODALITY_DEFAULTS[name] for name in ("rgb", "depth"))
    labels = load_label_set("nyudv2_40")
    return ModelInfo(labels, modalities, SIZE, {"encoder": "b0"}, "none", {}, "Apache-2.0", "yes")


@pytest.fixture(scope="module", params=["plain", "stacked"])
def b0(request, info, tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("b0") / f"{request.param}.onnx"
    model = FusionSegmenter("b0", info.modality_names, len(info.label_set)).eval()
    write_model_file(model, info, path, stacked=request.param == "stacked")
    return path


@pytest.mark.parametrize("compute_capability", ["8.6", "8.9", "12.0"])
def test_compiles(b0, info, compute_capability):
    built = build_engine(load_library("tensorrt_rtx"), b0, info, SIZE, compute_capability=compute_capability)
    assert len(built.engine) > 2 * b0.stat().st_size
