"""Reading ROS 2 bags without ROS: MCAP files, MCAP and SQLite directories."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat, Nodetype, Qos
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from gemini_ros.bags.limits import TooLargeError, require_definition
from gemini_ros.bags.storage import SUFFIXES, Storage, open_storages
from gemini_ros.core.documents import one_line

_LOOKED_AT = 20
_IDL_PART = "=" * 80 + "\n"


class BagError(ValueError):
    """A bag that cannot be read or written, or lacks what is asked of it."""


@dataclass(frozen=True)
class BagMessage:
    """One stored message: ``raw`` is its CDR, ``receipt_ns`` the time it was recorded at."""

    topic: str
    msgtype: str
    receipt_ns: int
    raw: bytes


class BagReader:
    """A bag opened for reading, a context manager.

    Raises ``BagError`` for a path that is no bag, an empty, truncated or corrupt one, on opening and on reading. What
    is wrong with one topic alone leaves the others as they are: ``fault_of`` says what it is.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._stack = ExitStack()
        self._types: dict[str, Typestore | str] = {}
        self._first: dict[str, Any] = {}
        with _readable(self.path):
            _check_is_bag(self.path)
            try:
                self._storages = open_storages(self.path, self._stack)
            except BaseException:
                self._stack.close()
                raise
        self._all = [connection for storage in self._storages for connection in storage.connections]

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the bag; a closed reader has no topics."""
        self._storages, self._all = [], []
        self._stack.close()

    @property
    def topics(self) -> dict[str, str]:
        """Message type of each topic (``sensor_msgs/msg/Image``), by topic name in alphabetical order.

        Of a topic with several types it is that of the most messages.
        """
        return {c.topic: c.msgtype for c in sorted(self._all, key=lambda c: (c.topic, c.msgcount))}

    @property
    def counts(self) -> dict[str, int]:
        """Number of messages of each topic."""
        counts = dict.fromkeys(self.topics, 0)
        for connection in self._all:
            counts[connection.topic] += connection.msgcount
        return counts

    @property
    def qos(self) -> dict[str, Qos | None]:
        """What the (first) recorded publisher of each topic offered; ``None`` where the bag does not say."""
        offers: dict[str, Qos | None] = dict.fromkeys(self.topics)
        for connection in self._all:
            profiles = getattr(connection.ext, "offered_qos_profiles", [])
            offers[connection.topic] = offers[connection.topic] or next(iter(profiles), None)
        return offers

    @property
    def start_ns(self) -> int:
        """Receipt time of the first message; 0 in a bag without messages."""
        return min((storage.span_ns[0] for storage in self._storages if storage.span_ns), default=0)

    @property
    def duration_ns(self) -> int:
        """Time from the first message to the last."""
        return max((storage.span_ns[1] for storage in self._storages if storage.span_ns), default=0) - self.start_ns

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Messages in order of receipt, of all topics or of ``topics``; a topic that is not there is a ``BagError``."""
        wanted = self.topics if topics is None else self._require(topics)
        with _readable(self.path):
            for connection, receipt_ns, raw in self._stored(wanted):
                yield BagMessage(connection.topic, connection.msgtype, receipt_ns, raw)

    def deserialize(self, message: BagMessage) -> Any:
        """The message as an object with the fields of its ROS definition, as the bag defines it."""
        types = self._types_of(message.msgtype)
        if isinstance(types, str):
            raise BagError(f"{self.path}: topic {message.topic}: {types}")
        try:
            return types.deserialize_cdr(message.raw, message.msgtype)
        except Exception as error:  # as below: the bytes are anybody's
            raise BagError(
                f"{self.path}: topic {message.topic}: a message of {len(message.raw)} bytes is no "
                f"{message.msgtype}: {one_line(error)}"
            ) from error

    def first(self, topic: str) -> Any:
        """The first message of a topic, of the first few, that can be read, deserialised; ``None`` where none can."""
        if topic not in self._first:
            self._first[topic] = next(self._readable_ones(topic), None)
        return self._first[topic]

    def fault_of(self, topic: str) -> str:
        """Why no message of this topic can be read, in a few words; empty where they can."""
        of_topic = [connection for connection in self._all if connection.topic == topic]
        encodings = {str(getattr(connection.ext, "serialization_format", "cdr")) for connection in of_topic}
        if others := encodings - {"cdr"}:
            return f"messages are {', '.join(sorted(others))}, expected cdr"
        types = self._types_of(self.topics[topic])
        return types if isinstance(types, str) else ""

    def listing(self) -> str:
        """``topic (type, count)`` of every topic in one line, for error messages."""
        counts = self.counts
        return ", ".join(f"{topic} ({msgtype}, {counts[topic]})" for topic, msgtype in self.topics.items()) or "none"

    def _readable_ones(self, topic: str) -> Iterator[Any]:
        for stored in islice(self.messages([topic]), _LOOKED_AT):
            with suppress(BagError):
                yield self.deserialize(stored)

    def _require(self, topics: Collection[str]) -> Collection[str]:
        missing = [topic for topic in topics if topic not in self.topics]
        if missing:
            raise BagError(f"{self.path}: no topic {', '.join(missing)}; topics there: {self.listing()}")
        return topics

    def _stored(self, topics: Collection[str]) -> Iterator[tuple[Connection, int, bytes]]:
        """Of all files in order of receipt: those of a split bag overlap where a recorder's cache was written late."""

        def of(storage: Storage) -> Iterator[tuple[Connection, int, bytes]]:
            connections = [connection for connection in storage.connections if connection.topic in topics]
            return iter(storage.messages(connections) if connections else ())

        return heapq.merge(*map(of, self._storages), key=lambda stored: stored[1])

    def _types_of(self, msgtype: str) -> Typestore | str:
        """What reads messages of a type, or why nothing does."""
        if msgtype not in self._types:
            definitions = tuple((c.msgdef, c.digest) for c in self._all if c.msgtype == msgtype)
            self._types[msgtype] = _typestore(msgtype, definitions)
        return self._types[msgtype]


@lru_cache(maxsize=256)
def _typestore(msgtype: str, definitions: tuple[tuple[MessageDefinition, str], ...]) -> Typestore | str:
    """The first definition that is one; else ROS's own, since bags of Humble and older hold none in SQLite."""
    why = f"message type {msgtype} is not defined in the bag"
    for definition, digest in definitions:
        if definition.format is MessageDefinitionFormat.NONE:
            continue
        try:
            store = get_typestore(Stores.EMPTY)
            store.register(_completed(_parsed(definition, msgtype), msgtype))
            require_definition(store.fielddefs, msgtype)
            if digest and (found := store.hash_rihs01(msgtype)) != digest:
                raise ValueError(f"its hash is {found}, the bag says {digest}")
        except Exception as error:  # noqa: BLE001 (of the parsers, without a common base class)
            why = f"the definition of {msgtype} in the bag cannot be used ({one_line(error):.120})"
            continue
        return store
    return _common() if msgtype in _common().fielddefs else why


def _parsed(definition: MessageDefinition, msgtype: str) -> dict[str, Any]:
    if definition.format is MessageDefinitionFormat.MSG:
        return dict(get_types_from_msg(definition.data, msgtype))
    types: dict[str, Any] = {}
    parts = definition.data.split(_IDL_PART)[1:] if definition.data.startswith(_IDL_PART) else [f"\n{definition.data}"]
    for part in parts:
        types.update(get_types_from_idl(part.partition("\n")[2]))
    return types


def _completed(types: dict[str, Any], msgtype: str) -> dict[str, Any]:
    """``types`` with what ``msgtype`` builds on: where a definition lacks it, it is of ROS itself as a rule."""
    wanted, complete = [msgtype], {}
    while wanted:
        name = wanted.pop()
        if name in complete:
            continue
        if name not in types and name not in _common().fielddefs:
            raise ValueError(f"{name} is not defined")
        complete[name] = types[name] if name in types else _common().fielddefs[name]
        wanted += [part for _, field in complete[name][1] for part in _messages_in(field)]
    return complete


def _messages_in(field: Any) -> list[str]:
    """Names of the messages in the description of a field, which nests for arrays and sequences."""
    kind, content = field[0], field[1]
    if kind is Nodetype.NAME:
        return [content]
    return [] if kind is Nodetype.BASE else _messages_in(content[0])


@lru_cache(maxsize=1)
def _common() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the library raises on a damaged bag into one ``BagError`` with the cure."""
    try:
        yield
    except (BagError, FileNotFoundError, PermissionError):
        raise
    except TooLargeError as error:
        raise BagError(f"{path}: {error}") from error
    except Exception as error:
        # The library parses most records without checking them: damage ends in any error of struct, the compressors,
        # SQLite, YAML, the decoding of text, arithmetic.
        cure = "ros2 bag reindex" if path.is_dir() or path.suffix == ".db3" else "mcap recover"
        raise BagError(
            f"{path}: truncated or corrupt ({one_line(error)}): a recording that was cut off can be "
            f"repaired with `{cure} {path}`"
        ) from error


def is_bag(path: Path) -> bool:
    """Whether a path is a bag and not a folder of images: a file, or a directory as ``ros2 bag record`` makes it."""
    return path.is_file() or (path / "metadata.yaml").is_file()


def _check_is_bag(path: Path) -> None:
    if not path.exists():
        raise BagError(f"{path}: no such file or directory")
    if path.is_dir():
        if not (path / "metadata.yaml").is_file():
            files = sorted(file.name for file in path.iterdir() if file.suffix in SUFFIXES)
            cure = f": write it with `ros2 bag reindex {path}`, or read {files[0]} by itself" if files else ""
            raise BagError(f"{path}: not a bag: a directory without metadata.yaml{cure}")
        return
    if path.suffix not in SUFFIXES:
        raise BagError(
            f"{path}: not a ROS 2 bag: expected a file *.mcap or *.db3, or a directory with metadata.yaml"
            + (" (convert a ROS 1 bag with `rosbags-convert`)" if path.suffix == ".bag" else "")
        )
    if path.stat().st_size == 0:
        raise BagError(f"{path}: an empty file: nothing was recorded")
    with path.open("rb") as file:
        start = file.read(25)
    if not start.startswith({".mcap": b"\x89MCAP0\r\n", ".db3": b"SQLite format 3\x00"}[path.suffix]):
        raise BagError(f"{path}: not a bag: the content is no {'MCAP' if path.suffix == '.mcap' else 'SQLite'}")
    if path.suffix == ".mcap" and len(start) == 25 and start[17:] != b"\x04\x00\x00\x00ros2":
        raise BagError(f"{path}: an MCAP file, but of another profile: expected ros2, as `ros2 bag record` writes it")
