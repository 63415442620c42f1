"""A graph in fp16: which nodes are, which are not, and that it says the same."""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from gemini_ros.precision.fp16 import to_fp16, with_fp16_rounded  # noqa: E402
from gemini_ros.precision.graph import between_products, element_types, load_plain  # noqa: E402
from gemini_ros.precision.ranges import largest_values  # noqa: E402
from test.precision.graphs import chain, computing, inputs, interface, run  # noqa: E402

TINY = Path(__file__).parents[1] / "fixtures" / "tiny_rgb_depth.onnx"
HALF, WHOLE = {TensorProto.FLOAT16}, {TensorProto.FLOAT}


@pytest.fixture(scope="module")
def plain():
    return load_plain(TINY)


@pytest.fixture(scope="module")
def half(plain):
    return to_fp16(plain)


def test_the_plain_graph_is_the_same_with_fp32_constants(plain):
    np.testing.assert_allclose(run(plain), run(onnx.load(TINY)), atol=1e-4)
    constants = {tensor.name for tensor in plain.graph.initializer}
    assert not [n for n in plain.graph.node if n.op_type in ("Cast", "Transpose") and n.input[0] in constants]
    assert not [tensor.name for tensor in plain.graph.initializer if tensor.data_type == TensorProto.FLOAT16]


def test_inputs_outputs_and_operators_stay(plain, half):
    onnx.checker.check_model(half, full_check=True)
    assert interface(half) == interface(plain)
    assert [(opset.domain, opset.version) for opset in half.opset_import] == [("", 18)]
    assert {node.domain for node in half.graph.node} == {""}
    assert [n.op_type for n in half.graph.node if n.op_type != "Cast"] == [
        n.op_type for n in plain.graph.node if n.op_type != "Cast"
    ]


def test_products_are_fp16_and_norms_fp32(plain, half):
    assert computing(half, "LayerNormalization", "Softmax", "ArgMax", "Where", "Gemm", "Erf") == {
        **dict.fromkeys(("LayerNormalization", "Softmax", "ArgMax", "Where"), WHOLE),
        **dict.fromkeys(("Gemm", "Erf"), HALF),
    }
    types = element_types(half)
    whole = [n.output[0] for n in half.graph.node if n.op_type in ("Conv", "MatMul") and types[n.input[0]] not in HALF]
    assert whole == ["logits"]  # what an output is made by
    weights = [t for t in half.graph.initializer if np.prod(t.dims) > 128 and t.data_type != TensorProto.INT64]
    assert {t.data_type for t in weights if len(t.dims) > 1 and t.dims[0] != 10} == HALF


def test_the_two_ends_are_outside(plain):
    inside = between_products(plain)
    made_by = {name: node.op_type for node in plain.graph.node for name in node.output}
    before = {"Greater", "Less", "And", "Where"}
    after = {"ArgMax", "Floor", "ReduceMax"}
    assert before | after <= set(made_by.values())
    assert not (before | after) & {made_by[name] for name in inside}


def test_nothing_is_cast_twice(half):
    casts = [(n.input[0], n.attribute[0].i) for n in half.graph.node if n.op_type == "Cast"]
    assert len(casts) == len(set(casts))
    made_by = {name: node.op_type for node in half.graph.node for name in node.output}
    assert not [
        n.name
        for n in half.graph.node
        if n.op_type == "Cast" and made_by.get(n.input[0]) == "Cast" and n.output[0] != "labels"
    ]


def test_logits_are_close_with_every_value_rounded(plain, half):
    """onnx's own evaluator rounds where ONNX Runtime, which has no fp16 on a CPU, may not."""
    expected = run(plain)
    with np.errstate(over="ignore", invalid="ignore"):  # in branches that it then leaves out
        (rounded,) = ReferenceEvaluator(half).run(["logits"], inputs())
    assert rounded.dtype == np.float32
    error = np.abs(rounded - expected).mean()
    assert 0 < error < 0.005 * expected.std()
    # What is judged by: it rounds as much, but for the sums inside products.
    rounding = with_fp16_rounded(half)
    onnx.checker.check_model(rounding, full_check=True)
    assert TensorProto.FLOAT16 not in element_types(rounding).values()
    assert 0.5 * error < np.abs(run(rounding) - expected).mean() < 1.5 * error


def test_rounding_is_that_of_fp16():
    model = chain(
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["half"], ["y"], to=TensorProto.FLOAT),
        constants={},
    )
    x = np.array([[1 / 3, -1000.3, 65503, 0], [2049, 2051, 6.2e-5, -0.1]], np.float32)
    expected = x.astype(np.float16).astype(np.float32)
    assert (expected != x).sum() == 7
    np.testing.assert_array_equal(run(with_fp16_rounded(model), "y", x=x), expected)
    far = np.array([[65519.9, 65520, -65520, -65519.9], [7e4, -3e38, -np.inf, np.nan]], np.float32)
    with np.errstate(over="ignore"):
        expected = far.astype(np.float16).astype(np.float32)
    assert np.isinf(expected).sum() == 5
    np.testing.assert_array_equal(run(with_fp16_rounded(model), "y", x=far), expected)


def test_what_is_kept_stays_fp32(plain):
    first = next(node.output[0] for node in plain.graph.node if node.op_type == "Gemm")
    types = element_types(to_fp16(plain, {first}))
    assert types[first] == TensorProto.FLOAT
    assert element_types(to_fp16(plain))[first] == TensorProto.FLOAT16


def overflowing():
    """(x A) 1e4 1e4 1e-8 A: too large for fp16 between, and with a factor too small for it."""
    rise, fall = np.array(1e4, np.float32), np.array(1e-8, np.float32)
    return chain(
        helper.make_node("MatMul", ["x", "a"], ["first"]),
        helper.make_node("Mul", ["first", "rise"], ["large"]),
        helper.make_node("Mul", ["large", "rise"], ["larger"]),
        helper.make_node("Mul", ["larger", "fall"], ["back"]),
        helper.make_node("Relu", ["back"], ["positive"]),
        helper.make_node("MatMul", ["positive", "a"], ["last"]),
        helper.make_node("Identity", ["last"], ["y"]),
        constants={"a": np.eye(4, dtype=np.float32), "rise": rise, "fall": fall},
    )


def test_ranges_are_exact_and_say_where_fp16_ends():
    model = overflowing()
    x = np.array([[1, 2, -3, 4], [5, -6, 7, 0]], np.float32)
    largest = largest_values(model, [{"x": x}, {"x": x / 2}])
    assert largest["first"] == 7 and largest["large"] == 7e4 and largest["positive"] == 7
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(ReferenceEvaluator(to_fp16(model)).run(["y"], {"x": x})[0]).any()
    kept = to_fp16(model, too_large={name for name, value in largest.items() if value > 65504})
    np.testing.assert_allclose(run(kept, "y", x=x), np.maximum(x, 0), rtol=1e-3)
    types = element_types(kept)
    assert types["first"] == types["positive"] == TensorProto.FLOAT16
    assert types["back"] == TensorProto.FLOAT  # 1e-8 is 0 in fp16
    assert np.isnan(largest_values(model, [{"x": x * np.nan}])["first"])


def test_who_takes_a_value_too_large_for_fp16_stays_fp32():
    """A product alone between two others, which would get it as infinity."""
    model = chain(
        helper.make_node("MatMul", ["x", "rise"], ["large"]),
        helper.make_node("MatMul", ["large", "fall"], ["back"]),
        helper.make_node("MatMul", ["back", "a"], ["last"]),
        helper.make_node("MatMul", ["last", "a"], ["end"]),
        helper.make_node("Identity", ["end"], ["y"]),
        constants={"a": np.eye(4, dtype=np.float32)}
        | {name: (np.eye(4) * by).astype(np.float32) for name, by in (("rise", 3e4), ("fall", 1e-3))},
    )
    x = np.array([[1, 2, -3, 4], [5, -6, 7, 0]], np.float32)
    types = element_types(to_fp16(model, too_large={"large"}))
    assert types["large"] == types["back"] == TensorProto.FLOAT
    assert types["last"] == TensorProto.FLOAT16
    for kept in (to_fp16(model, too_large={"large"}), with_fp16_rounded(to_fp16(model, too_large={"large"}))):
        np.testing.assert_allclose(run(kept, "y", x=x), 30 * x, rtol=2e-3)
    # A user's choice is of the node alone, and what is judged shows what that costs.
    chosen = to_fp16(model, keep={"large"})
    assert element_types(chosen)["back"] == TensorProto.FLOAT16
    assert not np.isfinite(run(with_fp16_rounded(chosen), "y", x=x)).all()


def test_a_file_that_is_no_model_is_named(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"text, no model")
    with pytest.raises(ValueError, match=r"x\.onnx: not a sound ONNX model"):
        load_plain(path)
