"""The intake as a filter of message_filters, fed by its Subscriber.

Where message_filters is not installed a shim of the two classes stands in; the node's path is the same one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from gemini_ros.core.frames import FrameError
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.intake import Intake
from gemini_ros.pipeline.sync import Match

if TYPE_CHECKING or find_spec("message_filters") is None:
    from gemini_ros.nodes.segmenter.simple_filter import SimpleFilter, Subscriber
else:
    from message_filters import SimpleFilter, Subscriber

_COARSE_NS = 100_000_000

__all__ = ["Input", "NodeClock", "PairFilter", "SimpleFilter", "Subscriber"]


class Input(Protocol):
    """A subscription and what is remembered of its messages."""

    @property
    def source(self) -> SimpleFilter: ...
    def note_receipt(self, message: Any, received_ns: int) -> None:
        """A message came, of use or not."""
        ...

    def note_error(self, error: FrameError) -> None:
        """The message was of no use."""
        ...


class PairFilter(SimpleFilter):
    """Signals every ``Match`` that the messages of its inputs settle.

    Decoding and every drop are the intake's. ``clock`` is the time the matcher lives in; while ``ready`` says no,
    messages are counted ``not_ready`` and not decoded, and ``learn_grid`` gets the size that they give the grid.
    ``now`` is the moment of a receipt. All of it belongs to one executor thread.
    """

    def __init__(
        self,
        intake: Intake,
        inputs: Mapping[str, Input],
        clock: Callable[[], int],
        ready: Callable[[], bool],
        now: Callable[[], Instant],
        learn_grid: Callable[[tuple[int, int]], None] = lambda size: None,
    ) -> None:
        super().__init__()
        self._intake, self._inputs, self._clock, self._ready, self._now = intake, inputs, clock, ready, now
        self._learn_grid = learn_grid
        for stream, source in inputs.items():
            source.source.registerCallback(self._take, stream)

    def poll(self) -> None:
        """Let time pass: what waited in vain comes out single or is dropped."""
        self._signal(self._intake.matcher.poll(self._clock()))

    def _take(self, message: Any, stream: str) -> None:
        received_ns, receipt = time.monotonic_ns(), self._now()
        source = self._inputs[stream]
        source.note_receipt(message, received_ns)
        if not self._ready():
            if (size := self._intake.grid_of(stream, message)) is not None:
                self._learn_grid(size)
            self._intake.refuse(stream, FrameError("the model is not loaded yet", "not_ready"), self._clock())
            return
        try:
            matches = self._intake.take(stream, message, self._clock, received_ns, receipt)
        except FrameError as error:
            source.note_error(error)
        else:
            self._signal(matches)

    def _signal(self, matches: list[Match]) -> None:
        for match in matches:
            self.signalMessage(match)


class NodeClock:
    """Nanoseconds that never go back: the advances of a node's clock, without its jumps.

    Timeouts follow ``/clock`` at any replay rate, stand still with it, and survive a bag that starts over. Between the
    steps of a coarse ``/clock`` (one in 2 s, say) they run on the steady clock, at the rate of the last step and for no
    more than it: a camera that dies is noticed, and one that lives is not called dead by the step.
    """

    def __init__(
        self,
        now: Callable[[], int],
        jump_ns: int = 1_000_000_000,
        steady: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._now, self._jump_ns, self._steady = now, jump_ns, steady
        self._last, self._changed_ns = now(), steady()
        self._elapsed = 0
        self._step_ns = 0  # how much of the next step may pass before it comes
        self._rate = 1.0  # of the last step, to the steady clock

    def __call__(self) -> int:
        now, steady_ns = self._now(), self._steady()
        advance, lasted_ns = now - self._last, steady_ns - self._changed_ns
        grown = min(round(lasted_ns * self._rate), self._step_ns)
        if not advance:
            return self._elapsed + grown
        self._elapsed += max(advance, grown) if 0 < advance <= self._jump_ns else grown
        self._last, self._changed_ns = now, steady_ns
        step_ns = min(advance, lasted_ns)
        self._step_ns = step_ns if step_ns > _COARSE_NS else 0
        self._rate = step_ns / lasted_ns if self._step_ns else 1.0
        return self._elapsed
