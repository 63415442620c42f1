"""A model file in miniature: the whole contract with a network of one convolution, whose engines build at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gemini_ros.core.frames import Frame
from gemini_ros.core.model_info import METADATA_KEY
from gemini_ros.inference import load_segmenter, read_model_info
from gemini_ros.inference.gate import golden_path, write_golden
from test.inference.test_segmenter import FIXTURES

NETWORK = (64, 48)
CLASSES = 10


def small_model(path: Path, *, gain: float = 0.1, shift: int = 0) -> Path:
    """Takes RGB; a class is a direction of colour. ``shift`` calls each by another's number, ``gain`` is certainty."""
    random = np.random.default_rng(3)
    weights = np.roll(random.normal(size=(CLASSES, 3, 1, 1)), shift, axis=0).astype(np.float32) * gain
    constants = {
        "weights": weights,
        "mean": np.float32(128),
        "quarter": np.array([1, 3, NETWORK[1] // 4, NETWORK[0] // 4], np.int64),
        "head": np.array([1, CLASSES], np.int64),
        "one": np.array([1, 1], np.int64),
        "from": np.array([1], np.int64),
        "to": np.array([3], np.int64),
        "class": np.array([1], np.int64),
        "white": np.float32(255),
    }
    linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    steps = [
        ("Cast", "rgb", "a", {"to": TensorProto.FLOAT}),
        ("Sub", "a mean", "b", {}),
        ("Mul", "b present", "c", {}),
        ("Transpose", "c", "d", {"perm": [0, 3, 1, 2]}),
        ("Resize", "d   quarter", "e", linear),
        ("Conv", "e weights", "logits", {}),
        ("Shape", "rgb", "s", {}),
        ("Slice", "s from to", "hw", {}),
        ("Concat", "head hw", "full", {"axis": 0}),
        ("Concat", "one hw", "flat", {"axis": 0}),
        ("Resize", "logits   full", "big", linear),
        ("ArgMax", "big", "best", {"axis": 1, "keepdims": 0}),
        ("Cast", "best", "bestf", {"to": TensorProto.FLOAT}),
        ("Cast", "bestf", "labels", {"to": TensorProto.UINT8}),
        ("Softmax", "logits", "p", {"axis": 1}),
        ("ReduceMax", "p class", "largest", {"keepdims": 1}),
        ("Resize", "largest   flat", "up", linear),
        ("Mul", "up white", "bytes", {}),
        ("Round", "bytes", "rounded", {}),
        ("Squeeze", "rounded class", "plane", {}),
        ("Cast", "plane", "confidence", {"to": TensorProto.UINT8}),
    ]
    image = [1, "H", "W"]
    graph = helper.make_graph(
        [helper.make_node(kind, given.split(" "), [made], name=made, **more) for kind, given, made, more in steps],
        "small",
        [
            helper.make_tensor_value_info("rgb", TensorProto.UINT8, [*image, 3]),
            helper.make_tensor_value_info("present", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("labels", TensorProto.UINT8, image),
            helper.make_tensor_value_info("confidence", TensorProto.UINT8, image),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES, NETWORK[1] // 4, NETWORK[0] // 4]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    info = dataclasses.replace(read_model_info(FIXTURES / "tiny_rgb.onnx"), network_size=NETWORK)
    model.metadata_props.add(key=METADATA_KEY, value=info.to_json())
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


def golden_of(model: Path, size: tuple[int, int] = (96, 80)) -> Path:
    """Write the golden file beside a model: coloured patches, so that edges are few."""
    random = np.random.default_rng(4)
    width, height = size
    frames = [
        Frame(i, "golden", rgb=np.kron(random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8), patch))
        for i in range(4)
        for patch in [np.ones((16, 16, 1), np.uint8)]
    ]
    segmenter = load_segmenter(model, backend="onnxruntime", threads=1)
    write_golden(golden_path(model), frames, [segmenter.segment(frame) for frame in frames])
    return golden_path(model)
