"""The head in a model file: the plain network's answers never depend on it, and every backend says what torch says."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from gemini_ros.core.model_info import Instances
from gemini_ros.datasets.examples import Source
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.cache import PASSED, REJECTED
from gemini_ros.inference.gate import gate, golden_path, write_golden
from gemini_ros.inference.model_file import ModelError, read_model_info
from gemini_ros.inference.tensorrt.interface import engine_outputs
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.export import write_model_file
from gemini_ros.network.instances import decoder_features
from gemini_ros.network.normalise import normalise
from gemini_ros.precision.convert import convert_model
from gemini_ros.training.modalities import described
from test.network.phrase_models import CAMERA, LABELS, SIZE, asked, branch, frame, info_of, network
from test.network.test_instances import head

NAMES = ("rgb", "depth")
THINGS = Instances(("person", "vehicle"))
WIDTH, HEIGHT = SIZE


def given(seed: int = 0) -> dict[str, np.ndarray]:
    return {name: frame(seed).images()[name] for name in NAMES}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[bool, Path]:
    """A model file with the head and one without, each with its golden file."""
    folder, found = tmp_path_factory.mktemp("things"), {}
    for with_head in (True, False):
        path = found[with_head] = folder / f"{with_head}.onnx"
        info = info_of(NAMES, language=False)
        info = replace(info, instances=THINGS if with_head else None)
        write_model_file(network(NAMES), info, path, instances=head() if with_head else None)
        frames = [frame(seed).without("thermal") for seed in range(4)]
        with closing(load_segmenter(path, backend="onnxruntime", threads=1)) as segmenter:
            write_golden(golden_path(path), frames, [segmenter.segment(each) for each in frames])
    return found


def run(path: Path, present: tuple[float, ...] = (1, 1)) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = {name: image[None] for name, image in given().items()} | {"present": np.array(present, np.float32)}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("present", [(1, 1), (0, 1), (1, 0)])
def test_labels_confidence_and_logits_are_those_of_the_plain_file_bit_by_bit(files, present):
    found, plain = run(files[True], present), run(files[False], present)
    assert list(found) == [*plain, "centres", "offsets"] == [*read_model_info(files[True]).output_names]
    for name, expected in plain.items():
        np.testing.assert_array_equal(found[name], expected)
    assert (found["centres"].shape, found["offsets"].shape) == ((24, 40), (2, 24, 40))
    assert found["centres"].dtype == found["offsets"].dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_backends_say_what_the_trained_form_says(files, backend, tmp_path):
    if backend == "openvino":
        pytest.importorskip("openvino")
    plain, made, known = network(NAMES), head(), described(NAMES)
    images = [normalise(m, SIZE[::-1])(torch.from_numpy(given()[m.name])[None], torch.ones(1)) for m in known]
    with torch.inference_mode():
        centres, offsets = made(decoder_features(plain, images, torch.ones(1, 2)))
    results = {}
    for with_head, path in files.items():
        with closing(load_segmenter(path, backend=backend, threads=1, cache_dir=tmp_path)) as segmenter:
            results[with_head] = segmenter.segment(frame().without("thermal"))
            assert gate(segmenter, golden_path(path), path).state == PASSED
    found = results[True].instances
    assert found is not None and results[False].instances is None
    assert found.labels == (LABELS.names.index("person"), LABELS.names.index("vehicle"))
    np.testing.assert_allclose(found.centres, centres[0].numpy(), atol=0.02)  # weights are stored as fp16
    np.testing.assert_allclose(found.offsets, offsets[0].numpy(), atol=1)
    if backend == "onnxruntime":
        np.testing.assert_array_equal(results[True].labels, results[False].labels)
        np.testing.assert_array_equal(results[True].confidence, results[False].confidence)
    else:  # OpenVINO compiles another network, and may round otherwise
        assert (results[True].labels == results[False].labels).mean() > 0.98


@pytest.mark.slow
@pytest.mark.parametrize("name", ["centres", "offsets"])
def test_the_gate_rejects_other_maps(files, name, tmp_path):
    arrays = dict(np.load(golden_path(files[True])))
    for index in range(4):
        arrays[f"output{index}/{name}"] = arrays[f"output{index}/{name}"] + 1.5
    np.savez(tmp_path / "other.npz", **arrays)
    with closing(load_segmenter(files[True], backend="onnxruntime", threads=1)) as segmenter:
        verdict = gate(segmenter, tmp_path / "other.npz", files[True])
        assert verdict.state == REJECTED and f"{name} of things differ by 1.5" in verdict.reason
        arrays[f"output0/{name}"] = arrays[f"output0/{name}"][..., :3]
        np.savez(tmp_path / "short.npz", **arrays)
        with pytest.raises(ModelError, match=r"damaged, or not of this model: centres \(24, "):
            gate(segmenter, tmp_path / "short.npz", files[True])


def test_phrases_and_things_go_together_and_the_stacked_form_says_the_same():
    plain, made, known = network(NAMES), head(), described(NAMES)
    cameras = [torch.from_numpy(given()[name])[None] for name in NAMES]
    phrases = [torch.from_numpy(array) for array in asked(4).padded(4, 16).values()]
    with torch.inference_mode():
        alone = ModelFile(plain, known, SIZE, instances=made).eval()(*cameras, torch.ones(2))
        both = ModelFile(plain, known, SIZE, language=branch(plain), instances=made).eval()
        answers = both(*cameras, torch.ones(2), *phrases)
        stacked = ModelFile(plain, known, SIZE, stacked=True, instances=made).eval()(*cameras, torch.ones(2))
    assert len(alone) == 5 and len(answers) == 8
    for one, other, third in zip(alone[3:], answers[6:], stacked[3:], strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, third, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_an_engine_has_the_two_outputs_too_and_metadata_go_with_a_head(files, tmp_path):
    info = read_model_info(files[True])
    assert info.instances == THINGS
    outputs = engine_outputs(info, CAMERA)
    assert {name: (t.shape, t.dtype) for name, t in outputs.items()} == {
        "labels": ((1, 128, 176), "UINT8"),
        "confidence": ((1, 128, 176), "UINT8"),
        "centres": ((HEIGHT // 4, WIDTH // 4), "FLOAT"),
        "offsets": ((2, HEIGHT // 4, WIDTH // 4), "FLOAT"),
    }
    with pytest.raises(ValueError, match="expected both or neither"):
        write_model_file(network(NAMES), info, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="tells things apart, which no lower precision was measured with"):
        convert_model(files[True], tmp_path / "half.onnx", "fp16", calibration=Source(tmp_path), check=Source(tmp_path))
