"""ONNX files as bytes: the fields of their wire format (protobuf), and the hash of a graph with its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

HASH_KEY = "graph_sha256"
"""Of the metadata: SHA-256 of the graph with its weights."""
# Field numbers of onnx.proto: ModelProto.graph and .metadata_props, StringStringEntryProto.key and .value.
GRAPH, METADATA_PROPS, KEY, VALUE = 7, 14, 1, 2


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
    view, position = memoryview(data), 0
    while position < len(view):
        tag, position = varint(view, position)
        wire_type = tag & 7
        if wire_type == 0:
            value, position = varint(view, position)
            yield tag >> 3, value
            continue
        if wire_type == 2:
            length, position = varint(view, position)
        elif wire_type in (1, 5):
            length = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if position + length > len(view):
            raise ValueError("truncated field")
        yield tag >> 3, view[position : position + length]
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
