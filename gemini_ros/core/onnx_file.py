"""ONNX files as bytes: the fields of their wire format (protobuf), and the hash of a graph with its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

HASH_KEY = "gemini_ros_graph_sha256"
# Field numbers of onnx.proto: ModelProto.graph and .metadata_props, StringStringEntryProto.key and .value.
GRAPH, METADATA_PROPS, KEY, VALUE = 7, 14, 1, 2


def with_graph_hash(data: bytes) -> bytes:
    """A model file with the SHA-256 of its graph, weights included, under ``HASH_KEY`` of its metadata."""
    pairs = ((KEY, HASH_KEY), (VALUE, graph_hash(data)))
    # Every length is below 128, which is one byte; a field may stand anywhere in a message.
    entry = b"".join(bytes((number << 3 | 2, len(text))) + text.encode() for number, text in pairs)
    return data + bytes((METADATA_PROPS << 3 | 2, len(entry))) + entry


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
