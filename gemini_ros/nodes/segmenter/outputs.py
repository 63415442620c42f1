"""What the segmenter publishes. What costs something is made only while somebody subscribes."""

from __future__ import annotations

from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2

from gemini_ros.core.clouds import Clouds
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.costmap.scan import Scan
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import overlay
from gemini_ros.nodes.messages import (
    camera_info_message,
    cloud_message,
    header,
    image_message,
    occupancy_message,
    scan_message,
)
from gemini_ros.nodes.segmenter.box_topics import BoxTopics
from gemini_ros.nodes.segmenter.label_info import LabelInfoTopic
from gemini_ros.nodes.segmenter.speed_topic import SpeedTopic
from gemini_ros.pipeline.nav_outputs import OutputSize
from gemini_ros.pipeline.settings import Settings

_IMAGE_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """The publishers, from configuration to clean-up. Images leave from the worker's thread."""

    def __init__(self, node: Node, label_set: LabelSet, settings: Settings) -> None:
        self._node, self.label_set = node, label_set
        self._size = OutputSize(settings.output_size)
        self._labels = node.create_publisher(Image, "~/labels", _IMAGE_QOS)
        self._confidence = node.create_publisher(Image, "~/confidence", _IMAGE_QOS)
        self._color = node.create_publisher(Image, "~/color", _IMAGE_QOS)
        self._camera_info = node.create_publisher(CameraInfo, "~/camera_info", _IMAGE_QOS)
        self._costmap = node.create_publisher(OccupancyGrid, "~/costmap", _LATCHED_QOS)
        self._clouds = {
            name: node.create_publisher(PointCloud2, f"~/{name}", _IMAGE_QOS)
            for name in ("obstacles", "ground", "points")
        }
        self._scan = node.create_publisher(LaserScan, "~/scan", _IMAGE_QOS)
        self.speed, self.boxes = SpeedTopic(node), BoxTopics(node, label_set)
        self._label_info = LabelInfoTopic(node, label_set, settings.costmap.min_confidence)

    def publish_images(self, frame: Frame, segmentation: Segmentation, *, in_time: bool = True) -> None:
        """Labels always; the rest for whom it may concern. All carry the stamp and frame of the frame, and labels,
        confidence, points and camera one size. ``in_time``: whether points may leave.
        """
        head, size = header(frame.stamp_ns, frame.frame_id), self._size
        self._labels.publish(image_message(size.image(segmentation.labels), head))
        if self._confidence.get_subscription_count():
            self._confidence.publish(image_message(size.image(segmentation.confidence), head))
        points = self._clouds["points"]
        if in_time and points.get_subscription_count() and (made := size.points(frame)) is not None:
            points.publish(cloud_message(made, head))
        if self._color.get_subscription_count():
            self._color.publish(image_message(overlay(frame, segmentation.labels, self.label_set), head))
        if (camera := size.intrinsics(frame)) is not None and self._camera_info.get_subscription_count():
            self._camera_info.publish(camera_info_message(camera, head))

    @property
    def clouds_wanted(self) -> bool:
        return any(self._clouds[name].get_subscription_count() for name in ("obstacles", "ground"))

    def publish_clouds(self, clouds: Clouds, frame: Frame) -> None:
        head = header(frame.stamp_ns, frame.frame_id)
        for name, points in vars(clouds).items():
            if self._clouds[name].get_subscription_count():
                self._clouds[name].publish(cloud_message(points, head))

    @property
    def scan_wanted(self) -> bool:
        return self._scan.get_subscription_count() > 0

    def publish_scan(self, scan: Scan, stamp_ns: int, base_frame: str) -> None:
        self._scan.publish(scan_message(scan, header(stamp_ns, base_frame)))

    @property
    def costmap_wanted(self) -> bool:
        return self._costmap.get_subscription_count() > 0

    def publish_costmap(self, occupancy: Occupancy, frame_id: str) -> None:
        self._costmap.publish(occupancy_message(occupancy, frame_id))

    def close(self) -> None:
        images = self._labels, self._confidence, self._color, self._camera_info
        for publisher in (*images, self._costmap, *self._clouds.values(), self._scan):
            self._node.destroy_publisher(publisher)
        self._label_info.close()
        self.speed.close()
        self.boxes.close()
