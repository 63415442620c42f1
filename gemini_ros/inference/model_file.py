"""Read what a model file says of itself without loading the network."""

from __future__ import annotations

from pathlib import Path

from gemini_ros.core.documents import parse_json
from gemini_ros.core.files import read_file
from gemini_ros.core.model_info import METADATA_KEY, ModelInfo, parse_model_info
from gemini_ros.core.onnx_file import HASH_KEY, KEY, METADATA_PROPS, VALUE, fields, graph_hash
from gemini_ros.core.resources import WEIGHTS_SUFFIX

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


def require_whole(data: bytes, path: Path) -> None:
    """Raise ``ModelError`` for a graph other than the one that was hashed; a file without a hash passes."""
    metadata = parse_json(_metadata(data, path).get(METADATA_KEY, "{}"), f"model {path}")
    told = metadata.get(HASH_KEY) if isinstance(metadata, dict) else None
    if told is not None and told != graph_hash(data):
        raise ModelError(f"model {path}: its weights are not those that were exported; copy the file again")


def damaged(data: bytes, path: Path) -> ModelError:
    """What is said of bytes that are no ONNX."""
    if path.suffix == WEIGHTS_SUFFIX:
        return ModelError(f"model {path}: weights to start a training from, expected a model file (.onnx)")
    return ModelError(f"model {path}: damaged or not ONNX ({len(data)} bytes); copy the file again")


def _metadata(data: bytes, path: Path) -> dict[str, str]:
    entries: dict[str, str] = {}
    try:
        for number, value in fields(data):
            if number == METADATA_PROPS and isinstance(value, memoryview) and len(value) <= _LARGEST_METADATA:
                texts = {n: bytes(v).decode() for n, v in fields(value) if isinstance(v, memoryview)}
                entries[texts.get(KEY, "")] = texts.get(VALUE, "")
    except (ValueError, IndexError) as error:
        raise damaged(data, path) from error
    return entries
