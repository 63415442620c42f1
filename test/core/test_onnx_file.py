"""Graphs cut short: what is asked for stays as it was, and nothing else is computed."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor

from gemini_ros.core.onnx_file import as_far_as, interface

SHIPPED = Path(__file__).parents[2] / "models/warehouse_rgbd_nano.onnx"
SIDES = "Add", "Mul", "Sub", "Max"
VALUES = np.float32([[0.5, -2, 3, 1]])


def any_graph(seed: int) -> bytes:
    """A random graph of twenty nodes, some with an input left out, with weights used once, often or never."""
    choice = random.Random(seed)
    weights = [numpy_helper.from_array(np.float32([[i + 1, -i, 2, 0.5]]), f"weight {i}") for i in range(8)]
    known, nodes = ["image", "unused"], list[onnx.NodeProto]()
    for i in range(20):
        if choice.random() < 0.2:
            nodes.append(helper.make_node("Clip", [choice.choice(known), "", "most"], [f"{i}"]))
        else:
            sides = [choice.choice(known), choice.choice([*known, *(weight.name for weight in weights)])]
            nodes.append(helper.make_node(choice.choice(SIDES), sides, [f"{i}"]))
        known.append(f"{i}")
    weights.append(numpy_helper.from_array(np.float32(40), "most"))
    shape = [1, 4]
    graph = helper.make_graph(
        nodes,
        "any",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "unused")],
        [helper.make_tensor_value_info(f"{i}", TensorProto.FLOAT, shape) for i in (3, 11, 19)],
        weights,
        value_info=[helper.make_tensor_value_info(f"{i}", TensorProto.FLOAT, shape) for i in (1, 2, 10)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], model_version=-1)
    helper.set_model_props(model, {"about": "kept"})
    return model.SerializeToString()


def computed(data: bytes, outputs: list[str]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(outputs, {"image": VALUES, "unused": VALUES + 1})


@pytest.mark.parametrize("outputs", [["3"], ["11"], ["19"], ["19", "3"], ["3", "11", "19"]], ids="-".join)
@pytest.mark.parametrize("seed", range(6))
def test_a_cut_graph_holds_what_its_outputs_need_and_gives_the_same(seed: int, outputs: list[str]):
    data = any_graph(seed)
    whole, cut = onnx.load_from_string(data), onnx.load_from_string(as_far_as(data, outputs))
    onnx.checker.check_model(cut, full_check=True)
    expected = Extractor(whole).extract_model(["image", "unused"], outputs).graph
    assert [node.output for node in cut.graph.node] == [node.output for node in expected.node]
    assert {weight.name for weight in cut.graph.initializer} == {weight.name for weight in expected.initializer}
    assert {value.name for value in cut.graph.output} == set(outputs)
    assert [value.name for value in cut.graph.input] == ["image", "unused"]
    assert (cut.model_version, cut.metadata_props) == (-1, whole.metadata_props)
    for one, other in zip(computed(data, outputs), computed(cut.SerializeToString(), outputs), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_graph_cut_for_all_of_its_outputs_keeps_each_byte():
    data = SHIPPED.read_bytes()
    assert as_far_as(data, interface(data)[1]) == data


def test_a_graph_whose_nodes_hold_graphs_stays_whole():
    true, x = (helper.make_tensor_value_info(n, kind, s) for n, kind, s in [("c", 9, []), ("x", 1, [2])])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    branch = helper.make_graph([helper.make_node("Neg", ["hidden"], ["y"])], "branch", [], [made])
    nodes = [
        helper.make_node("Abs", ["x"], ["hidden"]),  # named by no node, only inside of one
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    data = helper.make_model(helper.make_graph(nodes, "if", [true, x], [made])).SerializeToString()
    assert as_far_as(data, ["y"]) == data


def test_the_interface_is_without_inputs_that_have_a_value():
    weight = numpy_helper.from_array(np.float32([1]), "w")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "w", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "add", values[:2], values[2:], [weight])
    assert interface(helper.make_model(graph).SerializeToString()) == (["x"], ["y"])
