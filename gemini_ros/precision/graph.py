"""The graph of a model file, made plain, and the questions that a conversion asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

# What is multiplied out in a lower precision, and what may lie between two such nodes.
PRODUCTS = ("Conv", "Gemm", "MatMul")


def load_plain(path: Path) -> ModelProto:
    """The model of a file with its weights as fp32 constants: casts and transposes of constants are carried out.

    Raises ``ValueError`` for a file that is no ONNX model.
    """
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    # onnx and protobuf raise errors of their own, without a common base class.
    except Exception as error:
        raise ValueError(f"{path}: not a sound ONNX model: {error}") from error
    _fold(model)
    return model


def _fold(model: ModelProto) -> None:
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type not in ("Cast", "Transpose") or node.input[0] not in constants:
            nodes.append(node)
            continue
        array = numpy_helper.to_array(constants[node.input[0]])
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Cast":
            array = array.astype(onnx.helper.tensor_dtype_to_np_dtype(options["to"]))
        else:
            array = array.transpose(options.get("perm"))
        constants[node.output[0]] = numpy_helper.from_array(np.ascontiguousarray(array), node.output[0])
    for node in nodes:
        node.name = node.name or node.output[0]  # the quantizer chooses nodes by name
    set_nodes(model, nodes, constants.values())


def set_nodes(model: ModelProto, nodes: Iterable[NodeProto], constants: Iterable[TensorProto]) -> None:
    """Give a graph these nodes, and of the constants those that are used."""
    nodes, constants = list(nodes), list(constants)
    used = {name for node in nodes for name in node.input}
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(tensor for tensor in constants if tensor.name in used)


def between_products(model: ModelProto) -> set[str]:
    """Outputs of the nodes that follow a product, or are one, and lead to another: the network without its two ends.

    What is left out is the pre-processing, and what makes labels and confidence of the last products.
    """
    nodes = list(model.graph.node)
    after = _reached(nodes, lambda node: node.input, lambda node: node.output)
    before = _reached(reversed(nodes), lambda node: node.output, lambda node: node.input)
    return after & before


def _reached(
    nodes: Iterable[NodeProto],
    enter: Callable[[NodeProto], Iterable[str]],
    leave: Callable[[NodeProto], Iterable[str]],
) -> set[str]:
    """First outputs of the nodes that a walk meets from its first product on."""
    values: set[str] = set()
    reached: set[str] = set()
    for node in nodes:
        if node.op_type in PRODUCTS or not values.isdisjoint(enter(node)):
            values.update(leave(node))
            reached.add(node.output[0])
    return reached


def element_types(model: ModelProto) -> dict[str, int]:
    """Element type (``onnx.TensorProto.DataType``) of every value."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def products_with_weights(model: ModelProto) -> Iterator[NodeProto]:
    """Products whose second factor is a constant, which can be quantised.

    Not those of two activations (attention), and not stacks of matrices, for which there is no scale per channel.
    """
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if (
            node.op_type in PRODUCTS
            and node.input[1] in ranks
            and (node.op_type != "MatMul" or ranks[node.input[1]] == 2)
        ):
            yield node
