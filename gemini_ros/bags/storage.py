"""The files of a bag, opened with rosbags so that what is wrong with one topic stays with that topic.

rosbags refuses a whole bag for a schema of another encoding, a definition that is not text, a quality of service that
it cannot read or a key that metadata.yaml lacks, and unpacks without a limit. MCAP is read through its reader with
these functions replaced, SQLite through Python's own module.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat, Qos
from rosbags.rosbag2 import storage_mcap
from rosbags.rosbag2.metadata import parse_qos

from gemini_ros.bags.limits import (
    BoundedZstd,
    TooLargeError,
    bound_library,
    read_metadata,
    require_plain_contents,
    require_plain_tables,
    require_room_for_chunks,
)

SUFFIXES = (".mcap", ".db3")
_NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")
_FORMATS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}


class Storage(Protocol):
    """One file: what was recorded on which connection, and the messages of some of them in order of receipt."""

    connections: list[Connection]

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """Receipt of the first and of the last message; ``None`` in a file without messages."""
        ...

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]: ...


def open_storages(path: Path, stack: ExitStack) -> list[Storage]:
    """The files of a bag in their order; ``stack`` closes them. Raises whatever a damaged file makes the parsers raise.

    Of metadata.yaml only the names of the files and the compression count: the files know the rest themselves.
    """
    if not path.is_dir():
        return [_open(path, stack)]
    metadata = _metadata(path / "metadata.yaml")
    files = [path / PurePath(name).name for name in metadata["relative_file_paths"]]
    if missing := [str(file) for file in files if not file.exists()]:
        raise ValueError(f"files that metadata.yaml names are missing: {', '.join(missing)}")
    mode = str(metadata.get("compression_mode") or "none").lower()
    if mode not in ("none", "file", "message", "storage") or (
        mode in ("file", "message") and (found := metadata.get("compression_format")) != "zstd"
    ):
        raise ValueError(f"compression mode {mode}, format {found!r}, expected zstd")
    if mode == "file":
        folder = Path(stack.enter_context(TemporaryDirectory()))
        files = [_unpacked(file, folder) for file in files]
    storages = [_open(file, stack) for file in files]
    return [_PackedMessages(storage) for storage in storages] if mode == "message" else storages


def _metadata(path: Path) -> dict[str, Any]:
    metadata = read_metadata(path)["rosbag2_bagfile_information"]
    if not isinstance(metadata, dict) or not isinstance(metadata.get("relative_file_paths"), list):
        raise ValueError("metadata.yaml names no files")
    return metadata


def _unpacked(file: Path, folder: Path) -> Path:
    unpacked = folder / file.stem
    with file.open("rb") as packed, BoundedZstd.open(packed, "rb") as content, unpacked.open("wb") as target:
        shutil.copyfileobj(content, target)
    return unpacked


def _open(file: Path, stack: ExitStack) -> Storage:
    """By its content, not by what ``storage_identifier`` says of it."""
    with file.open("rb") as start:
        is_database = start.read(6) == b"SQLite"
    if is_database:
        file = _with_its_log(file, stack)
        require_plain_tables(file)
    storage = _Database(file) if is_database else _Mcap(file)
    stack.callback(storage.close)
    require_plain_contents(storage.connections, storage.span_ns)
    return storage


def _with_its_log(file: Path, stack: ExitStack) -> Path:
    """A database with what lies in the write-ahead log beside it: a copy where there is one, for a bag is only read.

    A recorder that was killed leaves its last messages there. Raises ``TooLargeError`` where the copy has no room.
    """
    log = file.with_name(f"{file.name}-wal")
    if not log.is_file() or not log.stat().st_size:
        return file
    folder = Path(stack.enter_context(TemporaryDirectory()))
    size, room = file.stat().st_size + log.stat().st_size, shutil.disk_usage(folder).free
    if size > room:
        raise TooLargeError(
            f"messages lie in {log.name}, which is read from a copy of {size} bytes, and {folder.parent} has {room} "
            f'free: write them into the file with `sqlite3 {file} "PRAGMA wal_checkpoint(TRUNCATE)"`'
        )
    copy = folder / file.name
    shutil.copyfile(file, copy)
    shutil.copyfile(log, folder / log.name)
    with closing(sqlite3.connect(copy)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return copy


class _Mcap:
    def __init__(self, file: Path) -> None:
        self._reader = storage_mcap.McapReader(file)
        self._reader.open()
        try:
            require_room_for_chunks(self._reader)
        except ValueError:
            self._reader.close()
            raise
        self.connections = self._reader.connections
        self.messages = self._reader.messages
        found = self._reader.metadata
        self.span_ns = (found.start_time, found.end_time - 1) if found.message_count else None

    def close(self) -> None:
        self._reader.close()


class _Database:
    """SQLite as rosbag2_storage_sqlite3 writes it: tables topics and messages, since Iron message_definitions too."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(f"{file.resolve().as_uri()}?immutable=1", uri=True)
        self._database.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            self.connections = self._read_connections()
            start_ns, end_ns = self._rows("SELECT MIN(timestamp), MAX(timestamp) FROM messages")[0]
        except BaseException:
            self.close()
            raise
        self.span_ns = None if start_ns is None else (start_ns, end_ns)

    def close(self) -> None:
        self._database.close()

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        by_id = {connection.id: connection for connection in connections}
        marks = ",".join("?" * len(by_id))
        query = f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({marks}) ORDER BY timestamp"
        with closing(self._database.execute(query, tuple(by_id))) as rows:
            for topic_id, receipt_ns, data in rows:
                if not isinstance(data, bytes) or type(receipt_ns) is not int:
                    # A column of SQLite holds values of any type.
                    name = by_id[topic_id].topic
                    raise ValueError(f"a message of {name} that is {type(data).__name__}, expected bytes")
                yield by_id[topic_id], receipt_ns, data

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._database.execute(query).fetchall()

    def _read_connections(self) -> list[Connection]:
        columns = {row[1] for row in self._rows("PRAGMA table_info(topics)")}
        qos = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        digest = "type_description_hash" if "type_description_hash" in columns else "''"
        counts = dict(self._rows("SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id"))
        definitions = self._definitions()
        query = f"SELECT id, name, type, serialization_format, {qos}, {digest} FROM topics ORDER BY id"
        return [
            Connection(
                id,
                topic,
                msgtype,
                definitions.get(msgtype, _NO_DEFINITION),
                digest,
                counts.get(id, 0),
                ConnectionExtRosbag2(encoding, _quality(profiles)),
                self,
            )
            for id, topic, msgtype, encoding, profiles, digest in self._rows(query)
        ]

    def _definitions(self) -> dict[str, MessageDefinition]:
        if not self._rows("PRAGMA table_info(message_definitions)"):
            return {}
        query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions ORDER BY id DESC"
        return {name: _definition(encoding, text) for name, encoding, text in self._rows(query)}


class _PackedMessages:
    """A storage whose messages are compressed one by one."""

    def __init__(self, storage: Storage) -> None:
        self._storage, self.connections, self.span_ns = storage, storage.connections, storage.span_ns

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        for connection, receipt_ns, data in self._storage.messages(connections):
            yield connection, receipt_ns, BoundedZstd.decompress(data)


def _definition(encoding: str, text: str) -> MessageDefinition:
    """Recorders write ``unknown`` for a definition that they did not find, others ``protobuf`` or ``jsonschema``."""
    return MessageDefinition(_FORMATS[encoding], text) if encoding in _FORMATS else _NO_DEFINITION


def _quality(profiles: Any) -> list[Qos]:
    """What publishers offered; nothing where it cannot be read, as for a bag that does not say."""
    with suppress(Exception):
        return parse_qos(profiles)
    return []


def _schema_definition(schema: Any) -> MessageDefinition:
    return _NO_DEFINITION if schema is None else _definition(schema.encoding, schema.data)


def _replace_in_library() -> None:
    bound_library()
    storage_mcap.get_msgdef = _schema_definition
    storage_mcap.parse_qos = _quality
    # A schema may be anything: of protobuf it is no text.
    storage_mcap.read_string = lambda file: storage_mcap.read_bytes(file).decode("utf-8", "replace")


_replace_in_library()
