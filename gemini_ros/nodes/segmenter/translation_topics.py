"""``~/depth_completed`` and ``~/night_view``, made only while somebody subscribes and only where a model is named.

A thread of its own makes them of the newest frame, so that a slow network delays neither labels nor map.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from gemini_ros.core.costmap.completed import CompletedDepth
from gemini_ros.core.encodings import encode_depth
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.nodes.messages import header, image_message
from gemini_ros.nodes.throttled_log import ThrottledLog
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.slot import NewestSlot
from gemini_ros.pipeline.translations import DEPTH_COMPLETED, NIGHT_VIEW, Translations, sure_depth

_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
_JOIN_S = 0.5


@dataclass(frozen=True)
class _Seen:
    """A frame to make images of, its completed depth where the map has asked for it, and how depth goes out."""

    frame: Frame
    segmentation: Segmentation
    completed: CompletedDepth | None
    encoding: str


class TranslationTopics:
    """The publishers of what translation models make, from configuration to clean-up."""

    def __init__(self, node: Node, translations: Translations, costmap: Mapper, depth_scale: float) -> None:
        self.translations = translations
        self.replaced = 0
        self._node, self._costmap, self._scale = node, costmap, depth_scale
        self._log = ThrottledLog(node.get_logger())
        self._publishers = {output: node.create_publisher(Image, f"~/{output}", _QOS) for output in translations.paths}
        self._slot: NewestSlot[_Seen] = NewestSlot()
        self._thread: threading.Thread | None = None
        if self._publishers:
            self._thread = threading.Thread(target=self._run, name="translator", daemon=True)
            self._thread.start()

    @property
    def wanted(self) -> tuple[str, ...]:
        """The outputs that somebody subscribes to."""
        return tuple(name for name, publisher in self._publishers.items() if publisher.get_subscription_count())

    def offer(
        self, frame: Frame, segmentation: Segmentation, completed: CompletedDepth | None, encoding: Callable[[], str]
    ) -> None:
        """A frame that the map has taken in; it replaces one that still waits."""
        if self.wanted and self._slot.put(_Seen(frame, segmentation, completed, encoding())) is not None:
            self.replaced += 1

    def close(self) -> None:
        self._slot.close()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)

    # -- the translator's thread

    def _run(self) -> None:
        while (seen := self._slot.take()) is not None:
            for output in self.wanted:
                try:
                    self._publish(output, seen)
                except Exception as error:  # noqa: BLE001 (the node may be going away; one image must not end the thread)
                    self.translations.silence[output] = f"no {output}: {type(error).__name__}: {error}"
                if silence := self.translations.silence.get(output):
                    self._log.warning(output, silence)

    def _publish(self, output: str, seen: _Seen) -> None:
        frame, image = seen.frame, None
        if output == NIGHT_VIEW:
            image = self.translations.night_view(frame)
        elif (completed := seen.completed or self.translations.completed(frame, seen.segmentation)) is not None:
            depth = sure_depth(completed, self._costmap.least_completed)
            image = encode_depth(depth, seen.encoding, self._scale)
        if image is not None and not self._slot.closed:
            self._publishers[output].publish(image_message(image, header(frame.stamp_ns, frame.frame_id)))


def figures(topics: TranslationTopics) -> dict[str, object]:
    """The keys of the status ``translation``."""
    made, took_ms = topics.translations.made, topics.translations.took_ms
    found: dict[str, object] = {"translations_replaced": topics.replaced}
    for output, count, ms in (
        (DEPTH_COMPLETED, "depth_completed", "depth_completed_ms"),
        (NIGHT_VIEW, "night_view", "night_view_ms"),
    ):
        if output in made:
            found[count] = made[output]
        if output in took_ms:
            found[ms] = took_ms[output]
    return found
