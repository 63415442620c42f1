"""Sessions of ONNX Runtime: as far as their outputs need, with the threads that they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from gemini_ros.core.model_info import METADATA_KEY
from gemini_ros.core.onnx_file import HASH_KEY
from gemini_ros.inference.model_file import ModelError, read_model_info
from gemini_ros.inference.onnx import OnnxSegmenter
from gemini_ros.inference.onnx_session import OnnxSession

MODELS = Path(__file__).parents[2] / "models"
SHIPPED = sorted(MODELS.glob("*.onnx"))
PHRASES = MODELS / "warehouse_rgbdt_phrases_nano.onnx"
SPINNING = "session.intra_op.allow_spinning"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_session_as_far_as_the_logits_computes_the_whole_files_logits(path: Path):
    random, inputs = np.random.default_rng(0), {}
    whole = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    for value in whole.get_inputs():
        shape = [side if isinstance(side, int) else {1: 96, 2: 128}[axis] for axis, side in enumerate(value.shape)]
        made = random.random(shape, np.float32)
        inputs[value.name] = (made * 255).astype(np.uint8) if value.type == "tensor(uint8)" else made
    inputs["present"] = np.ones_like(inputs["present"])
    session = OnnxSession(path, read_model_info(path), ["logits"], 1)
    np.testing.assert_array_equal(session.run(inputs)[0], whole.run(["logits"], inputs)[0])


def test_with_no_phrase_in_force_the_branch_is_not_even_loaded():
    segmenter = OnnxSegmenter(PHRASES, read_model_info(PHRASES), "", None, 1)
    outputs = [value.name for value in segmenter._without_phrases._session.get_outputs()]
    assert outputs == ["logits"]
    asked = segmenter._with_phrases
    assert asked is not None
    outputs = {value.name for value in asked._session.get_outputs()}
    assert outputs == {"logits", "phrase_prob", "phrase_present", "phrase_count"}


def test_an_interface_that_is_damaged_is_told(tmp_path: Path):
    """The file has no hash, and what precedes the graph's outputs can be read."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(SHIPPED[0])
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    entry.value = json.dumps({k: v for k, v in json.loads(entry.value).items() if k != HASH_KEY})
    data, name = model.SerializeToString(), b"\x0a\x0aconfidence"  # ValueInfoProto.name of ten letters
    path = tmp_path / "damaged.onnx"
    assert data.count(name) == 1
    path.write_bytes(data.replace(name, b"\x0a\x7fconfidence"))
    with pytest.raises(ModelError, match="damaged or not ONNX"):
        OnnxSession(path, read_model_info(path), ["logits"], 1)


def test_an_output_that_the_file_has_not_is_told():
    with pytest.raises(ModelError, match="ONNX Runtime cannot run it: "):
        OnnxSession(SHIPPED[0], read_model_info(SHIPPED[0]), ["centres"], 1).try_out({})


@pytest.mark.parametrize("spin", ["0", "1"])
def test_a_kind_of_segmenter_may_have_entries_of_its_own(spin: str):
    kind = type("Kind", (OnnxSegmenter,), {"session_entries": {SPINNING: spin}})
    segmenter = kind(SHIPPED[0], read_model_info(SHIPPED[0]), "", None, 1)
    options = segmenter._without_phrases._session.get_session_options()
    assert options.get_session_config_entry(SPINNING) == spin
