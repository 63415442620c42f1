"""Which class each value of the label image is: what Nav2's semantic segmentation layer asks for.

It needs ``vision_msgs/msg/LabelInfo`` alone, and is not sent where that is not installed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from gemini_ros.core.labels import LabelSet

LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def installed() -> Any:
    """The module ``vision_msgs.msg``; ``None`` where the package is not installed."""
    try:
        return importlib.import_module("vision_msgs.msg")
    except ImportError:
        return None


@dataclass(frozen=True)
class VisionClass:
    """The fields of vision_msgs/msg/VisionClass."""

    class_id: int
    class_name: str


@dataclass(frozen=True)
class LabelInfo:
    """The fields of vision_msgs/msg/LabelInfo; ``class_map`` is a list of ``VisionClass``."""

    header: Header
    class_map: list[Any]
    threshold: float


class LabelInfoTopic:
    """``~/label_info``, once and for late subscribers: the classes, and the confidence from which on they count."""

    def __init__(self, node: Node, label_set: LabelSet, threshold: float) -> None:
        self._node, self._publisher = node, None
        if (module := installed()) is None:
            return
        self._publisher = node.create_publisher(module.LabelInfo, "~/label_info", LATCHED_QOS)
        classes = [module.VisionClass(**vars(VisionClass(c.id, c.name))) for c in label_set.classes]
        head = Header(stamp=node.get_clock().now().to_msg())
        self._publisher.publish(module.LabelInfo(**vars(LabelInfo(head, classes, threshold))))

    def close(self) -> None:
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
