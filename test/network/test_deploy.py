"""The deploy form and the exported file against the network that was trained."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import METADATA_KEY, Calibration, Modality, ModelInfo, parse_model_info
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.openvino import openvino_core
from gemini_ros.network.deploy import DeployedSegmenter, ModelFile
from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.encoders.swin import SwinConfig
from gemini_ros.network.export import write_model_file
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.training.modalities import MODALITY_DEFAULTS
from test.inference.test_finishing import reference

pytestmark = pytest.mark.torch
TINY = MiTConfig((16, 16, 40, 64), (1, 2, 1, 1))


def random_model(modalities, seed=0):
    """A network whose every parameter and statistic matters."""
    torch.manual_seed(seed)
    model = FusionSegmenter(TINY, modalities, 10)
    model.decoder.norm.running_mean.normal_()
    model.decoder.norm.running_var.uniform_(0.5, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize(
    ("modalities", "present"), [(("rgb",), [1]), (("rgb", "depth"), [1, 1]), (("rgb", "depth"), [0, 1])]
)
def test_deploy_form_is_exact(modalities, present):
    model = random_model(modalities).double()
    images = [torch.randn(1, 3, 64, 96, dtype=torch.double) for _ in modalities]
    present = torch.tensor(present, dtype=torch.double)
    with torch.inference_mode():
        expected = model(images, present[None]).ensemble
        found = DeployedSegmenter(model).double()(images, present)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "x.onnx"
    model = random_model(("rgb", "depth"))
    labels = load_label_set("warehouse")
    modalities = tuple(MODALITY_DEFAULTS[name] for name in model.modalities)
    info = ModelInfo(labels, modalities, (96, 64), {}, "none", {}, "Apache-2.0", "yes")
    write_model_file(model, info, path)
    return path, ModelFile(model, modalities, (96, 64)).eval()


@pytest.mark.slow
def test_the_stacked_form_as_a_file_answers_as_the_plain_one_with_fewer_kernels(exported, tmp_path):
    plain, _ = exported
    path = tmp_path / "stacked.onnx"
    info = parse_model_info(onnx.load(plain).metadata_props[0].value, "")
    write_model_file(random_model(("rgb", "depth")), info, path, stacked=True)
    rgb, depth = inputs()
    for present in ([1, 1], [1, 0], [0, 1]):
        given = {"rgb": rgb, "depth": depth, "present": np.array(present, np.float32)}
        expected, found = (onnxruntime.InferenceSession(str(file)).run(None, given) for file in (plain, path))
        assert np.abs(found[2] - expected[2]).max() < 0.01 * expected[2].std()
        assert (found[0] == expected[0]).mean() > 0.999
    assert len(onnx.load(path).graph.node) < 0.7 * len(onnx.load(plain).graph.node)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_graph_divides_logits_by_the_temperature_for_the_confidence_alone(temperature):
    model = random_model(("rgb", "depth"))
    modalities = tuple(MODALITY_DEFAULTS[name] for name in model.modalities)
    given = [torch.from_numpy(image) for image in (*inputs(), np.ones(2, np.float32))]
    with torch.inference_mode():
        labels, confidence, logits = ModelFile(model, modalities, (96, 64), temperature=temperature).eval()(*given)
        raw = ModelFile(model, modalities, (96, 64)).eval()(*given)[2]
    expected, clear, exact = reference(logits[0].numpy(), 100, 130, temperature)
    np.testing.assert_array_equal(labels[0].numpy()[clear], expected[clear])
    assert np.abs(confidence[0].numpy() - exact).max() <= 1
    torch.testing.assert_close(logits, raw, rtol=0, atol=0)


@pytest.mark.slow
def test_a_calibrated_file_with_a_modality_of_its_own_name(tmp_path):
    """From the network through the file into the runtime: labels and a confidence at the file's temperature."""
    event = Modality("event", "linear", (-5.0, 5.0), (0.5,), (2.0,), ("value", "contrast", "valid"), "events/s")
    modalities = (event, MODALITY_DEFAULTS["rgb"])
    labels, calibration = load_label_set("warehouse"), Calibration(2.5)
    info = ModelInfo(labels, modalities, (96, 64), {}, "none", {}, "Apache-2.0", "yes", calibration=calibration)
    path = tmp_path / "x.onnx"
    write_model_file(random_model(("event", "rgb")), info, path)
    rgb, values = inputs()
    frame = Frame(0, "camera", rgb=rgb[0], others={"event": values[0] - 6})
    segmenter = load_segmenter(path, backend="onnxruntime", threads=1)
    assert segmenter.info == info
    session = onnxruntime.InferenceSession(str(path))
    for given, present in ((frame, [1, 1]), (frame.without("event"), [0, 1]), (frame.without("rgb"), [1, 0])):
        feeds = {"event": values - 6, "rgb": rgb, "present": np.array(present, np.float32)}
        labels, confidence, logits = (output[0] for output in session.run(None, feeds))
        found = segmenter.segment(given)
        expected, clear, exact = reference(logits, 100, 130, 2.5)
        for of_both, certain in ((found.labels, found.confidence), (labels, confidence)):
            np.testing.assert_array_equal(of_both[clear], expected[clear])
            assert np.abs(certain - exact).max() <= 1


def inputs(rows=100, columns=130):
    random = np.random.default_rng(3)
    rgb = random.integers(0, 256, (1, rows, columns, 3), dtype=np.uint8)
    depth = random.uniform(0.2, 12, (1, rows, columns)).astype(np.float32)
    depth[0, :10] = np.nan
    depth[0, 10:20] = np.inf
    depth[0, 20:25] = 1e30
    depth[0, 25:30] = 0
    return rgb, depth


@pytest.mark.slow
@pytest.mark.parametrize("present", [[1, 1], [1, 0], [0, 1]])
@pytest.mark.parametrize("size", [(100, 130), (64, 96), (240, 320)])
def test_onnx_runtime_agrees_with_torch_at_any_camera_size(exported, size, present):
    path, graph = exported
    rgb, depth = inputs(*size)
    present = np.array(present, np.float32)
    session = onnxruntime.InferenceSession(str(path))
    labels, confidence, logits = session.run(None, {"rgb": rgb, "depth": depth, "present": present})
    with torch.inference_mode():
        expected = graph(torch.from_numpy(rgb), torch.from_numpy(depth), torch.from_numpy(present))
        top = torch.nn.functional.interpolate(expected[2], size, mode="bilinear").topk(2, 1).values
    assert labels.shape == confidence.shape == (1, *size)
    assert labels.dtype == confidence.dtype == np.uint8
    # The file stores weights as fp16, torch here has them in fp32.
    np.testing.assert_allclose(logits, expected[2].numpy(), atol=0.05 * np.abs(logits).max())
    clear = (top[:, 0] - top[:, 1]).numpy() > 0.1 * np.abs(logits).max()
    assert clear.mean() > 0.2
    np.testing.assert_array_equal(labels[clear], expected[0].numpy()[clear])


def in_onnxruntime(path, _graph):
    session = onnxruntime.InferenceSession(str(path))
    return lambda *images: session.run(["logits"], dict(zip(("rgb", "depth", "present"), images, strict=True)))[0]


def in_openvino(path, _graph):
    pytest.importorskip("openvino", reason="openvino is not installed: pip install 'gemini_ros[openvino]'")
    model = openvino_core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda *images: model(dict(zip(("rgb", "depth", "present"), images, strict=True)))["logits"]


def in_torch(_path, graph):
    def run(*images):
        with torch.inference_mode():
            return graph(*(torch.from_numpy(image) for image in images))[2].numpy()

    return run


@pytest.fixture(scope="module", params=[in_onnxruntime, in_openvino, in_torch], ids=lambda f: f.__name__)
def backend(request, exported):
    """The exported network as a function of rgb, depth and present that returns the logits."""
    return request.param(*exported)


@pytest.mark.slow
def test_what_is_not_a_measurement_does_not_count(backend):
    """NaN, infinity, 0 and absurd values all mean the same, in every backend: nothing measured."""
    rgb, depth = inputs()
    present = np.ones(2, np.float32)
    expected = backend(rgb, depth, present)
    assert np.isfinite(expected).all()
    for value in (np.nan, np.inf, -np.inf, 0, -1, 1e30):
        other = depth.copy()
        other[0, :30] = value
        np.testing.assert_array_equal(backend(rgb, other, present), expected)


@pytest.mark.slow
def test_absent_depth_is_as_good_as_none_measured(backend):
    rgb, depth = inputs()
    absent = np.array([1, 0], np.float32)
    expected = backend(rgb, np.full_like(depth, np.nan), absent)
    assert np.isfinite(expected).all()
    for image in (depth, np.full_like(depth, 1e30), np.full_like(depth, np.inf)):
        np.testing.assert_array_equal(backend(rgb, image, absent), expected)


@pytest.mark.slow
def test_file_obeys_the_contract(exported):
    model = onnx.load(exported[0])
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 18)]
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    shapes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    }
    assert shapes["rgb"] == [1, "H", "W", 3]
    assert shapes["depth"] == [1, "H", "W"]
    assert shapes["present"] == [2]
    assert shapes["logits"] == [1, 10, 16, 24]
    assert [o.name for o in model.graph.output] == ["labels", "confidence", "logits"]
    operators = [node.op_type for node in model.graph.node]
    assert not {"Loop", "If", "IsNaN", "Scan"} & set(operators)
    assert "LayerNormalization" in operators
    metadata = {p.key: p.value for p in model.metadata_props}
    assert set(metadata) == {METADATA_KEY}
    content = json.loads(metadata[METADATA_KEY])
    assert (content["format"], len(content["graph_sha256"])) == (2, 64)


@pytest.mark.slow
def test_uint8_input_is_cast_before_anything_else(exported):
    graph = onnx.load(exported[0]).graph
    users = [node for node in graph.node if "rgb" in node.input and node.op_type != "Shape"]
    assert [node.op_type for node in users] == ["Cast"]


def test_export_refuses_metadata_that_no_reader_takes(tmp_path):
    bare = Modality("event", "linear", (-5.0, 5.0), (0.5,), (2.0,))
    info = ModelInfo(load_label_set("warehouse"), (bare,), (96, 64), {}, "", {}, "", "yes")
    with pytest.raises(ValueError, match=r"modality event: keys .*, expected exactly .*'unit'"):
        write_model_file(random_model(("event",)), info, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(98, 64), (96, 66), (97, 63)])
def test_export_refuses_a_size_that_swin_cannot_cut_into_patches(tmp_path, size):
    model = FusionSegmenter(SwinConfig(16, (1, 1, 1, 1), (1, 2, 4, 8)), ("rgb",), 10).eval()
    info = ModelInfo(load_label_set("warehouse"), (MODALITY_DEFAULTS["rgb"],), size, {}, "", {}, "", "yes")
    with pytest.raises(
        ValueError, match=f"network size {size[0]}x{size[1]} of a Swin encoder, expected multiples of 4"
    ):
        write_model_file(model, info, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_export_refuses_metadata_of_another_model(tmp_path):
    model = random_model(("rgb",))
    labels = load_label_set("warehouse")
    modalities = (MODALITY_DEFAULTS["rgb"], MODALITY_DEFAULTS["depth"])
    with pytest.raises(ValueError, match="metadata of"):
        write_model_file(model, ModelInfo(labels, modalities, (96, 64), {}, "", {}, "", "yes"), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
