"""How large the values inside a network become on real frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, helper

from gemini_ros.precision.graph import element_types

Feeds = dict[str, np.ndarray]
_ERROR_LEVEL = 3


def largest_values(model: ModelProto, feeds: Iterable[Feeds]) -> dict[str, float]:
    """The largest absolute value of each float32 tensor that a node gives, over all ``feeds`` (inputs by name).

    NaN where one was NaN. Only the maxima leave the graph: the memory is that of one run.
    """
    types = element_types(model)
    names = [name for node in model.graph.node for name in node.output if types[name] == TensorProto.FLOAT]
    measured = ModelProto()
    measured.CopyFrom(model)
    outputs = {name: f"{name}_largest" for name in names}
    for name, output in outputs.items():
        measured.graph.node.append(helper.make_node("Abs", [name], [f"{name}_absolute"]))
        measured.graph.node.append(helper.make_node("ReduceMax", [f"{name}_absolute"], [output], keepdims=0))
        measured.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ()))
    session = session_of(measured)
    largest = np.zeros(len(outputs))
    for feed in feeds:
        largest = np.maximum(largest, session.run(list(outputs.values()), feed))
    return dict(zip(outputs, largest.tolist(), strict=True))


def session_of(model: ModelProto) -> onnxruntime.InferenceSession:
    """A graph in memory, ready to be run on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERROR_LEVEL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
