"""Read what a model file says of itself without loading the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from gemini_ros.core.files import read_file
from gemini_ros.core.model_info import METADATA_KEY, ModelInfo, parse_model_info

# Field numbers of onnx.proto: ModelProto.metadata_props, StringStringEntryProto.key and .value.
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_LARGEST_METADATA = 1 << 20


class ModelError(ValueError):
    """A model file that is missing, damaged or not one of ours."""


def read_model_info(path: str | Path) -> ModelInfo:
    """The checked metadata of a model file, in milliseconds. Raises ``ModelError``."""
    try:
        return parse_model_info(read_metadata(path), f"model {path}")
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(str(error)) from error


def read_metadata(path: str | Path) -> str:
    """The JSON as it stands in the file. Raises ``ModelError`` where there is none."""
    path = Path(path)
    try:
        data = read_file(path)
    except OSError as error:
        raise ModelError(f"model {path}: {error.strerror or error}") from error
    text = _metadata(data, path).get(METADATA_KEY)
    if text is None:
        raise ModelError(
            f"model {path}: no {METADATA_KEY!r} metadata; expected a file made by `gemini-ros model export`"
        )
    return text


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(read_file(path)).hexdigest()


def _metadata(data: bytes, path: Path) -> dict[str, str]:
    entries: dict[str, str] = {}
    try:
        for number, value in fields(data):
            if number == _METADATA_PROPS and isinstance(value, memoryview) and len(value) <= _LARGEST_METADATA:
                texts = {n: bytes(v).decode() for n, v in fields(value) if isinstance(v, memoryview)}
                entries[texts.get(_KEY, "")] = texts.get(_VALUE, "")
    except (ValueError, IndexError) as error:
        raise ModelError(f"model {path}: damaged or not ONNX ({len(data)} bytes); copy the file again") from error
    return entries


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
