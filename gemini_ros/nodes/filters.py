"""PairMatcher as a filter of message_filters, fed by its Subscriber.

Where message_filters is not installed a shim of the two classes stands in; the node's path is the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.frames import FrameError
from gemini_ros.pipeline.intake import Received
from gemini_ros.pipeline.sync import Match, PairMatcher

if TYPE_CHECKING or find_spec("message_filters") is None:
    from gemini_ros.nodes.simple_filter import SimpleFilter, Subscriber
else:
    from message_filters import SimpleFilter, Subscriber

__all__ = ["NodeClock", "PairFilter", "SimpleFilter", "Subscriber"]

Decode = Callable[[str, Any], "tuple[Received, int | None]"]


class PairFilter(SimpleFilter):
    """Decodes what its inputs bring and signals every ``Match`` of the matcher.

    ``decode(stream, message)`` gives the received image and the fingerprint of its content, or raises ``FrameError``:
    the message is then counted under the error's cause and ``refused(stream, error)`` is called. ``clock`` is the time
    the matcher lives in. All of it belongs to one executor thread.
    """

    def __init__(
        self,
        matcher: PairMatcher,
        inputs: Mapping[str, SimpleFilter],
        decode: Decode,
        clock: Callable[[], int],
        refused: Callable[[str, FrameError], None],
    ) -> None:
        super().__init__()
        self.matcher = matcher
        self._decode, self._clock, self._refused = decode, clock, refused
        for stream, source in inputs.items():
            source.registerCallback(self._take, stream)

    def poll(self) -> None:
        """Let time pass: what waited in vain comes out single or is dropped."""
        self._signal(self.matcher.poll(self._clock()))

    def _take(self, message: Any, stream: str) -> None:
        try:
            received, fingerprint = self._decode(stream, message)
        except FrameError as error:
            self.matcher.drop(stream, error.cause, self._clock())
            self._refused(stream, error)
            return
        stamp = stamp_ns(message)
        self._signal(self.matcher.add(stream, stamp, received, self._clock(), fingerprint))

    def _signal(self, matches: list[Match]) -> None:
        for match in matches:
            self.signalMessage(match)


class NodeClock:
    """Nanoseconds that never go back: the advances of a node's clock, without its jumps.

    Timeouts follow ``/clock`` at any replay rate, stand still with it, and survive a bag that starts over.
    """

    def __init__(self, now: Callable[[], int], jump_ns: int = 1_000_000_000) -> None:
        self._now, self._jump_ns = now, jump_ns
        self._last = now()
        self._elapsed = 0

    def __call__(self) -> int:
        now = self._now()
        advance, self._last = now - self._last, now
        if 0 < advance <= self._jump_ns:
            self._elapsed += advance
        return self._elapsed
