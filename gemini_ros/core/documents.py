"""YAML, JSON, CSV and npz from anybody: one reader for each, with limits that hold before memory is taken.

Every error is a ``ValueError`` of one line that names the file. What cannot be opened at all is an ``OSError``.
"""

from __future__ import annotations

import csv
import io
import json
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from gemini_ros.core.files import open_file, read_file

_PARSER: Any = (Reader, Scanner, Parser)
if yaml.__with_libyaml__:  # five times as fast
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    _PARSER = (CParser,)

# The largest label set that there can be has 50 kB and 6,000 values.
MOST_YAML_BYTES = 1 << 17
MOST_YAML_VALUES = 10_000
MOST_TEXT_BYTES = 1 << 26
MOST_LEVELS = 32
# An archive may grow to this size, or to 64 times its own: real images shrink less, zeros a thousand times.
MOST_ARRAY_BYTES, MOST_ARRAY_RATIO = 1 << 28, 64
_MOST_DIGITS = 40
_INT64 = range(-(1 << 63), 1 << 63)
_MOST_HEADER_BYTES = 10_000


def parse_yaml(text: str, where: str, *, most_bytes: int = MOST_YAML_BYTES, most_values: int = MOST_YAML_VALUES) -> Any:
    """The content of one YAML document, with aliases counted by what they stand for. ``where`` names it in errors."""
    if len(text) > most_bytes:
        raise ValueError(f"{where}: {len(text)} characters of YAML, expected at most {most_bytes}")
    loader = None
    try:
        loader = _YamlLoader(text, most_values)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, ArithmeticError, RecursionError, LookupError, TypeError) as error:
        raise ValueError(f"{where}: not YAML: {one_line(error)}".replace(' in "<unicode string>"', "")) from error
    finally:
        if loader is not None:
            loader.dispose()


def read_yaml(path: str | Path, where: str = "") -> Any:
    """The content of a YAML file, named ``where`` in errors, by default by its path."""
    return parse_yaml(read_text(path, where, most_bytes=MOST_YAML_BYTES), where or str(path))


def parse_json(text: str, where: str) -> Any:
    """The content of JSON text. A whole number of more than 64 bits is a float, which nothing takes for one.

    A name that stands twice in an object is refused: which of both is meant nobody knows.
    """
    try:
        value = json.loads(text, parse_int=_json_int, object_pairs_hook=_once_each)
        level = [value]
        for _ in range(MOST_LEVELS):
            level = [child for item in level for child in _children(item)]
        if level:
            raise ValueError(f"nested deeper than {MOST_LEVELS} levels")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON: {one_line(error)}") from error
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r:.80} stands twice in an object")
    return found


def read_json(path: str | Path, where: str = "") -> Any:
    """The content of a JSON file, named ``where`` in errors, by default by its path."""
    return parse_json(read_text(path, where), where or str(path))


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file by the names in its first line. Every row must have a field for each name."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    rows = []
    try:
        names = next(reader, [])
        if len(set(names)) != len(names):
            raise ValueError(f"columns {_short(names)}, expected each once")
        for row in filter(None, reader):
            if len(row) != len(names):
                raise ValueError(f"line {reader.line_num}: {len(row)} fields, expected {len(names)}: {_short(names)}")
            rows.append(dict(zip(names, row, strict=True)))
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{path}: not CSV: {one_line(error)}") from error
    return rows


def read_text(path: str | Path, where: str = "", *, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """A UTF-8 file of at most ``most_bytes``, named ``where`` in errors, by default by its path."""
    data = read_file(path, most_bytes=most_bytes)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where or path}: not text: {one_line(error)}") from error


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file; arrays of objects are refused.

    Both the archive and each array say how large they are; neither may ask for more than the limit, and both must
    agree, before anything is unpacked.
    """
    with open_file(path) as file:
        most = max(MOST_ARRAY_BYTES, MOST_ARRAY_RATIO * file.seek(0, 2))
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                if (size := sum(entry.file_size for entry in entries)) > most:
                    raise ValueError(f"{size} bytes unpacked, expected at most {most}")
                return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in entries}
        except Exception as error:  # of zipfile, the decompressors and numpy, without a common base class
            raise ValueError(f"{path}: not an npz of plain arrays: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The message of an error in one line of at most 200 characters."""
    return _short(" ".join(str(error).split()) or type(error).__name__, 200)


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        bytes_told = _array_bytes(file)
    if bytes_told > entry.file_size:
        raise ValueError(f"{entry.filename}: an array of {bytes_told} bytes in {entry.file_size}")
    with archive.open(entry) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _array_bytes(file: IO[bytes]) -> int:
    """What the header of an npy file says of the array's size."""
    version = np.lib.format.read_magic(file)
    length = struct.calcsize("<H" if version == (1, 0) else "<I")
    start = file.read(length)
    header_bytes = int.from_bytes(start, "little")
    if version not in ((1, 0), (2, 0)) or len(start) != length or header_bytes > _MOST_HEADER_BYTES:
        raise ValueError(f"npy header of version {version}, {header_bytes} bytes")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(io.BytesIO(start + file.read(header_bytes)))
    if any(type(side) is not int or side < 0 for side in shape):
        raise ValueError(f"an array of shape {_short(shape)}")
    return math.prod(shape) * max(dtype.itemsize, 1)


def _json_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS and int(digits) in _INT64 else float(digits)


def _children(item: Any) -> Any:
    if isinstance(item, Mapping):
        return item.values()
    return item if isinstance(item, list) else ()


def _short(value: Any, most: int = 80) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


class _YamlLoader(Composer, *_PARSER, SafeConstructor, Resolver):
    """PyYAML's safe loader, which counts what it composes: an alias counts as often as it stands there."""

    def __init__(self, text: str, most_values: int) -> None:
        self._most_values = most_values
        _PARSER[0].__init__(self, text)
        for part in (*_PARSER[1:], Composer, SafeConstructor, Resolver):
            part.__init__(self)
        self._level = self._composed = 0
        self._values: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        alias = self.check_event(yaml.AliasEvent)
        mark = self.peek_event().start_mark
        self._composed += 1
        self._level += 1
        if self._level > MOST_LEVELS:
            _refuse(f"nested deeper than {MOST_LEVELS} levels", mark)
        node = super().compose_node(parent, index)
        self._level -= 1
        if alias and id(node) not in self._values:
            _refuse("an alias inside its own anchor", mark)
        if not alias:
            children = node.value if isinstance(node, yaml.CollectionNode) else ()
            pairs = (child if isinstance(child, tuple) else (child,) for child in children)
            self._values[id(node)] = 1 + sum(self._values[id(child)] for pair in pairs for child in pair)
        if max(self._values[id(node)], self._composed) > self._most_values:
            _refuse(f"more than {self._most_values} values, aliases written out", mark)
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number of 64 bits."""
        if len(node.value) > _MOST_DIGITS or (value := super().construct_yaml_int(node)) not in _INT64:
            _refuse(f"{_short(node.value)}, expected a whole number of 64 bits", node.start_mark)
        return value

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """A number; one in sixtieths (1:30.5) has few parts."""
        if ":" in node.value and len(node.value) > _MOST_DIGITS:
            _refuse(f"{_short(node.value)}, expected a number", node.start_mark)
        return super().construct_yaml_float(node)


def _refuse(what: str, mark: Any) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=what, problem_mark=mark)


for _tag, _construct in (("int", _YamlLoader.construct_yaml_int), ("float", _YamlLoader.construct_yaml_float)):
    _YamlLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct)
