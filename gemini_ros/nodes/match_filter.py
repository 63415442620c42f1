"""Messages that belong together, in your own node: the synchroniser of the segmenter as a filter of message_filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from gemini_ros.core.encodings import stamp_ns
from gemini_ros.nodes.segmenter.filters import NodeClock, SimpleFilter, Subscriber
from gemini_ros.pipeline.sync import POLL_NS, Match, PairMatcher

__all__ = ["MatchFilter", "Subscriber"]


class MatchFilter(SimpleFilter):
    """Calls its callbacks with every ``Match`` of the messages of ``sources``, in the order of their stamps.

    ``sources`` holds a filter for each stream, as a rule a ``Subscriber``; any message with a header will do, and
    ``Match.items`` holds the messages by stream. Those in ``extras`` are attached where they fit and never awaited for
    long. ``options`` are those of ``PairMatcher``, which makes every decision: ``slop_ns``, ``offsets_ns``,
    ``missing_timeout_ns``, ``policy`` and so on. With the default policy ``degrade`` the messages of a stream whose
    partner is silent come as singles; look at ``Match.kind``, or give ``policy="hold"`` and get pairs alone. Repeated
    content is not looked for, as the messages need not be images.

    Callbacks run in the executor's thread. Time-outs follow the node's clock. Raises ``ValueError`` as ``PairMatcher``.
    """

    def __init__(
        self, node: Node, sources: Mapping[str, SimpleFilter], *, extras: Sequence[str] = (), **options: Any
    ) -> None:
        super().__init__()
        if unknown := set(extras) - set(sources):
            raise ValueError(f"extras: {', '.join(sorted(unknown))}, expected some of {', '.join(sources)}")
        self.matcher = PairMatcher([name for name in sources if name not in extras], extras, **options)
        """Its counts, mode and ``unpaired`` say how the streams do."""
        self._node = node
        self._clock = NodeClock(lambda: node.get_clock().now().nanoseconds)
        # The steady clock polls, so that a /clock that stands does not stop what is settled by other means.
        self._timer = node.create_timer(POLL_NS / 1e9, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))
        for stream, source in sources.items():
            source.registerCallback(self._take, stream)

    def close(self) -> None:
        """Stop polling and drop what waits; the sources are the caller's to close."""
        self._node.destroy_timer(self._timer)
        self.matcher.flush()

    def _take(self, message: Any, stream: str) -> None:
        self._signal(self.matcher.add(stream, stamp_ns(message), message, self._clock()))

    def _poll(self) -> None:
        self._signal(self.matcher.poll(self._clock()))

    def _signal(self, matches: list[Match]) -> None:
        for match in matches:
            self.signalMessage(match)
