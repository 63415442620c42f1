"""A model file in miniature: the whole contract with a network of one convolution, whose engines build at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gemini_ros.core.frames import Frame
from gemini_ros.core.model_info import CELSIUS, METADATA_KEY, METRES, Calibration, Modality
from gemini_ros.inference import load_segmenter, read_model_info
from gemini_ros.inference.gate import golden_path, write_golden
from test.inference.test_segmenter import FIXTURES

NETWORK = (64, 48)
CLASSES = 10


def modality(name: str) -> Modality:
    """RGB, depth in metres, thermal in degrees Celsius, and others by name, between -5 and 5 of their own unit."""
    if name == "rgb":
        return Modality("rgb", "srgb", (-1.0, 256.0), (128.0, 128.0, 128.0), (1.0, 1.0, 1.0))
    if name == "depth":
        return Modality("depth", "metric", (0.1, 20.0), (3.0,), (0.05,), unit=METRES)
    if name == "thermal":
        return Modality("thermal", "radiometric", (-40.0, 120.0), (20.0,), (0.5,), unit=CELSIUS)
    return Modality(name, "linear", (-5.0, 5.0), (0.5,), (0.02,), unit="arbitrary")


def small_model(
    path: Path,
    *,
    gain: float = 0.1,
    shift: int = 0,
    modalities: tuple[str, ...] = ("rgb",),
    temperature: float | None = None,
) -> Path:
    """Takes RGB; a class is a direction of colour. ``shift`` calls each by another's number, ``gain`` is certainty.

    With other ``modalities`` a class is a direction in the space of all their channels.
    """
    taken = [modality(name) for name in modalities]
    random = np.random.default_rng(3)
    channels = sum(len(each.mean) for each in taken)
    weights = np.roll(random.normal(size=(CLASSES, channels, 1, 1)), shift, axis=0).astype(np.float32) * gain
    constants = {
        "weights": weights,
        "head": np.array([1, CLASSES], np.int64),
        "one": np.array([1, 1], np.int64),
        "from": np.array([1], np.int64),
        "to": np.array([3], np.int64),
        "class": np.array([1], np.int64),
        "white": np.float32(255),
        "temperature": np.float32(temperature or 1),
        "zero": np.float32(0),
    }
    linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    steps, planes = [], []
    for index, each in enumerate(taken):
        found, added = _plane(each, index, len(taken))
        steps += found
        constants |= added
        planes.append(f"{each.name}_plane")
    steps += [
        ("Concat", " ".join(planes), "planes", {"axis": 1}),
        ("Conv", "planes weights", "logits", {}),
        ("Shape", modalities[0], "s", {}),
        ("Slice", "s from to", "hw", {}),
        ("Concat", "head hw", "full", {"axis": 0}),
        ("Concat", "one hw", "flat", {"axis": 0}),
        ("Resize", "logits   full", "big", linear),
        ("ArgMax", "big", "best", {"axis": 1, "keepdims": 0}),
        ("Cast", "best", "bestf", {"to": TensorProto.FLOAT}),
        ("Cast", "bestf", "labels", {"to": TensorProto.UINT8}),
        ("Div", "logits temperature", "scaled", {}),
        ("Softmax", "scaled", "p", {"axis": 1}),
        ("ReduceMax", "p class", "largest", {"keepdims": 1}),
        ("Resize", "largest   flat", "up", linear),
        ("Mul", "up white", "bytes", {}),
        ("Round", "bytes", "rounded", {}),
        ("Squeeze", "rounded class", "plane", {}),
        ("Cast", "plane", "confidence", {"to": TensorProto.UINT8}),
    ]
    used = {name for _, given, _, _ in steps for name in given.split(" ")}
    image = [1, "H", "W"]
    graph = helper.make_graph(
        [helper.make_node(kind, given.split(" "), [made], name=made, **more) for kind, given, made, more in steps],
        "small",
        [
            *(
                helper.make_tensor_value_info("rgb", TensorProto.UINT8, [*image, 3])
                if name == "rgb"
                else helper.make_tensor_value_info(name, TensorProto.FLOAT, image)
                for name in modalities
            ),
            helper.make_tensor_value_info("present", TensorProto.FLOAT, [len(taken)]),
        ],
        [
            helper.make_tensor_value_info("labels", TensorProto.UINT8, image),
            helper.make_tensor_value_info("confidence", TensorProto.UINT8, image),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES, NETWORK[1] // 4, NETWORK[0] // 4]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    info = dataclasses.replace(
        read_model_info(FIXTURES / "tiny_rgb.onnx"),
        network_size=NETWORK,
        modalities=tuple(taken),
        calibration=None if temperature is None else Calibration(temperature),
    )
    model.metadata_props.add(key=METADATA_KEY, value=info.to_json())
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


def _plane(each: Modality, index: int, count: int) -> tuple[list, dict]:
    """Nodes that make ``NAME_plane``, (1, channels, h/4, w/4): normalised, 0 where not valid or not present."""
    name = each.name
    constants = {
        f"{name}_mean": np.float32(each.mean[0]),
        f"{name}_std": np.float32(each.std[0]),
        f"{name}_quarter": np.array([1, len(each.mean), NETWORK[1] // 4, NETWORK[0] // 4], np.int64),
        f"{name}_from": np.array([index], np.int64),
        f"{name}_to": np.array([index + 1], np.int64),
    }
    present, steps = "present", []
    if count > 1:
        present = f"{name}_present"
        steps.append(("Slice", f"present {name}_from {name}_to", present, {}))
    if name == "rgb":
        steps += [
            ("Cast", "rgb", "a", {"to": TensorProto.FLOAT}),
            ("Sub", "a rgb_mean", "b", {}),
            ("Mul", f"b {present}", "c", {}),
            ("Transpose", "c", "rgb_full", {"perm": [0, 3, 1, 2]}),
        ]
    else:
        low, high = each.range
        constants |= {f"{name}_low": np.float32(low), f"{name}_high": np.float32(high)}
        steps += [
            ("Greater", f"{name} {name}_low", f"{name}_above", {}),
            ("Less", f"{name} {name}_high", f"{name}_below", {}),
            ("Greater", f"{present} zero", f"{name}_there", {}),
            ("And", f"{name}_above {name}_below", f"{name}_inside", {}),
            ("And", f"{name}_inside {name}_there", f"{name}_valid", {}),
            ("Sub", f"{name} {name}_mean", f"{name}_a", {}),
            ("Div", f"{name}_a {name}_std", f"{name}_b", {}),
            ("Where", f"{name}_valid {name}_b zero", f"{name}_c", {}),
            ("Unsqueeze", f"{name}_c class", f"{name}_full", {}),
        ]
    linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return [*steps, ("Resize", f"{name}_full   {name}_quarter", f"{name}_plane", linear)], constants


def patches(names: Sequence[str], size: tuple[int, int] = (96, 80), count: int = 4) -> list[Frame]:
    """Frames of patches of one value each, so that edges are few."""
    random = np.random.default_rng(4)
    rows, columns = size[1] // 16, size[0] // 16

    def image(name: str) -> np.ndarray:
        if name == "rgb":
            return np.kron(random.integers(0, 256, (rows, columns, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
        low, high = modality(name).range
        values = random.uniform(low, high, (rows, columns)).astype(np.float32)
        return np.kron(values, np.ones((16, 16), np.float32))

    return [Frame.from_images(i, "golden", {name: image(name) for name in names}) for i in range(count)]


def golden_of(model: Path, size: tuple[int, int] = (96, 80)) -> Path:
    """Write the golden file beside a model."""
    frames = patches(read_model_info(model).modality_names, size)
    segmenter = load_segmenter(model, backend="onnxruntime", threads=1)
    write_golden(golden_path(model), frames, [segmenter.segment(frame) for frame in frames])
    return golden_path(model)
