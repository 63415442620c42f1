"""Phrases in and answers out: ``~/set_phrases``, and what is published of the phrases in force.

What is set is read in a thread of its own, since a word that is not known may need the text encoder, which takes
seconds. At most ten times a second; of what comes faster the newest counts.
"""

from __future__ import annotations

import json
import threading
import time

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import OccupancyGrid
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import String

from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.nodes.messages import header, image_message, occupancy_message, planar_pose_message
from gemini_ros.nodes.segmenter.clock import NodeTime
from gemini_ros.nodes.segmenter.filter_info import publish_filter_info
from gemini_ros.nodes.segmenter.phrase_places import PlaceTopics
from gemini_ros.nodes.throttled_log import ThrottledLog
from gemini_ros.pipeline.answers import Answers, PhraseOutputs
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.nav_outputs import OutputSize
from gemini_ros.pipeline.slot import NewestSlot

_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_KEEPOUT_IN_COST = 0
_LEAST_PERIOD_S = 0.1
_JOIN_S = 0.5


class PhraseTopics:
    """The topics of phrases, from configuration to clean-up. Frames are taken from one thread."""

    def __init__(self, node: Node, phrases: PhraseOutputs, size: OutputSize) -> None:
        self.phrases = phrases
        self._node, self._size, self._now = node, size, NodeTime(node.get_clock())
        self._log = ThrottledLog(node.get_logger())
        self._answers = node.create_publisher(String, "~/answers", _QOS)
        self._masks = node.create_publisher(Image, "~/phrase_masks", _QOS)
        self._keepout = node.create_publisher(OccupancyGrid, "~/keepout_mask", _LATCHED_QOS)
        self._info = publish_filter_info(node, "~/keepout_mask", _KEEPOUT_IN_COST)
        self._target = node.create_publisher(PoseStamped, "~/target_pose", _QOS)
        self._places = PlaceTopics(node)
        self._in_force = node.create_publisher(String, "~/phrases", _LATCHED_QOS)
        self._said: str | None = None
        self._saying = threading.Lock()
        self._slot: NewestSlot[str] = NewestSlot()
        self._replaced = 0
        self._reader = threading.Thread(target=self._read, name="phrases", daemon=True)
        self._reader.start()
        self._subscription = node.create_subscription(String, "~/set_phrases", self._take, 10)
        if phrases.book.refused is not None:
            self._log.error("phrases", f"phrases are not in force: {phrases.book.refused.why}")
        self.tell()

    def tell(self) -> None:
        """Say which phrases are in force, where that has changed."""
        with self._saying:
            text = json.dumps(self.phrases.book.to_dict(self._now()))
            if text != self._said:
                self._said = text
                self._in_force.publish(String(data=text))

    def publish(self, frame: Frame, segmentation: Segmentation, seen: Seen) -> None:
        """Look for the phrases in a frame that the map has just taken in, and publish what is subscribed to."""
        now = self._now()
        subscribed = (self._answers, self._masks, self._target)
        wanted = self._places.wanted or any(publisher.get_subscription_count() for publisher in subscribed)
        answers = self.phrases.take(frame, segmentation, seen, now, wanted)
        for sentence in self.phrases.lost:
            self._log.warning(sentence.partition(": ")[0], sentence)
        if answers is not None:
            self._publish_answers(answers, frame, seen, now)
        if self._keepout.get_subscription_count():
            self._keepout.publish(occupancy_message(*self.phrases.keepout(seen, now)))

    def _publish_answers(self, answers: Answers, frame: Frame, seen: Seen, now: Instant) -> None:
        if self._answers.get_subscription_count():
            self._answers.publish(String(data=answers.text))
        if self._masks.get_subscription_count():
            head = header(frame.stamp_ns, frame.frame_id)
            self._masks.publish(image_message(self._size.image(answers.mask), head))
        if (
            self._target.get_subscription_count()
            and (place := self.phrases.target_pose(answers, seen, now)) is not None
        ):
            self._target.publish(planar_pose_message(place, header(frame.stamp_ns, answers.map_frame)))
        self._places.publish(answers, frame.stamp_ns)

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)
        self._slot.close()
        self._reader.join(_JOIN_S)
        with self._saying:
            self._said = ""
            self._places.close()
            for publisher in (self._answers, self._masks, self._target, self._keepout, self._info, self._in_force):
                if publisher is not None:
                    self._node.destroy_publisher(publisher)

    def _take(self, message: String) -> None:
        self._replaced += self._slot.put(message.data) is not None

    def _read(self) -> None:
        """Put what was set in force, one after another, until the slot is closed."""
        while (text := self._slot.take()) is not None:
            why = self.phrases.book.set(text, self._now())
            if self._slot.closed:
                return
            if why:
                self._log.error("refused", f"phrases are refused, those in force stay: {why}")
                self._answers.publish(String(data=self.phrases.refusal_text()))
            if self._replaced:
                replaced, self._replaced = self._replaced, 0
                rate = f"at most {1 / _LEAST_PERIOD_S:.0f} sets of phrases a second"
                self._log.warning(
                    "replaced", f"{replaced} sets of phrases were replaced by newer ones, expected {rate}"
                )
            self.tell()
            time.sleep(_LEAST_PERIOD_S)
