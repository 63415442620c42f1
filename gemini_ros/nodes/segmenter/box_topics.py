"""Boxes of single things as markers and as detections, made only while somebody subscribes.

Markers need the package ``visualization_msgs``, detections ``vision_msgs``; what is not installed is not sent.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Vector3
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import ColorRGBA, Header

from gemini_ros.core.boxes import Box
from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.tracks import error_m
from gemini_ros.nodes.messages import header
from gemini_ros.nodes.segmenter import label_info
from gemini_ros.pipeline.detections import Detections

QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
# Constants of visualization_msgs/msg/Marker.
ARROW, CUBE, TEXT = 0, 1, 9
ADD, DELETE_ALL = 0, 3
_LIFETIME = Duration(sec=1)
_ARROW_M, _TEXT_M, _ALPHA, _FAINT = 0.05, 0.2, 0.6, 0.3
_LEAST_SPEED_MPS = 0.1


def installed() -> Any:
    """The module ``visualization_msgs.msg``; ``None`` where the package is not installed."""
    try:
        return importlib.import_module("visualization_msgs.msg")
    except ImportError:
        return None


class BoxTopics:
    """``~/markers``, ``~/detections`` and ``~/detections_2d``."""

    def __init__(self, node: Node, label_set: LabelSet) -> None:
        self._node, self._label_set = node, label_set
        self._markers = self._solid = self._flat = None
        self._drawn, self._seen = installed(), label_info.installed()
        if self._drawn is not None:
            self._markers = node.create_publisher(self._drawn.MarkerArray, "~/markers", QOS)
        if self._seen is not None:
            self._solid = node.create_publisher(self._seen.Detection3DArray, "~/detections", QOS)
            self._flat = node.create_publisher(self._seen.Detection2DArray, "~/detections_2d", QOS)

    @property
    def wanted(self) -> bool:
        """Whether anybody subscribes."""
        return any(_wanted(publisher) for publisher in (self._markers, self._solid, self._flat))

    def publish(self, found: Detections, frame: Frame) -> None:
        """The boxes of a frame; those in the image carry its frame, the others that of the odometry."""
        head = header(frame.stamp_ns, found.frame_id)
        if self._markers is not None and _wanted(self._markers):
            self._markers.publish(self._drawn.MarkerArray(markers=self._all_markers(found.boxes, head)))
        if self._solid is not None and _wanted(self._solid):
            solid = [self._detection_3d(box, head) for box in found.boxes]
            self._solid.publish(self._seen.Detection3DArray(header=head, detections=solid))
        if self._flat is not None and _wanted(self._flat):
            head = header(frame.stamp_ns, frame.frame_id)
            flat = [self._detection_2d(box, head) for box in found.boxes]
            self._flat.publish(self._seen.Detection2DArray(header=head, detections=flat))

    def close(self) -> None:
        for publisher in (self._markers, self._solid, self._flat):
            if publisher is not None:
                self._node.destroy_publisher(publisher)

    def _all_markers(self, boxes: tuple[Box, ...], head: Header) -> list[Any]:
        """Those of the frame before are deleted; then a cube, a text and, of what moves, an arrow of one second."""
        made = [self._drawn.Marker(header=head, action=DELETE_ALL)]
        for box in boxes:
            label = self._label_set.classes[box.label]
            red, green, blue = (value / 255 for value in label.color)
            in_part = [word for word, true in (("truncated", box.truncated), ("occluded", box.occluded)) if true]
            common: dict[str, Any] = {"header": head, "id": box.id, "action": ADD, "lifetime": _LIFETIME}
            color = ColorRGBA(r=red, g=green, b=blue, a=_FAINT if in_part else _ALPHA)
            white = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
            size = Vector3(x=box.size[0], y=box.size[1], z=box.size[2])
            cube = self._drawn.Marker(ns="boxes", type=CUBE, pose=pose_of(box), scale=size, color=color, **common)
            x, y, z = box.center
            above = Pose(position=Point(x=x, y=y, z=z + box.size[2] / 2 + _TEXT_M))
            text = " ".join([label.name, str(box.id), f"{box.score:.2f}", *in_part])
            said = self._drawn.Marker(
                ns="names", type=TEXT, pose=above, scale=Vector3(z=_TEXT_M), color=white, text=text, **common
            )
            made += [cube, said]
            if math.hypot(*box.velocity) >= _LEAST_SPEED_MPS:
                ends = [Point(x=x, y=y, z=z), Point(x=x + box.velocity[0], y=y + box.velocity[1], z=z)]
                thick = Vector3(x=_ARROW_M, y=2 * _ARROW_M)
                made.append(
                    self._drawn.Marker(ns="velocities", type=ARROW, points=ends, scale=thick, color=color, **common)
                )
        return made

    def _detection_3d(self, box: Box, head: Header) -> Any:
        bounds = self._seen.BoundingBox3D(
            center=pose_of(box), size=Vector3(x=box.size[0], y=box.size[1], z=box.size[2])
        )
        return self._seen.Detection3D(header=head, results=[self._hypothesis(box)], bbox=bounds, id=str(box.id))

    def _detection_2d(self, box: Box, head: Header) -> Any:
        left, top, width, height = box.image
        middle = self._seen.Point2D(x=left + width / 2, y=top + height / 2)
        bounds = self._seen.BoundingBox2D(
            center=self._seen.Pose2D(position=middle, theta=0.0), size_x=float(width), size_y=float(height)
        )
        return self._seen.Detection2D(header=head, results=[self._hypothesis(box)], bbox=bounds, id=str(box.id))

    def _hypothesis(self, box: Box) -> Any:
        hypothesis = self._seen.ObjectHypothesis(class_id=self._label_set.names[box.label], score=box.score)
        covariance = [0.0] * 36
        covariance[0] = covariance[7] = error_m(box) ** 2
        pose = PoseWithCovariance(pose=pose_of(box), covariance=covariance)
        return self._seen.ObjectHypothesisWithPose(hypothesis=hypothesis, pose=pose)


def pose_of(box: Box) -> Pose:
    """geometry_msgs/Pose of the box's centre, turned by its yaw."""
    x, y, z = box.center
    turn = Quaternion(z=math.sin(box.yaw / 2), w=math.cos(box.yaw / 2))
    return Pose(position=Point(x=x, y=y, z=z), orientation=turn)


def _wanted(publisher: Any) -> bool:
    return publisher is not None and publisher.get_subscription_count() > 0
