"""The gate of engines, with segmenters that run here: the model's own, another one, and damaged ones."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gemini_ros.core.phrase_maps import PhraseMaps
from gemini_ros.core.resources import find_resource
from gemini_ros.inference import ModelError, load_segmenter, read_model_info
from gemini_ros.inference.cache import PASSED, REJECTED
from gemini_ros.inference.gate import PhraseAgreement, gate, golden_path, read_golden, scaled
from test.inference.test_segmenter import FIXTURES

MODEL = find_resource("models/warehouse_rgbd_nano.onnx")
GOLDEN = golden_path(MODEL)


def on_cpu(model: Path, camera_size: tuple[int, int] | None = None):
    return load_segmenter(model, backend="onnxruntime", camera_size=camera_size, threads=1)


@pytest.fixture(scope="module")
def itself():
    return on_cpu(MODEL)


@pytest.mark.once
@pytest.mark.parametrize("camera_size", [None, (320, 240), (424, 240)])
def test_the_model_itself_passes(camera_size):
    """At the golden frames' own size, and at another one, where ONNX Runtime says what is right."""
    parity = gate(on_cpu(MODEL, camera_size), GOLDEN, MODEL, "Orin")
    assert (parity.state, parity.gpu, parity.reason) == (PASSED, "Orin", "")
    assert parity.agreement is not None
    assert parity.agreement > 0.9999


@pytest.mark.parametrize("camera_size", [None, (160, 120)])
def test_another_model_of_the_same_interface_is_rejected(camera_size):
    parity = gate(on_cpu(FIXTURES / "tiny_rgb_depth.onnx", camera_size), GOLDEN, MODEL)
    assert parity.state == REJECTED
    assert "of the confident labels are those of ONNX Runtime, expected 0.99" in parity.reason


def test_damage_to_labels_and_to_confidence_is_found(tmp_path):
    pytest.importorskip("onnx")
    from test.inference.small_model import golden_of, small_model

    model = small_model(tmp_path / "model.onnx")
    golden = golden_of(model)
    assert gate(on_cpu(model), golden, model).state == PASSED
    other_classes = gate(on_cpu(small_model(tmp_path / "shifted.onnx", shift=1)), golden, model)
    assert (other_classes.state, other_classes.agreement, other_classes.confidence_difference) == (REJECTED, 0.0, 0.0)
    unsure = gate(on_cpu(small_model(tmp_path / "unsure.onnx", gain=0.02)), golden, model)
    assert (unsure.state, unsure.agreement) == (REJECTED, 1.0)
    assert "the confidence differs by" in unsure.reason


def test_a_pixel_without_a_label_is_no_matter_of_precision(tmp_path):
    """Logits of NaN in one pixel of a frame: far less than what labels may differ by."""
    pytest.importorskip("onnx")
    from test.inference.small_model import golden_of, small_model

    model = small_model(tmp_path / "model.onnx")
    golden = golden_of(model)
    segmenter = on_cpu(model)
    plainly = segmenter._run

    def spoilt(inputs):
        result = plainly(inputs)
        result.labels[0, 0], result.confidence[0, 0] = 255, 0
        return result

    segmenter._run = spoilt
    parity = gate(segmenter, golden, model)
    assert parity.agreement is not None and parity.agreement > 0.99
    assert parity.state == REJECTED
    assert "pixels are unlabelled, expected a label as ONNX Runtime gives" in parity.reason


@pytest.mark.parametrize("wrong", ["present", "count"])
@pytest.mark.parametrize("after", [False, True])
def test_answers_of_nan_about_phrases_are_a_fault(wrong, after):
    right = PhraseMaps(
        ("a",), np.zeros((1, 4, 4), np.uint8), np.array([0.5], np.float32), np.full((1, 6), 1 / 6, np.float32)
    )
    spoilt = replace(right, **{wrong: np.full_like(getattr(right, wrong), np.nan)})
    agreement = PhraseAgreement()
    for found in (spoilt, right) if after else (right, spoilt):
        agreement.add(found, right)
    assert agreement.faults() == ["presence or counts of phrases differ by nan, expected at most 0.05"]


def test_less_precision_may_differ_more(tmp_path):
    """One pixel in 30 wrong: too much for an fp32 model, and no more than fp16 may cost."""
    pytest.importorskip("onnx")
    from test.inference.small_model import golden_of, small_model

    model = small_model(tmp_path / "model.onnx")
    golden = golden_of(model)
    with np.load(golden) as arrays:
        changed = dict(arrays)
    for i in range(4):
        changed[f"output{i}/labels"][:, ::30] ^= 1
    np.savez(golden, **changed)
    segmenter = on_cpu(model)
    parity = gate(segmenter, golden, model)
    assert parity.state == REJECTED
    assert parity.agreement == pytest.approx(1 - 4 / 96, abs=0.01)
    segmenter.info = replace(segmenter.info, architecture={**segmenter.info.architecture, "precision": "fp16"})
    assert gate(segmenter, golden, model).state == PASSED


def test_golden_frames_are_scaled_pixel_by_pixel():
    frames, _ = read_golden(GOLDEN, read_model_info(MODEL))
    twice = scaled(frames[0], (640, 480))
    np.testing.assert_array_equal(twice.rgb, np.kron(frames[0].rgb, np.ones((2, 2, 1), np.uint8)))
    np.testing.assert_array_equal(twice.depth[::2, 1::2], frames[0].depth)
    half = scaled(frames[0], (160, 120))
    np.testing.assert_array_equal(half.depth, frames[0].depth[1::2, 1::2])


def test_without_a_golden_file_nothing_passes(tmp_path, itself):
    with pytest.raises(ModelError, match=r"model\.golden\.npz: no such file; .* no engine serves frames unchecked"):
        gate(itself, tmp_path / "model.golden.npz", MODEL)


@pytest.mark.parametrize("damage", ["cut", "text", "other", "empty", "sizes", "unsure"])
def test_a_golden_file_that_is_none_is_named(tmp_path, itself, damage):
    path = tmp_path / "x.golden.npz"
    with np.load(GOLDEN) as arrays:
        whole = dict(arrays)
    if damage == "cut":
        path.write_bytes(GOLDEN.read_bytes()[:-1000])
    elif damage == "text":
        path.write_text("hello", encoding="utf-8")
    elif damage == "other":
        shutil.copy(find_resource("models/warehouse_rgbt_nano.golden.npz"), path)
    elif damage == "empty":
        np.savez(path)
    elif damage == "sizes":
        np.savez(path, **{**whole, "output1/labels": whole["output1/labels"][:-1]})
    else:
        np.savez(path, **{name: array * ("confidence" not in name) for name, array in whole.items()})
    with pytest.raises(ModelError, match=r"x\.golden\.npz: "):
        gate(itself, path, MODEL)
