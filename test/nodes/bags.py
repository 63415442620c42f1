"""Bags that only other programs would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from gemini_ros.bags.writer import TYPESTORE

_ZERO = QosTime(0, 0)
BEST_EFFORT = Qos(
    QosHistory.KEEP_LAST,
    5,
    QosReliability.BEST_EFFORT,
    QosDurability.VOLATILE,
    _ZERO,
    _ZERO,
    QosLiveliness.AUTOMATIC,
    _ZERO,
    False,
)


def best_effort_bag(path: Path, message: Any, receipt_ns: int) -> Path:
    """A SQLite directory with one message on ``/tick``, recorded from a best-effort publisher."""
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        msgtype = message.__msgtype__
        connection = writer.add_connection("/tick", msgtype, typestore=TYPESTORE, offered_qos_profiles=[BEST_EFFORT])
        writer.write(connection, receipt_ns, TYPESTORE.serialize_cdr(message, msgtype))
    return path
