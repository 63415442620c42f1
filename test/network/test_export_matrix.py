"""Every encoder with every operator becomes a graph that TensorRT's rules allow and ONNX Runtime answers alike."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.encoders.swin import SwinConfig
from gemini_ros.network.export import write_model_file
from gemini_ros.network.fusion import FUSIONS
from gemini_ros.network.model import ENCODERS, FusionSegmenter
from gemini_ros.training.modalities import MODALITY_DEFAULTS

MIT = MiTConfig((16, 16, 40, 64), (1, 1, 1, 1))
SWIN = SwinConfig(16, (2, 1, 1, 1), (1, 2, 2, 4))
LABELS = load_label_set("warehouse")
MODALITIES = (MODALITY_DEFAULTS["rgb"], MODALITY_DEFAULTS["depth"])
PRODUCTS = ("MatMul", "Gemm", "Conv", "Einsum")


def export(encoder, fusion, size, path):
    torch.manual_seed(0)
    model = FusionSegmenter(encoder, ("rgb", "depth"), len(LABELS), fusion).eval()
    info = ModelInfo(LABELS, MODALITIES, size, {}, "none", {}, "Apache-2.0", "yes")
    write_model_file(model, info, path)
    return model, onnx.load(path)


def operators(proto):
    return Counter(node.op_type for node in proto.graph.node)


def require_allowed(proto):
    """The rules of TensorRT 10.3 to 11 that a graph can break: control flow, other domains, uint8 anywhere inside."""
    found = operators(proto)
    assert not {"Loop", "If", "Scan", "IsNaN", "NonZero"} & set(found), found
    assert {node.domain for node in proto.graph.node} <= {"", "ai.onnx"}
    assert "LayerNormalization" in found
    users = [node.op_type for node in proto.graph.node if "rgb" in node.input]
    assert set(users) <= {"Cast", "Shape"}
    for resize in (node for node in proto.graph.node if node.op_type == "Resize"):
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in resize.attribute}
        assert attributes["mode"] == b"linear"
        assert attributes.get("coordinate_transformation_mode", b"half_pixel") in (b"half_pixel", b"pytorch_half_pixel")
        assert not attributes.get("antialias", 0)


def require_agreement(model, size, path):
    """Labels equal where the two largest logits differ by more than the fp16 weights can move them."""
    random = np.random.default_rng(1)
    rgb = random.integers(0, 256, (1, 90, 110, 3), dtype=np.uint8)
    depth = random.uniform(0.3, 9, (1, 90, 110)).astype(np.float32)
    depth[0, :20] = np.nan
    session = onnxruntime.InferenceSession(str(path))
    inputs = {"rgb": rgb, "depth": depth, "present": np.ones(2, np.float32)}
    logits = session.run(["logits"], inputs)[0]
    assert np.isfinite(logits).all()
    with torch.inference_mode():
        graph = ModelFile(model, MODALITIES, size).eval()
        expected = graph(torch.from_numpy(rgb), torch.from_numpy(depth), torch.ones(2))[2].numpy()
    np.testing.assert_allclose(logits, expected, atol=0.05 * expected.std() + 1e-3)


# An export takes half a minute; one of a whole network is among the tests of the deploy form.
CASES = [(MIT, name) for name in FUSIONS] + [(SWIN, name) for name in ("gemini", "cross_attention", "token_exchange")]


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "fusion"), CASES, ids=lambda v: v if isinstance(v, str) else type(v).__name__)
def test_each_operator_exports(encoder, fusion, tmp_path):
    model, proto = export(encoder, fusion, (96, 64), tmp_path / "x.onnx")
    require_allowed(proto)
    require_agreement(model, (96, 64), tmp_path / "x.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [pytest.param(MIT, id="MiT"), pytest.param(SWIN, id="Swin")])
def test_products_do_not_depend_on_the_number_of_tokens(encoder, tmp_path):
    counts = []
    for size in ((96, 64), (192, 160)):
        found = operators(export(encoder, "gemini", size, tmp_path / "x.onnx")[1])
        counts.append({name: found[name] for name in PRODUCTS})
    assert counts[0] == counts[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_each_size_exports(name, tmp_path):
    _, proto = export(name, "gemini", (160, 128), tmp_path / "x.onnx")
    require_allowed(proto)
