"""A model in mixed precision as a strongly typed graph: fp16 where the work is, fp32 where numbers need it.

fp32 stay the pre-processing, LayerNormalization, Softmax, and all from the last products on: the sum over the outputs,
the upsampling and the argmax. Inputs and outputs keep their types. TensorRT takes the types as they are written, which
is the only way in its release 11 and works from 10.0 on.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from gemini_ros.precision.graph import between_products, element_types, set_nodes

# Everything else that lies between the products stays fp32, LayerNormalization and Softmax above all.
_HALF = frozenset(
    ("Conv", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Erf", "Relu", "Sigmoid", "Tanh", "Clip", "Concat", "Split")
    + ("Slice", "Gather", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Expand", "Pad", "Resize", "Where")
)
_FLOATS_OF = {"Resize": 1}  # inputs that follow its type; the scales of a Resize are always float32
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_SMALLEST = np.finfo(np.float16).smallest_normal
_TO_INFINITY = 65520.0  # from half a step beyond the largest number of fp16 on


def to_fp16(model: ModelProto, keep: Collection[str] = (), too_large: Collection[str] = ()) -> ModelProto:
    """The same network computed in fp16. ``model`` is plain (``graph.load_plain``).

    ``keep`` names values whose nodes stay fp32, besides those above: whatever a measurement shows to need it.
    ``too_large`` names values that fp16 cannot hold: the nodes that give them and those that take them stay fp32.
    Products of quantised factors keep the type of these.
    """
    whole, too_large = {*keep, *too_large}, frozenset(too_large)
    types = element_types(model)
    quantised = {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    # What gives an output of the graph has to have its type.
    inside = between_products(model).difference(output.name for output in model.graph.output)
    writer = _Writer(types, constants)
    for node in model.graph.node:
        half = (
            node.op_type in _HALF
            and node.output[0] in inside
            and whole.isdisjoint(node.output)
            and too_large.isdisjoint(node.input)
            and quantised.isdisjoint(node.input)
            and all(_fits(constants[name]) for name in node.input if name in constants)
        )
        writer.add(node, TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    result = ModelProto()
    result.CopyFrom(model)
    set_nodes(result, writer.nodes, writer.constants.values())
    return result


class _Writer:
    """Nodes one by one, each with the casts that its inputs need; every value is cast once at most."""

    def __init__(self, types: dict[str, int], constants: dict[str, TensorProto]) -> None:
        self._types = dict(types)
        self.constants = dict(constants)
        self.nodes: list[NodeProto] = []
        self._cast: dict[tuple[str, int], str] = {}

    def add(self, node: NodeProto, number: int) -> None:
        """``number`` is the type that the node's floating-point inputs and outputs get."""
        copy = NodeProto()
        copy.CopyFrom(node)
        for i, name in enumerate(node.input[: _FLOATS_OF.get(node.op_type)]):
            if name and self._is_float(name):
                copy.input[i] = self._as(name, number)
        for name in node.output:
            if node.op_type != "Cast" and self._types[name] == TensorProto.FLOAT:
                self._types[name] = number
        self.nodes.append(copy)

    def _is_float(self, name: str) -> bool:
        return self._types[name] in _FLOATS

    def _as(self, name: str, number: int) -> str:
        if self._types[name] == number:
            return name
        if (name, number) not in self._cast:
            self._cast[name, number] = self._new(name, number)
        return self._cast[name, number]

    def _new(self, name: str, number: int) -> str:
        other = f"{name}_{'fp16' if number == TensorProto.FLOAT16 else 'fp32'}"
        if name in self.constants:
            array = numpy_helper.to_array(self.constants[name]).astype(helper.tensor_dtype_to_np_dtype(number))
            self.constants[other] = numpy_helper.from_array(array, other)
        else:
            self.nodes.append(helper.make_node("Cast", [name], [other], f"{other}_cast", to=number))
        self._types[other] = number
        return other


def _fits(tensor: TensorProto) -> bool:
    """Whether fp16 can hold a constant: nothing beyond its range, and no scalar, such as an epsilon, lost in it."""
    if tensor.data_type != TensorProto.FLOAT:
        return True
    array = np.abs(numpy_helper.to_array(tensor))
    lost = array.size == 1 and 0 < array.max() < _SMALLEST
    return not lost and bool((array <= np.finfo(np.float16).max).all())


def with_fp16_rounded(model: ModelProto) -> ModelProto:
    """The same network in fp32, with every value that is fp16 in ``model`` rounded to what fp16 holds of it.

    ONNX Runtime has few fp16 kernels for a CPU: it computes chains of nodes in fp32 and leaves out the rounding between
    them, so that a file of fp16 looks better there than it is. This graph shows the loss. It rounds to 11 bits by
    Veltkamp's splitting, x c - (x c - x) with c = 2^13 + 1 in fp32, and makes infinite what fp16 rounds to infinity.
    """
    types = element_types(model)
    result = ModelProto()
    result.CopyFrom(model)
    constants = {"rounding": 2**13 + 1, "end": _TO_INFINITY, "overflow": 2.0**113}
    factor, end, overflow = (
        numpy_helper.from_array(np.float32(value), f"fp16_{name}") for name, value in constants.items()
    )
    nodes: list[NodeProto] = []
    for node in result.graph.node:
        nodes.append(node)
        if node.op_type == "Cast" and types[node.input[0]] in _FLOATS and types[node.output[0]] in _FLOATS:
            node.CopyFrom(helper.make_node("Identity", node.input, node.output, node.name))
        for i, name in enumerate(node.output):
            if types[name] == TensorProto.FLOAT16:
                parts = ("exact", "scaled", "rest", "rounded", "size", "fits", "infinite")
                exact, scaled, rest, rounded, size, fits, infinite = (f"{name}_{part}" for part in parts)
                node.output[i] = exact
                nodes.append(helper.make_node("Mul", [exact, factor.name], [scaled]))
                nodes.append(helper.make_node("Sub", [scaled, exact], [rest]))
                nodes.append(helper.make_node("Sub", [scaled, rest], [rounded]))
                nodes.append(helper.make_node("Abs", [exact], [size]))
                nodes.append(helper.make_node("Less", [size, end.name], [fits]))
                # Infinite of the same sign in fp32 as well; NaN stays NaN.
                nodes.append(helper.make_node("Mul", [exact, overflow.name], [infinite]))
                nodes.append(helper.make_node("Where", [fits, rounded, infinite], [name]))
    set_nodes(result, nodes, [factor, end, overflow, *(_as_float32(tensor) for tensor in model.graph.initializer)])
    return result


def _as_float32(tensor: TensorProto) -> TensorProto:
    if tensor.data_type != TensorProto.FLOAT16:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
