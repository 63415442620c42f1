"""What the segmenter publishes. What costs something is made only while somebody subscribes."""

from __future__ import annotations

from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import overlay
from gemini_ros.nodes.messages import camera_info_message, header, image_message, occupancy_message

_IMAGE_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """The publishers, from configuration to clean-up. Images leave from the worker's thread."""

    def __init__(self, node: Node, label_set: LabelSet) -> None:
        self._node, self._label_set = node, label_set
        self._labels = node.create_publisher(Image, "~/labels", _IMAGE_QOS)
        self._confidence = node.create_publisher(Image, "~/confidence", _IMAGE_QOS)
        self._color = node.create_publisher(Image, "~/color", _IMAGE_QOS)
        self._camera_info = node.create_publisher(CameraInfo, "~/camera_info", _IMAGE_QOS)
        self._costmap = node.create_publisher(OccupancyGrid, "~/costmap", _LATCHED_QOS)

    def publish_images(self, frame: Frame, segmentation: Segmentation) -> None:
        """Labels always; the rest for whom it may concern. All carry the stamp and frame of the frame."""
        head = header(frame.stamp_ns, frame.frame_id)
        self._labels.publish(image_message(segmentation.labels, head))
        if self._confidence.get_subscription_count():
            self._confidence.publish(image_message(segmentation.confidence, head))
        if self._color.get_subscription_count():
            self._color.publish(image_message(overlay(frame, segmentation.labels, self._label_set), head))
        if frame.intrinsics is not None and self._camera_info.get_subscription_count():
            self._camera_info.publish(camera_info_message(frame.intrinsics, head))

    @property
    def costmap_wanted(self) -> bool:
        return self._costmap.get_subscription_count() > 0

    def publish_costmap(self, occupancy: Occupancy, frame_id: str) -> None:
        self._costmap.publish(occupancy_message(occupancy, frame_id))

    def close(self) -> None:
        for publisher in (self._labels, self._confidence, self._color, self._camera_info, self._costmap):
            self._node.destroy_publisher(publisher)
