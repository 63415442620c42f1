"""What the tests of converted graphs ask of them."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from gemini_ros.precision.graph import element_types
from gemini_ros.precision.ranges import session_of

ROWS, COLUMNS = 96, 136


def inputs(seed: int = 3) -> dict[str, np.ndarray]:
    """A frame for an RGB-D model, with holes in the depth."""
    random = np.random.default_rng(seed)
    depth = random.uniform(0.5, 8, (1, ROWS, COLUMNS)).astype(np.float32)
    depth[:, 20:40, 30:70] = np.nan
    return {
        "rgb": random.integers(0, 256, (1, ROWS, COLUMNS, 3), dtype=np.uint8),
        "depth": depth,
        "present": np.ones(2, np.float32),
    }


def run(model: ModelProto, output: str = "logits", **feed: np.ndarray) -> np.ndarray:
    return np.asarray(session_of(model).run([output], feed or inputs())[0])


def computing(model: ModelProto, *operators: str) -> dict[str, set[int]]:
    """Element types of the floating-point inputs and outputs of all nodes of these operators."""
    types = element_types(model)
    floats = {TensorProto.FLOAT, TensorProto.FLOAT16}
    return {
        operator: {
            types[name]
            for node in model.graph.node
            if node.op_type == operator
            for name in (*node.input, *node.output)
            if name and types[name] in floats
        }
        for operator in operators
    }


def interface(model: ModelProto) -> list[tuple[str, int, list[int | str]]]:
    """Name, type and shape of every input and output."""
    return [
        (
            value.name,
            value.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
        )
        for value in (*model.graph.input, *model.graph.output)
    ]


def chain(*nodes: NodeProto, constants: dict[str, np.ndarray]) -> ModelProto:
    """A model from ``x`` (2, 4) to ``y``, float32."""
    for node in nodes:
        node.name = node.output[0]
    from onnx import numpy_helper

    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
