"""ONNX files as bytes: the fields of their wire format (protobuf), a graph's hash, and a graph cut short."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

HASH_KEY = "graph_sha256"
"""Of the metadata: SHA-256 of the graph with its weights."""
# Field numbers of onnx.proto: ModelProto.graph and .metadata_props, StringStringEntryProto.key and .value.
GRAPH, METADATA_PROPS, KEY, VALUE = 7, 14, 1, 2
# GraphProto.
NODE, INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, VALUE_INFO, SPARSE_INITIALIZER = 1, 5, 11, 12, 13, 15
# NodeProto.
NODE_INPUT, NODE_OUTPUT, OP_TYPE, ATTRIBUTE = 1, 2, 4, 5
# AttributeProto.g and .graphs, TensorProto.name, ValueInfoProto.name.
_SUBGRAPHS, TENSOR_NAME, _VALUE_NAME = (6, 11), 8, 1


def with_graph_hash(model: Any, metadata_key: str) -> bytes:
    """A model file (of an ``onnx.ModelProto``) whose metadata, JSON under ``metadata_key``, holds ``HASH_KEY``."""
    digest = graph_hash(model.SerializeToString())
    for entry in model.metadata_props:
        if entry.key == metadata_key:
            entry.value = json.dumps({**json.loads(entry.value), HASH_KEY: digest})
    return model.SerializeToString()


def graph_hash(data: bytes) -> str:
    """SHA-256 of the graph, in hexadecimal. Raises ``ValueError`` and ``IndexError`` for a damaged file."""
    digest = hashlib.sha256()
    for number, value in fields(data):
        if number == GRAPH and isinstance(value, memoryview):
            digest.update(value)
    return digest.hexdigest()


def fields(data: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Top-level fields of a protobuf message (its wire format); ``ValueError`` or ``IndexError`` where damaged."""
    for number, value, _ in _fields_and_bytes(data):
        yield number, value


def _fields_and_bytes(data: bytes | memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """``fields``, each with all its bytes."""
    view, position = memoryview(data), 0
    while position < len(view):
        start = position
        tag, position = varint(view, position)
        wire_type = tag & 7
        if wire_type == 0:
            value, position = varint(view, position)
            yield tag >> 3, value, view[start:position]
            continue
        if wire_type == 2:
            length, position = varint(view, position)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if position + length > len(view):
            raise ValueError("truncated field")
        yield tag >> 3, view[position : position + length], view[start : position + length]
        position += length


def varint(view: memoryview, position: int) -> tuple[int, int]:
    """The number at ``position`` and the position behind it; errors as ``fields``."""
    value = 0
    for shift in range(0, 70, 7):
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("varint too long")


def texts(data: bytes | memoryview, number: int) -> list[str]:
    """A field that holds text, each time it is there."""
    return [bytes(value).decode("utf-8", "replace") for value in parts(data, number)]


def parts(data: bytes | memoryview, number: int) -> list[memoryview]:
    """A field that holds bytes, text or a message, each time it is there."""
    return [value for found, value in fields(data) if found == number and isinstance(value, memoryview)]


def interface(data: bytes) -> tuple[list[str], list[str]]:
    """The names of a graph's inputs that have no value of their own, and of its outputs; errors as ``fields``."""
    inputs, outputs, own = list[str](), list[str](), set[str]()
    for graph in parts(data, GRAPH):
        own.update(name for tensor in parts(graph, INITIALIZER) for name in texts(tensor, TENSOR_NAME))
        inputs += [name for value in parts(graph, GRAPH_INPUT) for name in texts(value, _VALUE_NAME)]
        outputs += [name for value in parts(graph, GRAPH_OUTPUT) for name in texts(value, _VALUE_NAME)]
    return [name for name in inputs if name not in own], outputs


def as_far_as(data: bytes, outputs: Sequence[str]) -> bytes:
    """A model file with only the nodes and weights that ``outputs`` need; all its inputs stay.

    Each output is bit-equal to the whole file's. A file whose nodes hold graphs of their own comes back as it is, for
    those may use any value. Errors as ``fields``.
    """
    graphs = parts(data, GRAPH)
    nodes = [_node(part) for graph in graphs for part in parts(graph, NODE)]
    if len(graphs) != 1 or any(node.holds_graphs for node in nodes):
        return data
    needed, kept = set(outputs), set[int]()
    for index in reversed(range(len(nodes))):  # a graph's nodes stand in the order in which they are computed
        if needed.intersection(nodes[index].outputs):
            needed.update(nodes[index].inputs)
            kept.add(index)
    made = needed.union(*(nodes[index].outputs for index in kept))
    shorter, node = bytearray(), -1
    for number, value, written in _fields_and_bytes(graphs[0]):
        node += number == NODE
        if node in kept if number == NODE else _stays(number, value, made, outputs):
            shorter += written
    whole = bytearray()
    for number, _, written in _fields_and_bytes(data):
        whole += _with_length(number, shorter) if number == GRAPH else written
    return bytes(whole)


@dataclass(frozen=True)
class _Node:
    inputs: Sequence[str]
    outputs: Sequence[str]
    holds_graphs: bool


def _node(data: memoryview) -> _Node:
    inputs, outputs = texts(data, NODE_INPUT), [name for name in texts(data, NODE_OUTPUT) if name]
    subgraphs = any(parts(attribute, n) for attribute in parts(data, ATTRIBUTE) for n in _SUBGRAPHS)
    return _Node(inputs, outputs, subgraphs)


def _stays(number: int, value: int | memoryview, made: AbstractSet[str], outputs: Sequence[str]) -> bool:
    """Whether a field of a graph that was cut stays in it."""
    if isinstance(value, int):
        return True
    if number == INITIALIZER:
        return not made.isdisjoint(texts(value, TENSOR_NAME))
    if number == VALUE_INFO:
        return not made.isdisjoint(texts(value, _VALUE_NAME))
    return number != GRAPH_OUTPUT or not set(outputs).isdisjoint(texts(value, _VALUE_NAME))


def _with_length(number: int, message: bytearray) -> bytes:
    return _as_varint(number << 3 | 2) + _as_varint(len(message)) + message


def _as_varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
