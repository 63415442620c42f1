"""The speed mask and what Nav2's speed filter has to know of it.

The second needs ``nav2_msgs/msg/CostmapFilterInfo``, and is not sent where that is not installed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from gemini_ros.core.costmap import Occupancy
from gemini_ros.nodes.messages import occupancy_message

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_SPEED_IN_PERCENT = 1


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


class SpeedTopic:
    """``~/speed_mask``, and once ``~/speed_mask_info``: the mask is the limit in percent."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._mask = node.create_publisher(OccupancyGrid, "~/speed_mask", LATCHED_QOS)
        self._info: Any = None
        if (kind := installed()) is None:
            return
        self._info = node.create_publisher(kind, "~/speed_mask_info", LATCHED_QOS)
        info = kind(**vars(FilterInfo(_SPEED_IN_PERCENT, node.resolve_topic_name("~/speed_mask"), 0.0, 1.0)))
        if "header" in kind.get_fields_and_field_types():
            info.header = Header(stamp=node.get_clock().now().to_msg())
        self._info.publish(info)

    @property
    def wanted(self) -> bool:
        return self._mask.get_subscription_count() > 0

    def publish(self, mask: Occupancy, frame_id: str) -> None:
        self._mask.publish(occupancy_message(mask, frame_id))

    def close(self) -> None:
        for publisher in (self._mask, self._info):
            if publisher is not None:
                self._node.destroy_publisher(publisher)
