"""A model file in use: what it accepts, what it answers, and what it says of bad ones."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from gemini_ros.core.files import sha256_of
from gemini_ros.core.frames import Frame
from gemini_ros.inference import ModelError, load_segmenter, read_model_info

FIXTURES = Path(__file__).parents[1] / "fixtures"
RGB_DEPTH = FIXTURES / "tiny_rgb_depth.onnx"


def frame(rows=96, columns=136, **missing):
    random = np.random.default_rng(1)
    images = {
        "rgb": random.integers(0, 256, (rows, columns, 3), dtype=np.uint8),
        "depth": random.uniform(0.5, 8, (rows, columns)).astype(np.float32),
        "thermal": random.uniform(10, 35, (rows, columns)).astype(np.float32),
    }
    return Frame(7, "camera", **(images | missing))


@pytest.fixture(scope="module")
def segmenter():
    return load_segmenter(RGB_DEPTH, threads=1)


def test_labels_and_confidence_are_those_of_the_graph(segmenter):
    given = frame()
    result = segmenter.segment(given)
    session = onnxruntime.InferenceSession(str(RGB_DEPTH))
    labels, confidence = session.run(
        ["labels", "confidence"],
        {"rgb": given.rgb[None], "depth": given.depth[None], "present": np.ones(2, np.float32)},
    )
    assert result.labels.shape == (96, 136)
    assert (result.labels == labels[0]).mean() > 0.9999
    assert np.abs(result.confidence.astype(int) - confidence[0]).max() <= 1
    assert len(np.unique(result.labels)) > 1
    assert result.timings_ns["network"] > 0
    assert result.timings_ns["postprocess"] > 0


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_the_file_says_how_warm_the_confidence_is(tmp_path, temperature):
    """Graph and finishing against float64: equal labels where two logits differ, and a confidence within 1."""
    pytest.importorskip("onnx")
    from test.inference.small_model import patches, small_model
    from test.inference.test_finishing import reference

    path = small_model(tmp_path / "x.onnx", modalities=("rgb", "depth"), temperature=temperature)
    (given,) = patches(("rgb", "depth"), (112, 80), 1)
    assert read_model_info(path).temperature == temperature
    found = load_segmenter(path, backend="onnxruntime", threads=1).segment(given)
    session = onnxruntime.InferenceSession(str(path))
    inputs = {"rgb": given.rgb[None], "depth": given.depth[None], "present": np.ones(2, np.float32)}
    labels, confidence, logits = (output[0] for output in session.run(None, inputs))
    expected, clear, exact = reference(logits, 80, 112, temperature)
    assert clear.mean() > 0.99
    for of_both, certain in ((found.labels, found.confidence), (labels, confidence)):
        np.testing.assert_array_equal(of_both[clear], expected[clear])
        assert np.abs(certain - exact).max() <= 1
    plain = small_model(tmp_path / "plain.onnx", modalities=("rgb", "depth"))
    (raw,) = onnxruntime.InferenceSession(str(plain)).run(["logits"], inputs)
    np.testing.assert_array_equal(raw[0], logits)


def test_what_the_model_does_not_take_is_left_alone(segmenter):
    np.testing.assert_array_equal(segmenter.segment(frame()).labels, segmenter.segment(frame(thermal=None)).labels)


def test_a_missing_modality_changes_the_answer_but_not_its_form(segmenter):
    complete = segmenter.segment(frame())
    for missing in ("rgb", "depth"):
        result = segmenter.segment(frame(**{missing: None}))
        assert result.labels.shape == complete.labels.shape
        assert (result.labels != complete.labels).any()


def test_a_frame_without_the_models_modalities_is_refused(segmenter):
    with pytest.raises(ValueError, match="frame with thermal; the model takes rgb, depth"):
        segmenter.segment(frame(rgb=None, depth=None))


def test_camera_size_is_kept_to():
    fixed = load_segmenter(RGB_DEPTH, camera_size=(136, 96))
    fixed.segment(frame())
    with pytest.raises(ValueError, match="frame 100x80, expected 136x96"):
        fixed.segment(frame(80, 100))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_closing_twice_is_closing_once(tmp_path, monkeypatch, backend):
    pytest.importorskip(backend)
    pytest.importorskip("onnx")
    from test.inference.small_model import golden_of, small_model

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = small_model(tmp_path / "model.onnx")
    golden_of(model)
    opened = load_segmenter(model, backend=backend, threads=1)
    opened.close()
    opened.close()


def test_strided_images_are_taken(segmenter):
    wide = frame(96, 272)
    half = Frame(7, "camera", rgb=wide.rgb[:, ::2], depth=wide.depth[:, ::2])
    copy = Frame(7, "camera", rgb=half.rgb.copy(), depth=half.depth.copy())
    np.testing.assert_array_equal(segmenter.segment(half).labels, segmenter.segment(copy).labels)


def test_info_is_read_without_the_network():
    info = read_model_info(RGB_DEPTH)
    assert info.modality_names == ("rgb", "depth")
    assert info.network_size == (160, 120)
    assert info.label_set.names[6] == "person"
    assert len(sha256_of(RGB_DEPTH)) == 64


def test_backend_and_reason_are_said(segmenter):
    assert segmenter.backend == "onnxruntime"
    assert segmenter.reason
    with pytest.raises(ValueError, match="backend 'abacus', expected one of"):
        load_segmenter(RGB_DEPTH, backend="abacus")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.onnx: No such file"):
        load_segmenter(tmp_path / "none.onnx")


@pytest.mark.parametrize("keep", [0, 10, 1000, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, keep):
    data = RGB_DEPTH.read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ModelError, match=r"cut\.onnx"):
        load_segmenter(path)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "x.onnx"
    for data in (b"hello, this is text\n" * 50, bytes(range(256)) * 10, b"\xff" * 500):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"x\.onnx"):
            load_segmenter(path)


def replaced_metadata(path, old, new):
    """The file with a same-length piece of its metadata replaced."""
    data = RGB_DEPTH.read_bytes()
    assert len(old) == len(new)
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"format": 1,', b'"format": 9,', "metadata format 9, expected 1 or 2"),
        (b'"name": "depth"', b'"name": "dapth"', "modality dapth: expected one of rgb, depth, thermal"),
        (b'"licence"', b'"license"', r"metadata: keys .*'license'.*, expected exactly .*'licence'"),
        (b'"commercial_use": "yes"', b'"commercial_use": "yep"', "commercial_use 'yep', expected one of"),
        (b'"network_size": [160, 120]', b'"network_size": [160, 0.5]', "network_size"),
        (b'"kind": "metric"', b'"kind": "matric"', "kind 'matric', expected one of metric"),
        (b'{"format"', b'["format"', "is not JSON"),
    ],
)
def test_wrong_metadata_is_named(tmp_path, old, new, message):
    with pytest.raises(ModelError, match=message):
        read_model_info(replaced_metadata(tmp_path / "x.onnx", old, new))


def test_metadata_that_does_not_fit_the_graph_is_refused(tmp_path):
    path = replaced_metadata(tmp_path / "x.onnx", b'"name": "rgb", ', b'"name": "rgb" ,')
    assert load_segmenter(path).info.modality_names == ("rgb", "depth")
    data = path.read_bytes()
    start = data.index(b'{"format"')
    text = data[start : data.index(b'"commercial_use": "yes"}', start) + len(b'"commercial_use": "yes"}')].decode()
    changed = json.loads(text)
    changed["modalities"] = [changed["modalities"][1], changed["modalities"][0]]
    new = json.dumps(changed).encode()
    path.write_bytes(data.replace(text.encode(), new + b" " * (len(text) - len(new))))
    with pytest.raises(ModelError, match="inputs"):
        load_segmenter(path)
