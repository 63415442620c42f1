"""A quantised graph: in the form that TensorRT takes, and close to what it was made from."""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from gemini_ros.precision.fp16 import to_fp16  # noqa: E402
from gemini_ros.precision.graph import load_plain, products_with_weights  # noqa: E402
from gemini_ros.precision.int8 import to_int8  # noqa: E402
from gemini_ros.precision.ranges import largest_values  # noqa: E402
from test.precision.graphs import chain, computing, inputs, interface, run  # noqa: E402

TINY = Path(__file__).parents[1] / "fixtures" / "tiny_rgb_depth.onnx"


@pytest.fixture(scope="module")
def plain():
    return load_plain(TINY)


@pytest.fixture(scope="module")
def largest(plain):
    return largest_values(plain, [inputs(seed) for seed in range(3)])


@pytest.fixture(scope="module")
def quantised(plain, largest):
    return to_int8(plain, largest)


def test_scales_are_of_the_ranges_and_zero_points_zero(plain, largest, quantised):
    onnx.checker.check_model(quantised, full_check=True)
    assert interface(quantised) == interface(plain)
    assert {(opset.domain, opset.version) for opset in quantised.opset_import} == {("", 18)}
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    pairs = [node for node in quantised.graph.node if node.op_type == "QuantizeLinear"]
    assert {node.input[0] for node in pairs} == {node.input[0] for node in products_with_weights(plain)}
    for node in quantised.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = arrays[node.input[2]]
            assert zero.dtype == np.int8 and not zero.any(), node.name
    for node in pairs:
        # 255 steps from -x to x, or 254.
        assert largest[node.input[0]] / arrays[node.input[1]] == pytest.approx(127.25, abs=0.3)


def test_weights_are_int8_per_channel_and_biases_are_not(plain, quantised):
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain.graph.initializer}
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    made_by = {name: node for node in quantised.graph.node for name in node.output}
    of_output = {node.output[0]: node for node in quantised.graph.node}
    seen = 0
    for node in products_with_weights(plain):
        product = of_output[node.output[0]]
        weight = made_by[product.input[1]]
        assert made_by[product.input[0]].op_type == weight.op_type == "DequantizeLinear"
        stored, scale = arrays[weight.input[0]], arrays[weight.input[1]]
        axis = next(a.i for a in weight.attribute if a.name == "axis")
        assert stored.dtype == np.int8 and scale.shape == (stored.shape[axis],)
        width = np.expand_dims(scale, tuple(i for i in range(stored.ndim) if i != axis))
        assert (np.abs(stored * width - before[node.input[1]]) <= 0.51 * width).all()
        if len(node.input) == 3 and node.input[2] in before:  # one that two products share may be copied
            np.testing.assert_array_equal(arrays[product.input[2]], before[node.input[2]])
        seen += 1
    assert seen > 40
    attention = [n for n in plain.graph.node if n.op_type == "MatMul" and n.input[1] not in before]
    assert attention and all(list(of_output[n.output[0]].input) == list(n.input) for n in attention)


def test_around_it_all_is_fp16(quantised):
    mixed = to_fp16(quantised)
    found = computing(mixed, "QuantizeLinear", "DequantizeLinear", "Gemm", "Softmax", "Erf")
    assert found == {
        **{name: {TensorProto.FLOAT} for name in ("QuantizeLinear", "DequantizeLinear", "Gemm", "Softmax")},
        "Erf": {TensorProto.FLOAT16},
    }


def test_logits_are_close(plain, quantised):
    expected = run(plain)
    for model in (quantised, to_fp16(quantised)):
        error = run(model) - expected
        assert 0 < error.std() < 0.1 * expected.std()


def test_what_is_kept_is_not_quantised(plain, largest):
    chosen = {node.output[0] for node in products_with_weights(plain) if node.op_type == "Gemm"}
    model = to_int8(plain, largest, chosen)
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    for node in products_with_weights(model):
        assert node.output[0] in chosen
    quantised = {n.output[0] for n in model.graph.node if made_by.get(n.input[0]) == "DequantizeLinear"}
    assert quantised == {node.output[0] for node in products_with_weights(plain)} - chosen


def test_stacks_of_matrices_are_left_alone():
    matrix, stack = np.eye(4, dtype=np.float32), np.ones((3, 4, 4), np.float32)
    model = chain(
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("MatMul", ["same", "matrix"], ["one"]),
        helper.make_node("MatMul", ["one", "stack"], ["three"]),
        helper.make_node("ReduceSum", ["three", "axis"], ["y"], keepdims=0),
        constants={"matrix": matrix, "stack": stack, "axis": np.array([0])},
    )
    assert [node.output[0] for node in products_with_weights(model)] == ["one"]
    x = np.array([[1, 2, -3, 4], [5, -6, 7, 0]], np.float32)
    quantised = to_int8(model, largest_values(model, [{"x": x}]))
    np.testing.assert_allclose(run(quantised, "y", x=x), run(model, "y", x=x), atol=12 * 7 / 254)
