"""Listen to a running graph for a few seconds: who publishes what to whom, and what arrives."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as RawImage

from gemini_ros.core.calibration import ImageTrack, onto_grid
from gemini_ros.core.encodings import decode_image, intrinsics_from_camera_info, stamp_ns
from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.doctor.graph import Endpoint, Graph, Image, StreamSeen
from gemini_ros.doctor.middleware import publisher_environment
from gemini_ros.nodes.tool import tool_node
from gemini_ros.nodes.transport import StampGaps
from gemini_ros.pipeline.cameras import COMPRESSED_IMAGE, IMAGE, StreamTopics, published_camera, read_camera
from gemini_ros.pipeline.weighing import published_streams

_NAME = "doctor"
# Discovery takes up to three seconds, and is done when nothing new has come for one.
_DISCOVERY_S, _SETTLED_S = 4.0, 1.0
_LOOK_S = 0.05
# Of a stream, kept for comparing the motion of its images; they are decoded when listening is over.
_KEPT, _KEPT_BYTES = 150, 250_000_000
# What a segmenter asks for, so that what is lost is what a segmenter loses.
_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)


def observe(camera: str | None, seconds: float) -> Graph:
    """What is seen in the domain of the environment within ``seconds`` of listening.

    ``camera`` is a name or file as for the launch file; ``None`` takes the known camera that is publishing, else what
    looks like one by its topics.
    Raises ``ValueError`` for a camera file that cannot be used, ``FileNotFoundError`` for one that is not there.
    """
    streams = read_camera(camera).streams if camera else {}
    with tool_node(_NAME) as node:
        executor = SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        try:
            published = _discover(node, executor)
            if not camera:
                found = published_camera(published)
                streams = read_camera(found).streams if found else published_streams(_published_types(node))
            listeners = {stream: _Listener(node, stream, topics) for stream, topics in streams.items()}
            maps = listen_to_maps(node)
            _spin(executor, seconds if published & {topics.image for topics in streams.values()} else 0.0)
            return Graph(
                rmw=rclpy.get_rmw_implementation_identifier(),
                domain=os.environ.get("ROS_DOMAIN_ID", "0"),
                nodes=_others(node),
                images=tuple(sorted(_published(node))),
                simulated=node.count_publishers("/clock") > 0,
                streams=_seen(listeners),
                maps=maps,
            )
        finally:
            executor.remove_node(node)
            executor.shutdown(timeout_sec=0.5)


def _seen(listeners: Mapping[str, _Listener]) -> dict[str, StreamSeen]:
    """What each stream brought, and the images of all, as the first of them sees the world."""
    seen = {stream: listener.seen() for stream, listener in listeners.items()}
    grid = next((one for one in seen.values() if one.size is not None), None)
    if grid is None:
        return seen
    return {stream: replace(seen[stream], track=listeners[stream].track(seen[stream], grid)) for stream in seen}


class _Listener:
    """Keeps of one stream what the checks ask for."""

    def __init__(self, node: Node, stream: str, topics: StreamTopics) -> None:
        self._node, self._stream, self._topics = node, stream, topics
        self._images: list[Image] = []
        self._size: tuple[int, int] | None = None
        self._fault = ""
        self._intrinsics: Intrinsics | None = None
        self._info_fault = ""
        self._gaps = StampGaps()
        self._kept: list[Any] = []
        self._kept_bytes = 0
        message_type = RawImage if topics.type_name == IMAGE else CompressedImage
        node.create_subscription(message_type, topics.image, self._take, _QOS)
        node.create_subscription(CameraInfo, topics.camera_info, self._take_info, _QOS)

    def seen(self) -> StreamSeen:
        return StreamSeen(
            topics=self._topics,
            publishers=_ends(self._node, self._node.get_publishers_info_by_topic(self._topics.image)),
            subscribers=_ends(self._node, self._node.get_subscriptions_info_by_topic(self._topics.image)),
            images=tuple(self._images),
            size=self._size,
            fault=self._fault,
            intrinsics=self._intrinsics,
            info_fault=self._info_fault,
            lost=self._gaps.lost,
        )

    def track(self, seen: StreamSeen, grid: StreamSeen) -> ImageTrack | None:
        """The images that were kept, as those of ``grid``; ``None`` where none can be decoded."""
        if seen.size is None or grid.size is None:
            return None
        onto = None if seen.size == grid.size else onto_grid(seen.size, seen.intrinsics, grid.size, grid.intrinsics)
        track = ImageTrack(self._stream, grid.size, onto)
        for message in self._kept:
            with suppress(FrameError):
                image = decode_image(message, self._stream)
                if image.shape[1::-1] == seen.size:
                    track.add(image, stamp_ns(message))
        return track

    def _take(self, message: Any) -> None:
        received_ns = time.time_ns()
        self._images.append(Image(stamp_ns(message), received_ns, message.header.frame_id, len(message.data)))
        self._gaps.add(stamp_ns(message))
        if len(self._kept) < _KEPT and self._kept_bytes < _KEPT_BYTES:
            self._kept.append(message)
            self._kept_bytes += len(message.data)
        if self._size is None and not self._fault:
            try:
                height, width = decode_image(message, self._stream).shape[:2]
                self._size = width, height
            except FrameError as reason:
                self._fault = str(reason)

    def _take_info(self, message: CameraInfo) -> None:
        try:
            self._intrinsics, self._info_fault = intrinsics_from_camera_info(message), ""
        except FrameError as reason:
            self._info_fault = str(reason)


def listen_to_maps(node: Node) -> dict[str, str]:
    """Filled while the node spins: what each running segmenter says of the geometry of its map."""
    maps: dict[str, str] = {}

    def take(message: DiagnosticArray) -> None:
        for status in message.status:
            for value in status.values:
                if status.name.endswith(": costmap") and value.key == "geometry" and value.value:
                    maps[status.name] = value.value

    node.create_subscription(DiagnosticArray, "/diagnostics", take, 10)
    return maps


def _discover(node: Node, executor: SingleThreadedExecutor) -> set[str]:
    """Topics with images that are published, once nobody new has come for a while."""
    start = changed = time.monotonic()
    known: tuple[Any, ...] = ()
    while (now := time.monotonic()) - start < _DISCOVERY_S:
        found = (_others(node), _published(node))
        if found != known:
            known, changed = found, now
        if _others(node) and now - changed > _SETTLED_S:
            break
        executor.spin_once(timeout_sec=_LOOK_S)
    return _published(node)


def _spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)


def _published_types(node: Node) -> dict[str, str]:
    return {name: types[0] for name, types in node.get_topic_names_and_types() if types and node.count_publishers(name)}


def _published(node: Node) -> set[str]:
    return {
        name
        for name, types in node.get_topic_names_and_types()
        if {IMAGE, COMPRESSED_IMAGE} & set(types) and node.count_publishers(name)
    }


def _others(node: Node) -> tuple[str, ...]:
    """Nodes but this one and the hidden ones (ros2's daemon)."""
    named = node.get_node_names_and_namespaces()
    return tuple(sorted({_full_name(name, space) for name, space in named if not name.startswith("_")} - {f"/{_NAME}"}))


def _ends(node: Node, infos: list[TopicEndpointInfo]) -> tuple[Endpoint, ...]:
    """Everybody's ends of a topic, without this node's own."""
    ends = []
    for info in infos:
        name = _full_name(info.node_name, info.node_namespace)
        if name != f"/{_NAME}":
            qos = info.qos_profile
            ends.append(
                Endpoint(
                    name,
                    info.topic_type,
                    qos.reliability == ReliabilityPolicy.RELIABLE,
                    qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                    publisher_environment(bytes(info.endpoint_gid)),
                )
            )
    return tuple(ends)


def _full_name(name: str, namespace: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
