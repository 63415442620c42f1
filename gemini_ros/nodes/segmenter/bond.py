"""The heartbeat of a bond: a lifecycle manager notices by it that the node hangs or is gone.

It needs ``bond/msg/Status`` alone, and is not sent where that is not installed. The node does not watch the manager.
"""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

PERIOD_S = 0.25
_TIMEOUT_S = 4.0


def installed() -> Any:
    """The message type ``bond/msg/Status``; ``None`` where the package is not installed."""
    try:
        return importlib.import_module("bond.msg").Status
    except ImportError:
        return None


@dataclass(frozen=True)
class BondStatus:
    """The fields of bond/msg/Status; durations in seconds."""

    header: Header
    id: str
    instance_id: str
    active: bool
    heartbeat_timeout: float
    heartbeat_period: float


class Heartbeat:
    """``bond/msg/Status`` on ``bond`` at 4 Hz, from the executor's thread, as long as ``beats`` says so.

    Its id is the node's name, as Nav2's lifecycle manager expects it. It falls silent with the process, with the
    executor, and with what ``beats`` looks at. ``close`` breaks the bond, which tells the manager at once.
    """

    def __init__(self, node: Node, clock: Clock, message_type: Any, beats: Callable[[], bool]) -> None:
        self._node, self._type, self._beats = node, message_type, beats
        self._instance_id = str(uuid.uuid4())
        self._publisher = node.create_publisher(message_type, "bond", QoSProfile(depth=10))
        self._timer = node.create_timer(PERIOD_S, self._beat, clock=clock)

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self._send(active=False)
        self._node.destroy_publisher(self._publisher)

    def _beat(self) -> None:
        if self._beats():
            self._send(active=True)

    def _send(self, *, active: bool) -> None:
        header = Header(stamp=self._node.get_clock().now().to_msg())
        status = BondStatus(header, self._node.get_name(), self._instance_id, active, _TIMEOUT_S, PERIOD_S)
        self._publisher.publish(self._type(**vars(status)))
