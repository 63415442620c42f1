"""Reading ROS 2 bags without ROS: MCAP files, MCAP and SQLite directories."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, Qos
from rosbags.typesys import Stores, get_typestore

from gemini_ros.bags.limits import (
    TooLargeError,
    bound_library,
    require_definition,
    require_plain_contents,
    require_plain_tables,
    require_room_for_chunks,
)
from gemini_ros.core.documents import one_line

_STORAGES = (".mcap", ".db3")


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

    Raises ``BagError`` for a path that is no bag, an empty, truncated or corrupt one, on opening and on reading.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._checked: set[str] = set()  # message types whose definition is known to be good
        with _readable(self.path):
            _check_is_bag(self.path)
            for database in self.path.glob("*.db3") if self.path.is_dir() else [self.path]:
                require_plain_tables(database)
            # Bags of Humble and older hold no definitions in SQLite: their common types are those of Jazzy.
            self._reader = AnyReader([self.path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
            self._reader.open()
            try:
                require_plain_contents(self._reader)
                require_room_for_chunks(self._reader, self.path)
            except ValueError:
                self._reader.close()
                raise

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the bag; a closed reader has no topics."""
        if self._reader.stack is not None:
            self._reader.close()

    @property
    def topics(self) -> dict[str, str]:
        """Message type of each topic (``sensor_msgs/msg/Image``), by topic name in alphabetical order."""
        return {c.topic: c.msgtype for c in sorted(self._reader.connections, key=lambda c: c.topic)}

    @property
    def counts(self) -> dict[str, int]:
        """Number of messages of each topic."""
        counts = dict.fromkeys(self.topics, 0)
        for connection in self._reader.connections:
            counts[connection.topic] += connection.msgcount
        return counts

    @property
    def qos(self) -> dict[str, Qos | None]:
        """What the (first) recorded publisher of each topic offered; ``None`` where the bag does not say."""
        offers: dict[str, Qos | None] = dict.fromkeys(self.topics)
        for connection in self._reader.connections:
            profiles = getattr(connection.ext, "offered_qos_profiles", [])
            offers[connection.topic] = offers[connection.topic] or next(iter(profiles), None)
        return offers

    @property
    def start_ns(self) -> int:
        """Receipt time of the first message; 0 in a bag without messages."""
        return self._reader.start_time if self._reader.message_count else 0

    @property
    def duration_ns(self) -> int:
        """Time from the first message to the last."""
        # rosbags counts to the nanosecond after the last message.
        return self._reader.duration - 1 if self._reader.message_count else 0

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Messages in order of receipt, of all topics or of ``topics``; a topic that is not there is a ``BagError``."""
        connections = self._connections(topics)
        if not connections:
            return
        with _readable(self.path):
            for connection, receipt_ns, raw in self._reader.messages(connections):
                if not isinstance(raw, bytes) or type(receipt_ns) is not int:
                    # A column of SQLite holds values of any type.
                    raise ValueError(f"a message of {connection.topic} that is {type(raw).__name__}, expected bytes")
                yield BagMessage(connection.topic, connection.msgtype, receipt_ns, raw)

    def deserialize(self, message: BagMessage) -> Any:
        """The message as an object with the fields of its ROS definition, as the bag defines it."""
        try:
            if message.msgtype not in self._checked:
                require_definition(self._reader.typestore.fielddefs, message.msgtype)
                self._checked.add(message.msgtype)
            return self._reader.deserialize(message.raw, message.msgtype)
        except KeyError as error:
            raise BagError(
                f"{self.path}: topic {message.topic}: message type {message.msgtype} is not defined in the bag"
            ) from error
        except Exception as error:  # as above: the bytes are anybody's
            raise BagError(
                f"{self.path}: topic {message.topic}: a message of {len(message.raw)} bytes is no "
                f"{message.msgtype}: {one_line(error)}"
            ) from error

    def listing(self) -> str:
        """``topic (type, count)`` of every topic in one line, for error messages."""
        counts = self.counts
        return ", ".join(f"{topic} ({msgtype}, {counts[topic]})" for topic, msgtype in self.topics.items()) or "none"

    def _connections(self, topics: Collection[str] | None) -> list[Connection]:
        if topics is None:
            return self._reader.connections
        missing = [topic for topic in topics if topic not in self.topics]
        if missing:
            raise BagError(f"{self.path}: no topic {', '.join(missing)}; topics there: {self.listing()}")
        return [connection for connection in self._reader.connections if connection.topic in topics]


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
            raise BagError(f"{path}: not a bag: a directory without metadata.yaml")
        return
    if path.suffix not in _STORAGES:
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


bound_library()
