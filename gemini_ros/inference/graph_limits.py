"""What the graph of a model file may ask for, read off the file before a library runs any of it.

A few hundred bytes can ask for any amount of memory: a tensor that says it is large, or a size that a node fills.
Sizes that the graph computes by arithmetic are not followed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.onnx_file import (
    ATTRIBUTE,
    GRAPH,
    INITIALIZER,
    NODE,
    NODE_INPUT,
    NODE_OUTPUT,
    OP_TYPE,
    SPARSE_INITIALIZER,
    TENSOR_NAME,
    fields,
    parts,
    texts,
    varint,
)
from gemini_ros.inference.model_file import ModelError, damaged

# Field numbers of onnx.proto: AttributeProto and TensorProto.
_ATTRIBUTE_TENSOR, _ATTRIBUTE_INTS = 5, 8
_DIMS, _DATA_TYPE, _FLOATS, _INTS, _RAW, _LOCATION = 1, 2, 4, 7, 9, 14
_TYPES = {1: "<f4", 7: "<i8"}
# Of each operator that makes an array of the size it is given, the inputs that give it.
_SIZE_INPUTS = {"ConstantOfShape": (0,), "Expand": (1,), "Tile": (1,), "Resize": (2, 3), "Pad": (1,)}
_MOST_SIDES = 16
# The widest layers of our networks have about 200 values for each pixel.
_VALUES_PER_PIXEL, _FEWEST_VALUES = 256, 1 << 24
_SMALLEST_BITS = 2  # of the element types of ONNX


@dataclass(frozen=True)
class _Tensor:
    name: str
    values: np.ndarray | None  # of few numbers that may be a size


def require_bounded_graph(data: bytes, info: ModelInfo, path: Path) -> None:
    """Raise ``ModelError`` for a graph with tensors larger than the file, or arrays far larger than the network."""
    width, height = info.network_size
    most = max(_FEWEST_VALUES, _VALUES_PER_PIXEL * width * height)
    try:
        for what, count in _sizes(data, path):
            if not count <= most:
                raise ModelError(
                    f"model {path}: {what} of {count:.3g} values, expected at most {most} for {width}x{height}"
                )
    except (ValueError, IndexError, OverflowError) as error:
        if isinstance(error, ModelError):
            raise
        raise damaged(data, path) from error


def _sizes(data: bytes, path: Path) -> Iterator[tuple[str, float]]:
    """The array that each node makes of a size that stands in the graph, in values."""
    constants: dict[str, np.ndarray] = {}
    nodes: list[tuple[str, list[str]]] = []
    for number, part in (field for graph in parts(data, GRAPH) for field in fields(graph)):
        if number == INITIALIZER and isinstance(part, memoryview):
            tensor = _tensor(part, path)
            if tensor.values is not None:
                constants[tensor.name] = tensor.values
        elif number == SPARSE_INITIALIZER:
            raise ModelError(f"model {path}: a sparse tensor, expected dense ones")
        elif number == NODE and isinstance(part, memoryview):
            kind, inputs, outputs = (texts(part, n) for n in (OP_TYPE, NODE_INPUT, NODE_OUTPUT))
            nodes.append(("".join(kind), inputs))
            for values in _constant(part, path) if kind == ["Constant"] else ():
                constants[outputs[0] if outputs else ""] = values
    for kind, inputs in nodes:
        for index in _SIZE_INPUTS.get(kind, ()):
            if index < len(inputs) and inputs[index] in constants:
                sides = np.abs(constants[inputs[index]].astype(np.float64))
                yield kind, float(np.prod(np.maximum(sides, 1)))


def _constant(node: memoryview, path: Path) -> Iterator[np.ndarray]:
    """The few numbers that a node ``Constant`` may hold."""
    for attribute in parts(node, ATTRIBUTE):
        for part in parts(attribute, _ATTRIBUTE_TENSOR):
            if (values := _tensor(part, path).values) is not None:
                yield values
        if ints := _integers(attribute, _ATTRIBUTE_INTS):
            yield np.array(ints[:_MOST_SIDES], np.float64)


def _tensor(data: memoryview, path: Path) -> _Tensor:
    dims, name = _integers(data, _DIMS), "".join(texts(data, TENSOR_NAME))
    if _integers(data, _LOCATION) not in ([], [0]):
        raise ModelError(f"model {path}: tensor {name!r:.80} lies in another file, expected one file with all weights")
    count = math.prod(dims)
    if count * _SMALLEST_BITS > 8 * len(data):
        raise ModelError(f"model {path}: tensor {name!r:.80} of {count} values in {len(data)} bytes: it is damaged")
    kind = _TYPES.get(next(iter(_integers(data, _DATA_TYPE)), 0))
    if kind is None or count > _MOST_SIDES:
        return _Tensor(name, None)
    if raw := b"".join(parts(data, _RAW)):
        return _Tensor(name, np.frombuffer(raw[: len(raw) // 8 * 8 if kind == "<i8" else len(raw) // 4 * 4], kind))
    if kind == "<i8":
        return _Tensor(name, np.array(_integers(data, _INTS), np.float64))
    packed = b"".join(parts(data, _FLOATS))
    return _Tensor(name, np.frombuffer(packed[: len(packed) // 4 * 4], kind))


def _integers(data: memoryview, number: int) -> list[int]:
    """Whole numbers of a field, packed or one by one; a negative one is near 2^64."""
    found: list[int] = []
    for field, value in fields(data):
        if field == number and isinstance(value, int):
            found.append(value)
        elif field == number and isinstance(value, memoryview):
            position = 0
            while position < len(value):
                one, position = varint(value, position)
                found.append(one)
    return found
