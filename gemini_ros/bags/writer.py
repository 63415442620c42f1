"""Writing MCAP bags that ros2 bag, Foxglove and rosbags read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from gemini_ros.bags.reader import BagError

TYPESTORE = get_typestore(Stores.ROS2_JAZZY)
"""Message types by name, with their definitions and serialisation."""

# Version 8 of the metadata is the newest whose QoS profiles Humble understands too; Jazzy and later read both.
_METADATA_VERSION = 8
_UNBOUNDED = QosTime(9223372036, 854775807)


class BagWriter:
    """One MCAP file, ``path`` (*.mcap), a context manager.

    The bag is written beside ``path`` and takes its place, replacing a file that is there, only when the block ends
    well; a reader never sees half of it. Without ``replace`` a file that is there is refused (``BagError``). Chunks are
    compressed (zstd), as the format provides. Messages of ``transient_local`` topics are offered to late subscribers
    when the bag is played.
    """

    def __init__(self, path: str | Path, *, transient_local: Collection[str] = (), replace: bool = True) -> None:
        self.path = Path(path)
        if self.path.suffix != ".mcap":
            raise BagError(f"{self.path}: expected a name that ends in .mcap")
        self._replace, self._aborted = replace, False
        self._require_new()
        self._transient_local = set(transient_local)
        self._connections: dict[str, Connection] = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # rosbags writes a directory of this name with one file of this name in it, which is all we keep.
        self._work = Path(tempfile.mkdtemp(prefix=f".{self.path.stem}-", dir=self.path.parent))
        self._writer = Writer(self._work / self.path.stem, version=_METADATA_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._aborted:
            return
        if error is None:
            self.close()
        else:
            self.abort()

    def write(self, topic: str, message: Any, stamp_ns: int) -> None:
        """Store a rosbags message (see ``bags.messages``), received at ``stamp_ns``."""
        msgtype = message.__msgtype__
        self.write_raw(topic, msgtype, TYPESTORE.serialize_cdr(message, msgtype), stamp_ns)

    def write_raw(self, topic: str, msgtype: str, cdr: bytes | memoryview, stamp_ns: int) -> None:
        """Store a message that is serialised already, received at ``stamp_ns``.

        Raises ``BagError`` for a type that is not among those of ROS 2 Jazzy, and for a second type on one topic.
        """
        connection = self._connections.get(topic) or self._connect(topic, msgtype)
        if connection.msgtype != msgtype:
            raise BagError(f"topic {topic}: message of type {msgtype}, expected {connection.msgtype} as before")
        self._writer.write(connection, stamp_ns, cdr)

    def advertise(self, topic: str, msgtype: str) -> None:
        """Declare ``topic``, of which nothing may come."""
        if topic not in self._connections:
            self._connect(topic, msgtype)

    def latch(self, topic: str) -> None:
        """Declare ``topic`` transient local, before its first message."""
        self._transient_local.add(topic)

    def close(self) -> None:
        """Finish the bag and put it in its place."""
        try:
            self._writer.close()
            self._require_new()
            (self._work / self.path.stem / self.path.name).replace(self.path)
        finally:
            shutil.rmtree(self._work)

    def abort(self) -> None:
        """Throw away what was written; a file that is at ``path`` stays. The block may then end well."""
        self._aborted = True
        self._writer.abort()
        shutil.rmtree(self._work)

    def _require_new(self) -> None:
        if not self._replace and self.path.exists():
            raise BagError(f"{self.path}: exists already, expected a new name, as it may hold a drive")

    def _connect(self, topic: str, msgtype: str) -> Connection:
        if msgtype not in TYPESTORE.fielddefs:
            raise BagError(f"topic {topic}: message type {msgtype} is not among those of ROS 2 Jazzy")
        qos = [_LATCHED] if topic in self._transient_local else []
        connection = self._writer.add_connection(topic, msgtype, typestore=TYPESTORE, offered_qos_profiles=qos)
        self._connections[topic] = connection
        return connection


_LATCHED = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=_UNBOUNDED,
    lifespan=_UNBOUNDED,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_UNBOUNDED,
    avoid_ros_namespace_conventions=False,
)
