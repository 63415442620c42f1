"""What a costmap filter of Nav2 has to know of its mask.

It needs ``nav2_msgs/msg/CostmapFilterInfo``, and is not sent where that is not installed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def installed() -> Any:
    """The message type ``nav2_msgs/msg/CostmapFilterInfo``; ``None`` where the package is not installed."""
    try:
        return importlib.import_module("nav2_msgs.msg").CostmapFilterInfo
    except ImportError:
        return None


@dataclass(frozen=True)
class FilterInfo:
    """The fields of nav2_msgs/msg/CostmapFilterInfo, but for the header that not every version has."""

    type: int
    filter_mask_topic: str
    base: float
    multiplier: float


def publish_filter_info(node: Node, mask: str, kind: int) -> Any:
    """Say on the topic ``mask`` + ``_info``, once and for late subscribers, that a filter of this ``kind`` takes the
    values of ``mask`` as they are. Returns the publisher, ``None`` where there is none.
    """
    if (message := installed()) is None:
        return None
    publisher = node.create_publisher(message, f"{mask}_info", LATCHED_QOS)
    info = message(**vars(FilterInfo(kind, node.resolve_topic_name(mask), 0.0, 1.0)))
    if "header" in message.get_fields_and_field_types():
        info.header = Header(stamp=node.get_clock().now().to_msg())
    publisher.publish(info)
    return publisher
