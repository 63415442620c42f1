"""What a bag may ask for. rosbags itself has no limits: it unpacks, parses and generates code as a file says.

Each function raises ``TooLargeError`` or another ``ValueError``, which the reader makes a ``BagError``.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from lz4.frame import LZ4FrameDecompressor
from rosbags.interfaces import Connection, Nodetype
from rosbags.rosbag2 import metadata as bag_metadata
from rosbags.rosbag2 import storage_mcap
from rosbags.rosbag2.storage_mcap import McapReader, zstd
from rosbags.typesys import Stores, get_typestore

from gemini_ros.core.documents import parse_yaml

# Recorders write chunks of up to some MB, and a message that is larger by itself.
_MOST_CHUNK_BYTES = 1 << 26
# What compressed data may grow to beside that, in times their own size: camera images and depth shrink less.
_MOST_RATIO = 64
# The metadata of a bag in a thousand files of a hundred topics.
_MOST_METADATA_BYTES, _MOST_METADATA_VALUES = 1 << 20, 50_000
_MOST_FIXED_ITEMS = 1 << 16
_MOST_NAME = 1000
_SMALL_RECORD = 1 << 16
# A view or a generated column computes what it likes while it is read; recorders make neither.
_COMPUTED = re.compile(r"\bVIRTUAL\b|\bGENERATED\b|\bAS\s*\(", re.IGNORECASE)
_KNOWN = get_typestore(Stores.ROS2_JAZZY).fielddefs


class TooLargeError(ValueError):
    """Data that would take more memory, or room on the disk, than any recorder's."""


def bound_library() -> None:
    """Give rosbags decompressors and a YAML reader with limits."""
    storage_mcap.zstd = BoundedZstd()  # type: ignore[assignment]
    storage_mcap.lz4_decompress = _decompress_lz4
    storage_mcap.read_exact = _read_exact
    bag_metadata.YAML = _BoundedYaml  # type: ignore[assignment,misc]


def read_metadata(path: Path) -> Any:
    """What stands in ``metadata.yaml``, or in the quality of service of a topic."""
    text = path.read_text(encoding="utf-8")
    return parse_yaml(text, "metadata", most_bytes=_MOST_METADATA_BYTES, most_values=_MOST_METADATA_VALUES)


def require_plain_tables(database: Path) -> None:
    """Refuse an SQLite file with anything but tables of stored values and their indices."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?immutable=1", uri=True)) as connection:
        entries = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    for kind, name, sql in entries:
        if kind not in ("table", "index") or _COMPUTED.search(str(sql or "")):
            raise TooLargeError(
                f"{kind} {name!s:.80} computes what it holds, expected tables as `ros2 bag record` makes"
            )


def require_plain_contents(connections: Iterable[Connection], span_ns: Any) -> None:
    """Refuse names that are no text, and numbers that are none: metadata and tables may hold anything."""
    for connection in connections:
        for name in (connection.topic, connection.msgtype):
            if not isinstance(name, str) or not name.isprintable() or len(name) > _MOST_NAME:
                raise ValueError(f"topic {connection.topic!r:.80} of type {connection.msgtype!r:.80}, expected names")
        if type(connection.msgcount) is not int or connection.msgcount < 0:
            raise ValueError(f"topic {connection.topic}: {connection.msgcount!r:.80} messages, expected a count")
    for value in span_ns or ():
        if type(value) is not int or abs(value) >> 63:
            raise ValueError(f"time of receipt {value!r:.80}, expected a whole number of 64 bits")


def require_room_for_chunks(storage: McapReader) -> None:
    """Refuse MCAP chunks of one time that would together be unpacked to far more than the file holds."""
    size = Path(storage.path).stat().st_size
    edges = [(chunk.message_start_time, chunk.uncompressed_size) for chunk in storage.chunks]
    edges += [(chunk.message_end_time + 1, -chunk.uncompressed_size) for chunk in storage.chunks]
    held = most = 0
    for _, change in sorted(edges):
        held += change
        most = max(most, held)
    limit = max(2 * _MOST_CHUNK_BYTES, _MOST_RATIO * size)
    if most > limit:
        raise TooLargeError(f"chunks of one time of {most} bytes unpacked, expected at most {limit}")


def require_definition(types: Mapping[str, Any], msgtype: str) -> None:
    """Refuse a definition in the bag that is not ROS's own for a type that ROS has, or has endless arrays."""
    if _fixed_items(types, msgtype) > _MOST_FIXED_ITEMS:
        raise TooLargeError(f"a definition of more than {_MOST_FIXED_ITEMS} values")


def _fixed_items(types: Mapping[str, Any], msgtype: str) -> int:
    fields = types[msgtype][1]
    if msgtype in _KNOWN and [(name, kind) for name, kind in fields] != [(n, k) for n, k in _KNOWN[msgtype][1]]:
        names = ", ".join(name for name, _ in fields)
        raise ValueError(f"the bag defines {msgtype} otherwise than ROS does, with {names:.100}")
    return sum(_items(types, description) for _, description in fields)


def _items(types: Mapping[str, Any], description: Any) -> int:
    kind, detail = description
    if kind == Nodetype.NAME:
        return _fixed_items(types, detail)
    if kind == Nodetype.BASE:
        return 1
    inner, length = detail
    return _items(types, inner) * (length if kind == Nodetype.ARRAY else 1)


class _BoundedYaml(bag_metadata.YAML):
    """The library's YAML, which reads ``metadata.yaml`` and the QoS in it as all files of strangers are read."""

    def load(self, stream: Any) -> Any:
        text = stream if isinstance(stream, str) else stream.read()
        return parse_yaml(text, "metadata", most_bytes=_MOST_METADATA_BYTES, most_values=_MOST_METADATA_VALUES)


class BoundedZstd:
    """The library's zstd, which unpacks no more than a chunk may hold, whatever the data say of themselves."""

    def __getattr__(self, name: str) -> Any:
        return getattr(zstd, name)

    @staticmethod
    def decompress(data: bytes) -> bytes:
        """As ``zstd.decompress``, of frames one after the other."""
        whole = b""
        while data:
            # What a frame says of its size is taken at once, so that is asked first.
            _require_room(len(whole) + (zstd.get_frame_info(data).decompressed_size or 0))
            decompressor = zstd.ZstdDecompressor()
            whole += decompressor.decompress(data, max_length=_MOST_CHUNK_BYTES + 1 - len(whole))
            _require_room(len(whole))
            if not decompressor.eof:
                raise ValueError("compressed data end too early")
            data = decompressor.unused_data
        return whole

    @staticmethod
    def open(file: IO[bytes], mode: str) -> Any:
        """As ``zstd.open``, for a whole file that was compressed: the reader fails where it grows beyond all reason."""
        size = file.seek(0, 2)
        file.seek(0)
        return _BoundedFile(zstd.open(file, mode), max(_MOST_CHUNK_BYTES, _MOST_RATIO * size))


class _BoundedFile:
    """A file that is read up to ``most`` bytes, a context manager."""

    def __init__(self, file: Any, most: int) -> None:
        self._file, self._left, self._most = file, most, most

    def __enter__(self) -> _BoundedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise TooLargeError(f"a compressed file of more than {self._most} bytes unpacked, expected less")
        return data


def _read_exact(file: IO[bytes], size: int) -> bytes:
    """As the library's: what a record says of its size is taken at once, so it is compared with what is left."""
    if size > _SMALL_RECORD:
        at = file.tell()
        left = file.seek(0, 2) - at
        file.seek(at)
        if size > left:
            raise ValueError(f"truncated record at {at}: {size} bytes, of which {left} are there")
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"truncated record: expected {size} bytes, found {len(data)}")
    return data


def _decompress_lz4(data: bytes) -> bytes:
    decompressor = LZ4FrameDecompressor()
    whole = decompressor.decompress(data, max_length=_MOST_CHUNK_BYTES + 1)
    _require_room(len(whole))
    if not decompressor.eof:
        raise ValueError("compressed data end too early")
    return whole


def _require_room(size: int) -> None:
    if size > _MOST_CHUNK_BYTES:
        raise TooLargeError(f"a chunk of more than {_MOST_CHUNK_BYTES} bytes unpacked, which no recorder writes")
