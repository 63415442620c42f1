"""The speed mask, and what Nav2's speed filter has to know of it."""

from __future__ import annotations

from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node

from gemini_ros.core.costmap import Occupancy
from gemini_ros.nodes.messages import occupancy_message
from gemini_ros.nodes.segmenter.filter_info import LATCHED_QOS, publish_filter_info

_SPEED_IN_PERCENT = 1


class SpeedTopic:
    """``~/speed_mask``, and once ``~/speed_mask_info``: the mask is the limit in percent."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._mask = node.create_publisher(OccupancyGrid, "~/speed_mask", LATCHED_QOS)
        self._info = publish_filter_info(node, "~/speed_mask", _SPEED_IN_PERCENT)

    @property
    def wanted(self) -> bool:
        return self._mask.get_subscription_count() > 0

    def publish(self, mask: Occupancy, frame_id: str) -> None:
        self._mask.publish(occupancy_message(mask, frame_id))

    def close(self) -> None:
        for publisher in (self._mask, self._info):
            if publisher is not None:
                self._node.destroy_publisher(publisher)
