"""The metadata of a model file: what each format holds, and one sentence for each thing that is wrong."""

import copy
import json

import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import Calibration, Instances, Language, Modality, parse_model_info

RGB = {"name": "rgb", "kind": "srgb", "range": [-1, 256], "mean": [120, 110, 100], "std": [58, 57, 56.5]}
DEPTH = {"name": "depth", "kind": "metric", "unit": "m", "range": [0.1, 20], "mean": [3], "std": [2.5]}
THERMAL = {"name": "thermal", "kind": "radiometric", "unit": "degC", "range": [-40, 150], "mean": [20], "std": [8]}
EVENT = {"name": "event", "kind": "linear", "unit": "events/s", "range": [-5, 5], "mean": [0.5], "std": [2]}
LANGUAGE = {"encoder_sha256": "0123456789abcdef" * 4, "phrases": 4, "pieces": 16}
METADATA = {
    "format": 2,
    "label_set": load_label_set("warehouse").to_dict(),
    "modalities": [RGB, DEPTH],
    "network_size": [160, 120],
    "architecture": {"encoder": "nano"},
    "training_data": "none",
    "scores": {},
    "licence": "Apache-2.0",
    "commercial_use": "yes",
}


def parsed(**changes):
    return parse_model_info(json.dumps({**METADATA, **changes}), "x.onnx")


def test_format_2_without_what_is_optional():
    info = parsed()
    assert info.modality_names == ("rgb", "depth")
    assert info.modalities[0] == Modality(
        "rgb", "srgb", (-1.0, 256.0), (120.0, 110.0, 100.0), (58.0, 57.0, 56.5), (), ""
    )
    assert info.modalities[1] == Modality("depth", "metric", (0.1, 20.0), (3.0,), (2.5,), (), "m")
    assert (info.task, info.language, info.calibration, info.temperature) == ("segment", None, None, 1.0)
    assert info.network_size == (160, 120)


def test_modalities_of_any_name_and_order():
    radar = {**EVENT, "name": "radar_2", "unit": "dB", "channels": ["value", "contrast", "valid"]}
    info = parsed(modalities=[EVENT, radar, {**THERMAL, "kind": "linear", "unit": "counts"}, RGB])
    assert info.modality_names == ("event", "radar_2", "thermal", "rgb")
    assert [m.unit for m in info.modalities] == ["events/s", "dB", "counts", ""]
    assert info.modalities[1].channels == ("value", "contrast", "valid")
    assert parsed(modalities=[EVENT]).modality_names == ("event",)


def test_what_is_written_reads_the_same():
    label_set = copy.deepcopy(METADATA["label_set"])
    label_set["classes"][1] |= {"speed_percent": 30, "transparent": True, "instances": False}
    info = parsed(
        label_set=label_set,
        modalities=[{**EVENT, "channels": ["standard", "standard", "valid"]}, RGB, DEPTH],
        task="translate",
        target={"name": "depth", "range": [0.1, 20.0]},
        language=LANGUAGE,
        calibration={"temperature": 2},
    )
    assert info.language == Language("0123456789abcdef" * 4, 4, 16)
    assert (info.task, info.calibration, info.temperature) == ("translate", Calibration(2.0), 2.0)
    wall = info.label_set.classes[1]
    assert (wall.speed_percent, wall.transparent, wall.instances) == (30, True, False)
    assert parse_model_info(info.to_json(), "copy") == info
    assert set(json.loads(info.to_json())) == {*METADATA, "task", "target", "language", "calibration"}
    assert json.loads(parsed().to_json()) == METADATA


def without(entry, key):
    return {name: value for name, value in entry.items() if name != key}


def test_a_model_that_tells_things_apart_says_of_which_classes():
    names = [entry["name"] for entry in METADATA["label_set"]["classes"]]
    info = parsed(instances={"classes": names[1:]})
    assert info.instances == Instances(tuple(names[1:]))
    assert info.output_names == ("labels", "confidence", "logits", "centres", "offsets")
    assert parse_model_info(info.to_json(), "copy") == info
    for wrong, message in (
        ({"classes": ["unicorn"]}, r"instances: classes \['unicorn'\], expected some of"),
        ({"classes": []}, r"instances: classes \[\], expected some of"),
        ({"classes": [names[0], names[0]]}, "instances: classes .*, each once"),
        ({"classes": names[0]}, "instances: classes .*, expected some of"),
        ({}, "instances: keys"),
    ):
        with pytest.raises(ValueError, match=message):
            parsed(instances=wrong)
    with pytest.raises(ValueError, match="task translate with instances"):
        parsed(task="translate", target={"name": "depth", "range": [0.1, 20.0]}, instances={"classes": names[:1]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "metadata format 3, expected 1 or 2: use a release that knows it"),
        ({"format": "2"}, "metadata format '2', expected 1 or 2"),
        ({"format": True}, "metadata format True, expected 1 or 2"),
        (
            {"sores": {}},
            r"metadata: keys .*'sores'.*, expected exactly .* and any of \['calibration', 'graph_sha256', 'instan",
        ),
        ({"modalities": []}, r"modalities \[\], expected a list of 1 to 4"),
        ({"modalities": [{**EVENT, "name": f"a{i}"} for i in range(5)]}, "modalities .*, expected a list of 1 to 4"),
        ({"modalities": {"rgb": RGB}}, "modalities .*, expected a list of 1 to 4"),
        ({"modalities": [RGB, RGB]}, r"modalities \['rgb', 'rgb'\], expected each once"),
        ({"modalities": ["rgb"]}, "modality: expected a mapping, found str"),
        ({"modalities": [without(RGB, "name")]}, "modality None: expected an identifier"),
        ({"modalities": [{**EVENT, "name": "near-ir"}]}, "modality 'near-ir': expected an identifier"),
        ({"modalities": [{**EVENT, "name": "present"}]}, "modality present: this name is taken"),
        ({"modalities": [{**EVENT, "name": "logits"}]}, "modality logits: this name is taken"),
        ({"modalities": [without(EVENT, "unit")]}, "modality event: keys .*, expected exactly .*'unit'"),
        ({"modalities": [{**RGB, "unit": "counts"}]}, "modality rgb: keys .*'unit'.*, expected exactly"),
        ({"modalities": [{**RGB, "channels": ["value"] * 3}]}, "modality rgb: keys .*'channels'.*, expected exactly"),
        ({"modalities": [{**EVENT, "kind": "srgb"}]}, "modality event: kind 'srgb', expected one of linear"),
        ({"modalities": [{**EVENT, "kind": ["linear"]}]}, r"modality event: kind \['linear'\], expected one of linear"),
        ({"modalities": [{**DEPTH, "kind": "linear"}]}, "modality depth: kind 'linear', expected one of metric"),
        ({"modalities": [{**DEPTH, "unit": "mm"}]}, "modality depth: unit 'mm', expected 'm'"),
        ({"modalities": [{**THERMAL, "unit": "K"}]}, "modality thermal: unit 'K', expected 'degC'"),
        ({"modalities": [{**EVENT, "unit": ""}]}, "modality event: unit '', expected text of 1 to 32 characters"),
        ({"modalities": [{**EVENT, "unit": " "}]}, "modality event: unit ' ', expected text of 1 to 32 characters"),
        ({"modalities": [{**EVENT, "unit": "m\n"}]}, r"modality event: unit 'm\\n', expected text of 1 to 32"),
        ({"modalities": [{**EVENT, "unit": 1}]}, "modality event: unit 1, expected text of 1 to 32 characters"),
        (
            {"modalities": [{**EVENT, "unit": "x" * 33}]},
            "modality event: unit 'xxx.*, expected text of 1 to 32",
        ),
        (
            {"modalities": [{**EVENT, "range": [5, 5]}]},
            r"modality event: range \[5.0, 5.0\], .*; expected an increasing",
        ),
        ({"modalities": [{**EVENT, "range": [0, 10**400]}]}, "modality event: range .*, expected 2 finite numbers"),
        ({"modalities": [{**EVENT, "mean": [0, 0, 0]}]}, "modality event: mean .*, expected 1 finite numbers"),
        ({"modalities": [{**EVENT, "mean": [float("nan")]}]}, r"modality event: mean \[nan\], expected 1 finite"),
        ({"modalities": [{**EVENT, "std": [0]}]}, r"modality event: .*std \[0.0\]; expected .* std above 0"),
        ({"modalities": [{**EVENT, "std": ["1"]}]}, "modality event: std .*, expected 1 finite numbers"),
        (
            {"modalities": [{**EVENT, "channels": ["value", "red", "valid"]}]},
            "modality event: channels .*expected three",
        ),
        (
            {"network_size": [8192, 8192]},
            r"network_size \[8192, 8192\], expected \[width, height\] of 32-8192 and at most 3145728 pixels",
        ),
        ({"network_size": [160, 31]}, r"network_size \[160, 31\], expected \[width, height\] of 32-8192"),
        ({"architecture": []}, "architecture is list, expected dict"),
        ({"architecture": {"precision": "fp8"}}, "architecture: precision 'fp8', expected one of fp32, fp16, int8"),
        ({"architecture": {"precision": ["fp16"]}}, r"architecture: precision \['fp16'\], expected one of fp32"),
        ({"architecture": {"precision": None}}, "architecture: precision None, expected one of fp32"),
        ({"commercial_use": "perhaps"}, "commercial_use 'perhaps', expected one of yes, no, unknown"),
        ({"task": "detect"}, "task 'detect', expected one of segment, translate"),
        ({"task": None}, "task None, expected one of segment, translate"),
        ({"language": None}, "language: expected a mapping, found NoneType"),
        ({"language": without(LANGUAGE, "pieces")}, "language: keys .*, expected exactly .*'pieces'"),
        ({"language": {**LANGUAGE, "words": 3}}, "language: keys .*'words'.*, expected exactly"),
        (
            {"language": {**LANGUAGE, "encoder_sha256": "ab" * 31}},
            "language: encoder_sha256 'abab.*', expected 64 digits",
        ),
        (
            {"language": {**LANGUAGE, "encoder_sha256": "AB" * 32}},
            "language: encoder_sha256 'ABAB.*, expected 64",
        ),
        ({"language": {**LANGUAGE, "encoder_sha256": 0}}, "language: encoder_sha256 0, expected 64 digits"),
        ({"language": {**LANGUAGE, "phrases": 0}}, "language: phrases 0, expected a whole number 1-32"),
        ({"language": {**LANGUAGE, "phrases": 4.0}}, r"language: phrases 4\.0, expected a whole number 1-32"),
        ({"language": {**LANGUAGE, "phrases": True}}, "language: phrases True, expected a whole number 1-32"),
        ({"language": {**LANGUAGE, "pieces": 2}}, "language: pieces 2, expected a whole number 3-512"),
        ({"language": {**LANGUAGE, "pieces": 513}}, "language: pieces 513, expected a whole number 3-512"),
        ({"calibration": 1.5}, "calibration: expected a mapping, found float"),
        ({"calibration": {}}, r"calibration: keys \[\], expected exactly \['temperature'\]"),
        ({"calibration": {"temperature": 1, "bias": 0}}, "calibration: keys .*'bias'.*, expected exactly"),
        ({"calibration": {"temperature": 0}}, r"calibration: temperature 0, expected a number 0\.01-100"),
        ({"calibration": {"temperature": -1.5}}, r"calibration: temperature -1\.5, expected a number"),
        ({"calibration": {"temperature": float("nan")}}, "calibration: temperature nan, expected a number"),
        ({"calibration": {"temperature": float("inf")}}, "calibration: temperature inf, expected a number"),
        ({"calibration": {"temperature": "2"}}, "calibration: temperature '2', expected a number"),
        ({"calibration": {"temperature": True}}, "calibration: temperature True, expected a number"),
    ],
)
def test_what_is_wrong_in_format_2_is_named(changes, message):
    with pytest.raises(ValueError, match=rf"^x\.onnx: {message}"):
        parsed(**changes)


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, '{"format": 2'])
def test_what_is_no_json_is_named(text):
    with pytest.raises(ValueError, match=r"x\.onnx: metadata gemini_ros is not JSON"):
        parse_model_info(text, "x.onnx")


OLD = {"format": 1, "modalities": [RGB, without(DEPTH, "unit")]}


def test_format_1_gets_the_units():
    assert [m.unit for m in parsed(**OLD).modalities] == ["", "m"]
    linear = {**without(THERMAL, "unit"), "kind": "linear"}
    thermal = [without(THERMAL, "unit"), linear]
    assert [parsed(format=1, modalities=[each]).modalities[0].unit for each in thermal] == ["degC", "counts"]
    written = json.loads(parsed(**OLD).to_json())
    assert (written["format"], written["modalities"][1]) == (2, DEPTH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "segment"}, r"metadata: keys .*'task'.*, expected exactly .*\]$"),
        ({"calibration": {"temperature": 1.0}}, "metadata: keys .*'calibration'.*, expected exactly"),
        ({"modalities": [without(EVENT, "unit")]}, "modality event: expected one of rgb, depth, thermal"),
        ({"modalities": [DEPTH]}, "modality: keys .*'unit'.*, expected exactly"),
        ({"modalities": [{**RGB, "name": ["rgb"]}]}, r"modality \['rgb'\]: expected one of rgb, depth, thermal"),
        ({"modalities": ["rgb"]}, "modality: expected a mapping, found str"),
    ],
)
def test_format_1_holds_nothing_of_format_2(changes, message):
    with pytest.raises(ValueError, match=rf"^x\.onnx: {message}"):
        parsed(**{**OLD, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": "translate"}, "task translate with no target"),
        ({"target": {"name": "depth", "range": [0.1, 20.0]}}, "task segment with a target"),
        (
            {"task": "translate", "target": {"name": "smell", "range": [0, 1]}},
            "target 'smell', expected one of depth, rgb",
        ),
        (
            {"task": "translate", "target": {"name": "depth", "range": [0, 9]}},
            "expected an increasing one from 0.001 on",
        ),
        ({"task": "translate", "target": {"name": "rgb", "range": [9, 9]}}, "expected an increasing one from 0 on"),
    ],
)
def test_targets_that_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        parsed(**changes)
