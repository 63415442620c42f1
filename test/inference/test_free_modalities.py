"""Models of three and four modalities, some under names of their own: ONNX Runtime, the gate, timing, precisions."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("onnx")

from gemini_ros.core.frames import Frame
from gemini_ros.core.model_info import TRANSLATE, ModelInfo, Target
from gemini_ros.inference import ModelError, load_segmenter, read_model_info
from gemini_ros.inference.benchmark import benchmark_model
from gemini_ros.inference.cache import PASSED, REJECTED
from gemini_ros.inference.gate import gate, golden_path, read_golden, scaled
from gemini_ros.inference.tensorrt.interface import engine_inputs
from test.inference.small_model import CLASSES, NETWORK, golden_of, modality, patches, small_model
from test.inference.test_finishing import upsample

THREE = ("event", "rgb", "radar")
FOUR = ("rgb", "depth", "near_ir", "radar")
SIZE = (96, 80)


def on_cpu(model, camera_size=None):
    return load_segmenter(model, backend="onnxruntime", camera_size=camera_size, threads=1)


@pytest.fixture(scope="module", params=[THREE, FOUR], ids=["three", "four"])
def names(request):
    return request.param


@pytest.fixture(scope="module")
def model(names, tmp_path_factory):
    path = small_model(tmp_path_factory.mktemp("model") / "model.onnx", modalities=names)
    golden_of(path)
    return path


def expected_labels(frame, names):
    """Labels of the small model by its definition, in float64, and where two logits are not as good as equal."""
    width, height = NETWORK[0] // 4, NETWORK[1] // 4
    planes = []
    for each in map(modality, names):
        image = frame.image(each.name)
        channels = 3 if each.name == "rgb" else 1
        if image is None:
            planes += [np.zeros((height, width))] * channels
            continue
        image = image.astype(np.float64)
        low, high = each.range
        value = np.where((image > low) & (image < high), (image - each.mean[0]) / each.std[0], 0)
        planes += [upsample(plane, height, width) for plane in np.moveaxis(np.atleast_3d(value), 2, 0)]
    weights = np.random.default_rng(3).normal(size=(CLASSES, len(planes))).astype(np.float32) * 0.1
    logits = np.einsum("kc,chw->khw", weights, np.array(planes))
    full = np.array([upsample(plane, *frame.size[::-1]) for plane in logits])
    ordered = np.sort(full, axis=0)
    return full.argmax(0), ordered[-1] - ordered[-2] > 1e-3


def with_holes(frame):
    images = {name: image.copy() for name, image in frame.images().items()}
    for name, image in images.items():
        if name != "rgb":
            image[3:9, 5:20], image[9:12, 5:20], image[12:15, 5:20] = np.nan, np.inf, modality(name).range[1]
    return Frame.from_images(frame.stamp_ns, frame.frame_id, images)


def test_labels_are_those_of_the_definition_with_any_of_them_missing(model, names):
    segmenter = on_cpu(model)
    assert segmenter.info.modality_names == names
    frame = with_holes(patches(names, (112, 80))[0])
    seen = set()
    for missing in [(), *((name,) for name in names), names[:-1], names[1:]]:
        given = frame.without(*missing)
        labels = segmenter.segment(given).labels
        expected, clear = expected_labels(given, names)
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(labels[clear], expected[clear])
        seen.add(labels.tobytes())
    # Each combination has an answer of its own: no modality is mistaken for another, none is left out.
    assert len(seen) == len(names) + 3


def test_images_go_by_name_and_not_by_order(model, names):
    segmenter = on_cpu(model)
    frame = patches(names)[1]
    images = frame.images()
    turned = Frame.from_images(1, "camera", {name: images[name] for name in reversed(images)})
    more = dataclasses.replace(turned, others={**turned.others, "sonar": images["radar"]})
    expected = segmenter.segment(frame)
    for given in (turned, more):
        np.testing.assert_array_equal(segmenter.segment(given).labels, expected.labels)
        np.testing.assert_array_equal(segmenter.segment(given).confidence, expected.confidence)


def test_a_frame_without_any_of_them_is_refused(model, names):
    frame = Frame(0, "camera", others={"sonar": np.ones((80, 96), np.float32)})
    with pytest.raises(ValueError, match=f"frame with sonar; the model takes {', '.join(names)}"):
        on_cpu(model).segment(frame)


@pytest.mark.parametrize("camera_size", [None, (64, 48)])
def test_the_gate_passes_the_model_itself_and_no_other(model, names, camera_size, tmp_path):
    assert gate(on_cpu(model, camera_size), golden_path(model), model).state == PASSED
    other = on_cpu(small_model(tmp_path / "other.onnx", modalities=names, shift=1), camera_size)
    assert gate(other, golden_path(model), model).state == REJECTED


def test_golden_frames_keep_names_and_values(model, names):
    frames, _ = read_golden(golden_path(model), read_model_info(model))
    for found, expected in zip(frames, patches(names), strict=True):
        assert set(found.images()) == set(names)
        for name in names:
            np.testing.assert_array_equal(found.image(name), expected.image(name))
    half = scaled(frames[0], (48, 40))
    np.testing.assert_array_equal(half.image("radar"), frames[0].image("radar")[1::2, 1::2])


def test_a_golden_file_of_other_names_is_named(model, tmp_path):
    other = small_model(tmp_path / "other.onnx", modalities=("rgb", "sonar"))
    with pytest.raises(ModelError, match=r"damaged, or not of this model: .*sonar"):
        gate(on_cpu(other), golden_path(model), other)


def test_it_is_timed(model):
    report = benchmark_model(model, backend="onnxruntime", camera_size=(64, 48), frames=2, threads=1)
    assert report["frames"] == 2 and report["latency_ms"]["total"]["p50"] > 0


def test_engine_inputs_have_their_names(model, names):
    tensors = engine_inputs(read_model_info(model), SIZE)
    assert list(tensors) == [*names, "present"]
    assert str(tensors["rgb"]) == "UINT8 1x80x96x3" and str(tensors["radar"]) == "FLOAT 1x80x96"
    assert str(tensors["present"]) == f"FLOAT {len(names)}"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lower_precisions_answer_alike(model, names, precision, tmp_path):
    pytest.importorskip("rosbags")
    from gemini_ros.datasets.examples import Example
    from gemini_ros.precision.compare import compare
    from gemini_ros.precision.convert import converted
    from gemini_ros.precision.graph import load_plain

    info = read_model_info(model)
    info = dataclasses.replace(info, architecture={**info.architecture, "precision": precision})
    examples = [Example(frame, None) for frame in patches(names)]
    path = tmp_path / f"{precision}.onnx"
    path.write_bytes(converted(load_plain(model), info, examples).SerializeToString())
    found = compare(on_cpu(model), on_cpu(path), examples)
    assert [each.condition for each in found] == ["complete", *(f"without {name}" for name in names)]
    assert all(each.confident_agreement > 90 for each in found)


def changed(path, out, **changes):
    """The model file with other metadata."""
    import onnx

    from gemini_ros.core.model_info import METADATA_KEY

    model = onnx.load(path)
    info: ModelInfo = dataclasses.replace(read_model_info(path), **changes)
    onnx.helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    out.write_bytes(model.SerializeToString())
    return out


def test_metadata_of_other_names_than_the_graph_is_refused(model, names, tmp_path):
    modalities = tuple(modality("sonar" if name == "radar" else name) for name in names)
    path = changed(model, tmp_path / "x.onnx", modalities=modalities)
    with pytest.raises(ModelError, match=r"inputs \[.*'radar', 'present'\], .*; expected \[.*'sonar', 'present'\]"):
        on_cpu(path)


def test_a_model_of_another_task_is_no_segmenter(model, tmp_path):
    path = changed(model, tmp_path / "x.onnx", task=TRANSLATE, target=Target("depth", (0.1, 20.0)))
    assert read_model_info(path).task == TRANSLATE
    with pytest.raises(ModelError, match=r"x\.onnx: task translate, expected segment"):
        load_segmenter(path)
