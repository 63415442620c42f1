"""Where phrases are, for RViz (``~/phrase_markers``) and for tracking (``~/phrase_detections``).

They need ``visualization_msgs`` and ``vision_msgs``, and are not sent where these are not installed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Vector3
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import ColorRGBA, Header

from gemini_ros.nodes.messages import header
from gemini_ros.pipeline.answers import Answer, Answers, Place

_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
_CUBE, _TEXT, _ADD, _DELETE_ALL = 1, 9, 0, 3
_COLORS = ((0.9, 0.2, 0.2), (0.2, 0.6, 0.9), (0.95, 0.75, 0.1), (0.4, 0.8, 0.3))
_LETTER_M, _LEAST_M = 0.2, 0.05
_SHOWN_S = 1  # after the last frame that tells


def installed(package: str) -> Any:
    """The module of a package's messages; ``None`` where it is not installed."""
    try:
        return importlib.import_module(f"{package}.msg")
    except ImportError:
        return None


class PlaceTopics:
    """The topics that show things of phrases in the map's frame."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._markers, self._detections = installed("visualization_msgs"), installed("vision_msgs")
        self._marking = self._markers and node.create_publisher(self._markers.MarkerArray, "~/phrase_markers", _QOS)
        self._detecting = self._detections and node.create_publisher(
            self._detections.Detection3DArray, "~/phrase_detections", _QOS
        )

    @property
    def wanted(self) -> bool:
        return any(publisher.get_subscription_count() for publisher in self._publishers())

    def publish(self, answers: Answers, stamp_ns: int) -> None:
        """Show the things of a frame whose place in the map is known."""
        head = header(stamp_ns, answers.map_frame)
        if self._marking and self._marking.get_subscription_count():
            self._marking.publish(markers(self._markers, answers, head))
        if self._detecting and self._detecting.get_subscription_count():
            self._detecting.publish(detections(self._detections, answers, head))

    def close(self) -> None:
        for publisher in self._publishers():
            self._node.destroy_publisher(publisher)

    def _publishers(self) -> list[Any]:
        return [publisher for publisher in (self._marking, self._detecting) if publisher]


def markers(module: Any, answers: Answers, head: Header) -> Any:
    """visualization_msgs/MarkerArray: a box around each thing and the phrase over it, in place of those before."""
    found = [module.Marker(header=head, action=_DELETE_ALL)]
    for answer, thing, pose, size in _things(answers):
        said = {"header": head, "ns": answer.entry.role, "action": _ADD, "lifetime": Duration(sec=_SHOWN_S)}
        red, green, blue = _COLORS[(answer.entry.number - 1) % len(_COLORS)]
        color = ColorRGBA(r=red, g=green, b=blue, a=0.5)
        found.append(module.Marker(id=len(found), type=_CUBE, pose=pose, scale=size, color=color, **said))
        metres = "" if thing.distance_m is None else f" {thing.distance_m:.1f} m"
        at = pose.position
        over = Pose(position=Point(x=at.x, y=at.y, z=at.z + size.z / 2 + _LETTER_M), orientation=Quaternion(w=1.0))
        color, text = ColorRGBA(r=red, g=green, b=blue, a=1.0), f"{answer.entry.text}{metres}"
        letters = Vector3(x=_LETTER_M, y=_LETTER_M, z=_LETTER_M)
        found.append(module.Marker(id=len(found), type=_TEXT, pose=over, scale=letters, color=color, text=text, **said))
    return module.MarkerArray(markers=found)


def detections(module: Any, answers: Answers, head: Header) -> Any:
    """vision_msgs/Detection3DArray: a box around each thing; ``class_id`` is the phrase, ``id`` its number."""
    found = []
    for answer, _, pose, size in _things(answers):
        score = (answer.grounded.probability or 0.0) if answer.grounded else 0.0
        hypothesis = module.ObjectHypothesis(class_id=answer.entry.text, score=score)
        result = module.ObjectHypothesisWithPose(hypothesis=hypothesis, pose=PoseWithCovariance(pose=pose))
        box = module.BoundingBox3D(center=pose, size=size)
        found.append(module.Detection3D(header=head, results=[result], bbox=box, id=str(answer.entry.number)))
    return module.Detection3DArray(header=head, detections=found)


def _things(answers: Answers) -> Iterator[tuple[Answer, Place, Pose, Vector3]]:
    """Each thing whose place in the map is known, with the middle and the size of its box."""
    for answer in answers.answers:
        for thing in answer.things:
            if thing.box is not None:
                middle, size = thing.box.mean(axis=0).tolist(), (thing.box[1] - thing.box[0]).clip(_LEAST_M).tolist()
                pose = Pose(position=Point(**dict(zip("xyz", middle, strict=True))), orientation=Quaternion(w=1.0))
                yield answer, thing, pose, Vector3(**dict(zip("xyz", size, strict=True)))
