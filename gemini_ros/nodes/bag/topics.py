"""What a bag says of a topic, as rclpy needs it: the class of its messages and its quality of service."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence

from rclpy.exceptions import InvalidTopicNameException
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.validate_full_topic_name import validate_full_topic_name
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosReliability

# Depth where a bag names none: enough for a burst of every topic we know, little memory.
FALLBACK_DEPTH = 10
_MSGTYPE = re.compile(r"([a-z][a-z0-9_]*)/msg/([A-Z][A-Za-z0-9]*)")


def check_topic(name: str) -> str:
    """``name`` if it is a full topic name; ``ValueError`` otherwise."""
    try:
        validate_full_topic_name(name)
    except InvalidTopicNameException as error:
        raise ValueError(f"topic {name!r}: {str(error).splitlines()[0]}") from error
    return name


def message_class(msgtype: str) -> type | None:
    """The generated class of ``package/msg/Name``; ``None`` where its package is not installed or lacks it."""
    match = _MSGTYPE.fullmatch(msgtype)
    if match is None:
        return None
    try:
        return getattr(importlib.import_module(f"{match[1]}.msg"), match[2], None)
    except ModuleNotFoundError:
        return None


def publisher_qos(recorded: Qos | None) -> QoSProfile:
    """A profile that offers what the recorded publisher offered; reliable and volatile where the bag is silent."""
    if recorded is None:
        return QoSProfile(depth=FALLBACK_DEPTH)
    latched = recorded.durability is QosDurability.TRANSIENT_LOCAL
    depth = recorded.depth if recorded.history is QosHistory.KEEP_LAST and recorded.depth > 0 else FALLBACK_DEPTH
    best_effort = recorded.reliability is QosReliability.BEST_EFFORT
    return QoSProfile(
        # A latched topic hands its whole history to a late subscriber: the recorded depth exactly, or a costmap would
        # be replayed as a film.
        depth=depth if latched else max(depth, FALLBACK_DEPTH),
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def subscriber_qos(offered: Sequence[QoSProfile], depth: int) -> QoSProfile:
    """The strongest profile that every one of these publishers satisfies."""
    reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
    latched = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )
