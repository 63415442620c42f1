"""The image streams of a node: their subscriptions, and what came over them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.frames import FrameError
from gemini_ros.nodes.segmenter.filters import Subscriber
from gemini_ros.nodes.throttled_log import ThrottledLog
from gemini_ros.nodes.transport import StampGaps
from gemini_ros.pipeline.intake import Intake

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ModuleNotFoundError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

_SILENT_S = 2.0
_OVERRIDES = (QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)


def _best_effort() -> QoSProfile:
    """A profile for one subscription alone: rclpy writes ``qos_overrides`` of a topic into the profile it is given."""
    return QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)


def _latched() -> QoSProfile:
    return QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class ImageInput:
    """One stream: ``source`` brings the messages that ``images``, the stream in the intake, decodes.

    Lives in the executor's thread, from activation to deactivation.
    """

    def __init__(self, node: Node, intake: Intake, stream: str, transport: str) -> None:
        self.images, self.transport = intake.streams[stream], transport
        self.gaps = StampGaps()
        self._log = ThrottledLog(node.get_logger())
        self._errors: dict[str, tuple[str, int]] = {}
        self.last_stamp_ns: int | None = None
        self.last_receipt_ns: int | None = None
        self.last_lag_ns = 0
        """How far the last stamp was behind the node's clock when its image came."""
        self._node = node
        self._since_ns = time.monotonic_ns()
        # The suffix goes after the remapping, as image_transport does it: a robot remaps the base name alone.
        self.topic = node.resolve_topic_name(f"{stream}/image") + (
            "" if self.transport == "raw" else f"/{self.transport}"
        )
        self.images.topic = self.topic
        self._lost_by_middleware: int | None = 0
        try:
            self.source = self._subscribe(message_lost=self._lose)
        except UnsupportedEventTypeError:
            self._lost_by_middleware = None
            self.source = self._subscribe()
        # A latched camera_info, published once, does not reach a volatile subscription that comes later.
        self._camera_infos = [
            node.create_subscription(
                CameraInfo,
                f"{stream}/camera_info",
                partial(intake.take_info, stream),
                qos,
                event_callbacks=SubscriptionEventCallbacks(incompatible_qos=lambda _: None),
            )
            for qos in (_best_effort(), _latched())
        ]

    @property
    def lost_in_transport(self) -> int:
        """Images that were sent and did not arrive: the middleware's count, the stamps' where it keeps none."""
        return self.gaps.lost if self._lost_by_middleware is None else self._lost_by_middleware

    def note_receipt(self, message: Any, received_ns: int) -> None:
        """A message arrived, of use or not."""
        self.last_stamp_ns, self.last_receipt_ns = stamp_ns(message), received_ns
        self.last_lag_ns = self._node.get_clock().now().nanoseconds - self.last_stamp_ns
        self.gaps.add(self.last_stamp_ns)

    def note_error(self, error: FrameError) -> None:
        """A message was of no use: kept for the diagnostics, the latest of each cause, and logged."""
        self._errors[error.cause] = (str(error), time.monotonic_ns())
        self._log.warning(error.cause, f"{self.images.name}: {error}")

    def recent_errors(self) -> list[str]:
        """Why messages of the last three seconds were of no use."""
        now_ns = time.monotonic_ns()
        return [text for text, at_ns in self._errors.values() if now_ns - at_ns < 3_000_000_000]

    def silent_for_s(self) -> float:
        """Seconds since the last message, or since the subscription where there was none."""
        return (time.monotonic_ns() - (self.last_receipt_ns or self._since_ns)) / 1e9

    @property
    def silent(self) -> bool:
        """Whether nothing came for two seconds."""
        return self.silent_for_s() > _SILENT_S

    def publisher_count(self) -> int:
        return self._node.count_publishers(self.topic)

    def close(self) -> None:
        self._node.destroy_subscription(self.source.sub)
        for subscription in self._camera_infos:
            self._node.destroy_subscription(subscription)

    def _subscribe(self, **events: Any) -> Subscriber:
        return Subscriber(
            self._node,
            Image if self.transport == "raw" else CompressedImage,
            self.topic,
            qos_profile=_best_effort(),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._incompatible, **events),
            qos_overriding_options=QoSOverridingOptions(_OVERRIDES),
        )

    def _lose(self, event: Any) -> None:
        self._lost_by_middleware = event.total_count

    def _incompatible(self, event: Any) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        self._node.get_logger().warning(
            f"{self.topic}: a publisher offers an incompatible {policy}, nothing of it arrives: set the parameter "
            f"qos_overrides.{self.topic}.subscription.reliability to best_effort, or make the publisher reliable"
        )
